import { describe, expect, test } from 'vitest'
import {
  asLogIndex,
  asNodeId,
  chain,
  emptyBootstrap,
  joiningBootstrap,
  type Configuration,
  type MemberChange,
} from '../../src/raft/index.ts'
import { encodeChange } from '../../src/raft/configuration.ts'
import { configurationOf, everything, from, Group, ofType, stored, to } from './group.ts'

const three = ['a', 'b', 'c']
const addVoter = (id: string, life = 0): MemberChange => ({ type: 'addVoter', id: asNodeId(id), life })
const addLearner = (id: string, life = 0): MemberChange => ({ type: 'addLearner', id: asNodeId(id), life })
const remove = (id: string): MemberChange => ({ type: 'remove', id: asNodeId(id) })

/** These started the group, the first one leads; the others know nobody yet. */
function led(voters: readonly string[], joiners: readonly string[] = []): Group {
  const group = new Group(voters)
  for (const id of joiners) group.start(id, joiningBootstrap())
  group.elect(voters[0]!)
  return group
}

/** As often as it takes for everybody to hear of what was committed last. */
function heartbeats(group: Group, leader: string, cutOff: readonly string[] = []): void {
  group.tick(leader, 2)
  group.settle(cutOff)
}

describe('a configuration change is refused', () => {
  test('where nobody leads, and while leadership is handed over', () => {
    const group = led(three)
    expect(group.change('b', [remove('c')])).toMatchObject({ ok: false, reason: 'not-leader' })
    group.step('a', { type: 'transfer', to: asNodeId('b') })
    expect(group.change('a', [remove('c')])).toMatchObject({ ok: false, reason: 'transferring' })
  })

  test('before an entry of the leader`s own term is committed', () => {
    const group = new Group(three)
    group.step('a', { type: 'campaign' })
    for (const _ of ['preVote', 'preVoteReply']) group.deliver()
    group.persist('a')
    group.deliver()
    group.persist('b')
    group.deliver()
    expect(group.status('a')).toMatchObject({ role: 'leader', ownTermCommitted: false })
    expect(group.change('a', [remove('c')])).toMatchObject({ ok: false, reason: 'own-term-uncommitted' })
  })

  test('while another one is in flight', () => {
    const group = led(three, ['d'])
    expect(group.change('a', [addLearner('d')])).toMatchObject({ ok: true, index: 2 })
    expect(group.change('a', [remove('c')])).toMatchObject({ ok: false, reason: 'change-in-flight' })
    group.settle()
    expect(group.change('a', [remove('c')])).toMatchObject({ ok: true, index: 3 })
  })

  test('when it would change nothing, or leave nobody to decide', () => {
    const group = led(['a', 'b'])
    expect(group.change('a', [addVoter('b')])).toMatchObject({ ok: false, reason: 'nothing-changes' })
    expect(group.change('a', [remove('z')])).toMatchObject({ ok: false, reason: 'nothing-changes' })
    expect(group.change('a', [remove('a'), remove('b')])).toMatchObject({ ok: false, reason: 'no-voters' })
    expect(group.change('a', [])).toMatchObject({ ok: false, reason: 'not-joint' })
  })

  test('when it would make the group larger than it may be', () => {
    const many = Array.from({ length: 100 }, (_, at) => addLearner(`l${at}`))
    const group = led(['a'])
    expect(group.change('a', many)).toMatchObject({ ok: false, reason: 'too-many-members' })
    expect(group.change('a', many.slice(1))).toMatchObject({ ok: true })
  })
})

