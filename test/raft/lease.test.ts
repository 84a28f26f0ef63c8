import { describe, expect, test } from 'vitest'
import { asLogIndex, asNodeId, asTerm, emptyBootstrap, type Message } from '../../src/raft/index.ts'
import { configurationOf, from, Group, ofType, to } from './group.ts'

const three = ['a', 'b', 'c']
// 10 ticks until an election, clocks within 20 percent: a lease holds for floor(9 / 1.2) = 7 ticks.
const LEASE_TICKS = 7

/** a leads, everybody has been up for long, and its newest heartbeat was answered in this very tick. */
function leased(config: ConstructorParameters<typeof Group>[1] = {}): Group {
  const group = new Group(three, { config: { leaseClockDriftPercent: 20, ...config.config } })
  for (const id of three) group.tick(id, 10)
  group.settle()
  group.tick('a', 2)
  group.settle()
  expect(group.status('a').role).toBe('leader')
  return group
}

const leaseRead = (group: Group, context: number): void => {
  group.step('a', { type: 'read', context, mode: 'lease' })
  group.takeAll()
}
const served = (group: Group): number[] => group.reads.map(({ context }) => context)

describe('a lease read', () => {
  test('is a quorum read where there are no leases', () => {
    const group = new Group(three)
    group.elect('a')
    leaseRead(group, 1)
    expect(served(group)).toEqual([])
    group.settle()
    expect(served(group)).toEqual([1])
  })

  test('is served at once while the lease holds, without a message', () => {
    const group = leased()
    leaseRead(group, 1)
    expect(group.reads).toEqual([{ id: 'a', context: 1, index: 1 }])
    expect(group.drop()).toEqual([])
  })

  test('asks a quorum once the lease is over, counted from when the heartbeat left and not from its answer', () => {
    const group = leased()
    group.tick('a', LEASE_TICKS - 1)
    group.drop()
    leaseRead(group, 1)
    expect(served(group)).toEqual([1])
    group.tick('a', 1)
    leaseRead(group, 2)
    expect(served(group)).toEqual([1])
    group.settle()
    expect(served(group)).toEqual([1, 2])
  })

  test('is not helped by the answers of a minority, nor by late answers', () => {
    const group = new Group(['a', 'b', 'c', 'd', 'e'], { config: { leaseClockDriftPercent: 20 } })
    for (const id of group.ids) group.tick(id, 10)
    group.settle()
    group.tick('a', 2)
    group.deliver(to('b', 'c', 'd', 'e'))
    const answers = group.drop(ofType('heartbeatReply'))
    expect(answers.length).toBeGreaterThanOrEqual(4)
    group.tick('a', LEASE_TICKS)
    group.drop()
    for (const message of answers) group.step('a', { type: 'message', message })
    leaseRead(group, 1)
    expect(served(group)).toEqual([])
  })

  test('is refused for the rest of the term after a transfer began: the read asks a quorum', () => {
    const group = leased()
    group.step('a', { type: 'transfer', to: asNodeId('b') })
    expect(group.drop(ofType('timeoutNow'))).toHaveLength(1)
    leaseRead(group, 1)
    expect(served(group)).toEqual([])
    for (let tick = 0; tick < 12; tick += 1) {
      group.tick('a')
      group.drop(ofType('timeoutNow'))
      group.settle()
    }
    leaseRead(group, 2)
    expect(served(group)).toEqual([1])
    group.settle()
    expect(served(group)).toEqual([1, 2])
  })

  test('is never served before the leader knows what is committed', () => {
    const group = leased()
    group.tick('a', 10)
    group.drop()
    for (const id of ['b', 'c']) group.tick(id, 9)
    group.tick('b', 1)
    for (let round = 0; round < 3; round += 1) {
      group.deliver()
      for (const id of three) group.persist(id)
      if (group.status('b').role === 'leader') break
    }
    group.step('c', { type: 'read', context: 5, mode: 'lease' })
    group.takeAll()
    expect(served(group)).toEqual([])
    expect(group.droppedReads).toEqual([5])
  })
})

describe('who answered a heartbeat keeps to its leader for an election timeout', () => {
  const vote = (term: number): Message => ({
    type: 'vote',
    from: asNodeId('c'),
    to: asNodeId('b'),
    term: asTerm(term),
    lastIndex: asLogIndex(9),
    lastTerm: asTerm(1),
    transfer: false,
  })

  test('even if it is told to forget it, or to stand', () => {
    const group = leased()
    group.step('b', { type: 'forgetLeader' })
    expect(group.status('b').leader).toBe('a')
    group.step('b', { type: 'campaign' })
    expect(group.status('b').role).toBe('follower')
  })

  test('even if it hears of a higher term', () => {
    const group = leased()
    const term = asTerm(7)
    const news: Message = {
      type: 'preVoteReply',
      from: asNodeId('c'),
      to: asNodeId('b'),
      term,
      granted: false,
    }
    group.step('b', { type: 'message', message: news })
    expect(group.status('b')).toMatchObject({ term: 7, leader: undefined })
    group.step('b', { type: 'message', message: vote(8) })
    expect(group.drop(from('b'))).toEqual([])
    group.tick('b', 10)
    group.step('b', { type: 'message', message: vote(9) })
    group.persist('b')
    expect(group.drop(from('b')).filter(ofType('voteReply'))).toMatchObject([{ granted: true }])
  })

  test('even if it was started anew: it may have answered right before', () => {
    const group = new Group(three, { config: { leaseClockDriftPercent: 20 } })
    group.tick('b', 9)
    group.step('b', { type: 'message', message: vote(3) })
    expect(group.drop(from('b'))).toEqual([])
  })

  test('but follows a transfer, which the leader has agreed to', () => {
    const group = leased()
    group.step('a', { type: 'transfer', to: asNodeId('b') })
    group.settle()
    expect(group.roles()).toBe('a:follower@2 b:leader@2 c:follower@2')
  })
})

describe('a priority', () => {
  test('decides who stands first', () => {
    const group = new Group([])
    for (const [at, id] of three.entries()) {
      group.start(id, emptyBootstrap(configurationOf(...three)), { leaderPriority: at + 1 })
    }
    for (const id of three) group.tick(id, 12)
    expect(group.roles()).toBe('a:follower@0 b:follower@0 c:pre-candidate@0')
  })

  test('never keeps a group from having a leader: the lowest one stands when nobody else does', () => {
    const group = new Group(['a', 'b', 'c'], { config: { leaderPriority: 0 } })
    group.tick('a', 39)
    expect(group.status('a').role).toBe('follower')
    group.tick('a', 1)
    group.settle()
    expect(group.status('a').role).toBe('leader')
  })

  test('outside its range is refused', () => {
    expect(() => new Group(['a'], { config: { leaderPriority: 4 } })).toThrow('raft.config-priority')
    expect(() => new Group(['a'], { config: { leaseClockDriftPercent: -1 } })).toThrow('raft.config-lease')
    expect(() => new Group(['a'], { config: { leaseClockDriftPercent: 2000 } })).toThrow('raft.config-lease')
  })
})
