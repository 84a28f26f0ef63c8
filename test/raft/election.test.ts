import { describe, expect, test } from 'vitest'
import { asNodeId, asTerm, asLogIndex, emptyBootstrap } from '../../src/raft/index.ts'
import { configurationOf, everything, from, Group, logOf, ofType, to } from './group.ts'

const three = ['a', 'b', 'c']

describe('an election', () => {
  test('is not won without a majority', () => {
    const group = new Group(three)
    group.elect('a', ['b', 'c'])
    expect(group.roles()).toBe('a:pre-candidate@0 b:follower@0 c:follower@0')
  })

  test('is not won by votes of which nobody knows whether they were written', () => {
    const group = new Group(three)
    group.step('a', { type: 'campaign' })
    group.deliver(ofType('preVote'))
    group.deliver(ofType('preVoteReply'))
    // The candidate's own vote isn't on its disk yet, so it doesn't even ask.
    expect(group.drop(everything)).toEqual([])
    group.persist('a')
    expect(group.deliver(ofType('vote'))).toHaveLength(2)
    // Nor do the others answer before theirs is.
    expect(group.drop(everything)).toEqual([])
    expect(group.roles()).toBe('a:candidate@1 b:follower@1 c:follower@1')
    group.persist('b')
    expect(group.deliver(ofType('voteReply'))).toHaveLength(1)
    expect(group.status('a').role).toBe('leader')
  })

  test('is held when the timeout is over, and its winner starts with an entry of its own term', () => {
    const group = new Group(three)
    group.tick('a', 9)
    expect(group.status('a').role).toBe('follower')
    group.tick('a', 1)
    group.settle()
    expect(group.roles()).toBe('a:leader@1 b:follower@1 c:follower@1')
    expect(group.terms('c')).toEqual([1])
    expect(group.folded.get('c')!.map(({ kind }) => kind)).toEqual(['noop'])
  })

  test('makes a single voter leader of itself, and commits once its own disk has the entry', () => {
    const group = new Group(['a'])
    group.tick('a', 10)
    group.takeAll()
    expect(group.status('a').role).toBe('candidate')
    group.persist('a')
    group.takeAll()
    expect(group.status('a')).toMatchObject({ role: 'leader', commit: 0 })
    group.persist('a')
    group.takeAll()
    expect(group.status('a')).toMatchObject({ role: 'leader', commit: 1 })
  })

  test('splits, and is repeated in a higher term', () => {
    const group = new Group(['a', 'b', 'c', 'd'])
    for (const id of ['a', 'b']) group.step(id, { type: 'campaign' })
    group.deliver(ofType('preVote'))
    group.deliver(ofType('preVoteReply'))
    for (const id of ['a', 'b']) {
      group.takeAll()
      group.persist(id)
    }
    group.deliver((message) => message.type === 'vote' && message.from === 'a' && message.to === 'c')
    group.deliver((message) => message.type === 'vote' && message.from === 'b' && message.to === 'd')
    group.settle()
    expect(group.roles()).toBe('a:follower@1 b:follower@1 c:follower@1 d:follower@1')
    group.elect('a')
    expect(group.roles()).toBe('a:leader@2 b:follower@2 c:follower@2 d:follower@2')
  })

  test('goes to no one with an older or shorter log', () => {
    const cluster = configurationOf(...three)
    const bootstraps = {
      a: logOf(cluster, [1, 1, 1], 2),
      b: logOf(cluster, [1, 2], 2),
      c: logOf(cluster, [1, 2, 2], 2),
    }
    const group = new Group(three, { bootstraps })
    group.elect('a')
    expect(group.status('a').role).not.toBe('leader')
    group.elect('b', ['a'])
    expect(group.status('b').role).not.toBe('leader')
    group.elect('b', ['c'])
    expect(group.status('b').role).toBe('leader')
  })
})

describe('a vote', () => {
  test('is given once in a term, also after a restart', () => {
    const group = new Group(three)
    const hardState = { term: asTerm(3), votedFor: asNodeId('b'), commit: asLogIndex(0) }
    group.start('a', { ...emptyBootstrap(group.configuration), hardState })
    const vote = {
      type: 'vote' as const,
      to: asNodeId('a'),
      term: asTerm(3),
      lastTerm: asTerm(0),
      transfer: false,
    }
    group.step('a', { type: 'message', message: { ...vote, from: asNodeId('c'), lastIndex: asLogIndex(9) } })
    expect(group.drop()).toMatchObject([{ type: 'voteReply', to: 'c', granted: false }])
    group.step('a', { type: 'message', message: { ...vote, from: asNodeId('b'), lastIndex: asLogIndex(9) } })
    expect(group.drop()).toMatchObject([{ type: 'voteReply', to: 'b', granted: true }])
  })

  test('is kept by a leader that steps down within its term', () => {
    const group = new Group(three)
    group.elect('a')
    group.tick('a', 11)
    expect(group.status('a')).toMatchObject({ role: 'follower', term: 1 })
    const lastIndex = asLogIndex(9)
    const [ids, term] = [{ from: asNodeId('b'), to: asNodeId('a') }, asTerm(1)]
    group.drop()
    group.step('a', {
      type: 'message',
      message: { ...ids, type: 'vote', term, lastIndex, lastTerm: term, transfer: false },
    })
    expect(group.drop()).toMatchObject([{ type: 'voteReply', granted: false }])
  })

  test('that comes late, for an earlier campaign, counts for nothing', () => {
    const group = new Group(three)
    group.step('a', { type: 'campaign' })
    group.deliver(ofType('preVote'))
    const grants = group.drop(ofType('preVoteReply'))
    group.elect('b')
    expect(group.roles()).toBe('a:follower@1 b:leader@1 c:follower@1')
    group.tick('a', 30)
    group.drop()
    for (const message of grants) group.step('a', { type: 'message', message })
    expect(group.status('a').role).toBe('pre-candidate')
  })
})

