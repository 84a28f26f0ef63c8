import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  MAX_BATCHES_PER_ENTRY,
  decodeRecordsAppended,
  encodeRecordsAppended,
  type RecordsAppended,
} from '../../../src/broker/partition/event.ts'
import { maxHeaderBytes } from '../../../src/log/index.ts'
import { LIMITS } from '../../../src/wire/index.ts'
import { asOffset } from '../../../src/log/types.ts'
import { recordsAppended } from './arbitraries.ts'

const plain: RecordsAppended = {
  baseOffset: asOffset(7),
  recordCount: 2,
  appendTimeMs: 1_700_000_000_000,
  batches: [{ recordCount: 2, byteLength: 30, producer: { producerId: 'p', epoch: 1, sequence: 9 } }],
  groups: [],
}

describe('the header of a records entry', () => {
  it('refuses a version that it does not know', () => {
    const bytes = Buffer.from(encodeRecordsAppended(plain))
    bytes[0] = 3
    expect(() => decodeRecordsAppended(bytes)).toThrow('event.version')
  })

  it('refuses bytes after its end', () => {
    const bytes = Buffer.concat([encodeRecordsAppended(plain), Buffer.of(0)])
    expect(() => decodeRecordsAppended(bytes)).toThrow('event.decoded-length')
  })

  it('refuses every shorter version of itself', () => {
    const bytes = encodeRecordsAppended(plain)
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeRecordsAppended(bytes.subarray(0, length))).toThrow()
    }
  })

  it('refuses a record count that its batches do not add up to', () => {
    const bytes = Buffer.from(encodeRecordsAppended(plain))
    bytes.writeUInt32BE(3, 9)
    expect(() => decodeRecordsAppended(bytes)).toThrow('event.record-count')
  })

  it('refuses an offset beyond 2^53 in both directions', () => {
    expect(() => encodeRecordsAppended({ ...plain, baseOffset: asOffset(2 ** 53) })).toThrow(
      'event.safe-integer',
    )
    const bytes = Buffer.from(encodeRecordsAppended(plain))
    bytes.fill(0xff, 1, 9)
    expect(() => decodeRecordsAppended(bytes)).toThrow('event.safe-integer-read')
  })

  it('refuses more batches than an entry may hold', () => {
    const batch = { recordCount: 1, byteLength: 2, producer: undefined }
    const batches = new Array<typeof batch>(MAX_BATCHES_PER_ENTRY + 1).fill(batch)
    const event = { ...plain, recordCount: batches.length, batches }
    expect(() => encodeRecordsAppended(event)).toThrow('event.batch-count')
  })

  it('stays below the limit on headers with the most batches of the longest producer ids', () => {
    const producer = {
      producerId: 'x'.repeat(LIMITS.maxProducerIdBytes),
      epoch: 0xffff_ffff,
      sequence: Number.MAX_SAFE_INTEGER,
    }
    const batches = Array.from({ length: MAX_BATCHES_PER_ENTRY }, () => ({
      recordCount: 1,
      byteLength: 0xffff_ffff,
      producer,
    }))
    const bytes = encodeRecordsAppended({ ...plain, recordCount: batches.length, batches })
    expect(bytes.length).toBeLessThanOrEqual(maxHeaderBytes)
  })

  it('says after decoding what was encoded, wherever the bytes lie', () => {
    fc.assert(
      fc.property(recordsAppended, fc.nat({ max: 9 }), (event, shift) => {
        const bytes = encodeRecordsAppended(event)
        const shifted = Buffer.concat([Buffer.alloc(shift, 0xee), bytes, Buffer.alloc(3, 0xee)])
        expect(decodeRecordsAppended(shifted.subarray(shift, shift + bytes.length))).toEqual(event)
      }),
    )
  })
})
