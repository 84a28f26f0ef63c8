import {
  FlotillaError,
  LIMITS,
  sizeOfRecord,
  type RecordSize,
  type WireHeader,
  type WireRecord,
} from '../../wire/index.ts'
import { bytesOf } from '../bytes.ts'
import type { ProducerRecord } from '../types.ts'

export interface PreparedRecord {
  readonly wire: WireRecord
  readonly size: RecordSize
  /** What the partition is chosen by. */
  readonly routingKey: Uint8Array | undefined
}

/** Checks a record against the limits, so that a wrong one fails alone and not with its batch. Throws FlotillaError. */
export function prepareRecord(record: ProducerRecord): PreparedRecord {
  const wire: WireRecord = {
    key: record.key === undefined ? undefined : bytesOf(record.key),
    value: record.value === undefined ? undefined : bytesOf(record.value),
    headers: headersOf(record.headers),
    timestampMs: timestampMsOf(record.timestamp),
  }
  const routingKey = record.routingKey === undefined ? wire.key : bytesOf(record.routingKey)
  const size = sizeOfRecord(wire)
  checkSize('RECORD_TOO_LARGE', 'the record', size.recordBytes, LIMITS.maxRecordBytes)
  checkSize('KEY_TOO_LARGE', 'the key', wire.key?.length ?? 0, LIMITS.maxKeyBytes)
  checkSize('KEY_TOO_LARGE', 'the routing key', routingKey?.length ?? 0, LIMITS.maxKeyBytes)
  checkSize('HEADERS_TOO_LARGE', 'the headers', size.headersBytes, LIMITS.maxHeadersBytes)
  return { wire, size, routingKey }
}

function headersOf(headers: ProducerRecord['headers']): readonly WireHeader[] {
  if (headers === undefined) return []
  const pairs = isList(headers) ? headers : Object.entries(headers).map(([name, value]) => ({ name, value }))
  return pairs.map(({ name, value }) => ({ name, value: bytesOf(value) }))
}

// Array.isArray doesn't narrow a readonly array out of a union.
const isList = (
  headers: NonNullable<ProducerRecord['headers']>,
): headers is Extract<typeof headers, readonly unknown[]> => Array.isArray(headers)

function timestampMsOf(timestamp: Date | undefined): number | undefined {
  if (timestamp === undefined) return undefined
  const year = timestamp.getUTCFullYear()
  if (year >= 1 && year <= 9999) return timestamp.getTime()
  throw new FlotillaError(
    'INVALID_ARGUMENT',
    `the timestamp ${String(timestamp)} is outside of the years 1 to 9999`,
  )
}

function checkSize(
  reason: 'RECORD_TOO_LARGE' | 'KEY_TOO_LARGE' | 'HEADERS_TOO_LARGE',
  what: string,
  size: number,
  limit: number,
): void {
  if (size > limit) throw new FlotillaError(reason, `${what} has ${size} bytes, the limit is ${limit}`)
}
