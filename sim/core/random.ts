/**
 * A seeded stream of integers (sfc32). No floating point, so a seed means the same run on every machine. Each concern
 * draws from a stream of its own: a draw more in one doesn't change the others.
 */
export class RandomStream {
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number, stream: string) {
    let hash = 0x811c9dc5
    for (let at = 0; at < stream.length; at += 1) hash = Math.imul(hash ^ stream.charCodeAt(at), 0x01000193)
    this.#a = seed | 0
    this.#b = Math.floor(seed / 0x1_0000_0000) | 0
    this.#c = hash
    for (let round = 0; round < 15; round += 1) this.next()
  }

  /** 0 to 2^32 - 1. */
  next(): number {
    const result = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0
    return result >>> 0
  }

  /** 0 to bound - 1. */
  below(bound: number): number {
    return this.next() % bound
  }

  /** Both ends included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1)
  }

  /** True so many times in a thousand. */
  chance(perMille: number): boolean {
    return this.below(1000) < perMille
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new RangeError('pick from nothing')
    return item
  }
}
