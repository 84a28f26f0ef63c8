import { describe, expect, test } from 'vitest'
import {
  asDigest,
  asLogIndex,
  asNodeId,
  asTerm,
  type AppendRequest,
  type Message,
} from '../../src/raft/index.ts'
import { configurationOf, draft, Group, logOf, ofType, to } from './group.ts'

const three = ['a', 'b', 'c']
const appends = (messages: readonly Message[]): AppendRequest[] =>
  messages.filter((message): message is AppendRequest => message.type === 'append')

function ledBy(id: string, options: ConstructorParameters<typeof Group>[1] = {}): Group {
  const group = new Group(three, options)
  group.elect(id)
  return group
}

describe('a proposal', () => {
  test('is refused where nobody leads, while leadership is handed over, and beyond the limit', () => {
    const group = new Group(three, { config: { maxUncommittedBytes: 100 } })
    expect(group.core('a').propose(draft())).toEqual({ ok: false, reason: 'not-leader' })
    group.elect('a')
    expect(group.core('a').propose(draft(500))).toMatchObject({ ok: true })
    expect(group.core('a').propose(draft(1))).toEqual({ ok: false, reason: 'too-many-uncommitted-bytes' })
    group.settle()
    expect(group.core('a').propose(draft(1))).toMatchObject({ ok: true })
    group.tick('c', 1)
    group.step('a', { type: 'transfer', to: group.configuration.voters[1] })
    expect(group.core('a').propose(draft())).toEqual({ ok: false, reason: 'transferring' })
  })

  test('is committed when a majority has it on disk, and not before', () => {
    const group = ledBy('a')
    group.propose('a')
    group.deliver()
    expect(group.status('a').commit).toBe(1)
    group.persist('b')
    group.deliver()
    // b has it on disk, the leader hasn't yet.
    expect(group.status('a').commit).toBe(1)
    group.persist('a')
    expect(group.status('a').commit).toBe(2)
  })

  test('is committed by the followers alone while the leader`s disk is slow, and folded when that is done', () => {
    const group = ledBy('a')
    group.propose('a')
    group.deliver()
    for (const id of ['b', 'c']) group.persist(id)
    group.deliver()
    expect(group.status('a')).toMatchObject({ commit: 2, applied: 1 })
    group.persist('a')
    group.takeAll()
    expect(group.status('a').applied).toBe(2)
  })

  test('shares a message and a write with the others of its turn', () => {
    const group = ledBy('a')
    group.propose('a', 50)
    const output = group.take('a')!
    expect(appends(output.messages).map(({ entries }) => entries.length)).toEqual([50, 50])
    expect(output.persist!.entries).toHaveLength(50)
    expect(group.take('a')).toBeUndefined()
  })

  test('is known to be committed by followers without another proposal', () => {
    const group = ledBy('a')
    group.propose('a')
    group.settle()
    expect(three.map((id) => group.status(id).commit)).toEqual([2, 2, 2])
  })

  test('brings the commit index of those before it along, so that followers under load get no message for it alone', () => {
    const group = ledBy('a')
    const sentToB = (): string[] =>
      appends(group.take('a')?.messages ?? [])
        .filter((message) => message.to === 'b')
        .map(({ entries, commit }) => `${entries.length} entries, committed ${commit}`)
    group.propose('a')
    expect(sentToB()).toEqual(['1 entries, committed 1'])
    group.persist('a')
    group.propose('a')
    expect(sentToB()).toEqual(['1 entries, committed 1'])
    const acknowledge = (index: number, from = 'b'): void => {
      const [id, term] = [asNodeId(from), group.status('a').term]
      const reply = { type: 'appendReply', from: id, to: asNodeId('a'), term, accepted: true } as const
      group.step('a', {
        type: 'message',
        message: { ...reply, index: asLogIndex(index), hintIndex: asLogIndex(0), hintTerm: asTerm(0) },
      })
    }
    acknowledge(2)
    expect(group.status('a').commit).toBe(2)
    expect(sentToB()).toEqual([])
    // The next one tells it, and where there is none, the answer to the last one makes the leader tell.
    group.propose('a')
    expect(sentToB()).toEqual(['1 entries, committed 2'])
    acknowledge(4)
    acknowledge(4, 'c')
    expect(group.status('a').commit).toBe(4)
    expect(sentToB()).toEqual(['0 entries, committed 4'])
  })
})

