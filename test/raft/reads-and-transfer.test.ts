import { describe, expect, test } from 'vitest'
import { emptyBootstrap, type Configuration } from '../../src/raft/index.ts'
import { configurationOf, from, Group, ofType, to } from './group.ts'

const three = ['a', 'b', 'c']
const voter = (at: number) => configurationOf(...three).voters[at]!

describe('a linearizable read', () => {
  test('is dropped by whoever does not lead', () => {
    const group = new Group(three)
    group.elect('a')
    group.step('b', { type: 'read', context: 1 })
    group.takeAll()
    expect(group.droppedReads).toEqual([1])
  })

  test('is dropped when leadership is lost before a quorum has answered', () => {
    const group = new Group(three)
    group.elect('a')
    group.step('a', { type: 'read', context: 1 })
    group.drop()
    group.step('a', { type: 'read', context: 2 })
    group.tick('a', 10)
    group.takeAll()
    expect(group.reads).toEqual([])
    expect(group.droppedReads).toEqual([2, 1])
  })

  test('is served after a quorum has answered the round that began after it', () => {
    const group = new Group(three)
    group.elect('a')
    group.tick('a', 2)
    group.deliver(ofType('heartbeat'))
    group.step('a', { type: 'read', context: 1 })
    // These are answers to a heartbeat from before the read.
    group.deliver(to('a'))
    group.takeAll()
    expect(group.reads).toEqual([])
    group.deliver(to('b'))
    group.deliver(from('b'))
    group.takeAll()
    expect(group.reads).toEqual([{ id: 'a', context: 1, index: 1 }])
  })

  test('shares its round with all that wait, and a lost round is made up for by the next heartbeat', () => {
    const group = new Group(three)
    group.elect('a')
    for (const context of [1, 2, 3]) group.step('a', { type: 'read', context })
    expect(group.drop(ofType('heartbeat'))).toHaveLength(2)
    group.step('a', { type: 'read', context: 4 })
    expect(group.drop(ofType('heartbeat'))).toHaveLength(0)
    group.tick('a', 2)
    group.settle()
    expect(group.reads.map(({ context }) => context)).toEqual([1, 2, 3, 4])
  })

  test('waits until the leader knows what is committed', () => {
    const group = new Group(three)
    group.elect('a')
    group.propose('a')
    group.settle()
    group.tick('a', 10)
    group.tick('c', 11)
    group.drop()
    group.step('b', { type: 'campaign' })
    for (const _ of ['preVote', 'preVoteReply']) group.deliver()
    group.persist('b')
    group.deliver()
    group.persist('c')
    group.deliver()
    expect(group.status('b')).toMatchObject({ role: 'leader', ownTermCommitted: false })
    group.step('b', { type: 'read', context: 8 })
    group.takeAll()
    expect(group.wire.filter(ofType('heartbeat'))).toEqual([])
    group.settle()
    expect(group.reads).toEqual([{ id: 'b', context: 8, index: 3 }])
  })

  test('needs nobody else where there is one voter', () => {
    const group = new Group(['a'])
    group.elect('a')
    group.step('a', { type: 'read', context: 5 })
    group.takeAll()
    expect(group.reads).toEqual([{ id: 'a', context: 5, index: 1 }])
  })
})

describe('a transfer of leadership', () => {
  test('to a stranger or to itself is ignored', () => {
    const group = new Group(three)
    group.elect('a')
    group.step('a', { type: 'transfer', to: voter(0) })
    group.step('a', { type: 'transfer', to: configurationOf('z').voters[0] })
    group.settle()
    expect(group.roles()).toBe('a:leader@1 b:follower@1 c:follower@1')
  })

  test('is over when the target does not take it, and proposals are welcome again', () => {
    const group = new Group(three)
    group.elect('a')
    group.step('a', { type: 'transfer', to: voter(1) })
    for (let tick = 0; tick < 10; tick += 1) {
      group.tick('a')
      group.drop(to('b'))
      group.settle()
    }
    expect(group.status('a').role).toBe('leader')
    group.propose('a')
    group.settle()
    expect(group.status('a').commit).toBe(2)
  })

  test('goes to a target that hears from a leader all the time', () => {
    const group = new Group(three)
    group.elect('a')
    group.step('a', { type: 'transfer', to: voter(2) })
    group.settle()
    expect(group.roles()).toBe('a:follower@2 b:follower@2 c:leader@2')
  })

  test('waits until the target has everything', () => {
    const group = new Group(three)
    group.elect('a')
    group.propose('a', 5)
    group.settle(['b'])
    group.step('a', { type: 'transfer', to: voter(1) })
    expect(group.drop(ofType('timeoutNow'))).toEqual([])
    group.tick('a', 2)
    group.settle()
    expect(group.roles()).toBe('a:follower@2 b:leader@2 c:follower@2')
    expect(group.terms('b')).toEqual([1, 1, 1, 1, 1, 1, 2])
  })

  test('without a target goes to the one that is furthest along', () => {
    const group = new Group(three)
    group.elect('a')
    group.propose('a', 5)
    group.settle(['b'])
    group.step('a', { type: 'transfer', to: undefined })
    group.settle()
    expect(group.status('c').role).toBe('leader')
  })
})

describe('learners and joint configurations', () => {
  function start(configuration: Configuration, ids: readonly string[]): Group {
    const bootstrap = emptyBootstrap(configuration)
    return new Group(ids, { bootstraps: Object.fromEntries(ids.map((id) => [id, bootstrap])) })
  }

  test('a learner gets the log, and neither votes nor stands nor counts', () => {
    const four = [...three, 'd']
    const group = start({ ...configurationOf(...three), learners: configurationOf('d').voters }, four)
    group.tick('d', 50)
    expect(group.status('d').role).toBe('follower')
    group.elect('a', ['c'])
    expect(group.status('a').role).toBe('leader')
    group.settle()
    expect(group.terms('d')).toEqual([1])
    group.propose('a')
    group.settle(['b', 'c'])
    expect(group.status('d').last.index).toBe(2)
    expect(group.status('a').commit).toBe(1)
  })

  test('a joint configuration elects and commits only with both majorities', () => {
    const six = ['a', 'b', 'c', 'd', 'e', 'f']
    const joint = { ...configurationOf('a', 'b', 'c'), votersOutgoing: configurationOf('d', 'e', 'f').voters }
    const group = start(joint, six)
    group.elect('a', ['d', 'e'])
    expect(group.status('a').role).not.toBe('leader')
    group.elect('a', ['c', 'f'])
    expect(group.status('a').role).toBe('leader')
    group.propose('a')
    group.settle(['e', 'f'])
    expect(group.status('a').commit).toBe(1)
  })
})
