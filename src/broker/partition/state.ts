import { assert } from '../assert.ts'
import type { GroupMark } from '../groups/types.ts'
import { asOffset, type Offset } from '../../log/types.ts'
import type { BatchMark, RecordsAppended } from './event.ts'
import { GroupTable } from './groups.ts'
import { readText, writeText } from './group-marks.ts'
import { ProducerTable, type RememberedBatch } from './producers.ts'
import { readUint64, writeUint64 } from './uint64.ts'

/** The one before had no groups. */
const VERSION_WITHOUT_GROUPS = 1
const VERSION = 2

/** What a partition's events fold into. Small: the records themselves stay in the log. */
export class PartitionState {
  /** The offset that the next record gets; of the applied state this is the high watermark. */
  nextOffset: Offset
  lastAppendTimeMs: number
  readonly producers: ProducerTable
  readonly groups: GroupTable

  private constructor(
    nextOffset: Offset,
    lastAppendTimeMs: number,
    producers: ProducerTable,
    groups: GroupTable,
  ) {
    this.nextOffset = nextOffset
    this.lastAppendTimeMs = lastAppendTimeMs
    this.producers = producers
    this.groups = groups
  }

  static empty(producerLimit: number): PartitionState {
    return new PartitionState(asOffset(0), 0, new ProducerTable(producerLimit), new GroupTable())
  }

  /** Can't fail on an event that a leader decided; an assertion here means that leader and follower disagree. */
  fold(event: RecordsAppended): void {
    assert(
      event.baseOffset === this.nextOffset,
      'state.offsets-dense',
      `${event.baseOffset} after ${this.nextOffset}`,
    )
    assert(event.appendTimeMs >= this.lastAppendTimeMs, 'state.append-time-monotone')
    for (const batch of event.batches) this.foldBatch(batch, event.appendTimeMs)
    assert(this.nextOffset === event.baseOffset + event.recordCount, 'state.record-count')
    for (const mark of event.groups) this.foldMark(mark, event.appendTimeMs)
  }

  foldMark(mark: GroupMark, appendTimeMs: number): void {
    this.lastAppendTimeMs = appendTimeMs
    const before = this.groups.get(mark.group)
    this.groups.fold(mark, appendTimeMs)
    const after = this.groups.get(mark.group)
    if (mark.type === 'forgotten') return
    assert(
      after !== undefined && after.epoch >= (before?.epoch ?? 0),
      'state.group-epoch-monotone',
      mark.group,
    )
    assert((after.committedOffset ?? 0) <= this.nextOffset, 'state.commit-within-log', mark.group)
    if (mark.type === 'committed') {
      assert(before !== undefined, 'state.commit-after-fence', mark.group)
      assert(mark.offset >= (before.committedOffset ?? 0), 'state.commit-monotone', mark.group)
    }
  }

  /** Returns the batch's first offset. */
  foldBatch(batch: BatchMark, appendTimeMs: number): Offset {
    const baseOffset = this.nextOffset
    this.nextOffset = asOffset(baseOffset + batch.recordCount)
    this.lastAppendTimeMs = appendTimeMs
    if (batch.producer !== undefined) {
      const { sequence } = batch.producer
      this.producers.record(batch.producer, {
        sequence,
        baseOffset,
        recordCount: batch.recordCount,
        appendTimeMs,
      })
    }
    return baseOffset
  }

  clone(): PartitionState {
    return new PartitionState(
      this.nextOffset,
      this.lastAppendTimeMs,
      this.producers.clone(),
      this.groups.clone(),
    )
  }

