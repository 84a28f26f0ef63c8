import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decideGroup, type GroupResult } from '../../../src/broker/groups/decide.ts'
import { GroupsState } from '../../../src/broker/groups/state.ts'
import type {
  Assignment,
  Group,
  GroupChangeCommand,
  JoiningMember,
} from '../../../src/broker/groups/types.ts'
import { FlotillaError } from '../../../src/wire/index.ts'

const joining = (memberId: string, more: Partial<JoiningMember> = {}): JoiningMember => ({
  memberId,
  incarnation: undefined,
  isStatic: true,
  topics: ['orders'],
  partitions: [],
  weight: 1,
  sessionTimeoutMs: 1000,
  revokeTimeoutMs: 1000,
  clientAddress: 'host:1',
  ...more,
})

/** The coordinator and its log in one: what is decided is folded, and a second replica folds it as well. */
class Coordinator {
  readonly topics = new Map<string, { readonly partitions: readonly unknown[] }>()
  state = new GroupsState()
  constructor(partitions = 4) {
    this.topics.set('orders', { partitions: Array.from({ length: partitions }) })
  }
  ask(command: GroupChangeCommand): GroupResult | string {
    try {
      const decision = decideGroup(this.state, this.topics, command)
      if (decision.type === 'changed') this.state.changed(decision.group, decision.epoch, decision.change)
      if (decision.type === 'deleted') this.state.deleted(decision.group)
      return decision.result
    } catch (error) {
      if (error instanceof FlotillaError) return error.reason
      throw error
    }
  }
  join(memberId: string, more: Partial<JoiningMember> = {}): number {
    const result = this.ask({
      type: 'join',
      group: 'g',
      strategy: 'balanced',
      member: joining(memberId, more),
    })
    if (typeof result === 'string' || result.type !== 'joined') throw new Error(JSON.stringify(result))
    return result.member.incarnation
  }
  get group(): Group {
    return this.state.get('g')!
  }
  get assignments(): Assignment[] {
    return [...this.group.assignments.values()]
  }
  ownedBy(memberId: string): Assignment[] {
    return this.assignments.filter(({ owner }) => owner === memberId)
  }
  release(memberId: string): void {
    const partitions = this.ownedBy(memberId).filter(({ isRevoking }) => isRevoking)
    this.ask({ type: 'release', group: 'g', partitions })
  }
}

