/** Consume's responses: records by hand, as they are most of what is sent; the rest from the .proto files. */
import type { Codec } from '../env/index.ts'
import { decodeError, encodeError } from './error-codec.ts'
import type { FlotillaError } from './errors.ts'
import type { ConsumeRecords, ConsumeResponse, EmbeddedError } from './group-messages.ts'
import type { RecordBatch } from './messages.ts'
import { ProtoReader, ProtoWriter, tagOf, WireType } from './protobuf.ts'
import { reflectionCodec } from './protos.ts'
import { batchesBytes, readBatch, writeBatch } from './read-codec.ts'
import { fromErrorMessage, toErrorMessage } from './status.ts'

const RECORDS_FIELD = 3
const RECORDS = tagOf(RECORDS_FIELD, WireType.bytes)
const TOPIC = tagOf(1, WireType.bytes)
const PARTITION = tagOf(2, WireType.varint)
const EPOCH = tagOf(3, WireType.varint)
const BATCH = tagOf(4, WireType.bytes)
const NEXT_OFFSET = tagOf(5, WireType.varint)
const HIGH_WATERMARK = tagOf(6, WireType.varint)

const others = reflectionCodec<ConsumeResponse>('flotilla.v1.ConsumeResponse', 'response')

export const consumeResponseCodec: Codec<ConsumeResponse> = {
  encode(message) {
    return message.records === undefined ? others.encode(message) : encodeRecords(message.records)
  },
  decode(encoded) {
    const reader = new ProtoReader(encoded)
    if (!reader.more || reader.tag() !== RECORDS) return others.decode(encoded)
    const end = reader.lengthDelimitedEnd()
    // Another encoder may have written the field in parts, or another one behind it: rare enough for the other codec.
    return end === encoded.length ? { records: decodeRecords(reader) } : others.decode(encoded)
  },
}

function encodeRecords(records: ConsumeRecords): Uint8Array {
  const writer = new ProtoWriter(batchesBytes(records.batches) + records.topic.length)
  const mark = writer.written
  writer.integerField(6, records.highWatermark)
  writer.integerField(5, records.nextOffset)
  for (let at = records.batches.length - 1; at >= 0; at--) writeBatch(writer, 4, records.batches[at]!)
  writer.integerField(3, records.epoch)
  writer.integerField(2, records.partition)
  writer.stringField(1, records.topic)
  writer.delimit(RECORDS_FIELD, mark)
  return writer.finish()
}

function decodeRecords(reader: ProtoReader): ConsumeRecords {
  const batches: RecordBatch[] = []
  let topic = ''
  let partition = 0
  let epoch = 0
  let nextOffset = 0
  let highWatermark = 0
  while (reader.more) {
    const tag = reader.tag()
    if (tag === TOPIC) topic = reader.string()
    else if (tag === PARTITION) partition = reader.int32()
    else if (tag === EPOCH) epoch = reader.int64()
    else if (tag === BATCH) batches.push(readBatch(reader, reader.lengthDelimitedEnd()))
    else if (tag === NEXT_OFFSET) nextOffset = reader.int64()
    else if (tag === HIGH_WATERMARK) highWatermark = reader.int64()
    else reader.skip(tag)
  }
  return { topic, partition, epoch, batches, nextOffset, highWatermark }
}

const embedded = reflectionCodec<EmbeddedError>('flotilla.v1.Error', 'response')

/** A FlotillaError as it stands within a message. */
export function embeddedError(error: FlotillaError): EmbeddedError {
  return embedded.decode(encodeError(toErrorMessage(error)))
}

/** The error that a message carries. */
export function errorOf(error: EmbeddedError): FlotillaError {
  return fromErrorMessage(decodeError(embedded.encode(error)))
}
