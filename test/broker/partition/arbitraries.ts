import fc from 'fast-check'
import type { BatchMark, RecordsAppended } from '../../../src/broker/partition/event.ts'
import { GroupTable } from '../../../src/broker/partition/groups.ts'
import type { GroupMark } from '../../../src/broker/groups/types.ts'
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

const groupName = fc.constantFrom('a', 'billing', 'g'.repeat(249))

export const groupMark: fc.Arbitrary<GroupMark> = fc.oneof(
  fc.record({
    type: fc.constant('fenced' as const),
    group: groupName,
    epoch: fc.maxSafeNat(),
    owner: fc.constantFrom('', 'm1', 'm'.repeat(249)),
    committed: fc.oneof(fc.constantFrom('kept' as const, 'cleared' as const), fc.maxSafeNat()),
  }),
  fc.record({ type: fc.constant('committed' as const), group: groupName, offset: fc.maxSafeNat() }),
  fc.record({ type: fc.constant('forgotten' as const), group: groupName }),
)

export const recordsAppended: fc.Arbitrary<RecordsAppended> = fc
  .record({
    baseOffset: fc.oneof(fc.nat(), fc.maxSafeNat()).map(asOffset),
    appendTimeMs: fc.maxSafeNat(),
    batches: fc.array(batchMark, { minLength: 1, maxLength: 12 }),
    groups: fc.array(groupMark, { maxLength: 5 }),
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
      batches: fc.array(batchMark, { maxLength: 4 }),
      wishes: fc.array(groupMark, { maxLength: 4 }),
    }),
    {
      maxLength: 20,
    },
  )
  .map((steps) => {
    let nextOffset = 0
    let appendTimeMs = 0
    const table = new GroupTable()
    return steps.map(({ laterMs, batches, wishes }) => {
      const recordCount = batches.reduce((sum, batch) => sum + batch.recordCount, 0)
      appendTimeMs += laterMs
      const baseOffset = asOffset(nextOffset)
      nextOffset += recordCount
      const groups = wishes.flatMap((wish) => asDecided(table, wish, nextOffset, appendTimeMs))
      return { baseOffset, recordCount, appendTimeMs, batches, groups }
    })
  })

/** The mark that a leader could have logged at this place. */
function asDecided(table: GroupTable, wish: GroupMark, end: number, timeMs: number): GroupMark[] {
  const position = table.get(wish.group)
  const fit = (offset: number): number => Math.min(offset, end)
  let mark: GroupMark = wish
  if (wish.type === 'fenced') {
    const epoch = (position?.epoch ?? 0) + 1 + (wish.epoch % 5)
    mark = {
      ...wish,
      epoch,
      committed: typeof wish.committed === 'number' ? fit(wish.committed) : wish.committed,
    }
  } else if (wish.type === 'committed') {
    if (position === undefined) return []
    mark = { ...wish, offset: Math.max(position.committedOffset ?? 0, fit(wish.offset)) }
  }
  table.fold(mark, timeMs)
  return [mark]
}
