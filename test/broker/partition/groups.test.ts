import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GroupTable } from '../../../src/broker/partition/groups.ts'
import type { GroupCommand } from '../../../src/broker/groups/types.ts'
import { GROUP_LIMITS } from '../../../src/wire/index.ts'

const END = 100
const take = (
  epoch: number,
  owner: string,
  more: Partial<Extract<GroupCommand, { type: 'take' }>> = {},
): GroupCommand => ({
  type: 'take',
  group: 'g',
  epoch,
  owner,
  sinceEpoch: 1,
  reset: undefined,
  ...more,
})
const commit = (epoch: number, owner: string, offset: number): GroupCommand => ({
  type: 'commit',
  group: 'g',
  epoch,
  owner,
  offset,
})

/** A partition's leader and its log in one: what is decided is folded. */
class Fence {
  readonly table = new GroupTable()
  timeMs = 0
  ask(command: GroupCommand, end = END, low = 0): string {
    const decision = this.table.decide(command, end, low)
    if (decision.type === 'refused') return decision.error.reason
    if (decision.type === 'mark') this.table.fold(decision.mark, ++this.timeMs)
    return decision.type
  }
  get committed(): number | undefined {
    return this.table.get('g')?.committedOffset
  }
}

describe('what a partition refuses of a group', () => {
  it('a commit of a group that never had the partition', () => {
    expect(new Fence().ask(commit(1, 'm1', 5))).toBe('UNKNOWN_GROUP')
  })

  it('a commit under an old epoch, even from the member that owns it now', () => {
    const fence = new Fence()
    fence.ask(take(1, 'm1'))
    fence.ask(take(2, 'm1'))
    expect(fence.ask(commit(1, 'm1', 5))).toBe('STALE_GROUP_EPOCH')
    expect(fence.committed).toBeUndefined()
  })

  it('a commit from a member that does not own the partition, and under an epoch to come', () => {
    const fence = new Fence()
    fence.ask(take(2, 'm1'))
    expect(fence.ask(commit(2, 'm2', 5))).toBe('PARTITION_NOT_OWNED')
    expect(fence.ask(commit(3, 'm1', 5))).toBe('PARTITION_NOT_OWNED')
  })

  it('a commit beyond the high watermark, with the range, and one below 0', () => {
    const fence = new Fence()
    fence.ask(take(1, 'm1'))
    const decision = fence.table.decide(commit(1, 'm1', END + 1), END, 7)
    expect(decision).toMatchObject({
      error: { reason: 'OFFSET_OUT_OF_RANGE', offsetRange: { lowOffset: 7, highWatermark: END } },
    })
    expect(fence.ask(commit(1, 'm1', -1))).toBe('OFFSET_OUT_OF_RANGE')
    expect(fence.ask(commit(1, 'm1', END))).toBe('mark')
  })

  it('a commit that goes back; the same one again changes nothing', () => {
    const fence = new Fence()
    fence.ask(take(1, 'm1'))
    fence.ask(commit(1, 'm1', 9))
    expect(fence.ask(commit(1, 'm1', 8))).toBe('COMMIT_BACKWARDS')
    expect(fence.ask(commit(1, 'm1', 9))).toBe('nothing')
    expect(fence.committed).toBe(9)
  })

  it('a take under an old epoch, and another owner under the same one', () => {
    const fence = new Fence()
    fence.ask(take(5, 'm1'))
    expect(fence.ask(take(4, 'm2'))).toBe('STALE_GROUP_EPOCH')
    expect(fence.ask(take(5, 'm2'))).toBe('STALE_GROUP_EPOCH')
    expect(fence.ask(take(5, 'm1'))).toBe('nothing')
  })

  it('more groups than it keeps offsets of', () => {
    const fence = new Fence()
    for (let at = 0; at < GROUP_LIMITS.maxGroupsPerPartition; at++)
      fence.ask(take(1, 'm', { group: `g${at}` }))
    expect(fence.ask(take(1, 'm'))).toBe('LIMIT_EXCEEDED')
    expect(fence.ask(take(2, 'm', { group: 'g0' }))).toBe('mark')
  })
})

describe('what a partition keeps of a group', () => {
  it('the committed offset, when the partition changes hands', () => {
    const fence = new Fence()
    fence.ask(take(1, 'm1'))
    fence.ask(commit(1, 'm1', 9))
    fence.ask(take(2, 'm2'))
    expect(fence.table.get('g')).toEqual({ epoch: 2, owner: 'm2', committedOffset: 9, commitTimeMs: 2 })
  })

  it('a reset goes back once: whoever takes it later goes on from what was committed since', () => {
    const fence = new Fence()
    const reset = { epoch: 2, offset: 3 }
    fence.ask(take(1, 'm1'))
    fence.ask(commit(1, 'm1', 9))
    fence.ask(take(3, 'm1', { reset }))
    expect(fence.committed).toBe(3)
    fence.ask(commit(3, 'm1', 5))
    fence.ask(take(4, 'm2', { reset }))
    expect(fence.committed).toBe(5)
  })

  it('nothing of a deleted group of the same name, whether it was forgotten or not', () => {
    const fence = new Fence()
    fence.ask(take(1, 'm1'))
    fence.ask(commit(1, 'm1', 9))
    fence.ask(take(7, 'm1', { sinceEpoch: 6 }))
    expect(fence.committed).toBeUndefined()
    fence.ask(commit(7, 'm1', 4))
    expect(fence.ask({ type: 'forget', group: 'g', beforeEpoch: 6 })).toBe('nothing')
    expect(fence.ask({ type: 'forget', group: 'g', beforeEpoch: 8 })).toBe('mark')
    expect(fence.table.get('g')).toBeUndefined()
  })

  it('for any history: epochs never go back, an old one never takes effect, and offsets go back by a reset alone', () => {
    const owner = fc.constantFrom('m1', 'm2', '')
    const epoch = fc.integer({ min: 1, max: 8 })
    const offset = fc.integer({ min: -1, max: END + 5 })
    const command: fc.Arbitrary<GroupCommand> = fc.oneof(
      fc.tuple(epoch, owner).map(([at, by]) => take(at, by)),
      fc
        .tuple(epoch, owner, epoch, offset)
        .map(([at, by, resetEpoch, to]) =>
          take(at, by, { reset: { epoch: Math.min(resetEpoch, at), offset: Math.max(0, to) } }),
        ),
      fc.tuple(epoch, owner, offset).map(([at, by, to]) => commit(at, by, to)),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(command, fc.nat({ max: END })), { maxLength: 40 }), (history) => {
        const fence = new Fence()
        let end = 0
        for (const [asked, more] of history) {
          end = Math.max(end, more)
          const before = fence.table.get('g')
          const outcome = fence.ask(asked, end)
          const after = fence.table.get('g')
          if (outcome !== 'mark') {
            expect(after).toBe(before)
            continue
          }
          expect(after!.epoch).toBeGreaterThanOrEqual(before?.epoch ?? 0)
          expect(after!.committedOffset ?? 0).toBeLessThanOrEqual(end)
          if (asked.type === 'take') expect(after!.epoch).toBeGreaterThan(before?.epoch ?? 0)
          if (asked.type !== 'commit') continue
          expect([asked.epoch, asked.owner]).toEqual([before!.epoch, before!.owner])
          expect(after!.committedOffset).toBeGreaterThan(before!.committedOffset ?? -1)
        }
      }),
    )
  })
})
