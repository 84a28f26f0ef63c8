import { GROUP_LIMITS, type ConsumeCredit } from '../../wire/index.ts'

/**
 * What the node may send before it is granted more: as much as may wait in memory. What leaves memory is granted anew, in
 * lumps of at least half of the whole, so that there are few messages about it; less than half withheld never stops the node.
 */
export class Credit {
  readonly #whole: ConsumeCredit
  #records = 0
  #bytes = 0

  constructor(whole: ConsumeCredit) {
    this.#whole = whole
  }

  /** A stream begins: nothing waits, and this may be sent. */
  restart(): ConsumeCredit {
    this.#records = 0
    this.#bytes = 0
    return this.#whole
  }

  /** So much waits no longer. */
  giveBack(records: number, bytes: number): void {
    this.#records += records
    this.#bytes += bytes
  }

  /** What is to be granted now. A grant of either needs some of both; what was given back always has. */
  due(): ConsumeCredit | undefined {
    const isDue = this.#records * 2 >= this.#whole.records || this.#bytes * 2 >= this.#whole.bytes
    if (!isDue || this.#records === 0 || this.#bytes === 0) return undefined
    const grant = {
      records: Math.min(this.#records, GROUP_LIMITS.maxCreditRecords),
      bytes: Math.min(this.#bytes, GROUP_LIMITS.maxCreditBytes),
    }
    this.#records -= grant.records
    this.#bytes -= grant.bytes
    return grant
  }
}
