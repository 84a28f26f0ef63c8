import { assert } from '../assert.ts'
import { asOffset, type Offset } from '../../log/types.ts'
import type { ProducerIdentity } from '../../wire/messages.ts'
import type { GroupMark } from '../groups/types.ts'
import { readGroupMarks, sizeOfGroupMarks, writeGroupMarks } from './group-marks.ts'
import { readUint64, writeUint64 } from './uint64.ts'

/** One producer's batch within an entry. */
export interface BatchMark {
  readonly recordCount: number
  /** Length of its record set in the entry's payload. */
  readonly byteLength: number
  readonly producer: ProducerIdentity | undefined
}

/**
 * The one event of a data partition: batches were appended, consumer groups moved on, or both. The entry's payload is the
 * batches' record sets end to end, which is itself a record set. `baseOffset` and `recordCount` lie in the entry, so that
 * the mapping from Raft index to offset is truncated together with it.
 */
export interface RecordsAppended {
  readonly baseOffset: Offset
  readonly recordCount: number
  /** By the leader's clock; never below that of the event before. */
  readonly appendTimeMs: number
  readonly batches: readonly BatchMark[]
  /** In order, after the batches. */
  readonly groups: readonly GroupMark[]
}

/** Keeps a header below the 64 KiB of raft's Draft: 85 bytes a batch with the longest producer id … */
export const MAX_BATCHES_PER_ENTRY = 512
/** … and 517 a mark with the longest names. */
export const MAX_GROUP_MARKS_PER_ENTRY = 32

/** Without marks of groups, as ever since the first release; with them. */
const VERSION = 1
const VERSION_WITH_GROUPS = 2
const FIXED_BYTES = 1 + 8 + 4 + 8 + 4
const NO_PRODUCER = 0
const text = new TextDecoder('utf-8', { fatal: true })

/** Layout: docs/storage-format.md, "Header of a records entry". */
export function encodeRecordsAppended(event: RecordsAppended): Uint8Array {
  assert(event.batches.length <= MAX_BATCHES_PER_ENTRY, 'event.batch-count', `${event.batches.length}`)
  const hasGroups = event.groups.length > 0
  let length = FIXED_BYTES + (hasGroups ? sizeOfGroupMarks(event.groups) : 0)
  for (const batch of event.batches)
    length += 9 + (batch.producer ? Buffer.byteLength(batch.producer.producerId) + 12 : 0)
  const out = Buffer.allocUnsafe(length)
  let at = out.writeUInt8(hasGroups ? VERSION_WITH_GROUPS : VERSION, 0)
  at = writeUint64(out, event.baseOffset, at)
  at = out.writeUInt32BE(event.recordCount, at)
  at = writeUint64(out, event.appendTimeMs, at)
  at = out.writeUInt32BE(event.batches.length, at)
  for (const batch of event.batches) {
    at = out.writeUInt32BE(batch.recordCount, at)
    at = out.writeUInt32BE(batch.byteLength, at)
    if (batch.producer === undefined) {
      at = out.writeUInt8(NO_PRODUCER, at)
      continue
    }
    const idAt = at + 1
    const idLength = out.write(batch.producer.producerId, idAt, 'utf8')
    out.writeUInt8(idLength, at)
    at = out.writeUInt32BE(batch.producer.epoch, idAt + idLength)
    at = writeUint64(out, batch.producer.sequence, at)
  }
  if (hasGroups) at = writeGroupMarks(out, event.groups, at)
  assert(at === length, 'event.encoded-length', `${at} of ${length}`)
  return out
}

/** Where an entry's records lie: all that a reader needs of its header. */
export type RecordSpan = Pick<RecordsAppended, 'baseOffset' | 'recordCount' | 'appendTimeMs'>

/** The same without the batches, which may be many. */
export function decodeRecordSpan(header: Uint8Array): RecordSpan {
  const bytes = Buffer.from(header.buffer, header.byteOffset, header.byteLength)
  assert(bytes[0] === VERSION || bytes[0] === VERSION_WITH_GROUPS, 'event.version', `${bytes[0]}`)
  return {
    baseOffset: asOffset(readUint64(bytes, 1)),
    recordCount: bytes.readUInt32BE(9),
    appendTimeMs: readUint64(bytes, 13),
  }
}

export function decodeRecordsAppended(header: Uint8Array): RecordsAppended {
  const bytes = Buffer.from(header.buffer, header.byteOffset, header.byteLength)
  const { baseOffset, recordCount, appendTimeMs } = decodeRecordSpan(header)
  const batches: BatchMark[] = []
  let at = FIXED_BYTES
  let records = 0
  for (let left = bytes.readUInt32BE(21); left > 0; left--) {
    const batchRecords = bytes.readUInt32BE(at)
    const byteLength = bytes.readUInt32BE(at + 4)
    const idLength = bytes.readUInt8(at + 8)
    at += 9
    records += batchRecords
    if (idLength === NO_PRODUCER) {
      batches.push({ recordCount: batchRecords, byteLength, producer: undefined })
      continue
    }
    const producerId = text.decode(bytes.subarray(at, at + idLength))
    const epoch = bytes.readUInt32BE(at + idLength)
    const sequence = readUint64(bytes, at + idLength + 4)
    at += idLength + 12
    batches.push({ recordCount: batchRecords, byteLength, producer: { producerId, epoch, sequence } })
  }
  const { marks, end } = bytes[0] === VERSION_WITH_GROUPS ? readGroupMarks(bytes, at) : { marks: [], end: at }
  assert(end === bytes.length, 'event.decoded-length', `${end} of ${bytes.length}`)
  assert(records === recordCount, 'event.record-count', `${records} of ${recordCount}`)
  return { baseOffset, recordCount, appendTimeMs, batches, groups: marks }
}
