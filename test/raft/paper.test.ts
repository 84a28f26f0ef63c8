/**
 * The rules of the paper (Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm", 2014) and of Ongaro's
 * thesis (2014), one test for each, named after it. Each is told with the fewest steps that show it; how rules meet faults
 * is what the simulation is for, and what a conversation looks like, the scenarios.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import type { Law } from '../../sim/core/checkers.ts'
import { runCoreSimulation } from '../../sim/core/simulation.ts'
import {
  asLogIndex,
  asNodeId,
  asTerm,
  emptyBootstrap,
  joiningBootstrap,
  type AppendRequest,
  type Message,
  type VoteRequest,
} from '../../src/raft/index.ts'
import { configurationOf, draft, from, Group, logOf, ofType, stored, to } from './group.ts'

const three = ['a', 'b', 'c']
const five = ['a', 'b', 'c', 'd', 'e']
const cluster = configurationOf(...three)
const [a, b, c] = cluster.voters as [ReturnType<typeof asNodeId>, ...ReturnType<typeof asNodeId>[]]

function led(ids: readonly string[] = three): Group {
  const group = new Group(ids)
  group.elect(ids[0]!)
  return group
}

const voteOf = (term: number, more: Partial<VoteRequest> = {}): VoteRequest => ({
  type: 'vote',
  from: a,
  to: b!,
  term: asTerm(term),
  lastIndex: asLogIndex(0),
  lastTerm: asTerm(0),
  transfer: false,
  ...more,
})

function appendOf(terms: readonly number[], after: number, term: number, commit = 0): AppendRequest {
  const { tail, lowEnd } = logOf(cluster, terms, term)
  const { index, digest, term: previousTerm } = tail[after - 1] ?? lowEnd
  const previous = { index, digest, term: previousTerm }
  const entries = tail.slice(after)
  return {
    type: 'append',
    from: a,
    to: b!,
    term: asTerm(term),
    previous,
    entries,
    commit: asLogIndex(commit),
  }
}

/** b alone gets this, writes what it has to, and answers. */
function answersOf(group: Group, message: Message): Message[] {
  group.drop()
  group.step('b', { type: 'message', message })
  group.persist('b')
  return group.drop(from('b'))
}

describe('figure 3: what is true at all times, in runs full of faults', () => {
  const seen = new Map<Law, string>()
  let committed = 0

  beforeAll(() => {
    for (let seed = 9001; seed <= 9040; seed += 1) {
      const result = runCoreSimulation(seed)
      committed += result.committed
      for (const { law, detail } of result.violations) seen.set(law, `seed ${seed}: ${detail}`)
    }
  })

  const laws: [string, Law][] = [
    ['Election Safety: at most one leader in a term', 'election-safety'],
    ['Leader Append-Only: a leader never overwrites or deletes its entries', 'leader-append-only'],
    ['Log Matching: same index and term, same log up to there', 'log-matching'],
    ['Leader Completeness: what is committed is in the logs of all later leaders', 'leader-completeness'],
    ['State Machine Safety: nobody applies another entry at an index', 'state-machine-safety'],
  ]
  test.for(laws)('%s', ([, law]) => {
    expect(committed).toBeGreaterThan(1000)
    expect(seen.get(law)).toBeUndefined()
  })
})

describe('§5.1 terms', () => {
  test('a request of an earlier term is refused, and the answer says the term', () => {
    const group = new Group(three)
    group.start('b', {
      ...emptyBootstrap(cluster),
      hardState: { term: asTerm(4), votedFor: undefined, commit: asLogIndex(0) },
    })
    expect(answersOf(group, appendOf([1], 0, 1))).toMatchObject([{ accepted: false, term: 4 }])
    expect(answersOf(group, voteOf(3, { lastIndex: asLogIndex(9) }))).toMatchObject([
      { granted: false, term: 4 },
    ])
    expect(group.status('b').last.index).toBe(0)
  })

  test.for(['voteReply', 'append'] as const)('a later term in a %s makes a candidate a follower', (type) => {
    const group = new Group(three)
    group.step('b', { type: 'campaign' })
    group.deliver(ofType('preVote'))
    group.deliver(ofType('preVoteReply'))
    expect(group.status('b').role).toBe('candidate')
    const reply: Message = { type: 'voteReply', from: a, to: b!, term: asTerm(7), granted: false }
    group.step('b', { type: 'message', message: type === 'append' ? appendOf([7], 0, 7) : reply })
    expect(group.status('b')).toMatchObject({ role: 'follower', term: 7 })
  })

  test('a later term in an answer makes a leader a follower', () => {
    const group = led()
    const message: Message = { type: 'heartbeatReply', from: b!, to: a, term: asTerm(5), readRound: 0 }
    group.step('a', { type: 'message', message })
    expect(group.status('a')).toMatchObject({ role: 'follower', term: 5 })
  })

  test('term and vote are on stable storage before an answer leaves', () => {
    const group = new Group(three)
    group.step('b', { type: 'message', message: voteOf(1) })
    expect(group.drop(from('b'))).toEqual([])
    expect(group.writes.get('b')).toMatchObject([{ hardState: { term: 1, votedFor: 'a' } }])
    group.persist('b')
    expect(group.drop(from('b'))).toMatchObject([{ type: 'voteReply', granted: true }])
  })
})

