import type { WireRecord } from './messages.ts'
import { varintLength, writeVarint } from './protobuf.ts'
import { timestampOf } from './time.ts'

const RECORD = 0x0a
const KEY = 0x0a
const VALUE = 0x12
const HEADER = 0x1a
const TIMESTAMP = 0x22
const HEADER_NAME = 0x0a
const HEADER_VALUE = 0x12
const TIMESTAMP_SECONDS = 0x08
const TIMESTAMP_NANOS = 0x10

/** The parts of a record whose lengths must be known before it is written. */
export interface RecordSize {
  /** Of the encoded record, without its own tag and length: what the limit on records counts. */
  readonly recordBytes: number
  /** With them: what it adds to a record set. */
  readonly framedBytes: number
  readonly headersBytes: number
}

/** How long `record` is once encoded. */
export function sizeOfRecord(record: WireRecord): RecordSize {
  const size = { recordBytes: 0, framedBytes: 0, headersBytes: 0 }
  measureRecord(record, size)
  return size
}

/** The same, into an object that is there already: a producer has one for each record, and a second one would be garbage. */
export function measureRecord(
  record: WireRecord,
  size: { -readonly [Name in keyof RecordSize]: number },
): void {
  let headersBytes = 0
  let recordBytes = fieldLength(record.key) + fieldLength(record.value)
  for (const header of record.headers) {
    const nameBytes = Buffer.byteLength(header.name)
    headersBytes += nameBytes + header.value.length
    recordBytes += delimitedLength(headerLength(nameBytes, header.value.length))
  }
  if (record.timestampMs !== undefined) recordBytes += delimitedLength(timestampLength(record.timestampMs))
  size.recordBytes = recordBytes
  size.framedBytes = delimitedLength(recordBytes)
  size.headersBytes = headersBytes
}

const delimitedLength = (length: number): number => 1 + varintLength(length) + length
const fieldLength = (bytes: Uint8Array | undefined): number =>
  bytes === undefined ? 0 : delimitedLength(bytes.length)
const headerLength = (nameBytes: number, valueBytes: number): number =>
  (nameBytes > 0 ? delimitedLength(nameBytes) : 0) + (valueBytes > 0 ? delimitedLength(valueBytes) : 0)

function timestampLength(ms: number): number {
  const { seconds, nanos } = timestampOf(ms)
  return (seconds === 0 ? 0 : 1 + varintLength(seconds)) + (nanos === 0 ? 0 : 1 + varintLength(nanos))
}

/** Encodes records one after the other straight into one record set. */
export class RecordSetBuilder {
  #buffer: Buffer
  #length = 0
  #recordCount = 0

  constructor(initialBytes = 1024) {
    this.#buffer = Buffer.allocUnsafe(initialBytes)
  }

  get byteLength(): number {
    return this.#length
  }
  get recordCount(): number {
    return this.#recordCount
  }

  append(record: WireRecord, size: RecordSize = sizeOfRecord(record)): void {
    this.#reserve(size.framedBytes)
    const out = this.#buffer
    let at = this.#length
    out[at++] = RECORD
    at = writeVarint(out, at, size.recordBytes)
    if (record.key !== undefined) at = writeBytes(out, at, KEY, record.key)
    if (record.value !== undefined) at = writeBytes(out, at, VALUE, record.value)
    for (const header of record.headers) at = writeHeader(out, at, header.name, header.value)
    if (record.timestampMs !== undefined) at = writeTimestamp(out, at, record.timestampMs)
    this.#length = at
    this.#recordCount++
  }

  /** A view of what was appended so far; appending more doesn't change it. */
  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }

  #reserve(count: number): void {
    const needed = this.#length + count
    if (needed <= this.#buffer.length) return
    const buffer = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(buffer, 0, 0, this.#length)
    this.#buffer = buffer
  }
}

export function encodeRecordSet(records: readonly WireRecord[]): Uint8Array {
  const sizes = records.map(sizeOfRecord)
  const builder = new RecordSetBuilder(sizes.reduce((sum, size) => sum + size.framedBytes, 0))
  records.forEach((record, number) => builder.append(record, sizes[number]))
  return builder.finish()
}

function writeBytes(out: Buffer, at: number, tag: number, bytes: Uint8Array): number {
  out[at] = tag
  const start = writeVarint(out, at + 1, bytes.length)
  out.set(bytes, start)
  return start + bytes.length
}

function writeHeader(out: Buffer, at: number, name: string, value: Uint8Array): number {
  const nameBytes = Buffer.byteLength(name)
  out[at] = HEADER
  let pos = writeVarint(out, at + 1, headerLength(nameBytes, value.length))
  if (nameBytes > 0) {
    out[pos] = HEADER_NAME
    pos = writeVarint(out, pos + 1, nameBytes)
    pos += out.write(name, pos, nameBytes)
  }
  return value.length > 0 ? writeBytes(out, pos, HEADER_VALUE, value) : pos
}

function writeTimestamp(out: Buffer, at: number, ms: number): number {
  const { seconds, nanos } = timestampOf(ms)
  out[at] = TIMESTAMP
  let pos = writeVarint(out, at + 1, timestampLength(ms))
  if (seconds !== 0) {
    out[pos] = TIMESTAMP_SECONDS
    pos = writeVarint(out, pos + 1, seconds)
  }
  if (nanos !== 0) {
    out[pos] = TIMESTAMP_NANOS
    pos = writeVarint(out, pos + 1, nanos)
  }
  return pos
}