describe('the decisions of a coordinator', () => {
  it('what stays is not touched, and what moves is given only when it is released', () => {
    const all = new Coordinator()
    all.join('a')
    const before = all.ownedBy('a')
    all.join('b')
    expect(all.ownedBy('b')).toEqual([])
    const revoking = all.ownedBy('a').filter(({ isRevoking }) => isRevoking)
    expect(revoking.length).toBe(2)
    all.release('a')
    expect(all.ownedBy('b').map(({ partition }) => partition)).toEqual(
      revoking.map(({ partition }) => partition),
    )
    const stayed = all.ownedBy('a')
    expect(before).toEqual(expect.arrayContaining(stayed))
    for (const { epoch } of all.ownedBy('b')) expect(epoch).toBeGreaterThan(stayed[0]!.epoch)
  })

  it('a release under an old epoch takes nothing away', () => {
    const all = new Coordinator()
    all.join('a')
    all.join('b')
    const stale = all.ownedBy('a').filter(({ isRevoking }) => isRevoking)
    all.release('a')
    const after = all.assignments
    all.ask({ type: 'release', group: 'g', partitions: stale })
    expect(all.assignments).toEqual(after)
  })

  it('a member that comes back under its id gets the same partitions under new epochs, and its elder is nobody', () => {
    const all = new Coordinator()
    const elder = all.join('a')
    const before = all.ownedBy('a')
    all.join('a')
    expect(all.ownedBy('a').map(({ partition }) => partition)).toEqual(
      before.map(({ partition }) => partition),
    )
    for (const { epoch } of all.ownedBy('a')) expect(epoch).toBeGreaterThan(before[0]!.epoch)
    expect(all.ask({ type: 'leave', group: 'g', memberId: 'a', incarnation: elder })).toBe('MEMBER_FENCED')
    expect(
      all.ask({ type: 'expire', group: 'g', members: [{ memberId: 'a', incarnation: elder }] }),
    ).toMatchObject({ type: 'done' })
    expect(all.ownedBy('a').length).toBe(4)
  })

  it('a deleted group that is made anew begins above all epochs of the first', () => {
    const all = new Coordinator()
    const incarnation = all.join('a')
    expect(all.ask({ type: 'delete', group: 'g' })).toBe('GROUP_HAS_MEMBERS')
    all.ask({ type: 'leave', group: 'g', memberId: 'a', incarnation })
    const newest = all.state.lastEpoch
    expect(all.ask({ type: 'delete', group: 'g' })).toMatchObject({
      type: 'deleted',
      partitions: { length: 4 },
    })
    all.join('a')
    expect(all.group.sinceEpoch).toBeGreaterThan(newest)
  })

  it('a forced reset gives the partitions to the same members anew, with the place to go on from', () => {
    const all = new Coordinator(1)
    all.join('a')
    const reset = {
      type: 'reset',
      group: 'g',
      topic: 'orders',
      offsets: [{ partition: 0, offset: 7 }],
    } as const
    expect(all.ask({ ...reset, force: false })).toBe('GROUP_HAS_MEMBERS')
    const result = all.ask({ ...reset, force: true })
    const [given] = all.ownedBy('a')
    expect(result).toMatchObject({ type: 'reset', epoch: given!.reset!.epoch })
    expect(given!.epoch).toBeGreaterThan(given!.reset!.epoch)
    expect(given!.reset!.offset).toBe(7)
  })

  it('for any history: one owner per epoch, who is a member; shared within one when all is released; the same when folded again', () => {
    const memberId = fc.constantFrom('a', 'b', 'c', 'd')
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ type: fc.constant('join' as const), memberId }) },
      { weight: 2, arbitrary: fc.record({ type: fc.constant('leave' as const), memberId }) },
      { weight: 3, arbitrary: fc.record({ type: fc.constant('release' as const), memberId }) },
      { weight: 1, arbitrary: fc.record({ type: fc.constant('expire' as const), memberId }) },
      { weight: 1, arbitrary: fc.record({ type: fc.constant('reset' as const), memberId }) },
      { weight: 1, arbitrary: fc.record({ type: fc.constant('grow' as const), memberId }) },
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (history) => {
        const all = new Coordinator()
        const owners = new Map<string, string>()
        all.join('a')
        for (const each of history) {
          const incarnation = all.group.members.get(each.memberId)?.incarnation ?? 0
          const named = { group: 'g', memberId: each.memberId, incarnation }
          if (each.type === 'join') all.join(each.memberId)
          else if (each.type === 'leave') all.ask({ type: 'leave', ...named })
          else if (each.type === 'release') all.release(each.memberId)
          else if (each.type === 'expire') all.ask({ type: 'expire', group: 'g', members: [named] })
          else if (each.type === 'grow') {
            all.topics.set('orders', { partitions: Array.from({ length: 6 }) })
            all.ask({ type: 'balance', group: 'g' })
          } else
            all.ask({
              type: 'reset',
              group: 'g',
              topic: 'orders',
              offsets: [{ partition: 1, offset: 0 }],
              force: true,
            })
          for (const { partition, epoch, owner } of all.assignments) {
            if (owner === undefined) continue
            expect(all.group.members.has(owner)).toBe(true)
            const key = `${partition}@${epoch}`
            expect(owners.get(key) ?? owner).toBe(owner)
            owners.set(key, owner)
          }
        }
        for (let round = 0; round < 6; round++) for (const id of all.group.members.keys()) all.release(id)
        const counts = [...all.group.members.keys()].map((id) => all.ownedBy(id).length)
        if (counts.length > 0) {
          expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
          expect(counts.reduce((sum, count) => sum + count, 0)).toBe(
            all.topics.get('orders')!.partitions.length,
          )
        }
        const copy = new GroupsState()
        copy.restore(JSON.parse(JSON.stringify(all.state.encode())) as ReturnType<GroupsState['encode']>)
        expect(JSON.stringify(copy.encode())).toBe(JSON.stringify(all.state.encode()))
      }),
    )
  })
})