describe('§5.2 leader election', () => {
  test('a server starts as a follower, and stays one as long as it hears from a leader', () => {
    const group = led()
    expect(new Group(three).roles()).toBe('a:follower@0 b:follower@0 c:follower@0')
    for (let round = 0; round < 30; round += 1) {
      for (const id of three) group.tick(id, 2)
      group.settle()
    }
    expect(group.roles()).toBe('a:leader@1 b:follower@1 c:follower@1')
  })

  test('a leader sends heartbeats to all, all the time', () => {
    const group = led()
    for (let round = 0; round < 3; round += 1) {
      group.tick('a', 2)
      expect(group.deliver(ofType('heartbeat')).map((message) => message.to)).toEqual(['b', 'c'])
      group.settle()
    }
  })

  test('a follower that hears nothing begins an election: next term, own vote, a request to each of the others', () => {
    const group = new Group(three)
    group.tick('a', 10)
    group.deliver(ofType('preVote'))
    group.deliver(ofType('preVoteReply'))
    expect(group.status('a')).toMatchObject({ role: 'candidate', term: 1 })
    group.persist('a')
    expect(group.drop(ofType('vote')).map((message) => message.to)).toEqual(['b', 'c'])
  })

  test('one vote in a term, first come, first served', () => {
    const group = new Group(three)
    expect(answersOf(group, voteOf(1))).toMatchObject([{ granted: true }])
    expect(answersOf(group, voteOf(1, { from: c! }))).toMatchObject([{ granted: false }])
    expect(answersOf(group, voteOf(1))).toMatchObject([{ granted: true }])
    expect(answersOf(group, voteOf(2, { from: c! }))).toMatchObject([{ granted: true }])
  })

  test.for([
    [1, 0],
    [2, 1],
    [3, 1],
    [4, 2],
    [5, 2],
  ] as const)('of %i servers, %i other votes win and one less does not', ([size, needed]) => {
    const ids = five.slice(0, size)
    const absentWhen = (others: number): string[] => ids.slice(1 + others)
    const winner = new Group(ids)
    winner.elect('a', absentWhen(needed))
    expect(winner.status('a').role).toBe('leader')
    if (needed === 0) return
    const loser = new Group(ids)
    loser.elect('a', absentWhen(needed - 1))
    expect(loser.status('a').role).not.toBe('leader')
  })

  function candidate(): Group {
    const group = new Group(three)
    group.step('b', { type: 'campaign' })
    group.deliver(ofType('preVote'))
    group.deliver(ofType('preVoteReply'))
    expect(group.status('b')).toMatchObject({ role: 'candidate', term: 1 })
    return group
  }

  test('a candidate that hears from a leader of its term follows it', () => {
    const group = candidate()
    group.step('b', { type: 'message', message: appendOf([1], 0, 1) })
    expect(group.status('b')).toMatchObject({ role: 'follower', leader: 'a', term: 1 })
  })

  test('a candidate that hears from a leader of an earlier term goes on', () => {
    const group = candidate()
    group.step('b', { type: 'message', message: appendOf([], 0, 0) })
    expect(group.status('b')).toMatchObject({ role: 'candidate', term: 1 })
  })

  test('a split vote is over with the next timeout, which begins another election', () => {
    const group = candidate()
    group.drop()
    group.tick('b', 21)
    group.deliver(ofType('preVote'))
    group.deliver(ofType('preVoteReply'))
    expect(group.status('b')).toMatchObject({ role: 'candidate', term: 2 })
  })

  test('timeouts are drawn anew each time, from an interval', () => {
    const draws: number[] = []
    const group = new Group(['a', 'b'], {
      random: (_id, bound) => {
        draws.push(bound)
        return (draws.length * 3) % bound
      },
    })
    const waits: number[] = []
    for (let election = 0; election < 5; election += 1) {
      const before = draws.length
      let ticks = 0
      for (; draws.length === before; ticks += 1) group.tick('a')
      waits.push(ticks)
      group.drop()
    }
    expect(new Set(draws)).toEqual(new Set([10]))
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(10)
    expect(Math.max(...waits)).toBeLessThan(20)
    expect(new Set(waits).size).toBeGreaterThan(2)
  })
})

