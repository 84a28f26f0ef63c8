/**
 * The codecs of Append, AppendStream and Read, by hand: the records in them stay bytes. A decoded message's records
 * and keys are views of the bytes it came in; encoding copies them once. Fields are written from the last to the
 * first (see ProtoWriter).
 */
import type { Codec } from '../env/index.ts'
import { decodeError, writeError } from './error-codec.ts'
import type {
  AppendRequest,
  AppendResponse,
  AppendStreamRequest,
  AppendStreamResponse,
  CorrelatedAppend,
  CorrelatedResult,
  GroupCommit,
  ProducerIdentity,
} from './messages.ts'
import { MalformedMessageError, ProtoReader, ProtoWriter, tagOf, WireType } from './protobuf.ts'
import { readTimestampMs, writeTimestampMs } from './time.ts'

const varint = (field: number): number => tagOf(field, WireType.varint)
const bytes = (field: number): number => tagOf(field, WireType.bytes)

const NO_BYTES: Uint8Array = Buffer.alloc(0)
/** More than the fields of any of these messages take beside records, keys and names. */
const OVERHEAD_BYTES = 128

const ONE = varint(1)
const TWO = varint(2)
const THREE = varint(3)
const FIVE = varint(5)
const ONE_BYTES = bytes(1)
const TWO_BYTES = bytes(2)
const THREE_BYTES = bytes(3)
const FOUR_BYTES = bytes(4)
const FIVE_BYTES = bytes(5)
const SEVEN_BYTES = bytes(7)
const FOUR = varint(4)
const SIX_FIXED32 = tagOf(6, WireType.fixed32)

export const appendRequestCodec: Codec<AppendRequest> = {
  encode(message) {
    const writer = new ProtoWriter(appendRequestBytes(message))
    writeAppendRequest(writer, message)
    return writer.finish()
  },
  decode: (encoded) => readAppendRequest(new ProtoReader(encoded), encoded.length),
}

export const appendResponseCodec: Codec<AppendResponse> = {
  encode(message) {
    const writer = new ProtoWriter(OVERHEAD_BYTES)
    writeAppendResponse(writer, message)
    return writer.finish()
  },
  decode: (encoded) => readAppendResponse(new ProtoReader(encoded), encoded.length),
}

export const appendStreamRequestCodec: Codec<AppendStreamRequest> = {
  encode({ appends }) {
    const writer = new ProtoWriter(appends.reduce((sum, { append }) => sum + appendRequestBytes(append), 16))
    for (let at = appends.length - 1; at >= 0; at--) {
      const { correlationId, append } = appends[at]!
      const mark = writer.written
      writeAppendRequest(writer, append)
      writer.delimit(2, mark)
      writer.integerField(1, correlationId)
      writer.delimit(1, mark)
    }
    return writer.finish()
  },
  decode(encoded) {
    const reader = new ProtoReader(encoded)
    const appends: CorrelatedAppend[] = []
    while (reader.more) {
      const tag = reader.tag()
      if (tag === ONE_BYTES) appends.push(readCorrelatedAppend(reader, reader.lengthDelimitedEnd()))
      else reader.skip(tag)
    }
    return { appends }
  },
}

export const appendStreamResponseCodec: Codec<AppendStreamResponse> = {
  encode({ results }) {
    const writer = new ProtoWriter(results.length * 48 + 16)
    for (let at = results.length - 1; at >= 0; at--) writeCorrelatedResult(writer, results[at]!)
    return writer.finish()
  },
  decode(encoded) {
    const reader = new ProtoReader(encoded)
    const results: CorrelatedResult[] = []
    while (reader.more) {
      const tag = reader.tag()
      if (tag === ONE_BYTES) results.push(readCorrelatedResult(reader, reader.lengthDelimitedEnd()))
      else reader.skip(tag)
    }
    return { results }
  },
}

/** A guess from above of the encoded length. */
function appendRequestBytes({ topic, routingKey, records, producer, groupCommit }: AppendRequest): number {
  const text = topic.length + (producer?.producerId.length ?? 0)
  const names = (groupCommit?.group.length ?? 0) + (groupCommit?.memberId.length ?? 0)
  return text + names + (routingKey?.length ?? 0) + records.length + OVERHEAD_BYTES
}

function writeAppendRequest(writer: ProtoWriter, message: AppendRequest): void {
  if (message.groupCommit !== undefined) {
    const mark = writer.written
    writer.integerField(4, message.groupCommit.offset)
    writer.integerField(3, message.groupCommit.epoch)
    writer.stringField(2, message.groupCommit.memberId)
    writer.stringField(1, message.groupCommit.group)
    writer.delimit(7, mark)
  }
  if (message.recordsCrc32 !== undefined) writer.presentFixed32Field(6, message.recordsCrc32)
  if (message.producer !== undefined) {
    const mark = writer.written
    writer.integerField(3, message.producer.sequence)
    writer.integerField(2, message.producer.epoch)
    writer.stringField(1, message.producer.producerId)
    writer.delimit(5, mark)
  }
  writer.bytesField(4, message.records)
  if (message.routingKey !== undefined) writer.bytesField(3, message.routingKey)
  if (message.partition !== undefined) writer.presentIntegerField(2, message.partition)
  writer.stringField(1, message.topic)
}

