import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  CAUGHT_UP_ENTRIES,
  nextMembershipStep,
  type DesiredMembers,
  type GroupProgress,
} from '../../../src/broker/membership/step.ts'
import { nextConfiguration } from '../../../src/raft/configuration-change.ts'
import { lifeOf, membersOf } from '../../../src/raft/index.ts'
import { asDigest, asLogIndex, asNodeId, asTerm, type Configuration } from '../../../src/raft/types.ts'

const IDS = ['n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'n7'].map(asNodeId)
const LAST = 1000

/** A group as its leader sees it; nodes in `present` under the life that the configuration names have the whole log. */
class Group {
  configuration: Configuration
  self: (typeof IDS)[number]
  /** Nodes that answer, and the life of the disk that they have now. */
  readonly present: Map<string, number>

  constructor(voters: readonly string[], present: Map<string, number>) {
    this.configuration = { voters: voters.map(asNodeId), votersOutgoing: [], learners: [] }
    this.self = this.configuration.voters[0]!
    this.present = present
  }

  isUseful(id: string): boolean {
    return this.present.get(id) === lifeOf(this.configuration, asNodeId(id))
  }

  progress(): GroupProgress {
    const { configuration, self } = this
    const followers = membersOf(configuration)
      .filter((id) => id !== self)
      .map((id) => ({
        id,
        match: asLogIndex(this.isUseful(id) ? LAST : 0),
        next: asLogIndex(LAST + 1),
        state: 'replicate' as const,
        recentlyActive: this.isUseful(id),
      }))
    const last = { index: asLogIndex(LAST), term: asTerm(1), digest: asDigest(0n) }
    return { id: self, configuration, configurationCommitted: true, followers, last }
  }

  /** Takes the step as the core does, through the joint phase; the leader goes where its vote went. */
  take(desired: DesiredMembers): 'changed' | 'reached' | 'wait' | 'handOver' {
    const step = nextMembershipStep(this.progress(), desired)
    if (step.type !== 'change') return step.type
    const next = nextConfiguration(this.configuration, step.change)
    if (!next.ok) throw new Error(`${next.reason}: ${next.detail}`)
    const joint = next.configuration
    const left = joint.votersOutgoing.length === 0 ? next : nextConfiguration(joint, { changes: [] })
    if (!left.ok) throw new Error(left.reason)
    this.configuration = left.configuration
    if (!this.configuration.voters.includes(this.self)) {
      const heir = this.configuration.voters.find((id) => this.isUseful(id))
      if (heir === undefined) throw new Error('nobody can lead')
      this.self = heir
    }
    return 'changed'
  }
}

const some = (minLength: number, maxLength: number) =>
  fc.uniqueArray(fc.constantFrom(...IDS), { minLength, maxLength })

const desiredOf = (
  voters: readonly string[],
  learners: readonly string[],
  lives: ReadonlyMap<string, number>,
): DesiredMembers => ({
  voters: voters.map(asNodeId),
  learners: learners.map(asNodeId),
  lifeOf: (id) => lives.get(id) ?? 0,
})

describe('the members of a group', () => {
  it('become those that it shall have, from any start, and each step leaves a majority that has everything', () => {
    fc.assert(
      fc.property(some(1, 5), some(1, 5), some(0, 3), some(0, 2), (from, to, extra, wiped) => {
        const learners = extra.filter((id) => !to.includes(id))
        // A minority of the voters has lost its disk and is back under a new life; the leader hasn't.
        const lost = wiped.filter((id) => id !== from[0]).slice(0, Math.floor((from.length - 1) / 2))
        const lives = new Map(lost.map((id) => [id as string, 1]))
        const group = new Group(from, new Map(IDS.map((id) => [id, lives.get(id) ?? 0])))
        const desired = desiredOf(to, learners, lives)
        let result = group.take(desired)
        for (let steps = 0; result === 'changed'; steps++) {
          expect(steps).toBeLessThan(30)
          const { voters } = group.configuration
          expect(voters.filter((id) => group.isUseful(id)).length * 2).toBeGreaterThan(voters.length)
          result = group.take(desired)
        }
        expect(result).toBe('reached')
        expect([...group.configuration.voters].toSorted()).toEqual(to.toSorted())
        expect([...group.configuration.learners].toSorted()).toEqual(learners.toSorted())
        for (const id of lost) {
          if (membersOf(group.configuration).includes(id)) expect(lifeOf(group.configuration, id)).toBe(1)
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('never lose a voter that has everything while one that shall come has not', () => {
    fc.assert(
      fc.property(some(3, 3), some(3, 3), some(1, 3), (from, to, down) => {
        const isDown = (id: string): boolean => down.includes(asNodeId(id)) && !from.includes(asNodeId(id))
        const group = new Group(from, new Map(IDS.filter((id) => !isDown(id)).map((id) => [id, 0])))
        const desired = desiredOf(to, [], new Map())
        for (let steps = 0; steps < 30 && group.take(desired) === 'changed'; steps++) {
          expect(group.configuration.voters.filter((id) => group.isUseful(id)).length).toBe(3)
        }
        const reached = group.take(desired) === 'reached'
        expect(reached).toBe(!to.some(isDown))
      }),
      { numRuns: 1000 },
    )
  })

  it('wait while a change is under way, and for a learner that lags', () => {
    const group = new Group(['n1', 'n2', 'n3'], new Map(IDS.map((id) => [id, 0])))
    const desired = desiredOf(['n4', 'n2', 'n3'], [], new Map())
    expect(nextMembershipStep({ ...group.progress(), configurationCommitted: false }, desired)).toEqual({
      type: 'wait',
    })
    expect(group.take(desired)).toBe('changed')
    expect(group.configuration.learners).toEqual(['n4'])
    const lagging = (match: number): GroupProgress => {
      const progress = group.progress()
      const followers = progress.followers.map((each) =>
        each.id === 'n4' ? { ...each, match: asLogIndex(match) } : each,
      )
      return { ...progress, followers }
    }
    const far = LAST - CAUGHT_UP_ENTRIES
    expect(nextMembershipStep(lagging(far - 1), desired).type).toBe('wait')
    expect(nextMembershipStep(lagging(far), desired)).toEqual({
      type: 'change',
      change: {
        changes: [
          { type: 'addVoter', id: 'n4', life: 0 },
          { type: 'remove', id: 'n1' },
        ],
      },
    })
  })

  it('are led by one that stays while a newcomer lags, where whoever goes may not lead until then', () => {
    const present = new Map(['n1', 'n2', 'n3'].map((id) => [id, 0]))
    const group = new Group(['n1', 'n2', 'n3'], present)
    const desired = desiredOf(['n4', 'n2', 'n3'], [], new Map())
    const strict = { ...desired, mayLeadUntilGone: false }
    expect(group.take(strict)).toBe('changed')
    expect(group.take(desired)).toBe('wait')
    expect(group.take(strict)).toBe('handOver')
    // Nobody who stays has everything.
    present.delete('n2')
    present.delete('n3')
    expect(group.take(strict)).toBe('wait')
    // Another one leads, or the newcomer is there.
    present.set('n2', 0).set('n3', 0)
    expect(nextMembershipStep({ ...group.progress(), id: asNodeId('n2') }, strict)).toEqual({ type: 'wait' })
    present.set('n4', 0)
    expect(group.take(strict)).toBe('changed')
    expect(group.configuration.voters.toSorted()).toEqual(['n2', 'n3', 'n4'])
  })

  it('have a wiped voter as a learner before anything else', () => {
    const group = new Group(
      ['n1', 'n2', 'n3'],
      new Map([
        ['n1', 0],
        ['n2', 0],
      ]),
    )
    const desired = desiredOf(['n1', 'n3', 'n4'], [], new Map([['n3', 2]]))
    expect(nextMembershipStep(group.progress(), desired)).toEqual({
      type: 'change',
      change: { changes: [{ type: 'addLearner', id: 'n3', life: 2 }] },
    })
  })
})
