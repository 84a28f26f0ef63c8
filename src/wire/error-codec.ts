/** flotilla.v1.Error, which unary calls carry in their status and streams in their messages. */
import {
  ERROR_REASONS,
  type ErrorEffect,
  type ErrorReason,
  type LeaderHint,
  type OffsetRange,
} from './errors.ts'
import type { ErrorMessage } from './messages.ts'
import { ProtoReader, ProtoWriter, tagOf, WireType } from './protobuf.ts'

const ONE = tagOf(1, WireType.varint)
const TWO = tagOf(2, WireType.varint)
const THREE = tagOf(3, WireType.varint)
const FOUR = tagOf(4, WireType.varint)
const FIVE = tagOf(5, WireType.varint)
const ONE_BYTES = tagOf(1, WireType.bytes)
const TWO_BYTES = tagOf(2, WireType.bytes)
const THREE_BYTES = tagOf(3, WireType.bytes)
const SIX_BYTES = tagOf(6, WireType.bytes)
const SEVEN_BYTES = tagOf(7, WireType.bytes)
const EIGHT_BYTES = tagOf(8, WireType.bytes)

const NANOS_PER_MS = 1_000_000
const EFFECTS: readonly ErrorEffect[] = ['none', 'unknown', 'done']
const REASON_BY_NUMBER = new Map(
  (Object.keys(ERROR_REASONS) as ErrorReason[]).map((reason) => [
    ERROR_REASONS[reason].number as number,
    reason,
  ]),
)

export function encodeError(error: ErrorMessage): Uint8Array {
  const writer = new ProtoWriter(error.message.length + 160)
  writeError(writer, error)
  return writer.finish()
}

export function writeError(writer: ProtoWriter, error: ErrorMessage): void {
  const row = ERROR_REASONS[error.reason]
  if (error.offsetRange !== undefined) {
    const mark = writer.written
    writer.integerField(2, error.offsetRange.highWatermark)
    writer.integerField(1, error.offsetRange.lowOffset)
    writer.delimit(8, mark)
  }
  if (error.leader !== undefined) {
    const mark = writer.written
    writer.integerField(3, error.leader.term)
    writer.stringField(2, error.leader.address)
    writer.stringField(1, error.leader.nodeId)
    writer.delimit(7, mark)
  }
  if (error.retryDelayMs !== undefined) writeDurationMs(writer, 6, error.retryDelayMs)
  writer.boolField(5, error.retryable)
  writer.integerField(4, EFFECTS.indexOf(error.effect) + 1)
  writer.stringField(3, error.message)
  writer.integerField(2, row.status)
  writer.integerField(1, row.number)
}

/** A reason that this version doesn't know (from a newer server) becomes INTERNAL; its effect and retryable hold. */
export function decodeError(encoded: Uint8Array): ErrorMessage {
  const reader = new ProtoReader(encoded)
  let reasonNumber = 0
  let message = ''
  let effectNumber = 0
  let retryable = false
  let retryDelayMs: number | undefined
  let leader: LeaderHint | undefined
  let offsetRange: OffsetRange | undefined
  while (reader.more) {
    const tag = reader.tag()
    if (tag === ONE) reasonNumber = reader.int32()
    else if (tag === THREE_BYTES) message = reader.string()
    else if (tag === FOUR) effectNumber = reader.int32()
    else if (tag === FIVE) retryable = reader.bool()
    else if (tag === SIX_BYTES) retryDelayMs = readDurationMs(reader.view())
    else if (tag === SEVEN_BYTES) leader = readLeader(reader.view())
    else if (tag === EIGHT_BYTES) offsetRange = readOffsetRange(reader.view())
    else reader.skip(tag)
  }
  const reason = REASON_BY_NUMBER.get(reasonNumber) ?? 'INTERNAL'
  const effect = EFFECTS[effectNumber - 1] ?? ERROR_REASONS[reason].effect
  return { reason, message, effect, retryable, retryDelayMs, leader, offsetRange }
}

/** Writes a google.protobuf.Duration. */
export function writeDurationMs(writer: ProtoWriter, field: number, ms: number): void {
  const mark = writer.written
  const wholeMs = Math.max(0, Math.ceil(ms))
  writer.integerField(2, (wholeMs % 1000) * NANOS_PER_MS)
  writer.integerField(1, Math.floor(wholeMs / 1000))
  writer.delimit(field, mark)
}

function readDurationMs(encoded: Uint8Array): number {
  const reader = new ProtoReader(encoded)
  let seconds = 0
  let nanos = 0
  while (reader.more) {
    const tag = reader.tag()
    if (tag === ONE) seconds = reader.int64()
    else if (tag === TWO) nanos = reader.int32()
    else reader.skip(tag)
  }
  return Math.max(0, seconds * 1000 + Math.ceil(nanos / NANOS_PER_MS))
}

function readLeader(encoded: Uint8Array): LeaderHint {
  const reader = new ProtoReader(encoded)
  let nodeId = ''
  let address = ''
  let term = 0
  while (reader.more) {
    const tag = reader.tag()
    if (tag === ONE_BYTES) nodeId = reader.string()
    else if (tag === TWO_BYTES) address = reader.string()
    else if (tag === THREE) term = reader.int64()
    else reader.skip(tag)
  }
  return { nodeId, address, term }
}

function readOffsetRange(encoded: Uint8Array): OffsetRange {
  const reader = new ProtoReader(encoded)
  let lowOffset = 0
  let highWatermark = 0
  while (reader.more) {
    const tag = reader.tag()
    if (tag === ONE) lowOffset = reader.int64()
    else if (tag === TWO) highWatermark = reader.int64()
    else reader.skip(tag)
  }
  return { lowOffset, highWatermark }
}