function readAppendRequest(reader: ProtoReader, end: number): AppendRequest {
  let topic = ''
  let partition: number | undefined
  let routingKey: Uint8Array | undefined
  let records = NO_BYTES
  let producer: ProducerIdentity | undefined
  let recordsCrc32: number | undefined
  let groupCommit: GroupCommit | undefined
  const outerEnd = reader.end
  reader.end = end
  while (reader.more) {
    const tag = reader.tag()
    if (tag === ONE_BYTES) topic = reader.string()
    else if (tag === TWO) partition = reader.int32()
    else if (tag === THREE_BYTES) routingKey = reader.view()
    // A message field that comes twice is merged; for a record set that means laid end to end.
    else if (tag === FOUR_BYTES) records = joined(records, reader.view())
    else if (tag === FIVE_BYTES) producer = readProducer(reader, reader.lengthDelimitedEnd())
    else if (tag === SIX_FIXED32) recordsCrc32 = reader.fixed32()
    else if (tag === SEVEN_BYTES) groupCommit = readGroupCommit(reader.view())
    else reader.skip(tag)
  }
  reader.end = outerEnd
  const request = { topic, partition, routingKey, records, producer, recordsCrc32 }
  return groupCommit === undefined ? request : { ...request, groupCommit }
}

function readGroupCommit(encoded: Uint8Array): GroupCommit {
  const reader = new ProtoReader(encoded)
  let group = ''
  let memberId = ''
  let epoch = 0
  let offset = 0
  while (reader.more) {
    const tag = reader.tag()
    if (tag === ONE_BYTES) group = reader.string()
    else if (tag === TWO_BYTES) memberId = reader.string()
    else if (tag === THREE) epoch = reader.int64()
    else if (tag === FOUR) offset = reader.int64()
    else reader.skip(tag)
  }
  return { group, memberId, epoch, offset }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (first.length === 0) return second
  return second.length === 0 ? first : Buffer.concat([first, second])
}

function readProducer(reader: ProtoReader, end: number): ProducerIdentity {
  let producerId = ''
  let epoch = 0
  let sequence = 0
  const outerEnd = reader.end
  reader.end = end
  while (reader.more) {
    const tag = reader.tag()
    if (tag === ONE_BYTES) producerId = reader.string()
    else if (tag === TWO) epoch = reader.uint32()
    else if (tag === THREE) sequence = reader.uint64()
    else reader.skip(tag)
  }
  reader.end = outerEnd
  return { producerId, epoch, sequence }
}

function writeAppendResponse(writer: ProtoWriter, message: AppendResponse): void {
  writer.boolField(5, message.duplicate)
  writeTimestampMs(writer, 4, message.appendTimeMs)
  writer.integerField(3, message.recordCount)
  writer.integerField(2, message.baseOffset)
  writer.integerField(1, message.partition)
}

function readAppendResponse(reader: ProtoReader, end: number): AppendResponse {
  let partition = 0
  let baseOffset = 0
  let recordCount = 0
  let appendTimeMs = 0
  let duplicate = false
  const outerEnd = reader.end
  reader.end = end
  while (reader.more) {
    const tag = reader.tag()
    if (tag === ONE) partition = reader.int32()
    else if (tag === TWO) baseOffset = reader.int64()
    else if (tag === THREE) recordCount = reader.int32()
    else if (tag === FOUR_BYTES) appendTimeMs = readTimestampMs(reader, reader.lengthDelimitedEnd())
    else if (tag === FIVE) duplicate = reader.bool()
    else reader.skip(tag)
  }
  reader.end = outerEnd
  return { partition, baseOffset, recordCount, appendTimeMs, duplicate }
}

function readCorrelatedAppend(reader: ProtoReader, end: number): CorrelatedAppend {
  let correlationId = 0
  let append: AppendRequest | undefined
  const outerEnd = reader.end
  reader.end = end
  while (reader.more) {
    const tag = reader.tag()
    if (tag === ONE) correlationId = reader.uint64()
    else if (tag === TWO_BYTES) append = readAppendRequest(reader, reader.lengthDelimitedEnd())
    else reader.skip(tag)
  }
  reader.end = outerEnd
  if (append === undefined)
    throw new MalformedMessageError(`request ${correlationId} of the stream has no append`)
  return { correlationId, append }
}

function writeCorrelatedResult(writer: ProtoWriter, result: CorrelatedResult): void {
  const mark = writer.written
  if ('appended' in result) {
    writeAppendResponse(writer, result.appended)
    writer.delimit(2, mark)
  } else {
    writeError(writer, result.error)
    writer.delimit(3, mark)
  }
  writer.integerField(1, result.correlationId)
  writer.delimit(1, mark)
}

function readCorrelatedResult(reader: ProtoReader, end: number): CorrelatedResult {
  let correlationId = 0
  let result:
    { readonly appended: AppendResponse } | { readonly error: ReturnType<typeof decodeError> } | undefined
  const outerEnd = reader.end
  reader.end = end
  while (reader.more) {
    const tag = reader.tag()
    if (tag === ONE) correlationId = reader.uint64()
    else if (tag === TWO_BYTES) result = { appended: readAppendResponse(reader, reader.lengthDelimitedEnd()) }
    else if (tag === THREE_BYTES) result = { error: decodeError(reader.view()) }
    else reader.skip(tag)
  }
  reader.end = outerEnd
  if (result === undefined) throw new MalformedMessageError(`result ${correlationId} of the stream is empty`)
  return { correlationId, ...result }
}