  /** Layout: docs/storage-format.md, "State of a partition". */
  encode(): Uint8Array {
    let length = 1 + 8 + 8 + 4
    for (const [producerId, state] of this.producers.entries()) {
      length += 1 + Buffer.byteLength(producerId) + 4 + 1 + state.recent.length * 28
    }
    length += sizeOfGroups(this.groups)
    const out = Buffer.allocUnsafe(length)
    let at = out.writeUInt8(VERSION, 0)
    at = writeUint64(out, this.nextOffset, at)
    at = writeUint64(out, this.lastAppendTimeMs, at)
    at = out.writeUInt32BE(this.producers.size, at)
    for (const [producerId, state] of this.producers.entries()) {
      const idLength = out.write(producerId, at + 1, 'utf8')
      at = out.writeUInt8(idLength, at) + idLength
      at = out.writeUInt32BE(state.epoch, at)
      at = out.writeUInt8(state.recent.length, at)
      for (const batch of state.recent) {
        at = writeUint64(out, batch.sequence, at)
        at = writeUint64(out, batch.baseOffset, at)
        at = out.writeUInt32BE(batch.recordCount, at)
        at = writeUint64(out, batch.appendTimeMs, at)
      }
    }
    at = writeGroups(out, this.groups, at)
    assert(at === length, 'state.encoded-length', `${at} of ${length}`)
    return out
  }

  static decode(state: Uint8Array, producerLimit: number): PartitionState {
    const bytes = Buffer.from(state.buffer, state.byteOffset, state.byteLength)
    if (bytes.length === 0) return PartitionState.empty(producerLimit)
    assert(bytes[0] === VERSION || bytes[0] === VERSION_WITHOUT_GROUPS, 'state.version', `${bytes[0]}`)
    const producers = new ProducerTable(producerLimit)
    let at = 21
    for (let left = bytes.readUInt32BE(17); left > 0; left--) {
      const idLength = bytes.readUInt8(at)
      const producerId = bytes.toString('utf8', at + 1, at + 1 + idLength)
      at += 1 + idLength
      const epoch = bytes.readUInt32BE(at)
      const recent: RememberedBatch[] = []
      let batches = bytes.readUInt8(at + 4)
      for (at += 5; batches > 0; batches--, at += 28) {
        recent.push({
          sequence: readUint64(bytes, at),
          baseOffset: readUint64(bytes, at + 8),
          recordCount: bytes.readUInt32BE(at + 16),
          appendTimeMs: readUint64(bytes, at + 20),
        })
      }
      producers.restore(producerId, { epoch, recent })
    }
    const groups = new GroupTable()
    if (bytes[0] === VERSION) at = readGroups(bytes, groups, at)
    assert(at === bytes.length, 'state.decoded-length', `${at} of ${bytes.length}`)
    return new PartitionState(asOffset(readUint64(bytes, 1)), readUint64(bytes, 9), producers, groups)
  }
}

function sizeOfGroups(groups: GroupTable): number {
  let length = 4
  for (const [group, position] of groups.entries()) {
    length += 1 + Buffer.byteLength(group) + 8 + 1 + Buffer.byteLength(position.owner) + 1
    if (position.committedOffset !== undefined) length += 16
  }
  return length
}

function writeGroups(out: Buffer, groups: GroupTable, start: number): number {
  let at = out.writeUInt32BE(groups.size, start)
  for (const [group, position] of groups.entries()) {
    at = writeText(out, group, at)
    at = writeUint64(out, position.epoch, at)
    at = writeText(out, position.owner, at)
    at = out.writeUInt8(position.committedOffset === undefined ? 0 : 1, at)
    if (position.committedOffset === undefined) continue
    at = writeUint64(out, position.committedOffset, at)
    at = writeUint64(out, position.commitTimeMs, at)
  }
  return at
}

function readGroups(bytes: Buffer, groups: GroupTable, start: number): number {
  let at = start + 4
  for (let left = bytes.readUInt32BE(start); left > 0; left--) {
    const group = readText(bytes, at)
    at += 1 + bytes.readUInt8(at)
    const epoch = readUint64(bytes, at)
    const owner = readText(bytes, at + 8)
    at += 9 + bytes.readUInt8(at + 8)
    const hasCommitted = bytes.readUInt8(at) === 1
    at += 1
    const committedOffset = hasCommitted ? readUint64(bytes, at) : undefined
    const commitTimeMs = hasCommitted ? readUint64(bytes, at + 8) : 0
    if (hasCommitted) at += 16
    groups.restore(group, { epoch, owner, committedOffset, commitTimeMs })
  }
  return at
}