describe('logs that parted', () => {
  // Figure 7: the leader of term 8, and what its followers may look like.
  const leaderTerms = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
  const followers: [string, number[]][] = [
    ['a: entries are missing', [1, 1, 1, 4, 4, 5, 5, 6, 6]],
    ['b: many are missing', [1, 1, 1, 4]],
    ['c: one too many', [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]],
    ['d: of a later term, too many', [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]],
    ['e: some missing, some too many', [1, 1, 1, 4, 4, 4, 4]],
    ['f: other terms altogether', [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]],
  ]

  test.for(followers)('figure 7 %s', ([, terms]) => {
    const cluster = configurationOf(...three)
    const group = new Group(three, {
      bootstraps: {
        a: logOf(cluster, leaderTerms, 7),
        b: logOf(cluster, terms, 7),
        c: logOf(cluster, leaderTerms, 7),
      },
    })
    group.elect('a', ['b'])
    expect(group.status('a')).toMatchObject({ role: 'leader', term: 8 })
    group.tick('a', 2)
    group.settle()
    expect(group.terms('b')).toEqual([...leaderTerms, 8])
    expect(group.status('b').last.digest).toBe(group.status('a').last.digest)
  })

  test('are joined in one round a term, not one an entry', () => {
    const cluster = configurationOf(...three)
    const leader = [...Array.from({ length: 50 }, () => 1), ...Array.from({ length: 50 }, () => 4)]
    const other = [...Array.from({ length: 50 }, () => 1), ...Array.from({ length: 40 }, () => 2), 3, 3, 3]
    const group = new Group(three, {
      bootstraps: { a: logOf(cluster, leader, 4), b: logOf(cluster, other, 4), c: logOf(cluster, leader, 4) },
    })
    group.elect('a', ['b'])
    let rounds = 0
    group.tick('a', 2)
    while (group.status('b').last.index !== 101 && rounds < 10) {
      rounds += appends(group.deliver(to('b'))).length
      group.persist('b')
      group.deliver(to('a'))
    }
    expect(group.terms('b')).toEqual([...leader, 5])
    expect(rounds).toBeLessThanOrEqual(3)
  })

  describe('figure 8', () => {
    // (c): S1 leads again, in term 4, and its entry 2 of term 2 gets to a majority: S1, S2, S3. S5 could still win.
    function partC(prepare: (group: Group) => void): Group {
      const cluster = configurationOf('1', '2', '3', '4', '5')
      const group = new Group(['1', '2', '3', '4', '5'], {
        bootstraps: {
          1: logOf(cluster, [1, 2], 3, 1),
          2: logOf(cluster, [1, 2], 3, 1),
          3: logOf(cluster, [1], 3, 1),
          4: logOf(cluster, [1], 3, 1),
          5: logOf(cluster, [1, 3], 3, 1),
        },
      })
      prepare(group)
      group.step('1', { type: 'campaign' })
      for (const type of ['preVote', 'preVoteReply', 'vote', 'voteReply'] as const) {
        for (const id of group.ids) group.persist(id)
        group.deliver((message) => message.type === type && message.to !== '5')
      }
      expect(group.status('1')).toMatchObject({ role: 'leader', term: 4 })
      // S3 lacks entry 2: its refusal brings it. Only that arrives, not the leader's own first entry.
      const [second, third] = ['2', '3'].map((id) => appends(group.drop(to(id)))[0]!)
      group.step('2', { type: 'message', message: { ...second!, entries: [] } })
      group.step('3', { type: 'message', message: third! })
      group.deliver(to('1'))
      const full = appends(group.drop(to('3')))[0]!
      group.step('3', { type: 'message', message: { ...full, entries: full.entries.slice(0, 1) } })
      for (const id of ['2', '3']) group.persist(id)
      group.deliver(to('1'))
      expect(group.status('1').followers.map(({ id, match }) => `${id}:${match}`)).toEqual([
        '2:2',
        '3:2',
        '4:0',
        '5:0',
      ])
      return group
    }

    test('a core that counts would commit the entry of an earlier term here', () => {
      const group = partC((broken) => (broken.core('1')['replication'].mayCommit = () => true))
      expect(group.status('1').commit).toBe(2)
    })

    test('it is not committed by counting, only with an entry of the leader`s own term', () => {
      const group = partC(() => {})
      expect(group.status('1').commit).toBe(1)
      group.tick('1', 2)
      group.settle(['5'])
      expect(group.status('1').commit).toBe(3)
      expect(group.terms('3')).toEqual([1, 2, 4])
    })
  })

  test('an old message takes nothing away', () => {
    const group = ledBy('a')
    group.propose('a')
    const old = appends(group.drop()).find((message) => message.to === 'b')!
    group.step('b', { type: 'message', message: old })
    group.propose('a', 3)
    group.settle()
    group.step('b', { type: 'message', message: old })
    expect(group.status('b').last.index).toBe(5)
    group.propose('a')
    group.settle()
    expect(group.terms('b')).toEqual(group.terms('a'))
  })

  test('the same index and term with another digest stops the node', () => {
    const group = ledBy('a')
    group.propose('a')
    const append = appends(group.drop()).find((message) => message.to === 'b')!
    const previous = { ...append.previous, digest: asDigest(99n) }
    expect(() => group.step('b', { type: 'message', message: { ...append, previous } })).toThrow(
      'raft.log-matching',
    )
    const entries = append.entries.map((entry) => ({ ...entry, payloadCrc32: 8 }))
    expect(() =>
      group.step('c', {
        type: 'message',
        message: { ...append, to: group.configuration.voters[2]!, entries },
      }),
    ).toThrow('raft.entry-digest')
  })

  test('committed entries are never taken back', () => {
    const group = ledBy('a')
    group.propose('a', 2)
    group.settle()
    const { lowEnd } = group.status('b')
    expect(() => group.core('b')['follower'].truncateAfter(lowEnd)).toThrow('raft.truncate-committed')
    const [entry] = logOf(group.configuration, [9], 9).tail
    const message = {
      type: 'append' as const,
      from: group.configuration.voters[2]!,
      to: group.configuration.voters[1]!,
      term: entry!.term,
      previous: { index: asLogIndex(3), term: entry!.term, digest: asDigest(0n) },
      entries: [],
      commit: asLogIndex(3),
    }
    group.step('b', { type: 'message', message })
    expect(group.status('b').last.index).toBe(3)
    expect(group.drop(to('c'))).toMatchObject([{ type: 'appendReply', accepted: false, hintIndex: 3 }])
  })
})

