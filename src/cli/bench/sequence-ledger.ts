/**
 * What became of each numbered record, and whether a reading agrees. A byte and an offset a record, so that a long run
 * at a high rate fits in memory. Pure.
 */
export interface LedgerResult {
  readonly sent: number
  readonly acknowledged: number
  /** Surely not appended, by what the client was told. */
  readonly refused: number
  /** The client couldn't tell, or never heard. */
  readonly unknown: number
  readonly read: number
  /** Acknowledged, but not read. */
  readonly lost: number
  /** Read more often than once, counting each time too many. */
  readonly doubled: number
  /** Read at another place than acknowledged. */
  readonly misplaced: number
  /** Read without an acknowledgement, of those whose fate is unknown: allowed. */
  readonly unacknowledged: number
  /** Read though refused, or never sent. */
  readonly foreign: number
}

const waiting = 0
const acknowledged = 1
const refused = 2
const unknown = 3

export class SequenceLedger {
  #fates = new Uint8Array(1024)
  #offsets = new Float64Array(1024)
  #partitions = new Uint16Array(1024)
  #timesRead = new Uint8Array(1024)
  #sent = 0
  #acknowledged = 0
  #read = 0
  #doubled = 0
  #misplaced = 0
  #foreign = 0

  get acknowledgedCount(): number {
    return this.#acknowledged
  }

  /** Notes a record before it leaves; the result is its sequence. */
  send(): number {
    if (this.#sent === this.#fates.length) this.#grow()
    return this.#sent++
  }

  acknowledge(sequence: number, partition: number, offset: number): void {
    this.#settle(sequence, acknowledged)
    this.#partitions[sequence] = partition
    this.#offsets[sequence] = offset
    this.#acknowledged++
  }

  fail(sequence: number, mayBeAppended: boolean): void {
    this.#settle(sequence, mayBeAppended ? unknown : refused)
  }

  /** Takes a record that was read back. */
  see(sequence: number, partition: number, offset: number): void {
    this.#read++
    if (!(sequence >= 0 && sequence < this.#sent) || this.#fates[sequence] === refused) {
      this.#foreign++
      return
    }
    if (this.#timesRead[sequence] === 1) {
      this.#doubled++
      return
    }
    this.#timesRead[sequence] = 1
    const isAcknowledged = this.#fates[sequence] === acknowledged
    if (isAcknowledged && (this.#partitions[sequence] !== partition || this.#offsets[sequence] !== offset))
      this.#misplaced++
  }

  result(): LedgerResult {
    const counts = { refused: 0, unknown: 0, lost: 0, unacknowledged: 0 }
    for (let sequence = 0; sequence < this.#sent; sequence++) {
      const fate = this.#fates[sequence]
      const wasRead = this.#timesRead[sequence] === 1
      if (fate === refused) counts.refused++
      else if (fate === acknowledged) counts.lost += wasRead ? 0 : 1
      else {
        counts.unknown++
        if (wasRead) counts.unacknowledged++
      }
    }
    return {
      sent: this.#sent,
      acknowledged: this.#acknowledged,
      read: this.#read,
      doubled: this.#doubled,
      misplaced: this.#misplaced,
      foreign: this.#foreign,
      ...counts,
    }
  }

  #settle(sequence: number, fate: number): void {
    if (!(sequence >= 0 && sequence < this.#sent) || this.#fates[sequence] !== waiting) {
      throw new RangeError(`record ${sequence} got a second answer, or was never sent`)
    }
    this.#fates[sequence] = fate
  }

  #grow(): void {
    const length = this.#fates.length * 2
    this.#fates = copied(this.#fates, new Uint8Array(length))
    this.#timesRead = copied(this.#timesRead, new Uint8Array(length))
    this.#partitions = copied(this.#partitions, new Uint16Array(length))
    this.#offsets = copied(this.#offsets, new Float64Array(length))
  }
}

function copied<Numbers extends Uint8Array | Uint16Array | Float64Array>(
  from: Numbers,
  into: Numbers,
): Numbers {
  into.set(from)
  return into
}

/** Whether everything that was acknowledged is there once, where it was said to be, and nothing else is. */
export function isFlawless({ lost, doubled, misplaced, foreign }: LedgerResult): boolean {
  return lost + doubled + misplaced + foreign === 0
}
