import { randomBytes } from 'node:crypto'

const poolBytes = 1024 * 1024
/** Prime, so that values seldom start at the same place. */
const stepBytes = 4099
/** A stamped value has room for it. */
export const stampBytes = 8

/** Values of one size that no compression makes smaller. */
export class Payloads {
  readonly sizeBytes: number
  readonly #pool: Buffer

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes
    this.#pool = randomBytes(poolBytes + sizeBytes)
  }

  /** A view, no copy. */
  value(number: number): Uint8Array {
    const at = (number * stepBytes) % poolBytes
    return this.#pool.subarray(at, at + this.sizeBytes)
  }

  /** A value of its own that begins with `stamp`. */
  stamped(number: number, stamp: number): Uint8Array {
    const value = Buffer.from(this.value(number))
    value.writeDoubleBE(stamp, 0)
    return value
  }
}

/** What `stamped` wrote; NaN where there is no room for it. */
export function stampOf(value: Uint8Array | undefined): number {
  if (value === undefined || value.length < stampBytes) return Number.NaN
  return new DataView(value.buffer, value.byteOffset, stampBytes).getFloat64(0)
}
