import {
  headOfRecordSet,
  sliceRecordSet,
  type ConsumePosition,
  type ConsumeRecords,
  type TopicPartition,
} from '../../wire/index.ts'
import type { ReadResponse, RecordBatch } from '../../wire/messages.ts'
import { PartitionCommits } from './partition-commits.ts'
import type { RecordSource } from './record-source.ts'
import type { GivenEpoch } from './types.ts'

/**
 * Records that wait for credit or for more of their kind, per partition, or twice what the member takes in a message where
 * that is less. Above this the source pauses until the half is sent.
 */
export const FEED_BYTES = 1024 * 1024

/** How a member wants its records gathered. */
export interface FetchOptions {
  readonly minBytes: number
  readonly maxBytes: number
  readonly maxWaitMs: number
  readonly maxRecords: number
}

/** `released`: given back, and this node waits to hear that it has gone to somebody else. */
export type FeedState = 'taking' | 'reading' | 'revoking' | 'released'

/** One partition that a member was given: what waits to be sent of it, and how far it is. */
export class PartitionFeed implements TopicPartition {
  readonly topic: string
  readonly partition: number
  readonly epoch: number
  /** With so many waiting, the source pauses. */
  readonly boundBytes: number
  state: FeedState = 'taking'
  /** By the client. */
  isPaused = false
  isCaughtUp = false
  highWatermark = 0
  source: RecordSource | undefined
  readonly commits: PartitionCommits
  #nextOffset = 0
  #queue: RecordBatch[] = []
  #queuedBytes = 0
  #waitingSinceMs = 0
  #isBlocked = false
  /** What the client knows of the place: the offset after the last record sent, and the end. */
  #told = { nextOffset: -1, highWatermark: -1 }

  /** `commit` asks the partition's leader for a commit and tells what is committed then. */
  constructor(
    { topic, partition, epoch }: GivenEpoch,
    maxBytes: number,
    commit: (offset: number) => Promise<number>,
  ) {
    this.commits = new PartitionCommits(commit)
    this.boundBytes = Math.min(FEED_BYTES, 2 * maxBytes)
    this.topic = topic
    this.partition = partition
    this.epoch = epoch
  }

  /** The offset after the last record sent. */
  get nextOffset(): number {
    return this.#nextOffset
  }

  get isEmpty(): boolean {
    return this.#queue.length === 0
  }

  /** The place, where it is another than the client was told last. */
  news(): ConsumePosition | undefined {
    const { topic, partition, nextOffset, highWatermark } = this
    if (this.#told.nextOffset === nextOffset && this.#told.highWatermark === highWatermark) return undefined
    this.#told = { nextOffset, highWatermark }
    return { topic, partition, nextOffset, highWatermark }
  }

  begin(offset: number, highWatermark: number): void {
    this.#nextOffset = offset
    this.highWatermark = highWatermark
    this.state = 'reading'
  }

  /** Sends nothing from here on. */
  end(): void {
    this.source?.close()
    this.source = undefined
    this.#queue = []
    this.#queuedBytes = 0
  }

  revoke(): void {
    this.end()
    this.state = 'revoking'
  }

  /** As much waits as may: the source has to pause. */
  get isBlocked(): boolean {
    return this.#isBlocked
  }

  add({ batches, highWatermark }: ReadResponse, nowMs: number): void {
    if (this.#queue.length === 0) this.#waitingSinceMs = nowMs
    this.highWatermark = Math.max(this.highWatermark, highWatermark)
    for (const batch of batches) {
      this.#queue.push(batch)
      this.#queuedBytes += bytesOf(batch)
    }
    this.#isBlocked = this.#queuedBytes >= this.boundBytes
  }

  /** When what waits may be sent, on Clock.nowMs; undefined: nothing waits. */
  dueMs({ minBytes, maxWaitMs }: FetchOptions): number | undefined {
    if (this.#queue.length === 0 || this.state !== 'reading' || this.isPaused) return undefined
    return this.#queuedBytes >= Math.min(minBytes, this.boundBytes) ? 0 : this.#waitingSinceMs + maxWaitMs
  }

  /**
   * Lets the source go on where the half is sent. To be called when what was taken is on its way, and not before: the source
   * may bring more at once, which comes behind it.
   */
  resumeSource(): void {
    if (!this.#isBlocked || this.#queuedBytes > this.boundBytes / 2) return
    this.#isBlocked = false
    this.source?.resume()
  }

  /** Takes what fits, one record at least. */
  take(maxRecords: number, maxBytes: number, nowMs: number): ConsumeRecords {
    const batches: RecordBatch[] = []
    let records = 0
    let bytes = 0
    for (;;) {
      const first = this.#queue[0]
      if (first === undefined || records >= maxRecords || (records > 0 && bytes >= maxBytes)) break
      const cut = cutBatch(first, maxRecords - records, maxBytes - bytes, records === 0)
      if (cut === undefined) break
      batches.push(cut.head)
      records += cut.head.recordCount
      bytes += bytesOf(cut.head)
      if (cut.rest === undefined) this.#queue.shift()
      else this.#queue[0] = cut.rest
    }
    this.#queuedBytes -= bytes
    this.#waitingSinceMs = nowMs
    const last = batches.at(-1)
    if (last !== undefined) this.#nextOffset = last.baseOffset + last.recordCount
    const { topic, partition, epoch, highWatermark } = this
    this.#told = { nextOffset: this.#nextOffset, highWatermark }
    return { topic, partition, epoch, batches, nextOffset: this.#nextOffset, highWatermark }
  }
}

export function bytesOf({ records }: RecordBatch): number {
  let sum = 0
  for (const chunk of records) sum += chunk.byteLength
  return sum
}

/** undefined: not even one record fits, and none has to. */
function cutBatch(
  batch: RecordBatch,
  maxRecords: number,
  maxBytes: number,
  mustTake: boolean,
): { readonly head: RecordBatch; readonly rest: RecordBatch | undefined } | undefined {
  if (batch.recordCount <= maxRecords && bytesOf(batch) <= maxBytes) return { head: batch, rest: undefined }
  const [only] = batch.records
  const whole = batch.records.length === 1 && only !== undefined ? only : Buffer.concat(batch.records)
  const { recordCount, byteLength } = headOfRecordSet(whole, maxRecords, maxBytes)
  if (byteLength > maxBytes && !mustTake) return undefined
  const head = { ...batch, recordCount, records: [whole.subarray(0, byteLength)] }
  if (recordCount === batch.recordCount) return { head, rest: undefined }
  const rest = {
    ...batch,
    baseOffset: batch.baseOffset + recordCount,
    recordCount: batch.recordCount - recordCount,
    records: [sliceRecordSet(whole, recordCount)],
  }
  return { head, rest }
}
