import { describe, expect, it } from 'vitest'
import { LeaderTable } from '../../src/broker/leaders.ts'
import { asGroupId } from '../../src/log/types.ts'
import { asNodeId, asTerm } from '../../src/raft/types.ts'
import { ManualClock, settle } from '../support/manual-clock.ts'

const GROUP = asGroupId(1)
const [n1, n2] = ['n1', 'n2'].map(asNodeId)

function table() {
  const clock = new ManualClock()
  const leaders = new LeaderTable(clock)
  const changes: number[] = []
  leaders.onChange((groupId) => changes.push(groupId))
  return { clock, leaders, changes }
}

describe('what a node knows of leaders', () => {
  it('is not changed by news of an earlier term', () => {
    const { leaders, changes } = table()
    leaders.learn(GROUP, asTerm(5), n1)
    leaders.learn(GROUP, asTerm(4), n2)
    expect(leaders.get(GROUP)).toEqual({ leader: n1, term: 5 })
    expect(changes).toEqual([1])
  })

  it('is not told twice', () => {
    const { leaders, changes } = table()
    leaders.learn(GROUP, asTerm(5), n1)
    leaders.learn(GROUP, asTerm(5), n1)
    expect(changes).toEqual([1])
  })

  it('takes a node that was silent and is heard again to lead what it led, unless somebody has said otherwise', () => {
    const { leaders } = table()
    const [other, gone] = [asGroupId(2), asGroupId(3)]
    for (const groupId of [GROUP, other, gone]) leaders.learn(groupId, asTerm(5), n1!)
    leaders.forgetNode(n1!)
    leaders.learn(other, asTerm(6), n2)
    leaders.forgetGroup(gone)
    leaders.rememberNode(n1!)
    expect(leaders.get(GROUP)).toEqual({ leader: n1, term: 5 })
    expect(leaders.get(other)).toEqual({ leader: n2, term: 6 })
    expect(leaders.get(gone)).toBeUndefined()
    leaders.learn(GROUP, asTerm(6), undefined)
    leaders.rememberNode(n1!)
    expect(leaders.get(GROUP)).toEqual({ leader: undefined, term: 6 })
  })

  it('does not go by the word of its own replica that was taken out of the group, once that is gone', () => {
    const { leaders, changes } = table()
    const other = asGroupId(2)
    for (const groupId of [GROUP, other]) leaders.learn(groupId, asTerm(5), n2)
    // Nobody sends to the replica any more, so it misses its leader.
    for (const groupId of [GROUP, other]) leaders.learn(groupId, asTerm(5), undefined)
    expect(leaders.get(GROUP)).toEqual({ leader: undefined, term: 5 })
    leaders.replicaIsGone(GROUP)
    expect(leaders.get(GROUP)).toEqual({ leader: n2, term: 5 })
    expect(changes).toEqual([1, 2, 1, 2, 1])
    // Where a later term has begun, or the node that led is gone, it is not known who leads.
    leaders.learn(other, asTerm(6), undefined)
    leaders.replicaIsGone(other)
    expect(leaders.get(other)).toEqual({ leader: undefined, term: 6 })
    leaders.learn(GROUP, asTerm(5), undefined)
    leaders.forgetNode(n2!)
    leaders.replicaIsGone(GROUP)
    expect(leaders.get(GROUP)).toEqual({ leader: undefined, term: 5 })
  })

  it('is not changed by a second one who claims to lead in the same term', () => {
    const { leaders } = table()
    leaders.learn(GROUP, asTerm(5), n1)
    leaders.learn(GROUP, asTerm(5), n2)
    expect(leaders.get(GROUP)?.leader).toBe(n1)
    leaders.learn(GROUP, asTerm(6), n2)
    expect(leaders.get(GROUP)?.leader).toBe(n2)
  })

  it('forgets who cannot be reached, and takes him back in the same term', () => {
    const { leaders, changes } = table()
    leaders.learn(GROUP, asTerm(5), n1)
    leaders.learn(asGroupId(2), asTerm(1), n2)
    leaders.forgetNode(asNodeId('n1'))
    expect([leaders.get(GROUP)?.leader, leaders.get(asGroupId(2))?.leader]).toEqual([undefined, n2])
    leaders.learn(GROUP, asTerm(5), n1)
    expect(leaders.get(GROUP)?.leader).toBe(n1)
    expect(changes).toEqual([1, 2, 1, 1])
  })
})

describe('waiting for a leader', () => {
  it('ends without one at the deadline, and leaves nothing behind', async () => {
    const { clock, leaders } = table()
    const waiting = leaders.waitFor(GROUP, 100)
    clock.advance(100)
    expect(await waiting).toBeUndefined()
    expect(clock.timerCount).toBe(0)
  })

  it('ends without one where the caller gives up, before or meanwhile', async () => {
    const { clock, leaders } = table()
    const abort = new AbortController()
    const waiting = leaders.waitFor(GROUP, 100, abort.signal)
    abort.abort()
    expect(await waiting).toBeUndefined()
    expect(await leaders.waitFor(GROUP, 100, abort.signal)).toBeUndefined()
    expect(clock.timerCount).toBe(0)
  })

  it('goes on where only a term or another group becomes known', async () => {
    const { clock, leaders } = table()
    let found: unknown = 'nothing yet'
    void leaders.waitFor(GROUP, 100).then((leader) => (found = leader))
    leaders.learn(GROUP, asTerm(2), undefined)
    leaders.learn(asGroupId(2), asTerm(2), n1)
    await settle()
    expect(found).toBe('nothing yet')
    leaders.learn(GROUP, asTerm(2), n1)
    await settle()
    expect(found).toBe('n1')
    expect(clock.timerCount).toBe(0)
  })

  it('ends at once where one is known, unless it is the one that is not wanted', async () => {
    const { leaders } = table()
    leaders.learn(GROUP, asTerm(1), n1)
    expect(await leaders.waitFor(GROUP, 0)).toBe('n1')
    const waiting = leaders.waitFor(GROUP, 100, undefined, n1)
    leaders.learn(GROUP, asTerm(2), n2)
    expect(await waiting).toBe('n2')
  })
})
