/**
 * flotilla.v1.RecordSet: the bytes that a producer encodes once, and that are checked, stored, cut and sent on
 * without being encoded again.
 */
import { FlotillaError } from './errors.ts'
import type { RecordLimits } from './limits.ts'
import type { WireHeader, WireRecord } from './messages.ts'
import { MalformedMessageError, ProtoReader, tagOf, WireType } from './protobuf.ts'
import { readTimestampMs } from './time.ts'

/** RecordSet.records. A record set holds nothing else, so that any two laid end to end are one again. */
const RECORD = tagOf(1, WireType.bytes)
const KEY = tagOf(1, WireType.bytes)
const VALUE = tagOf(2, WireType.bytes)
const HEADER = tagOf(3, WireType.bytes)
const TIMESTAMP = tagOf(4, WireType.bytes)
const HEADER_NAME = tagOf(1, WireType.bytes)
const HEADER_VALUE = tagOf(2, WireType.bytes)
const NO_BYTES: Uint8Array = Buffer.alloc(0)

/** Told of a record; key and value are views of the record set. */
export type RecordVisitor = (
  key: Uint8Array | undefined,
  value: Uint8Array | undefined,
  headers: readonly WireHeader[],
  timestampMs: number | undefined,
) => void

const NO_HEADERS: readonly WireHeader[] = Object.freeze([])

/** Visits all records in order, without an object of its own for each. Throws MalformedMessageError. */
export function forEachRecord(bytes: Uint8Array, visit: RecordVisitor): void {
  const reader = new ProtoReader(bytes)
  while (reader.more) visitRecord(reader, nextRecordEnd(reader), visit)
}

/** All records; keys and values are views of `bytes`. Throws MalformedMessageError. */
export function decodeRecordSet(bytes: Uint8Array): WireRecord[] {
  const records: WireRecord[] = []
  forEachRecord(bytes, (key, value, headers, timestampMs) =>
    records.push({ key, value, headers, timestampMs }),
  )
  return records
}

function visitRecord(reader: ProtoReader, end: number, visit: RecordVisitor): void {
  let key: Uint8Array | undefined
  let value: Uint8Array | undefined
  let headers: WireHeader[] | undefined
  let timestampMs: number | undefined
  const outerEnd = reader.end
  reader.end = end
  while (reader.more) {
    const tag = reader.tag()
    if (tag === KEY) key = reader.view()
    else if (tag === VALUE) value = reader.view()
    else if (tag === HEADER) (headers ??= []).push(decodeHeader(reader))
    else if (tag === TIMESTAMP) timestampMs = readTimestampMs(reader, reader.lengthDelimitedEnd())
    else reader.skip(tag)
  }
  reader.end = outerEnd
  visit(key, value, headers ?? NO_HEADERS, timestampMs)
}

function decodeHeader(reader: ProtoReader): WireHeader {
  const end = reader.lengthDelimitedEnd()
  let name = ''
  let value = NO_BYTES
  const outerEnd = reader.end
  reader.end = end
  while (reader.more) {
    const tag = reader.tag()
    if (tag === HEADER_NAME) name = reader.string()
    else if (tag === HEADER_VALUE) value = reader.view()
    else reader.skip(tag)
  }
  reader.end = outerEnd
  return { name, value }
}

/** Moves to the content of the next record and returns where that ends. */
function nextRecordEnd(reader: ProtoReader): number {
  const tag = reader.tag()
  if (tag !== RECORD) {
    throw new MalformedMessageError(
      `a record set holds field ${Math.floor(tag / 8)} of wire type ${tag % 8}, where only records (field 1) may be`,
    )
  }
  return reader.lengthDelimitedEnd()
}

/** Told the place of each record's key in the record set; both are -1 where the record has none. */
export type KeyVisitor = (keyStart: number, keyEnd: number) => void

/**
 * Checks a record set as a leader must before it takes it, without an object per record: well-formed, not empty,
 * within the limits. Throws FlotillaError: MALFORMED_REQUEST, EMPTY_BATCH, BATCH_TOO_LARGE, RECORD_TOO_LARGE,
 * KEY_TOO_LARGE, HEADERS_TOO_LARGE; records are counted from 0.
 */
export function skimRecordSet(
  bytes: Uint8Array,
  limits: RecordLimits,
  onKey?: KeyVisitor,
): { readonly recordCount: number } {
  if (bytes.length > limits.maxBatchBytes) {
    throw new FlotillaError(
      'BATCH_TOO_LARGE',
      `the batch has ${bytes.length} bytes, the limit is ${limits.maxBatchBytes}; append it in several batches`,
    )
  }
  const skimmer = new RecordSkimmer(bytes, limits)
  let recordCount = 0
  try {
    for (; skimmer.reader.more; recordCount++) {
      if (recordCount === limits.maxBatchRecords) throw tooManyRecords(limits)
      skimmer.skimRecord(recordCount)
      onKey?.(skimmer.keyStart, skimmer.keyEnd)
    }
  } catch (error) {
    if (!(error instanceof MalformedMessageError)) throw error
    throw new FlotillaError(
      'MALFORMED_REQUEST',
      `record ${recordCount} of the batch is malformed: ${error.message}`,
      {
        cause: error,
      },
    )
  }
  if (recordCount === 0) {
    throw new FlotillaError('EMPTY_BATCH', 'the batch holds no records; append at least one')
  }
  return { recordCount }
}