describe('one voter more or less', () => {
  test('a node that knows nobody gets the log, and takes part from then on', () => {
    const group = led(['a'], ['b'])
    expect(group.change('a', [addVoter('b')])).toMatchObject({ ok: true, index: 2, term: 1 })
    // In force at once: the change itself needs both.
    group.persist('a')
    expect(group.status('a')).toMatchObject({ commit: 1, configurationCommitted: false })
    group.settle()
    expect(group.members('a')).toBe('a b')
    expect(group.members('b')).toBe('a b')
    expect(group.status('b')).toMatchObject({ commit: 2, configurationCommitted: true })
    group.tick('a', 10)
    group.drop()
    group.forget('b')
    group.elect('b')
    expect(group.roles()).toBe('a:follower@2 b:leader@2')
  })

  test('a node that knows nobody never stands, and votes for nobody who does not name it', () => {
    const group = led(['a'], ['b'])
    group.tick('b', 100)
    group.step('b', { type: 'campaign' })
    expect(group.drop(from('b'))).toEqual([])
    expect(group.status('b').role).toBe('follower')
  })

  test('a node that joins a group with a compacted log gets it by a snapshot', () => {
    const group = led(three, ['d'])
    group.propose('a', 10)
    group.settle()
    const configuration = group.core('a').configurationAt(asLogIndex(8))!
    const { term, digest } = group.core('a').entriesInMemory(asLogIndex(8), asLogIndex(8), 1)![0]!
    const lowEnd = { index: asLogIndex(8), term, digest, configuration }
    group.step('a', { type: 'compacted', lowEnd })
    group.change('a', [addLearner('d')])
    group.settle()
    expect(group.snapshotsWanted).toEqual(['d'])
    const snapshot = { ...lowEnd, state: new Uint8Array([9]) }
    group.step('a', { type: 'snapshotLoaded', to: asNodeId('d'), snapshot })
    group.settle()
    expect(group.members('d')).toBe('a b c + d')
    expect(group.configurations.get('d')!.map(({ index, committed }) => [index, committed])).toEqual([
      [8, true],
      [12, true],
    ])
  })

  test('the leader tells its driver when a change comes into force and when it is final', () => {
    const group = led(three)
    group.change('a', [remove('c')])
    group.takeAll()
    expect(group.configurations.get('a')).toEqual([
      { configuration: configurationOf('a', 'b'), index: 2, committed: false },
    ])
    group.settle()
    expect(group.configurations.get('a')!.at(-1)).toEqual({
      configuration: configurationOf('a', 'b'),
      index: 2,
      committed: true,
    })
    expect(group.configurations.get('b')!.at(-1)).toMatchObject({ index: 2, committed: true })
  })

  test('a removed node gets nothing more and disturbs nobody', () => {
    const group = led(three)
    group.change('a', [remove('c')])
    group.settle()
    group.propose('a', 3)
    expect(group.drop(to('c'))).toEqual([])
    group.settle()
    for (let round = 0; round < 5; round += 1) {
      group.tick('c', 25)
      heartbeats(group, 'a')
    }
    expect(group.roles()).toBe('a:leader@1 b:follower@1 c:pre-candidate@1')
    // Not even while the others have no leader: its log lacks the change that the others have.
    group.tick('a', 10)
    group.drop()
    group.forget('b')
    group.elect('c')
    expect(group.roles()).toBe('a:follower@1 b:follower@1 c:follower@1')
  })
})

describe('a leader that is removed', () => {
  test('does not count itself, goes on until the change is committed, and hands over', () => {
    const group = led(three)
    group.change('a', [remove('a')])
    group.persist('a')
    group.deliver(to('b'))
    group.persist('b')
    group.deliver(to('a'))
    // a and b hold it, but of the two that count only b does.
    expect(group.status('a')).toMatchObject({ role: 'leader', commit: 1 })
    group.deliver(to('c'))
    group.persist('c')
    group.deliver(to('a'))
    expect(group.status('a')).toMatchObject({ role: 'follower', commit: 2, leader: undefined })
    group.settle()
    expect(group.roles()).toBe('a:follower@1 b:leader@2 c:follower@2')
    expect(group.members('b')).toBe('b c')
    group.tick('a', 50)
    expect(group.status('a').role).toBe('follower')
  })

  test('that becomes a learner steps down as well, and stays', () => {
    const group = led(three)
    group.change('a', [addLearner('a')])
    group.settle()
    expect(group.roles()).toBe('a:follower@2 b:leader@2 c:follower@2')
    expect(group.members('a')).toBe('b c + a')
  })

  test('counts in a joint configuration as long as the outgoing half does', () => {
    const group = led(three, ['d'])
    group.change('a', [addVoter('d'), remove('a')], 'jointExplicit')
    group.settle()
    expect(group.members('d')).toBe('b c d & a b c')
    expect(group.status('a')).toMatchObject({ role: 'leader', configurationCommitted: true })
    group.change('a', [])
    group.settle()
    expect(group.status('a').role).toBe('follower')
    expect(group.members('d')).toBe('b c d')
  })
})

