import {
  FlotillaError,
  forEachRecord,
  type ReadResponse,
  type ReadStart,
  type RecordBatch,
} from '../../wire/index.ts'
import type { ConsumedBatch, ConsumedRecord } from '../types.ts'

export interface ReadGoal {
  readonly topic: string
  readonly partition: number
  readonly start: ReadStart
  readonly untilEnd: boolean
}

/** Where a partition's reading stands, over all the streams that it takes. Pure. */
export class ReadPosition {
  readonly #goal: ReadGoal
  /** The next offset to take from a stream; unknown until a node has told where a time or an end lies. */
  #nextOffset: number | undefined
  #endOffset: number | undefined

  constructor(goal: ReadGoal) {
    this.#goal = goal
    if (goal.start.type === 'offset') this.#nextOffset = goal.start.offset
  }

  get nextOffset(): number | undefined {
    return this.#nextOffset
  }
  /** With untilEnd: fixed by the first node that answered, and kept for those after it. */
  get endOffset(): number | undefined {
    return this.#endOffset
  }
  get isAtEnd(): boolean {
    return (
      this.#endOffset !== undefined && this.#nextOffset !== undefined && this.#nextOffset >= this.#endOffset
    )
  }
  /** Where the next stream has to start: after a loss, behind what was taken. */
  get start(): ReadStart {
    return this.#nextOffset === undefined ? this.#goal.start : { type: 'offset', offset: this.#nextOffset }
  }

  /**
   * The batches of a message that are new: none below the position, none from the end on. Throws INTERNAL where a
   * record is missing between them, which must not pass as if it had never been.
   */
  take(message: ReadResponse): RawBatch[] {
    const { highWatermark, batches } = message
    if (this.#goal.untilEnd) this.#endOffset ??= highWatermark
    this.#nextOffset ??= batches[0]?.baseOffset ?? message.nextOffset
    const taken: RawBatch[] = []
    for (const batch of batches) {
      const batchEnd = batch.baseOffset + batch.recordCount
      const end = Math.min(batchEnd, this.#endOffset ?? Infinity)
      if (end <= this.#nextOffset) continue
      if (batch.baseOffset > this.#nextOffset) throw this.#gap(batch.baseOffset)
      taken.push({ batch, from: this.#nextOffset, to: end, highWatermark })
      this.#nextOffset = end
    }
    return taken
  }

  #gap(found: number): FlotillaError {
    const { topic, partition } = this.#goal
    const message = `partition ${partition} of topic ${topic}: the node sent offset ${found} where ${this.#nextOffset} comes next`
    return new FlotillaError('INTERNAL', message, { effect: 'none' })
  }
}

/** The records `from` to before `to` of a batch, still encoded. */
export interface RawBatch {
  readonly batch: RecordBatch
  readonly from: number
  readonly to: number
  readonly highWatermark: number
}

export function byteLengthOf({ batch }: RawBatch): number {
  let length = 0
  for (const recordSet of batch.records) length += recordSet.length
  return length
}

/**
 * What is wanted of some batches, one at least, that follow each other, as one. In one pass, for this is what a consumer spends most of its
 * time with. Throws FlotillaError where the bytes aren't the records that a batch announces.
 */
export function decodeBatches(topic: string, partition: number, raws: readonly RawBatch[]): ConsumedBatch {
  const records: ConsumedRecord[] = []
  for (const raw of raws) decodeInto(records, topic, partition, raw)
  const { from, highWatermark } = raws[0]!
  return { topic, partition, baseOffset: from, records, highWatermark }
}

function decodeInto(
  records: ConsumedRecord[],
  topic: string,
  partition: number,
  { batch, from, to }: RawBatch,
): void {
  const appendTime = new Date(batch.appendTimeMs)
  let offset = batch.baseOffset
  for (const bytes of batch.records) {
    forEachRecord(bytes, (key, value, headers, timestampMs) => {
      if (offset >= from && offset < to) {
        const timestamp = timestampMs === undefined ? appendTime : new Date(timestampMs)
        records.push({ topic, partition, offset, timestamp, appendTime, key, value, headers })
      }
      offset++
    })
  }
  const found = offset - batch.baseOffset
  if (found === batch.recordCount) return
  const message = `the batch at offset ${batch.baseOffset} of partition ${partition} of topic ${topic} holds ${found} records and announces ${batch.recordCount}`
  throw new FlotillaError('INTERNAL', message, { effect: 'none' })
}