describe('PreVote and leader stickiness', () => {
  test('a node that was cut off comes back without raising anybody`s term', () => {
    const group = new Group(three)
    group.elect('a')
    for (let round = 0; round < 10; round += 1) {
      group.tick('c', 12)
      group.tick('a', 2)
      group.settle(['c'])
    }
    expect(group.roles()).toBe('a:leader@1 b:follower@1 c:pre-candidate@1')
    group.tick('a', 2)
    group.settle()
    expect(group.roles()).toBe('a:leader@1 b:follower@1 c:follower@1')
  })

  test('a node that hears from its leader ignores requests, whatever their term', () => {
    const group = new Group(three)
    group.elect('a')
    group.tick('c', 12)
    expect(group.drop(ofType('preVote'))).toHaveLength(2)
    const vote = { type: 'vote' as const, from: asNodeId('c'), to: asNodeId('b'), term: asTerm(9) }
    const log = { lastIndex: asLogIndex(50), lastTerm: asTerm(8), transfer: false }
    group.step('b', { type: 'message', message: { ...vote, ...log } })
    expect(group.drop()).toEqual([])
    expect(group.status('b').term).toBe(1)
  })

  test('once the leader is gone its followers elect another, and it may lead again later', () => {
    const group = new Group(three)
    group.elect('a')
    group.tick('a', 10)
    for (const id of ['b', 'c']) group.tick(id, 10)
    group.elect('b', ['a'])
    expect(group.roles()).toBe('a:follower@1 b:leader@2 c:follower@2')
    group.tick('b', 2)
    group.settle()
    for (const id of ['a', 'c']) group.tick(id, 10)
    group.elect('a', ['b'])
    expect(group.roles()).toBe('a:leader@3 b:leader@2 c:follower@3')
  })

  test('a node that is ahead in term makes the leader step down, so it is not apart for ever', () => {
    const group = new Group(three)
    group.elect('a')
    group.start('c', {
      ...emptyBootstrap(group.configuration),
      hardState: { term: asTerm(5), votedFor: undefined, commit: asLogIndex(0) },
    })
    group.tick('a', 2)
    group.settle()
    expect(group.status('a')).toMatchObject({ role: 'follower', term: 5 })
    group.elect('a')
    expect(group.roles()).toBe('a:leader@6 b:follower@6 c:follower@6')
  })
})

describe('CheckQuorum', () => {
  test('a leader that nobody answers steps down after an election timeout', () => {
    const group = new Group(three)
    group.elect('a')
    group.tick('a', 9)
    expect(group.status('a').role).toBe('leader')
    group.tick('a', 1)
    expect(group.status('a')).toMatchObject({ role: 'follower', leader: undefined, term: 1 })
  })

  test('one follower of two is enough to go on', () => {
    const group = new Group(three)
    group.elect('a')
    for (let tick = 0; tick < 40; tick += 1) {
      group.tick('a')
      group.settle(['c'])
    }
    expect(group.status('a').role).toBe('leader')
    expect(group.status('a').followers.map(({ recentlyActive }) => recentlyActive)).toEqual([true, false])
  })
})

describe('a disk', () => {
  test('that hangs makes the leader step down, and keeps it from standing again', () => {
    const group = new Group(three, { config: { stalledDiskTicks: 15 } })
    group.elect('a')
    group.propose('a')
    group.take('a')
    for (let tick = 0; tick < 15; tick += 1) {
      group.tick('a')
      for (const id of ['b', 'c']) group.persist(id)
      group.deliver()
    }
    expect(group.status('a').role).toBe('follower')
    group.tick('a', 60)
    expect(group.status('a').role).toBe('follower')
    group.persist('a')
    group.tick('a', 30)
    expect(group.status('a').role).toBe('pre-candidate')
  })

  test('that failed makes its node mute for good', () => {
    const group = new Group(three)
    group.elect('a')
    group.step('a', { type: 'read', context: 4 })
    group.step('a', { type: 'storageFailed' })
    group.takeAll()
    expect(group.status('a')).toMatchObject({ role: 'follower', leader: undefined })
    expect(group.droppedReads).toEqual([4])
    group.drop()
    expect(
      group.core('a').propose({ header: new Uint8Array(), payload: [], payloadBytes: 0, payloadCrc32: 0 }),
    ).toEqual({
      ok: false,
      reason: 'not-leader',
    })
    group.tick('a', 100)
    group.step('a', { type: 'campaign' })
    group.tick('b', 30)
    group.deliver(to('a'))
    expect(group.drop(from('a'))).toEqual([])
    expect(group.writes.get('a')).toEqual([])
    group.tick('c', 11)
    group.elect('b')
    expect(group.status('b').role).toBe('leader')
  })
})