describe('§5.3 log replication', () => {
  test('the leader appends a proposal and sends it to all at once', () => {
    const group = led()
    group.propose('a')
    const sent = group.drop(ofType('append')) as AppendRequest[]
    expect(sent.map(({ to: follower, entries }) => [follower, entries.length])).toEqual([
      ['b', 1],
      ['c', 1],
    ])
  })

  test('an entry is committed once a majority holds it, and then applied', () => {
    const group = led(five)
    group.propose('a')
    group.settle(['c', 'd', 'e'])
    expect(group.status('a').commit).toBe(1)
    group.tick('a', 2)
    group.settle(['d', 'e'])
    expect(group.status('a')).toMatchObject({ commit: 2, applied: 2 })
  })

  test('followers learn the commit index with what the leader sends, and apply in order', () => {
    const group = led()
    group.propose('a', 5)
    group.settle()
    for (const id of three)
      expect(group.folded.get(id)!.map(({ index }) => index)).toEqual([1, 2, 3, 4, 5, 6])
  })

  test('committing an entry commits all before it, those of earlier leaders too', () => {
    const bootstraps = {
      a: logOf(cluster, [1, 1, 2], 2),
      b: logOf(cluster, [1], 2),
      c: logOf(cluster, [1], 2),
    }
    const group = new Group(three, { bootstraps })
    group.elect('a')
    expect(group.status('a').commit).toBe(4)
    expect(group.terms('c')).toEqual([1, 1, 2, 3])
  })

  test('a follower refuses entries after one that it does not have', () => {
    const group = new Group(three)
    expect(answersOf(group, appendOf([1, 1, 1], 2, 1))).toMatchObject([{ accepted: false, hintIndex: 0 }])
    expect(answersOf(group, appendOf([1, 1], 0, 1))).toMatchObject([{ accepted: true, index: 2 }])
    expect(answersOf(group, appendOf([1, 2, 2], 2, 2))).toMatchObject([{ accepted: false }])
  })

  test('a follower drops what conflicts, and only that', () => {
    const group = new Group(three)
    answersOf(group, appendOf([1, 1, 1, 1], 0, 1))
    answersOf(group, appendOf([1, 1], 1, 1))
    expect(group.terms('b')).toEqual([1, 1, 1, 1])
    answersOf(group, appendOf([1, 1, 2], 1, 2))
    expect(group.terms('b')).toEqual([1, 1, 2])
  })

  test('the leader finds where the logs part, one round for a term that differs', () => {
    const bootstraps = {
      a: logOf(cluster, [1, 1, 1, 4, 4, 4], 4),
      b: logOf(cluster, [1, 1, 1, 2, 2, 2, 3, 3, 3], 4),
      c: logOf(cluster, [1], 4),
    }
    const group = new Group(three, { bootstraps })
    group.elect('a', ['b'])
    group.tick('a', 2)
    let rounds = 0
    while (group.status('b').last.index !== 7 && rounds < 10) {
      rounds += group.deliver(to('b')).filter(ofType('append')).length
      group.persist('b')
      group.deliver(to('a'))
    }
    expect(group.terms('b')).toEqual([1, 1, 1, 4, 4, 4, 5])
    expect(rounds).toBeLessThanOrEqual(3)
  })

  test('the leader tries again until a follower has it', () => {
    const group = led()
    group.propose('a')
    for (let round = 0; round < 20; round += 1) {
      group.tick('a', 2)
      group.settle(['c'])
    }
    group.tick('a', 2)
    group.settle()
    expect(group.status('c').last.index).toBe(2)
  })
})

