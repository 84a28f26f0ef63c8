import {
  FlotillaError,
  type AssignedPartition,
  type CommitPosition,
  type ConsumeRecords,
  type TopicPartition,
} from '../../wire/index.ts'
import type { RawBatch } from '../reader/read-position.ts'
import type { GivenPartition } from '../types.ts'

/** Records of one message, still encoded. */
export interface Waiting {
  readonly raws: readonly RawBatch[]
  readonly records: number
  readonly bytes: number
  readonly highWatermark: number
}

/** One partition that the member has: what waits of it, how far the loop is, and what is committed. Pure. */
export class HeldPartition implements TopicPartition {
  readonly topic: string
  readonly partition: number
  readonly given: GivenPartition
  /** The stream that is open now has said that it is still the member's. */
  isConfirmed = true
  isPaused = false
  isRevoking = false
  /** Revoked, and the listeners are done with it. */
  isLetGo = false
  highWatermark: number
  /** Where the end was when the node had sent all that was there. */
  caughtUpAt: number | undefined
  /** The loop has come past everything below. */
  handled: number
  /** The loop has been handed everything below. */
  handedOut: number
  /** The loop was given everything below, be it handed out already or not. */
  #takenTo: number
  /** What is committed, as far as this member knows; where nothing is, where it began. */
  committed: number
  /** The highest offset that is committed or on its way. */
  committing: number
  readonly #mayJump: boolean
  readonly #waiting: Waiting[] = []
  /** Messages at the head for which credit was given back already, while the partition was paused. */
  #prepaid = 0
  /** What the stream has to send next. */
  #next: number

  constructor(assigned: AssignedPartition, mayJump: boolean) {
    const { topic, partition, epoch, startOffset, committedOffset, highWatermark } = assigned
    this.topic = topic
    this.partition = partition
    this.given = { topic, partition, epoch, startOffset, committedOffset }
    this.highWatermark = highWatermark
    this.handled = startOffset
    this.handedOut = startOffset
    this.#takenTo = startOffset
    this.committed = committedOffset ?? startOffset
    this.committing = this.committed
    this.#next = startOffset
    this.#mayJump = mayJump
  }

  get name(): TopicPartition {
    return { topic: this.topic, partition: this.partition }
  }
  get key(): string {
    return keyOf(this)
  }
  /** Something may be handed out. */
  get isReady(): boolean {
    return this.#waiting.length > 0 && !this.isPaused && !this.isRevoking
  }
  get isCaughtUp(): boolean {
    return this.caughtUpAt !== undefined && this.handedOut >= this.caughtUpAt
  }
  /** Waiting for what was sent before a pause: only then is the node told to send more. */
  get hasPrepaid(): boolean {
    return this.#prepaid > 0
  }
  get lag(): number {
    return Math.max(0, this.highWatermark - this.handled)
  }
  positionAt(offset: number): CommitPosition {
    return { ...this.name, offset, epoch: this.given.epoch }
  }

  committedTo(offset: number): void {
    this.committed = Math.max(this.committed, offset)
    this.committing = Math.max(this.committing, offset)
  }

  /** A new stream goes on with it, from the last commit or from where retention has left it. */
  goOn({ startOffset, highWatermark }: AssignedPartition): void {
    this.isConfirmed = true
    this.highWatermark = Math.max(this.highWatermark, highWatermark)
    this.#next = Math.max(this.#next, startOffset)
    this.handled = Math.max(this.handled, startOffset)
    this.handedOut = Math.max(this.handedOut, startOffset)
    this.#takenTo = Math.max(this.#takenTo, startOffset)
  }

  /** The stream is gone: whatever wasn't handed out is sent again. */
  unconfirm(): void {
    this.isConfirmed = false
    this.dropWaiting()
  }

  /** What credit is to be given back for. */
  dropWaiting(): { readonly records: number; readonly bytes: number } {
    const dropped = { records: 0, bytes: 0 }
    for (const [at, { records, bytes }] of this.#waiting.entries()) {
      if (at < this.#prepaid) continue
      dropped.records += records
      dropped.bytes += bytes
    }
    this.#waiting.length = 0
    this.#prepaid = 0
    this.#next = this.#takenTo
    return dropped
  }

  /** Takes what is new of a message. Throws INTERNAL where records are missing that must not be. */
  add({ batches, nextOffset, highWatermark }: ConsumeRecords): void {
    this.highWatermark = Math.max(this.highWatermark, highWatermark)
    const raws: RawBatch[] = []
    let records = 0
    let bytes = 0
    for (const batch of batches) {
      records += batch.recordCount
      for (const chunk of batch.records) bytes += chunk.byteLength
      const to = batch.baseOffset + batch.recordCount
      if (to <= this.#next) continue
      if (batch.baseOffset > this.#next && !this.#mayJump) throw this.#gap(batch.baseOffset)
      raws.push({ batch, from: Math.max(batch.baseOffset, this.#next), to, highWatermark })
      this.#next = to
    }
    this.#next = Math.max(this.#next, nextOffset)
    this.#waiting.push({ raws, records, bytes, highWatermark })
  }

  /** Counts everything that waits as no longer waiting, so that it doesn't keep other partitions from being sent. */
  prepay(): { readonly records: number; readonly bytes: number } {
    let records = 0
    let bytes = 0
    for (const each of this.#waiting.slice(this.#prepaid)) {
      records += each.records
      bytes += each.bytes
    }
    this.#prepaid = this.#waiting.length
    return { records, bytes }
  }

  take(): { readonly waiting: Waiting; readonly isPrepaid: boolean } {
    const waiting = this.#waiting.shift()!
    const isPrepaid = this.#prepaid > 0
    if (isPrepaid) this.#prepaid--
    this.#takenTo = waiting.raws.at(-1)?.to ?? this.#takenTo
    return { waiting, isPrepaid }
  }

  /** What was taken is handed out from `offset` on later; credit for it was given back already. */
  putBack(waiting: Waiting, offset: number): void {
    const raws = waiting.raws
      .filter(({ to }) => to > offset)
      .map((raw) => ({ ...raw, from: Math.max(raw.from, offset) }))
    if (raws.length === 0) return
    this.#waiting.unshift({ ...waiting, raws })
    this.#prepaid++
    this.#takenTo = offset
  }

  #gap(found: number): FlotillaError {
    const message = `partition ${this.partition} of topic ${this.topic}: the node sent offset ${found} where ${this.#next} comes next`
    return new FlotillaError('INTERNAL', message, { effect: 'none' })
  }
}

export function keyOf({ topic, partition }: TopicPartition): string {
  // No topic's name has a slash.
  return `${topic}/${partition}`
}
