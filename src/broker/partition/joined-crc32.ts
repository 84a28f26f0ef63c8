import { crc32 } from 'node:zlib'
import { assert } from '../assert.ts'

/*
 * CRC-32 is linear: the checksum of two runs of bytes follows from theirs and the length of the second, since zeros behind
 * the first multiply its checksum by a power of x, modulo the polynomial. Bits are reflected, so x^0 is the highest.
 */
const POLYNOMIAL = 0xedb88320
const ONE = 0x80000000
const X = 0x40000000
/** Enough for 2^53 bytes. */
const POWERS = 57

function multiply(left: number, right: number): number {
  let product = 0
  let factor = right
  for (let bit = ONE; bit !== 0; bit >>>= 1) {
    if ((left & bit) !== 0) product ^= factor
    factor = (factor & 1) === 0 ? factor >>> 1 : (factor >>> 1) ^ POLYNOMIAL
  }
  return product >>> 0
}

/** x to the power of 2^n. */
const squares: number[] = [X]
while (squares.length < POWERS) squares.push(multiply(squares.at(-1)!, squares.at(-1)!))

function powerOfZeros(bytes: number): number {
  let power = ONE
  // Eight bits a byte.
  let square = 3
  for (let rest = bytes; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) power = multiply(squares[square]!, power)
    square += 1
  }
  return power
}

/** Below this, to look at the bytes takes no longer. */
const LEAST_BYTES = 2048

/** The CRC-32 of batches laid end to end, without a look at those whose own CRC-32 is known and that are large. */
export class JoinedCrc32 {
  #value = 0
  #bytes = 0
  /** Batches are often as long as their predecessor. */
  #lastBytes = 0
  #lastPower = ONE

  get value(): number {
    return this.#value
  }

  add(batch: Uint8Array, known: number | undefined): void {
    const { length } = batch
    if (this.#bytes === 0) this.#value = known ?? crc32(batch)
    else if (known === undefined || length < LEAST_BYTES) this.#value = crc32(batch, this.#value)
    else this.#value = (multiply(this.#powerOf(length), this.#value) ^ known) >>> 0
    this.#bytes += length
    assert(Number.isSafeInteger(this.#bytes), 'joined-crc32.bytes')
  }

  #powerOf(bytes: number): number {
    if (this.#lastBytes !== bytes) {
      this.#lastBytes = bytes
      this.#lastPower = powerOfZeros(bytes)
    }
    return this.#lastPower
  }
}
