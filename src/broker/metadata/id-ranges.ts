import { assert } from '../assert.ts'

/** A number, or the first and the last of several that follow each other. */
export type EncodedRange = number | readonly [number, number]

/**
 * Whole numbers, kept as ranges. For ids that are handed out one after the other and come here in the end: what is missing
 * between two ranges is in use, so there are never more ranges than things in use and one, however many ids have passed.
 */
export class IdRanges {
  /** First and last of each, ascending, never touching. */
  #ranges: (readonly [number, number])[] = []
  #size = 0

  static decode(encoded: readonly EncodedRange[]): IdRanges {
    const ids = new IdRanges()
    for (const range of encoded) {
      if (typeof range === 'number') ids.#add(range, range)
      else ids.#add(range[0], range[1])
    }
    return ids
  }

  /** How many ids. */
  get size(): number {
    return this.#size
  }

  get rangeCount(): number {
    return this.#ranges.length
  }

  has(id: number): boolean {
    const range = this.#ranges[this.#firstEndingAtOrAfter(id)]
    return range !== undefined && range[0] <= id
  }

  add(id: number): void {
    this.#add(id, id)
  }

  encode(): EncodedRange[] {
    return this.#ranges.map(([first, last]) => (first === last ? first : [first, last]))
  }

  #add(first: number, last: number): void {
    const isRange = Number.isSafeInteger(first) && Number.isSafeInteger(last) && first <= last
    assert(isRange, 'metadata.id-range', `${first} to ${last}`)
    // From the first range that touches the new one to the last.
    const from = this.#firstEndingAtOrAfter(first - 1)
    let to = from
    let [low, high] = [first, last]
    for (
      let range = this.#ranges[to];
      range !== undefined && range[0] <= last + 1;
      range = this.#ranges[to]
    ) {
      low = Math.min(low, range[0])
      high = Math.max(high, range[1])
      this.#size -= range[1] - range[0] + 1
      to += 1
    }
    this.#size += high - low + 1
    this.#ranges.splice(from, to - from, [low, high])
  }

  #firstEndingAtOrAfter(id: number): number {
    let low = 0
    let high = this.#ranges.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#ranges[middle]![1] < id) low = middle + 1
      else high = middle
    }
    return low
  }
}