describe('§5.4 safety', () => {
  const upToDate: [string, number[], number[], boolean][] = [
    ['the same log', [1, 1], [1, 1], true],
    ['a longer one', [1, 1, 1], [1, 1], true],
    ['a shorter one of a later term', [1, 2], [1, 1, 1], true],
    ['a shorter one', [1], [1, 1], false],
    ['a longer one of an earlier term', [1, 1, 1, 1], [1, 2], false],
  ]
  test.for(upToDate)(
    '§5.4.1 a candidate with %s: compared by last term, then by length',
    ([, own, voters, wins]) => {
      const group = new Group(three, {
        bootstraps: { a: logOf(cluster, own, 3), b: logOf(cluster, voters, 3), c: logOf(cluster, voters, 3) },
      })
      group.elect('a')
      expect(group.status('a').role === 'leader').toBe(wins)
    },
  )

  test('§5.4.2 an entry of an earlier term is not committed by counting (figure 8)', () => {
    const bootstraps = {
      a: logOf(cluster, [1, 2], 2),
      b: logOf(cluster, [1, 2], 2),
      c: logOf(cluster, [1], 2),
    }
    const group = new Group(three, { bootstraps })
    group.step('a', { type: 'campaign' })
    for (const _ of ['preVote', 'preVoteReply']) group.deliver()
    group.persist('a')
    group.deliver()
    group.persist('b')
    group.deliver(to('a'))
    expect(group.status('a').role).toBe('leader')
    // b holds entry 2, a does: a majority. Its term is 2, and a leads term 3.
    group.step('a', {
      type: 'message',
      message: {
        type: 'appendReply',
        from: b!,
        to: a,
        term: asTerm(3),
        accepted: true,
        index: asLogIndex(2),
        hintIndex: asLogIndex(2),
        hintTerm: asTerm(2),
      },
    })
    expect(group.status('a').commit).toBe(0)
    group.settle()
    expect(group.status('a').commit).toBe(3)
  })

  test('§5.5 the same request twice does no harm', () => {
    const group = new Group(three)
    const request = appendOf([1, 1], 0, 1, 2)
    const [first] = answersOf(group, request)
    const [second] = answersOf(group, request)
    expect(second).toEqual(first)
    expect(group.folded.get('b')).toHaveLength(2)
  })

  test('§5.5 a server that was down comes back and catches up', () => {
    const group = led()
    const disk = stored(group, 'c')
    group.propose('a', 3)
    group.settle(['c'])
    group.start('c', disk)
    group.tick('a', 2)
    group.settle()
    expect(group.status('c').commit).toBe(4)
  })
})

describe('§6 and thesis §4 cluster membership', () => {
  const addVoter = (id: string) => ({ type: 'addVoter' as const, id: asNodeId(id) })
  const remove = (id: string) => ({ type: 'remove' as const, id: asNodeId(id) })

  test('§6 a server uses the newest configuration in its log, committed or not', () => {
    const group = led()
    group.change('a', [remove('c')])
    expect(group.members('a')).toBe('a b')
    group.deliver(to('b'))
    expect([group.members('b'), group.status('b').configurationCommitted]).toEqual(['a b', false])
  })

  test('§6 elections and commits need both majorities while a configuration is joint', () => {
    const joint = { ...configurationOf('a', 'b', 'c'), votersOutgoing: configurationOf('c', 'd', 'e').voters }
    const bootstraps = Object.fromEntries(five.map((id) => [id, emptyBootstrap(joint)]))
    const group = new Group(five, { bootstraps })
    group.elect('a', ['d', 'e'])
    expect(group.status('a').role).not.toBe('leader')
    group.elect('a', ['b', 'd'])
    expect(group.status('a').role).toBe('leader')
    group.propose('a')
    group.settle(['c', 'd', 'e'])
    expect(group.status('a').commit).toBe(1)
  })

  test('§6 a new server takes the log before it counts', () => {
    const group = led()
    group.start('d', joiningBootstrap())
    group.change('a', [{ type: 'addLearner', id: asNodeId('d') }])
    group.propose('a')
    group.settle(['b', 'c'])
    expect([group.status('d').last.index, group.status('a').commit]).toEqual([3, 1])
  })

  test('§6 a leader that is not in the new configuration steps down once that is committed', () => {
    const group = led()
    group.change('a', [remove('a')])
    group.settle(['b', 'c'])
    expect(group.status('a').role).toBe('leader')
    group.tick('a', 2)
    group.settle()
    expect(group.status('a').role).toBe('follower')
  })

  test('§6 and §4.2.3 whoever hears from a leader disregards requests for votes', () => {
    const group = led()
    expect(answersOf(group, voteOf(9, { from: c!, lastIndex: asLogIndex(99), lastTerm: asTerm(8) }))).toEqual(
      [],
    )
    expect(group.status('b')).toMatchObject({ role: 'follower', term: 1, leader: 'a' })
  })

  test('§4.1 one change at a time', () => {
    const group = led()
    expect(group.change('a', [remove('c')]).ok).toBe(true)
    expect(group.change('a', [addVoter('d')])).toMatchObject({ reason: 'change-in-flight' })
  })

  test('§4.1 a configuration whose entry is dropped gives way to the one before', () => {
    const group = led()
    group.change('a', [remove('c')])
    group.settle(['b', 'c'])
    group.forget('b', 'c')
    group.drop()
    group.elect('c', ['a'])
    expect(group.status('c').role).toBe('leader')
    group.tick('c', 2)
    group.settle()
    expect(group.members('a')).toBe('a b c')
  })

  test('raft-dev, July 2015: no change before an entry of the leader`s own term is committed', () => {
    const group = new Group(['a', 'b'])
    group.step('a', { type: 'campaign' })
    for (const _ of ['preVote', 'preVoteReply']) group.deliver()
    group.persist('a')
    group.deliver()
    group.persist('b')
    group.deliver()
    expect(group.change('a', [addVoter('c')])).toMatchObject({ reason: 'own-term-uncommitted' })
    group.settle()
    expect(group.change('a', [addVoter('c')]).ok).toBe(true)
  })

  test('§4.2.2 a removed leader does not count itself in majorities', () => {
    const group = led()
    group.change('a', [remove('a')])
    group.settle(['c'])
    expect(group.status('a').commit).toBe(1)
  })

  test('§4.3 several voters at once go through a joint configuration, and the leader ends it', () => {
    const group = led()
    for (const id of ['d', 'e']) group.start(id, joiningBootstrap())
    const result = group.change('a', [addVoter('d'), addVoter('e'), remove('b')])
    expect(result).toMatchObject({ ok: true, configuration: { votersOutgoing: ['a', 'b', 'c'] } })
    group.settle()
    expect(group.members('e')).toBe('a c d e')
  })
})