describe('the way to a follower', () => {
  test('holds so many messages, and so many bytes', () => {
    const group = ledBy('a', { config: { maxAppendBytes: 1, maxInflightMessages: 4, maxInflightBytes: 100 } })
    group.propose('a', 10)
    expect(appends(group.drop(to('b')))).toHaveLength(4)
    const bytes = ledBy('a', {
      config: { maxAppendBytes: 1, maxInflightMessages: 64, maxInflightBytes: 100 },
    })
    bytes.propose('a', 10, 40)
    expect(appends(bytes.drop(to('b')))).toHaveLength(3)
  })

  test('is free again when messages got lost, even all of them', () => {
    const group = ledBy('a', { config: { maxAppendBytes: 1, maxInflightMessages: 2 } })
    group.propose('a', 20)
    group.drop(to('b'))
    group.settle(['b'])
    expect(group.status('a').commit).toBe(21)
    expect(group.status('b').last.index).toBe(1)
    group.tick('a', 2)
    group.settle()
    expect(group.status('b')).toMatchObject({ commit: 21, last: { index: 21 } })
  })

  test('is not asked again at once when the transport says that nobody is there', () => {
    const group = ledBy('a')
    group.step('a', { type: 'unreachable', to: group.configuration.voters[1]! })
    group.propose('a')
    expect(group.drop(to('b'))).toEqual([])
    group.tick('a', 2)
    group.settle()
    expect(group.status('b').commit).toBe(2)
  })

  test('gets no entry twice while it is slow, though heartbeats overtake what is under way', () => {
    const group = ledBy('a')
    group.step('a', { type: 'unreachable', to: group.configuration.voters[1]! })
    group.propose('a', 20)
    const isBeat = ofType('heartbeat', 'heartbeatReply')
    for (let beat = 0; beat < 5; beat++) {
      group.tick('a', 2)
      group.deliver((message) => message.to === 'b' && isBeat(message))
      group.deliver((message) => message.from === 'b' && isBeat(message))
    }
    const underWay = appends(group.wire.filter(to('b')))
    expect(underWay.length).toBeGreaterThan(1)
    expect(underWay.flatMap(({ entries }) => entries).length).toBeLessThanOrEqual(20)
    group.settle()
    expect(group.status('b')).toMatchObject({ commit: 21, last: { index: 21 } })
  })

  test('gets none twice either where they have to be read from the disk for it', () => {
    const group = ledBy('a', { config: { windowBytes: 300 } })
    group.propose('a', 5)
    group.settle()
    group.propose('a', 20)
    group.settle(['b'])
    group.step('a', { type: 'unreachable', to: group.configuration.voters[1]! })
    const isBeat = ofType('heartbeat', 'heartbeatReply')
    const log = group.folded.get('a')!
    for (let beat = 0; beat < 5; beat++) {
      group.tick('a', 2)
      group.deliver((message) => message.to === 'b' && isBeat(message))
      group.deliver((message) => message.from === 'b' && isBeat(message))
      for (const { to: reader, from: first } of group.fetches.splice(0)) {
        const entries = log.filter(({ index }) => index >= first)
        group.step('a', { type: 'fetched', to: reader, from: asLogIndex(first), entries })
      }
    }
    const sent = appends(group.wire.filter(to('b'))).flatMap(({ entries }) => entries)
    expect(sent.length).toBeGreaterThan(0)
    expect(new Set(sent.map(({ index }) => index)).size).toBe(sent.length)
  })

  test('begins where a new leader thinks that the logs part, also after the transport reached nobody', () => {
    const group = ledBy('a')
    group.propose('a', 5)
    group.settle()
    group.step('b', { type: 'forgetLeader' })
    group.step('c', { type: 'forgetLeader' })
    group.step('b', { type: 'campaign' })
    group.settle(['a'])
    expect(group.status('b').role).toBe('leader')
    group.drop(to('a'))
    const progress = (): { match: number; next: number } | undefined =>
      group.status('b').followers.find(({ id }) => id === 'a')
    const before = progress()
    expect(before).toMatchObject({ match: 0, next: 7 })
    // Not from the first entry on, which nobody needs and which the disk may not be able to read.
    group.step('b', { type: 'unreachable', to: group.configuration.voters[0]! })
    expect(progress()).toEqual(before)
    group.tick('b', 2)
    group.settle()
    expect(group.status('a')).toMatchObject({ commit: 7, last: { index: 7 } })
  })

  test('a heartbeat never names a commit index beyond what its receiver has', () => {
    const group = ledBy('a')
    group.propose('a', 5)
    group.settle(['b'])
    group.tick('a', 2)
    const commits = group
      .drop(ofType('heartbeat'))
      .map((message) => [message.to, (message as { commit?: number }).commit])
    expect(commits).toEqual([
      ['b', 1],
      ['c', 6],
    ])
  })
})