class RecordSkimmer {
  readonly reader: ProtoReader
  keyStart = -1
  keyEnd = -1
  readonly #limits: RecordLimits

  constructor(bytes: Uint8Array, limits: RecordLimits) {
    this.reader = new ProtoReader(bytes)
    this.#limits = limits
  }

  skimRecord(number: number): void {
    const { reader } = this
    const limits = this.#limits
    this.keyStart = -1
    this.keyEnd = -1
    const end = nextRecordEnd(reader)
    const size = end - reader.pos
    if (size > limits.maxRecordBytes)
      throw tooLarge('RECORD_TOO_LARGE', number, '', size, limits.maxRecordBytes)
    let headersBytes = 0
    const outerEnd = reader.end
    reader.end = end
    while (reader.more) {
      const tag = reader.tag()
      if (tag === KEY) {
        this.keyEnd = reader.lengthDelimitedEnd()
        this.keyStart = reader.pos
        reader.pos = this.keyEnd
      } else if (tag === HEADER) headersBytes += this.#skimHeader()
      else if (tag === TIMESTAMP) readTimestampMs(reader, reader.lengthDelimitedEnd())
      else reader.skip(tag)
    }
    reader.end = outerEnd
    const keyBytes = this.keyEnd - this.keyStart
    if (keyBytes > limits.maxKeyBytes) {
      throw tooLarge('KEY_TOO_LARGE', number, 'the key of ', keyBytes, limits.maxKeyBytes)
    }
    if (headersBytes > limits.maxHeadersBytes) {
      throw tooLarge('HEADERS_TOO_LARGE', number, 'the headers of ', headersBytes, limits.maxHeadersBytes)
    }
  }

  /** The bytes of its name and value. */
  #skimHeader(): number {
    const { reader } = this
    const end = reader.lengthDelimitedEnd()
    const outerEnd = reader.end
    let size = 0
    reader.end = end
    while (reader.more) {
      const tag = reader.tag()
      if (tag !== HEADER_NAME && tag !== HEADER_VALUE) {
        reader.skip(tag)
        continue
      }
      const partEnd = reader.lengthDelimitedEnd()
      size += partEnd - reader.pos
      if (tag === HEADER_NAME) reader.checkUtf8(partEnd)
      reader.pos = partEnd
    }
    reader.end = outerEnd
    return size
  }
}

function tooLarge(
  reason: 'RECORD_TOO_LARGE' | 'KEY_TOO_LARGE' | 'HEADERS_TOO_LARGE',
  number: number,
  part: string,
  size: number,
  limit: number,
): FlotillaError {
  return new FlotillaError(
    reason,
    `${part}record ${number} of the batch: ${size} bytes, the limit is ${limit}`,
  )
}

function tooManyRecords(limits: RecordLimits): FlotillaError {
  return new FlotillaError(
    'BATCH_TOO_LARGE',
    `the batch has more than ${limits.maxBatchRecords} records, which is the limit; append it in several batches`,
  )
}

/** The key of the first record, as a view; undefined without records or key. Throws MalformedMessageError. */
export function firstRecordKey(bytes: Uint8Array): Uint8Array | undefined {
  const reader = new ProtoReader(bytes)
  let first: Uint8Array | undefined
  if (reader.more) visitRecord(reader, nextRecordEnd(reader), (key) => (first = key))
  return first
}

/**
 * The record set without its first `skipRecords` and with at most `takeRecords`, as a view: cut between records, so
 * it is a record set. Throws MalformedMessageError.
 */
export function sliceRecordSet(bytes: Uint8Array, skipRecords: number, takeRecords = Infinity): Uint8Array {
  const reader = new ProtoReader(bytes)
  skipSome(reader, skipRecords)
  const start = reader.pos
  if (takeRecords === Infinity) return bytes.subarray(start)
  skipSome(reader, takeRecords)
  return bytes.subarray(start, reader.pos)
}

/** The longest run of whole records from the beginning within both bounds, but one record at least. Throws MalformedMessageError. */
export function headOfRecordSet(
  bytes: Uint8Array,
  maxRecords: number,
  maxBytes: number,
): { readonly recordCount: number; readonly byteLength: number } {
  const reader = new ProtoReader(bytes)
  let recordCount = 0
  let byteLength = 0
  while (reader.more && recordCount < maxRecords) {
    reader.pos = nextRecordEnd(reader)
    if (recordCount > 0 && reader.pos > maxBytes) break
    recordCount += 1
    byteLength = reader.pos
  }
  return { recordCount, byteLength }
}

function skipSome(reader: ProtoReader, count: number): void {
  for (let skipped = 0; skipped < count && reader.more; skipped++) reader.pos = nextRecordEnd(reader)
}