describe('§7 log compaction', () => {
  const snapshot = () => ({
    ...logOf(cluster, [1, 1, 1], 1).last,
    configuration: cluster,
    state: new Uint8Array([1]),
  })
  const install = (): Message => ({
    type: 'snapshot',
    from: a,
    to: b!,
    term: asTerm(1),
    snapshot: snapshot(),
  })

  test('a snapshot has the index and term of its last entry, and the configuration', () => {
    const group = new Group(three)
    group.start('b', joiningBootstrap())
    answersOf(group, install())
    expect(group.status('b')).toMatchObject({ last: { index: 3, term: 1 }, configuration: cluster })
  })

  test('a snapshot that the log does not contain replaces all of it', () => {
    const group = new Group(three)
    group.start('b', logOf(cluster, [1, 1], 1))
    expect(answersOf(group, install())).toMatchObject([{ type: 'appendReply', accepted: true, index: 3 }])
    expect(group.status('b')).toMatchObject({ lowEnd: { index: 3 }, last: { index: 3 }, commit: 3 })
  })

  test('entries that follow what the snapshot describes are kept', () => {
    const group = new Group(three)
    group.start('b', logOf(cluster, [1, 1, 1, 1], 1))
    answersOf(group, install())
    expect(group.status('b')).toMatchObject({ last: { index: 4 }, commit: 3 })
    expect(group.restored).toEqual([])
  })

  test('chunks come by offset, and the state is taken over with the last one (figure 13)', () => {
    const group = new Group(three)
    group.start('b', joiningBootstrap())
    const whole = { ...snapshot(), state: Uint8Array.of(1, 2, 3) }
    for (const offset of [0, 1, 2]) {
      expect(group.restored).toEqual([])
      const part = { ...whole, state: whole.state.subarray(offset, offset + 1) }
      answersOf(group, {
        type: 'snapshot',
        from: a,
        to: b!,
        term: asTerm(1),
        snapshot: part,
        offset,
        totalBytes: 3,
      })
    }
    expect(group.restored).toMatchObject([{ index: 3, state: whole.state }])
  })
})

