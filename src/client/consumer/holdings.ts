import type { AssignedPartition, ConsumeCredit, ConsumeRecords, TopicPartition } from '../../wire/index.ts'
import type { GivenPartition, PartitionLag } from '../types.ts'
import { Credit } from './credit.ts'
import { HeldPartition, keyOf, type Waiting } from './held-partition.ts'
import type { MemberOptions } from './options.ts'

/** Records that the loop is handed. */
export interface Taken extends Waiting {
  readonly held: HeldPartition
  readonly endOffset: number
}

/** The partitions that a member has, and what waits of them under the credit that it has granted. Pure. */
export class Holdings {
  readonly #mayJump: boolean
  readonly #held = new Map<string, HeldPartition>()
  /** Those of which something may be handed out, in turn, so that none starves. */
  readonly #ready = new Set<HeldPartition>()
  readonly #revoking = new Set<HeldPartition>()
  /** Resumed, but the node isn't told yet. */
  readonly #resuming = new Set<HeldPartition>()
  readonly #credit: Credit

  constructor({ credit, mayJump }: Pick<MemberOptions, 'credit' | 'mayJump'>) {
    this.#mayJump = mayJump
    this.#credit = new Credit(credit)
  }

  get size(): number {
    return this.#held.size
  }
  get all(): HeldPartition[] {
    return [...this.#held.values()]
  }
  get revoking(): ReadonlySet<HeldPartition> {
    return this.#revoking
  }
  get given(): readonly GivenPartition[] {
    return this.all.map(({ given }) => given)
  }
  get lag(): readonly PartitionLag[] {
    return this.all.map((held) => ({ ...held.name, records: held.lag }))
  }
  /** All that was there in each was handed out; where there are none that isn't known. */
  get isCaughtUp(): boolean {
    return this.#held.size > 0 && this.all.every((held) => held.isCaughtUp)
  }

  get(partition: TopicPartition): HeldPartition | undefined {
    return this.#held.get(keyOf(partition))
  }
  of(partitions: readonly TopicPartition[]): HeldPartition[] {
    return partitions.flatMap((each) => this.get(each) ?? [])
  }
  /** It is still this giving of the partition that the member has. */
  has(held: HeldPartition): boolean {
    return this.#held.get(held.key) === held
  }

  // -- coming and going ----------------------------------------------------------------------------------------

  add(assigned: AssignedPartition): HeldPartition {
    const held = new HeldPartition(assigned, this.#mayJump)
    this.#held.set(held.key, held)
    return held
  }

  /** What waits of it is dropped: nothing of it is handed out any more. */
  revoke(held: HeldPartition): void {
    held.isConfirmed = true
    held.isRevoking = true
    this.#revoking.add(held)
    this.#ready.delete(held)
    this.#drop(held)
  }

  remove(held: HeldPartition): void {
    if (!this.has(held)) return
    this.#held.delete(held.key)
    this.#ready.delete(held)
    this.#resuming.delete(held)
    this.#revoking.delete(held)
    this.#drop(held)
  }

  /** The stream is gone, with the credit that was granted on it. */
  unconfirm(): void {
    this.#ready.clear()
    // A new stream knows of no pause.
    this.#resuming.clear()
    for (const held of this.#held.values()) held.unconfirm()
  }

  // -- records -------------------------------------------------------------------------------------------------

  /** Throws INTERNAL where records are missing. */
  takeIn(records: ConsumeRecords): void {
    const held = this.get(records)
    if (held === undefined || held.given.epoch !== records.epoch || held.isRevoking) {
      // It was on its way when the partition went.
      for (const { recordCount, records: chunks } of records.batches) {
        this.#credit.giveBack(
          recordCount,
          chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0),
        )
      }
      return
    }
    held.add(records)
    if (held.isPaused) this.#prepay(held)
    else this.#ready.add(held)
  }

  take(): Taken | undefined {
    for (const held of this.#ready) {
      this.#ready.delete(held)
      const { waiting, isPrepaid } = held.take()
      if (!isPrepaid) this.#credit.giveBack(waiting.records, waiting.bytes)
      if (held.isReady) this.#ready.add(held)
      const last = waiting.raws.at(-1)
      // All of it had been handed out before the stream broke.
      if (last !== undefined) return { ...waiting, held, endOffset: last.to }
    }
    return undefined
  }

  /** The rest of what was taken, from `offset` on, is handed out when the partition is resumed. */
  putBack(taken: Taken, offset: number): void {
    const { held } = taken
    if (!this.has(held) || held.isRevoking) return
    held.putBack(taken, offset)
    if (held.isReady) this.#ready.add(held)
  }

  // -- pausing -------------------------------------------------------------------------------------------------

  pause(held: HeldPartition): void {
    held.isPaused = true
    this.#resuming.delete(held)
    this.#ready.delete(held)
    this.#prepay(held)
  }

  resume(held: HeldPartition): void {
    held.isPaused = false
    this.#resuming.add(held)
    if (held.isReady) this.#ready.add(held)
  }

  /** Resumed, and what waited since the pause is handed out: the node may send of them again. Told once. */
  resumable(): HeldPartition[] {
    if (this.#resuming.size === 0) return []
    const due = [...this.#resuming].filter((held) => !held.hasPrepaid)
    for (const held of due) this.#resuming.delete(held)
    return due
  }

  // -- credit --------------------------------------------------------------------------------------------------

  /** What a new stream may be sent at first. */
  restartCredit(): ConsumeCredit {
    return this.#credit.restart()
  }
  /** What is to be granted beyond what was. */
  creditDue(): ConsumeCredit | undefined {
    return this.#credit.due()
  }

  #drop(held: HeldPartition): void {
    const { records, bytes } = held.dropWaiting()
    this.#credit.giveBack(records, bytes)
  }

  #prepay(held: HeldPartition): void {
    const { records, bytes } = held.prepay()
    this.#credit.giveBack(records, bytes)
  }
}
