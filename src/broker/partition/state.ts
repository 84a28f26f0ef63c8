import { assert } from '../assert.ts'
import { asOffset, type Offset } from '../../log/types.ts'
import { readUint64, writeUint64, type BatchMark, type RecordsAppended } from './event.ts'
import { ProducerTable, type RememberedBatch } from './producers.ts'

const VERSION = 1

/** What a partition's events fold into. Small: the records themselves stay in the log. */
export class PartitionState {
  /** The offset that the next record gets; of the applied state this is the high watermark. */
  nextOffset: Offset
  lastAppendTimeMs: number
  readonly producers: ProducerTable

  private constructor(nextOffset: Offset, lastAppendTimeMs: number, producers: ProducerTable) {
    this.nextOffset = nextOffset
    this.lastAppendTimeMs = lastAppendTimeMs
    this.producers = producers
  }

  static empty(producerLimit: number): PartitionState {
    return new PartitionState(asOffset(0), 0, new ProducerTable(producerLimit))
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
    return new PartitionState(this.nextOffset, this.lastAppendTimeMs, this.producers.clone())
  }

  /** Layout: docs/storage-format.md, "State of a partition". */
  encode(): Uint8Array {
    let length = 1 + 8 + 8 + 4
    for (const [producerId, state] of this.producers.entries()) {
      length += 1 + Buffer.byteLength(producerId) + 4 + 1 + state.recent.length * 28
    }
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
    assert(at === length, 'state.encoded-length', `${at} of ${length}`)
    return out
  }

  static decode(state: Uint8Array, producerLimit: number): PartitionState {
    const bytes = Buffer.from(state.buffer, state.byteOffset, state.byteLength)
    if (bytes.length === 0) return PartitionState.empty(producerLimit)
    assert(bytes.readUInt8(0) === VERSION, 'state.version', `${bytes[0]}`)
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
    assert(at === bytes.length, 'state.decoded-length', `${at} of ${bytes.length}`)
    return new PartitionState(asOffset(readUint64(bytes, 1)), readUint64(bytes, 9), producers)
  }
}
