import {
  FlotillaError,
  LIMITS,
  measureRecord,
  type RecordSize,
  type WireHeader,
  type WireRecord,
} from '../../wire/index.ts'
import { bytesOf } from '../bytes.ts'
import type { ProducerRecord } from '../types.ts'

/** A record on its way into a batch, as it will be encoded, with its size: one object, as there is one for each record. */
export interface PreparedRecord extends WireRecord, RecordSize {
  readonly topic: string
  /** The partition, where the user has named one. */
  readonly partition: number | undefined
  /** Until when it has to be acknowledged. */
  readonly deadlineMs: number
  /** What the partition is chosen by. */
  readonly routingKey: Uint8Array | undefined
}

/** Checks a record against the limits, so that a wrong one fails alone and not with its batch. Throws FlotillaError. */
export function prepareRecord(record: ProducerRecord, deadlineMs: number): PreparedRecord {
  const key = record.key === undefined ? undefined : bytesOf(record.key)
  const prepared = {
    topic: record.topic,
    partition: record.partition,
    deadlineMs,
    key,
    value: record.value === undefined ? undefined : bytesOf(record.value),
    headers: headersOf(record.headers),
    timestampMs: timestampMsOf(record.timestamp),
    routingKey: record.routingKey === undefined ? key : bytesOf(record.routingKey),
    recordBytes: 0,
    framedBytes: 0,
    headersBytes: 0,
  }
  measureRecord(prepared, prepared)
  checkSize('RECORD_TOO_LARGE', 'the record', prepared.recordBytes, LIMITS.maxRecordBytes)
  checkSize('KEY_TOO_LARGE', 'the key', key?.length ?? 0, LIMITS.maxKeyBytes)
  checkSize('KEY_TOO_LARGE', 'the routing key', prepared.routingKey?.length ?? 0, LIMITS.maxKeyBytes)
  checkSize('HEADERS_TOO_LARGE', 'the headers', prepared.headersBytes, LIMITS.maxHeadersBytes)
  return prepared
}

const NO_HEADERS: readonly WireHeader[] = []

function headersOf(headers: ProducerRecord['headers']): readonly WireHeader[] {
  if (headers === undefined) return NO_HEADERS
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