describe('joint consensus', () => {
  test('several voters come and go through a joint phase that ends by itself', () => {
    const group = led(three, ['d', 'e'])
    const result = group.change('a', [addVoter('d'), addVoter('e'), remove('b')])
    expect(result).toMatchObject({ ok: true, configuration: { leavesAutomatically: true } })
    expect(group.members('a')).toBe('a c d e & a b c')
    group.settle()
    expect(group.members('a')).toBe('a c d e')
    expect(group.configurations.get('a')!.map(({ index, committed }) => [index, committed])).toEqual([
      [2, false],
      [3, false],
      [3, true],
    ])
    expect(group.members('e')).toBe('a c d e')
  })

  test('commits only with a majority of both halves', () => {
    const group = led(three, ['d', 'e'])
    group.change('a', [addVoter('d'), addVoter('e'), remove('b'), remove('c')])
    expect(group.members('a')).toBe('a d e & a b c')
    group.settle(['b', 'c'])
    expect(group.status('a').commit).toBe(1)
    heartbeats(group, 'a', ['d', 'e'])
    expect(group.members('a')).toBe('a d e')
  })

  test('lasts until it is asked to end, where that was asked for; and nothing else may come in between', () => {
    const group = led(three, ['d'])
    group.change('a', [addVoter('d')], 'jointExplicit')
    group.settle()
    heartbeats(group, 'a')
    expect(group.members('b')).toBe('a b c d & a b c')
    expect(group.change('a', [remove('c')])).toMatchObject({ ok: false, reason: 'joint' })
    expect(group.change('a', [])).toMatchObject({ ok: true })
    group.settle()
    expect(group.members('b')).toBe('a b c d')
  })

  test('may be asked for where one step would do', () => {
    const group = led(three, ['d'])
    expect(group.change('a', [addVoter('d')], 'joint')).toMatchObject({
      configuration: { votersOutgoing: ['a', 'b', 'c'], leavesAutomatically: true },
    })
    group.settle()
    expect(group.members('d')).toBe('a b c d')
  })

  test('is ended by the next leader where the one that began it is gone', () => {
    const group = led(three, ['d'])
    group.change('a', [addVoter('d')], 'joint')
    group.persist('a')
    group.deliver()
    for (const id of ['b', 'c', 'd']) group.persist(id)
    group.drop()
    group.forget('b', 'c', 'd')
    group.elect('b', ['a'])
    heartbeats(group, 'b', ['a'])
    expect(group.status('b').role).toBe('leader')
    // d didn't have to know anything to be counted.
    expect(group.members('b')).toBe('a b c d')
  })

  test('a voter that becomes a learner votes until the phase is over', () => {
    const group = led(three, ['d'])
    group.change('a', [addLearner('c'), addVoter('d')], 'jointExplicit')
    group.settle()
    expect(group.members('c')).toBe('a b d & a b c + c')
    group.change('a', [])
    group.settle()
    expect(group.members('c')).toBe('a b d + c')
  })
})

describe('a learner', () => {
  test('becomes a voter only when that is asked for', () => {
    const group = led(three, ['d'])
    group.change('a', [addLearner('d')])
    group.settle()
    for (let round = 0; round < 20; round += 1) heartbeats(group, 'a')
    expect(group.members('d')).toBe('a b c + d')
    expect(group.change('a', [addVoter('d')])).toMatchObject({
      ok: true,
      configuration: { votersOutgoing: [] },
    })
    group.settle()
    expect(group.members('d')).toBe('a b c d')
  })

  test('that was promoted votes before it knows (etcd-io/etcd#10998)', () => {
    const group = led(['a', 'b'], ['c'])
    group.change('a', [addLearner('c')])
    group.settle()
    group.change('a', [addVoter('c')])
    group.settle(['c'])
    expect(group.members('a')).toBe('a b c')
    expect(group.members('c')).toBe('a b + c')
    group.forget('b', 'c')
    group.elect('b', ['a'])
    expect(group.status('b').role).toBe('leader')
  })
})

