import { crc32 } from 'node:zlib'
import { assert } from './assert.ts'
import { MalformedBytesError } from './errors.ts'

/** Whole numbers are unsigned, big-endian and within 2^53, so that bytes sort as numbers do. */
export function writeUint64(bytes: Buffer, value: number, at: number): void {
  assert(
    Number.isSafeInteger(value) && value >= 0,
    'log.safe-integer',
    () => `${value} is no whole number below 2^53`,
  )
  assert(at >= 0 && at + 8 <= bytes.length, 'log.uint64-room', () => `at ${at} of ${bytes.length} bytes`)
  bytes.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at)
  bytes.writeUInt32BE(value % 0x1_0000_0000, at + 4)
}

export function readUint64(bytes: Buffer, at: number): number {
  const value = bytes.readUInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4)
  if (!Number.isSafeInteger(value)) throw new MalformedBytesError(`the number at byte ${at} is above 2^53`)
  return value
}

/** The same bytes as a Buffer, for its number methods; nothing is copied. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

const checksumBytes = 4

/** Builds a small record of known size: fields, then a CRC-32 over the record's key and the fields. */
export class RecordWriter {
  readonly #bytes: Buffer
  #at = 0

  /** `bodyBytes`: the total of all fields. */
  constructor(bodyBytes: number) {
    this.#bytes = Buffer.allocUnsafe(bodyBytes + checksumBytes)
  }

  uint8(value: number): this {
    this.#at = this.#bytes.writeUInt8(value, this.#at)
    return this
  }

  uint32(value: number): this {
    this.#at = this.#bytes.writeUInt32BE(value, this.#at)
    return this
  }

  uint64(value: number): this {
    writeUint64(this.#bytes, value, this.#at)
    this.#at += 8
    return this
  }

  big64(value: bigint): this {
    this.#at = this.#bytes.writeBigUInt64BE(value, this.#at)
    return this
  }

  /** Bytes with their length (4 bytes) before them. */
  block(value: Uint8Array): this {
    this.uint32(value.length)
    assert(
      this.#at + value.length + checksumBytes <= this.#bytes.length,
      'log.record-room',
      () => `${value.length} bytes at ${this.#at} of ${this.#bytes.length}`,
    )
    this.#bytes.set(value, this.#at)
    this.#at += value.length
    return this
  }

  /** The record; `key` is where it will stand, so that one in a wrong place is noticed as well. */
  seal(key: Uint8Array): Uint8Array {
    const body = this.#bytes.length - checksumBytes
    assert(
      this.#at === body,
      'log.record-size',
      () => `a record of ${body} bytes was filled with ${this.#at}`,
    )
    assert(key.length > 0, 'log.record-key', () => 'a record without a key')
    this.#bytes.writeUInt32BE(crc32(this.#bytes.subarray(0, body), crc32(key)), body)
    return this.#bytes
  }
}

/** Reads what RecordWriter wrote. Throws MalformedBytesError on a wrong checksum, on too few bytes and on too many. */
export class RecordReader {
  readonly #bytes: Buffer
  readonly #end: number
  #at = 0

  constructor(record: Uint8Array, key: Uint8Array) {
    assert(key.length > 0, 'log.record-read-key', () => 'a record without a key')
    this.#bytes = asBuffer(record)
    this.#end = record.length - checksumBytes
    if (this.#end < 0) throw new MalformedBytesError(`a record of ${record.length} bytes is too short`)
    const expected = this.#bytes.readUInt32BE(this.#end)
    const actual = crc32(this.#bytes.subarray(0, this.#end), crc32(key))
    if (expected !== actual) throw new MalformedBytesError('a record has a wrong checksum')
  }

  uint8(): number {
    return this.#bytes.readUInt8(this.#advance(1))
  }

  uint32(): number {
    return this.#bytes.readUInt32BE(this.#advance(4))
  }

  uint64(): number {
    return readUint64(this.#bytes, this.#advance(8))
  }

  big64(): bigint {
    return this.#bytes.readBigUInt64BE(this.#advance(8))
  }

  block(): Uint8Array {
    const length = this.uint32()
    const from = this.#advance(length)
    return this.#bytes.subarray(from, from + length)
  }

  get leftBytes(): number {
    return this.#end - this.#at
  }

  end(): void {
    if (this.#at !== this.#end) throw new MalformedBytesError(`a record has ${this.leftBytes} bytes too many`)
  }

  #advance(count: number): number {
    const at = this.#at
    if (at + count > this.#end) throw new MalformedBytesError('a record is cut short')
    this.#at += count
    assert(this.#at >= at && this.#at <= this.#end, 'log.record-advance', () => `${count} bytes from ${at}`)
    return at
  }
}
