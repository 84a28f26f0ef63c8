/** What was sent, what was acknowledged, and whether a reading agrees with it. Pure. */

export interface SentEvent {
  readonly key: string
  readonly value: string
}

type Fate =
  | { readonly type: 'waiting' }
  | { readonly type: 'acknowledged'; readonly partition: number; readonly offset: number }
  /** Surely not appended. */
  | { readonly type: 'refused' }
  /** May have been appended. */
  | { readonly type: 'unknown' }

/** A record as it was read. */
export interface ReadBack {
  readonly partition: number
  readonly offset: number
  /** What the event's header says; undefined where it says nothing of use. */
  readonly sequence: number | undefined
  readonly key: string | undefined
  readonly value: string | undefined
}

export interface AuditResult {
  readonly read: number
  /** Acknowledged and read where it was said to be. */
  readonly found: number
  /** Acknowledged, but not read. */
  readonly lost: number
  /** Read again. */
  readonly twice: number
  /** Read after a later event of its key, or at another place than acknowledged. */
  readonly outOfOrder: number
  /** Read with another key or value than was sent. */
  readonly altered: number
  /** Offsets that a partition left out, or that nobody sent an event to. */
  readonly gaps: number
  /** Read, though nobody sent it or it was refused. */
  readonly foreign: number
  /** Read without an acknowledgement, of those whose fate was unknown: allowed. */
  readonly unacknowledged: number
  readonly keys: number
}

export class Ledger {
  readonly #sent: SentEvent[] = []
  readonly #fates: Fate[] = []
  readonly #ends = new Map<number, number>()
  #acknowledged = 0
  #refused = 0
  #unknown = 0

  /** Notes an event before it leaves; the result is its sequence. */
  send(event: SentEvent): number {
    this.#sent.push(event)
    this.#fates.push({ type: 'waiting' })
    return this.#sent.length - 1
  }

  acknowledge(sequence: number, partition: number, offset: number): void {
    this.#settle(sequence, { type: 'acknowledged', partition, offset })
    this.#acknowledged++
    this.#ends.set(partition, Math.max(this.#ends.get(partition) ?? 0, offset + 1))
  }

  fail(sequence: number, mayBeAppended: boolean): void {
    this.#settle(sequence, { type: mayBeAppended ? 'unknown' : 'refused' })
    if (mayBeAppended) this.#unknown++
    else this.#refused++
  }

  get sentCount(): number {
    return this.#sent.length
  }
  get acknowledgedCount(): number {
    return this.#acknowledged
  }
  get failedCount(): number {
    return this.#refused + this.#unknown
  }

  /** Per partition, the offset after the last acknowledged event. */
  get ends(): ReadonlyMap<number, number> {
    return this.#ends
  }

  /** How many events were acknowledged in each partition. */
  acknowledgedByPartition(): ReadonlyMap<number, number> {
    const counts = new Map<number, number>()
    for (const fate of this.#fates) {
      if (fate.type === 'acknowledged') counts.set(fate.partition, (counts.get(fate.partition) ?? 0) + 1)
    }
    return counts
  }

  /** The partition of each key that has an acknowledged event. */
  partitionsByKey(): ReadonlyMap<string, number> {
    const partitions = new Map<string, number>()
    this.#fates.forEach((fate, sequence) => {
      const event = this.#sent[sequence]
      if (fate.type === 'acknowledged' && event !== undefined) partitions.set(event.key, fate.partition)
    })
    return partitions
  }

  /** Begins to compare a reading from the beginning of all partitions with what is noted now. */
  audit(): Audit {
    return new Audit(this.#sent, this.#fates)
  }

  #settle(sequence: number, fate: Fate): void {
    if (this.#fates[sequence]?.type !== 'waiting') {
      throw new Error(`the event ${sequence} got a second answer, or was never sent`)
    }
    this.#fates[sequence] = fate
  }
}

export class Audit {
  readonly #sent: readonly SentEvent[]
  readonly #fates: readonly Fate[]
  readonly #seen: Uint8Array
  readonly #nextOffsets = new Map<number, number>()
  readonly #lastByKey = new Map<string, number>()
  #read = 0
  #found = 0
  #twice = 0
  #outOfOrder = 0
  #altered = 0
  #gaps = 0
  #foreign = 0
  #unacknowledged = 0

  constructor(sent: readonly SentEvent[], fates: readonly Fate[]) {
    this.#sent = sent
    this.#fates = fates
    this.#seen = new Uint8Array(sent.length)
  }

  /** Takes the next record that was read; each partition's in the order of its offsets. */
  see(record: ReadBack): void {
    this.#read++
    const expected = this.#nextOffsets.get(record.partition) ?? 0
    if (record.offset > expected) this.#gaps += record.offset - expected
    this.#nextOffsets.set(record.partition, Math.max(expected, record.offset + 1))
    const { sequence } = record
    const event = sequence === undefined ? undefined : this.#sent[sequence]
    const fate = sequence === undefined ? undefined : this.#fates[sequence]
    if (sequence === undefined || event === undefined || fate === undefined) {
      this.#foreign++
      return
    }
    if (this.#seen[sequence] === 1) {
      this.#twice++
      return
    }
    this.#seen[sequence] = 1
    if (record.key !== event.key || record.value !== event.value) this.#altered++
    this.#count(fate)
    const last = this.#lastByKey.get(event.key) ?? -1
    if (sequence < last || isElsewhere(fate, record)) this.#outOfOrder++
    this.#lastByKey.set(event.key, Math.max(last, sequence))
  }

  finish(): AuditResult {
    let lost = 0
    this.#fates.forEach((fate, sequence) => {
      if (fate.type === 'acknowledged' && this.#seen[sequence] !== 1) lost++
    })
    return {
      read: this.#read,
      found: this.#found,
      lost,
      twice: this.#twice,
      outOfOrder: this.#outOfOrder,
      altered: this.#altered,
      gaps: this.#gaps,
      foreign: this.#foreign,
      unacknowledged: this.#unacknowledged,
      keys: this.#lastByKey.size,
    }
  }

  #count(fate: Fate): void {
    switch (fate.type) {
      case 'acknowledged':
        this.#found++
        return
      case 'waiting':
      case 'unknown':
        this.#unacknowledged++
        return
      case 'refused':
        this.#foreign++
    }
  }
}

function isElsewhere(fate: Fate, { partition, offset }: ReadBack): boolean {
  return fate.type === 'acknowledged' && (fate.partition !== partition || fate.offset !== offset)
}

export function isFlawless(result: AuditResult): boolean {
  return result.lost + result.twice + result.outOfOrder + result.altered + result.gaps + result.foreign === 0
}
