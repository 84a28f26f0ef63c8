import fc from 'fast-check'
import type { BatchMark, RecordsAppended } from '../../../src/broker/partition/event.ts'
import { asOffset } from '../../../src/log/types.ts'

const producerId = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 16 })
  .filter((id) => Buffer.byteLength(id) >= 1 && Buffer.byteLength(id) <= 64)

export const batchMark: fc.Arbitrary<BatchMark> = fc.record({
  recordCount: fc.integer({ min: 1, max: 100_000 }),
  byteLength: fc.nat({ max: 0xffff_ffff }),
  producer: fc.option(
    fc.record({ producerId, epoch: fc.nat({ max: 0xffff_ffff }), sequence: fc.maxSafeNat() }),
    { nil: undefined },
  ),
})

export const recordsAppended: fc.Arbitrary<RecordsAppended> = fc
  .record({
    baseOffset: fc.oneof(fc.nat(), fc.maxSafeNat()).map(asOffset),
    appendTimeMs: fc.maxSafeNat(),
    batches: fc.array(batchMark, { minLength: 1, maxLength: 12 }),
  })
  .map((event) => ({
    ...event,
    recordCount: event.batches.reduce((sum, { recordCount }) => sum + recordCount, 0),
  }))

/** Events as a leader would have decided them one after the other: offsets dense, time never going back. */
export const history: fc.Arbitrary<readonly RecordsAppended[]> = fc
  .array(
    fc.record({
      laterMs: fc.nat({ max: 1000 }),
      batches: fc.array(batchMark, { minLength: 1, maxLength: 4 }),
    }),
    {
      maxLength: 20,
    },
  )
  .map((steps) => {
    let nextOffset = 0
    let appendTimeMs = 0
    return steps.map(({ laterMs, batches }) => {
      const recordCount = batches.reduce((sum, batch) => sum + batch.recordCount, 0)
      appendTimeMs += laterMs
      const event = { baseOffset: asOffset(nextOffset), recordCount, appendTimeMs, batches }
      nextOffset += recordCount
      return event
    })
  })