describe('§8 and thesis §6 client interaction', () => {
  test('§8 a leader begins its term with an entry that does nothing', () => {
    expect(
      led()
        .folded.get('b')!
        .map(({ kind }) => kind),
    ).toEqual(['noop'])
  })

  test('§8 and §6.4 a read is served only after a majority has answered a heartbeat sent after it', () => {
    const group = led()
    group.step('a', { type: 'read', context: 1 })
    group.takeAll()
    expect(group.reads).toEqual([])
    group.settle(['c'])
    expect(group.reads).toEqual([{ id: 'a', context: 1, index: 1 }])
  })

  test('§6.4 the read index is the commit index of when the read came, and it waits for the first commit of the term', () => {
    const bootstraps = {
      a: logOf(cluster, [1, 1], 1),
      b: logOf(cluster, [1, 1], 1),
      c: logOf(cluster, [1], 1),
    }
    const group = new Group(three, { bootstraps })
    group.step('a', { type: 'campaign' })
    for (const _ of ['preVote', 'preVoteReply']) group.deliver()
    group.persist('a')
    group.deliver()
    group.persist('b')
    group.deliver(to('a'))
    group.step('a', { type: 'read', context: 1 })
    expect(group.drop(ofType('heartbeat'))).toEqual([])
    group.settle()
    expect(group.reads).toEqual([{ id: 'a', context: 1, index: 3 }])
  })

  test('§6.2 a leader that reaches no majority for an election timeout steps down', () => {
    const group = led()
    group.tick('a', 10)
    expect(group.status('a')).toMatchObject({ role: 'follower', leader: undefined })
  })

  test('§6.4.1 with a lease a read needs no message; without one it does', () => {
    const group = new Group(three, { config: { leaseClockDriftPercent: 10 } })
    for (const id of three) group.tick(id, 10)
    group.settle()
    group.tick('a', 2)
    group.settle()
    group.step('a', { type: 'read', context: 1, mode: 'lease' })
    expect(group.drop()).toEqual([])
    expect(group.reads).toMatchObject([{ context: 1 }])
    group.tick('a', 9)
    group.drop()
    group.step('a', { type: 'read', context: 2, mode: 'lease' })
    expect(group.drop(ofType('heartbeat'))).toHaveLength(2)
  })
})

describe('thesis §3.10 leadership transfer', () => {
  test('the leader takes no more proposals', () => {
    const group = led()
    group.step('a', { type: 'transfer', to: b })
    expect(group.core('a').propose(draft())).toMatchObject({ reason: 'transferring' })
  })

  test('the target is brought up to date, then told to stand, and stands at once', () => {
    const group = led()
    group.propose('a', 3)
    group.settle(['b'])
    group.step('a', { type: 'transfer', to: b })
    expect(group.drop(ofType('timeoutNow'))).toEqual([])
    group.tick('a', 2)
    group.settle()
    expect(group.roles()).toBe('a:follower@2 b:leader@2 c:follower@2')
  })

  test('after an election timeout the leader goes on', () => {
    const group = led()
    group.step('a', { type: 'transfer', to: b })
    for (let tick = 0; tick < 10; tick += 1) {
      group.tick('a')
      group.settle(['b'])
    }
    expect(group.core('a').propose(draft())).toMatchObject({ ok: true })
  })
})

describe('thesis §9.6 PreVote', () => {
  test('a server that could not win raises no term, not even its own', () => {
    const group = led()
    for (let round = 0; round < 5; round += 1) {
      group.tick('c', 20)
      group.tick('a', 2)
      group.settle(['c'])
    }
    expect(group.roles()).toBe('a:leader@1 b:follower@1 c:pre-candidate@1')
  })

  test('a majority that would vote is what an election needs before it begins', () => {
    const group = new Group(five)
    group.step('a', { type: 'campaign' })
    group.deliver(to('b'))
    group.deliver(to('a'))
    expect(group.status('a')).toMatchObject({ role: 'pre-candidate', term: 0 })
    group.deliver(to('c'))
    group.deliver(to('a'))
    expect(group.status('a')).toMatchObject({ role: 'candidate', term: 1 })
  })
})

describe('thesis §10.2.1 writing to the leader`s disk in parallel', () => {
  test('appends leave before the leader has written the entry', () => {
    const group = led()
    group.propose('a')
    const output = group.take('a')!
    expect(output.messages.filter(ofType('append'))).toHaveLength(2)
    expect(output.persist!.entries).toHaveLength(1)
  })

  test('an entry may be committed before the leader has written it, and not by counting the leader', () => {
    const group = led()
    group.propose('a')
    group.deliver(to('b'))
    group.persist('b')
    group.deliver(to('a'))
    expect(group.status('a').commit).toBe(1)
    group.deliver(to('c'))
    group.persist('c')
    group.deliver(to('a'))
    expect(group.status('a').commit).toBe(2)
    expect(group.folded.get('a')).toHaveLength(1)
  })
})