describe('a configuration entry that is taken back', () => {
  /** a has removed c in its own log only; then b, which knows nothing of it, leads. */
  function overruled(): Group {
    const group = led(three)
    group.change('a', [remove('c')])
    group.settle(['b', 'c'])
    expect(group.members('a')).toBe('a b')
    group.tick('a', 10)
    group.drop()
    group.forget('b', 'c')
    group.elect('b', ['a'])
    return group
  }

  test('brings back the configuration before it, and the driver hears of that', () => {
    const group = overruled()
    heartbeats(group, 'b')
    expect(group.members('a')).toBe('a b c')
    expect(group.configurations.get('a')!.map(({ index }) => index)).toEqual([2, 0])
  })

  test('also where the node was started with that entry in its log', () => {
    const group = overruled()
    const bootstrap = stored(group, 'a')
    expect(bootstrap.configuration.voters).toEqual(['a', 'b'])
    group.start('a', bootstrap)
    expect(group.members('a')).toBe('a b')
    heartbeats(group, 'b')
    expect(group.members('a')).toBe('a b c')
  })

  test('a start refuses a configuration that its log contradicts', () => {
    const group = overruled()
    expect(() => group.start('a', { ...stored(group, 'a'), configuration: group.configuration })).toThrow(
      'raft.bootstrap-configuration',
    )
  })

  test('an entry that follows another configuration than the one in force stops the node', () => {
    const group = led(three)
    const { last, term } = group.status('b')
    const header = encodeChange(configurationOf('a'), configurationOf('a', 'x'))
    const fields = { index: asLogIndex(2), term, kind: 'configuration' as const, header }
    const draft = { ...fields, payload: [], payloadBytes: 0, payloadCrc32: 0 }
    const entry = { ...draft, digest: chain(last.digest, draft) }
    const message = { type: 'append' as const, from: asNodeId('a'), to: asNodeId('b'), term, previous: last }
    expect(() =>
      group.step('b', { type: 'message', message: { ...message, entries: [entry], commit: asLogIndex(0) } }),
    ).toThrow('raft.configuration-previous')
  })
})

describe('who campaigns', () => {
  test('does so by the newest configuration in its log, so none is ever left to be applied (etcd-io/raft#456)', () => {
    // b has the change in its log and doesn't know that it is committed: it asks d, too, and needs three of four.
    const group = led(three, ['d'])
    group.change('a', [addVoter('d')])
    group.persist('a')
    group.deliver(to('b'))
    group.persist('b')
    expect(group.status('b').commit).toBe(1)
    group.drop()
    group.step('b', { type: 'campaign' })
    expect(group.deliver(ofType('preVote')).map((message) => message.to)).toEqual(['a', 'c', 'd'])
  })

  test('is also a leader that was removed, while the change may not be committed (thesis §4.2.2)', () => {
    // a ends the joint phase that takes it out; only its own log has that entry. b needs a's vote, and a's log is longer.
    const group = led(['a'], ['b'])
    group.change('a', [addVoter('b'), remove('a')], 'jointExplicit')
    group.settle()
    group.change('a', [])
    group.settle(['b'])
    expect([group.members('a'), group.members('b')]).toEqual(['b', 'b & a'])
    group.tick('a', 10)
    group.drop()
    group.forget('b')
    group.elect('b')
    expect(group.status('b').role).not.toBe('leader')
    group.elect('a')
    expect(group.roles()).toBe('a:follower@2 b:leader@3')
    expect(group.members('b')).toBe('b')
    // Now that it is committed, it never stands again.
    group.step('a', { type: 'campaign' })
    group.tick('a', 100)
    expect(group.status('a').role).toBe('follower')
  })
})

