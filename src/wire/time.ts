import { MalformedMessageError, type ProtoReader, type ProtoWriter, tagOf, WireType } from './protobuf.ts'
import type { TimestampMessage } from './messages.ts'

// google.protobuf.Timestamp is defined for the years 1 to 9999.
const MIN_SECONDS = -62_135_596_800
const MAX_SECONDS = 253_402_300_799
const NANOS_PER_MS = 1_000_000

const SECONDS = 1
const NANOS = 2

/** Reads a google.protobuf.Timestamp that ends at `end`; what is finer than a millisecond is dropped. */
export function readTimestampMs(reader: ProtoReader, end: number): number {
  let seconds = 0
  let nanos = 0
  const outerEnd = reader.end
  reader.end = end
  while (reader.more) {
    const tag = reader.tag()
    if (tag === tagOf(SECONDS, WireType.varint)) seconds = reader.int64()
    else if (tag === tagOf(NANOS, WireType.varint)) nanos = reader.int32()
    else reader.skip(tag)
  }
  reader.end = outerEnd
  if (seconds < MIN_SECONDS || seconds > MAX_SECONDS || nanos < 0 || nanos > 999_999_999) {
    throw new MalformedMessageError(
      `a time of ${seconds} s and ${nanos} ns is outside of the years 1 to 9999 or has nanoseconds outside of 0 to 999999999`,
    )
  }
  return seconds * 1000 + Math.floor(nanos / NANOS_PER_MS)
}

/** Writes milliseconds as a field of type google.protobuf.Timestamp or, not negative, Duration. */
export function writeTimestampMs(writer: ProtoWriter, field: number, ms: number): void {
  const { seconds, nanos } = timestampOf(ms)
  const mark = writer.written
  writer.integerField(NANOS, nanos)
  writer.integerField(SECONDS, seconds)
  writer.delimit(field, mark)
}

export function timestampOf(ms: number): TimestampMessage {
  const seconds = Math.floor(ms / 1000)
  return { seconds, nanos: Math.floor(ms - seconds * 1000) * NANOS_PER_MS }
}

export function millisecondsOf(timestamp: TimestampMessage): number {
  return timestamp.seconds * 1000 + Math.floor(timestamp.nanos / NANOS_PER_MS)
}

/** Milliseconds as google.protobuf.Duration. */
export function durationOf(ms: number): TimestampMessage {
  return timestampOf(ms)
}
