import { randomBytes } from 'node:crypto'

const poolBytes = 1024 * 1024
const slabBytes = 256 * 1024
/** Prime, so that values seldom start at the same place. */
const stepBytes = 4099
/** So many different values are cut in advance: to make a view takes longer than all that the client does with a record. */
const mostViews = 4096
/** A stamped value has room for it. */
export const stampBytes = 8

/** Values of one size that no compression makes smaller. */
export class Payloads {
  readonly sizeBytes: number
  readonly #pool: Buffer
  readonly #views: readonly Uint8Array[]
  /** Stamped values are cut from it: a buffer each would be more work for the allocator than the copy. */
  #slab = Buffer.alloc(0)
  #slabUsed = 0

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes
    this.#pool = randomBytes(poolBytes + sizeBytes)
    this.#views = Array.from({ length: mostViews }, (_, number) => {
      const at = (number * stepBytes) % poolBytes
      return this.#pool.subarray(at, at + sizeBytes)
    })
  }

  /** A view, no copy. */
  value(number: number): Uint8Array {
    return this.#views[number % mostViews]!
  }

  /** A value of its own that begins with `stamp`. */
  stamped(number: number, stamp: number): Uint8Array {
    if (this.#slabUsed + this.sizeBytes > this.#slab.length) {
      this.#slab = Buffer.allocUnsafeSlow(Math.max(slabBytes, this.sizeBytes))
      this.#slabUsed = 0
    }
    const start = this.#slabUsed
    this.#slabUsed += this.sizeBytes
    const at = (number * stepBytes) % poolBytes
    this.#pool.copy(this.#slab, start, at, at + this.sizeBytes)
    this.#slab.writeDoubleBE(stamp, start)
    return this.#slab.subarray(start, this.#slabUsed)
  }
}

/** What `stamped` wrote; NaN where there is no room for it. */
export function stampOf(value: Uint8Array | undefined): number {
  if (value === undefined || value.length < stampBytes) return Number.NaN
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, stampBytes)
  return bytes.readDoubleBE(0)
}