describe('lives', () => {
  const withLives = (): Configuration => ({
    ...configurationOf('a', 'b', 'c'),
    lives: [
      { id: asNodeId('b'), life: 7 },
      { id: asNodeId('c'), life: 8 },
    ],
  })

  function started(): Group {
    const group = new Group([])
    const bootstrap = emptyBootstrap(withLives())
    group.start('a', bootstrap)
    group.start('b', bootstrap, { life: 7 })
    group.start('c', bootstrap, { life: 8 })
    group.elect('a')
    return group
  }

  test('a group whose members have lives works like any other', () => {
    const group = started()
    group.propose('a', 3)
    group.settle()
    expect(group.roles()).toBe('a:leader@1 b:follower@1 c:follower@1')
    expect(group.status('c').commit).toBe(4)
    expect(three.map((id) => group.status(id).refusedMessages)).toEqual([0, 0, 0])
  })

  test('a wiped node does not vote under its old identity, nor acknowledge anything', () => {
    // c is away; what is acknowledged is on a and b. Then b loses its disk, and a goes away.
    const group = started()
    group.propose('a', 3)
    group.settle(['c'])
    expect(group.status('a').commit).toBe(4)
    group.start('b', joiningBootstrap(), { life: 9 })
    group.forget('c')
    group.elect('c', ['a'])
    // With b's vote it would lead without what was acknowledged.
    expect(group.status('c').role).toBe('pre-candidate')
    expect(group.status('b').refusedMessages).toBeGreaterThan(0)
    heartbeats(group, 'a', ['c'])
    expect(group.status('b').last.index).toBe(0)
  })

  test('a wiped node comes back as a learner under a new life, and votes when it is promoted', () => {
    const group = started()
    group.propose('a', 3)
    group.settle()
    group.start('b', joiningBootstrap(), { life: 9 })
    group.settle()
    expect(group.change('a', [addVoter('b', 9)])).toMatchObject({ ok: false, reason: 'life-of-voter' })
    expect(group.change('a', [addLearner('b', 9)])).toMatchObject({ ok: true })
    expect(group.members('a')).toBe('a c + b')
    group.settle()
    expect(group.status('b').last.index).toBe(5)
    expect(group.change('a', [addVoter('b', 9)])).toMatchObject({ ok: true })
    group.settle()
    expect(group.members('b')).toBe('a b c')
    group.forget('b', 'c')
    group.elect('b', ['a'])
    expect(group.status('b').role).toBe('leader')
  })

  test('answers of the life before count for nothing', () => {
    const group = started()
    group.propose('a', 1)
    group.settle(['b'])
    group.propose('a', 1)
    const request = group.deliver(to('b'))
    expect(request).toHaveLength(1)
    group.persist('b')
    const late = group.drop(from('b'))
    group.change('a', [addLearner('b', 9)])
    group.settle(['b'])
    for (const message of late) group.step('a', { type: 'message', message })
    expect(group.status('a').followers.find(({ id }) => id === 'b')).toMatchObject({ match: 0 })
    expect(group.status('a').refusedMessages).toBe(late.length)
  })

  test('messages of a group that was deleted and made anew are refused', () => {
    const old = started()
    old.propose('a', 5)
    const late = old.drop(everything)
    const group = new Group([])
    const lives = three.map((id, at) => ({ id: asNodeId(id), life: 20 + at }))
    for (const { id, life } of lives) {
      group.start(id, emptyBootstrap({ ...configurationOf(...three), lives }), { life })
    }
    for (const message of late) group.step(message.to, { type: 'message', message })
    expect(group.drop()).toEqual([])
    expect(group.roles()).toBe('a:follower@0 b:follower@0 c:follower@0')
  })

  test('a group is never larger on disk than what its entries say of lives', () => {
    expect(() =>
      encodeChange({ ...withLives(), lives: [{ id: asNodeId('b'), life: -1 }] }, withLives()),
    ).toThrow('raft.configuration-life')
    expect(() => started().start('a', emptyBootstrap(withLives()), { life: 0.5 })).toThrow('raft.config-life')
  })
})
