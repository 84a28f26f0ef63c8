/** The codecs of Read, by hand; see log-codec.ts. */
import type { Codec } from '../env/index.ts'
import type { ReadConsistency, ReadRequest, ReadResponse, ReadStart, RecordBatch } from './messages.ts'
import { MalformedMessageError, ProtoReader, ProtoWriter, tagOf, WireType } from './protobuf.ts'
import { readTimestampMs, writeTimestampMs } from './time.ts'

const ONE = tagOf(1, WireType.varint)
const TWO = tagOf(2, WireType.varint)
const THREE = tagOf(3, WireType.varint)
const FOUR = tagOf(4, WireType.varint)
const FIVE = tagOf(5, WireType.varint)
const SIX = tagOf(6, WireType.varint)
const SEVEN = tagOf(7, WireType.varint)
const EIGHT = tagOf(8, WireType.varint)
const NINE = tagOf(9, WireType.varint)
const TEN = tagOf(10, WireType.varint)
const ONE_BYTES = tagOf(1, WireType.bytes)
const THREE_BYTES = tagOf(3, WireType.bytes)
const FOUR_BYTES = tagOf(4, WireType.bytes)

const POSITION_BEGINNING = 1
const POSITION_END = 2
const CONSISTENCY_COMMITTED = 1
const CONSISTENCY_LINEARIZABLE = 2

const OVERHEAD_BYTES = 96

export const readRequestCodec: Codec<ReadRequest> = {
  encode(message) {
    const writer = new ProtoWriter(message.topic.length + OVERHEAD_BYTES)
    writer.integerField(
      10,
      message.consistency === 'linearizable' ? CONSISTENCY_LINEARIZABLE : CONSISTENCY_COMMITTED,
    )
    if (message.maxMessageBytes !== undefined) writer.presentIntegerField(9, message.maxMessageBytes)
    writer.boolField(8, message.untilEnd)
    if (message.endOffset !== undefined) writer.presentIntegerField(7, message.endOffset)
    if (message.maxRecords !== undefined) writer.presentIntegerField(6, message.maxRecords)
    writeStart(writer, message.start)
    writer.integerField(2, message.partition)
    writer.stringField(1, message.topic)
    return writer.finish()
  },
  decode(encoded) {
    const reader = new ProtoReader(encoded)
    let topic = ''
    let partition = 0
    let start: ReadStart = { type: 'beginning' }
    let maxRecords: number | undefined
    let endOffset: number | undefined
    let untilEnd = false
    let maxMessageBytes: number | undefined
    let consistency: ReadConsistency = 'committed'
    while (reader.more) {
      const tag = reader.tag()
      if (tag === ONE_BYTES) topic = reader.string()
      else if (tag === TWO) partition = reader.int32()
      else if (tag === THREE) start = { type: 'offset', offset: reader.int64() }
      else if (tag === FOUR_BYTES) {
        start = { type: 'time', timeMs: readTimestampMs(reader, reader.lengthDelimitedEnd()) }
      } else if (tag === FIVE) start = positionOf(reader.int32())
      else if (tag === SIX) maxRecords = reader.int64()
      else if (tag === SEVEN) endOffset = reader.int64()
      else if (tag === EIGHT) untilEnd = reader.bool()
      else if (tag === NINE) maxMessageBytes = reader.int32()
      else if (tag === TEN) consistency = consistencyOf(reader.int32())
      else reader.skip(tag)
    }
    return { topic, partition, start, maxRecords, endOffset, untilEnd, maxMessageBytes, consistency }
  },
}

function writeStart(writer: ProtoWriter, start: ReadStart): void {
  switch (start.type) {
    case 'offset':
      return writer.presentIntegerField(3, start.offset)
    case 'time':
      return writeTimestampMs(writer, 4, start.timeMs)
    case 'beginning':
      return writer.presentIntegerField(5, POSITION_BEGINNING)
    case 'end':
      return writer.presentIntegerField(5, POSITION_END)
  }
}

function positionOf(number: number): ReadStart {
  if (number === 0 || number === POSITION_BEGINNING) return { type: 'beginning' }
  if (number === POSITION_END) return { type: 'end' }
  throw new MalformedMessageError(`position has the value ${number}, which this version doesn't know`)
}

function consistencyOf(number: number): ReadConsistency {
  if (number === 0 || number === CONSISTENCY_COMMITTED) return 'committed'
  if (number === CONSISTENCY_LINEARIZABLE) return 'linearizable'
  throw new MalformedMessageError(`consistency has the value ${number}, which this version doesn't know`)
}

export const readResponseCodec: Codec<ReadResponse> = {
  encode(message) {
    const writer = new ProtoWriter(batchesBytes(message.batches))
    writer.integerField(4, message.lowOffset)
    writer.integerField(3, message.highWatermark)
    writer.integerField(2, message.nextOffset)
    for (let at = message.batches.length - 1; at >= 0; at--) writeBatch(writer, 1, message.batches[at]!)
    return writer.finish()
  },
  decode(encoded) {
    const reader = new ProtoReader(encoded)
    const batches: RecordBatch[] = []
    let nextOffset = 0
    let highWatermark = 0
    let lowOffset = 0
    while (reader.more) {
      const tag = reader.tag()
      if (tag === ONE_BYTES) batches.push(readBatch(reader, reader.lengthDelimitedEnd()))
      else if (tag === TWO) nextOffset = reader.int64()
      else if (tag === THREE) highWatermark = reader.int64()
      else if (tag === FOUR) lowOffset = reader.int64()
      else reader.skip(tag)
    }
    return { batches, nextOffset, highWatermark, lowOffset }
  },
}

function contentBytes(recordSets: readonly Uint8Array[]): number {
  let sum = 0
  for (const recordSet of recordSets) sum += recordSet.length
  return sum
}

/** What a message with these batches takes, generously. */
export function batchesBytes(batches: readonly RecordBatch[]): number {
  return batches.reduce((sum, batch) => sum + contentBytes(batch.records) + OVERHEAD_BYTES, OVERHEAD_BYTES)
}

export function writeBatch(writer: ProtoWriter, field: number, batch: RecordBatch): void {
  const mark = writer.written
  for (let at = batch.records.length - 1; at >= 0; at--) writer.raw(batch.records[at]!)
  writer.delimit(4, mark)
  writeTimestampMs(writer, 3, batch.appendTimeMs)
  writer.integerField(2, batch.recordCount)
  writer.integerField(1, batch.baseOffset)
  writer.delimit(field, mark)
}

/** Reads a RecordBatch that ends at `end`. */
export function readBatch(reader: ProtoReader, end: number): RecordBatch {
  let baseOffset = 0
  let recordCount = 0
  let appendTimeMs = 0
  const records: Uint8Array[] = []
  const outerEnd = reader.end
  reader.end = end
  while (reader.more) {
    const tag = reader.tag()
    if (tag === ONE) baseOffset = reader.int64()
    else if (tag === TWO) recordCount = reader.int32()
    else if (tag === THREE_BYTES) appendTimeMs = readTimestampMs(reader, reader.lengthDelimitedEnd())
    else if (tag === FOUR_BYTES) records.push(reader.view())
    else reader.skip(tag)
  }
  reader.end = outerEnd
  return { baseOffset, recordCount, appendTimeMs, records }
}
