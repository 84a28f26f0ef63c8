import { describe, expect, test } from 'vitest'
import { asLogIndex, asNodeId, asTerm, emptyBootstrap, type AppendRequest } from '../../src/raft/index.ts'
import { configurationOf, from, Group, logOf, ofType, to } from './group.ts'

const three = ['a', 'b', 'c']
const cluster = configurationOf(...three)

/** The append of `terms`, from its entry number `after` + 1 on, as the leader `sender` of `term` would send it. */
function appendOf(terms: readonly number[], after: number, sender: string, term: number): AppendRequest {
  const { tail, lowEnd } = logOf(cluster, terms, term)
  const { index, digest, term: previousTerm } = tail[after - 1] ?? lowEnd
  return {
    type: 'append',
    from: asNodeId(sender),
    to: asNodeId('b'),
    term: asTerm(term),
    previous: { index, digest, term: previousTerm },
    entries: tail.slice(after),
    commit: asLogIndex(0),
  }
}

describe('an acknowledgement', () => {
  test('waits for the write, and one stands for all that were due', () => {
    const group = new Group(three)
    group.step('b', { type: 'message', message: appendOf([1], 0, 'a', 1) })
    group.step('b', { type: 'message', message: appendOf([1, 1, 1], 1, 'a', 1) })
    expect(group.drop()).toEqual([])
    group.persist('b')
    expect(group.drop()).toMatchObject([{ type: 'appendReply', accepted: true, index: 3 }])
  })

  test('of what is on disk already waits for nothing', () => {
    const group = new Group(three)
    group.step('b', { type: 'message', message: appendOf([1], 0, 'a', 1) })
    group.takeAll()
    group.persist('b')
    group.drop()
    group.step('b', { type: 'message', message: appendOf([1], 0, 'a', 1) })
    expect(group.drop()).toMatchObject([{ type: 'appendReply', accepted: true, index: 1 }])
  })

  test('is not sent any more when a later term has begun', () => {
    const group = new Group(three)
    group.step('b', { type: 'message', message: appendOf([1, 1], 0, 'a', 1) })
    group.takeAll()
    group.step('b', { type: 'message', message: appendOf([1, 2], 1, 'c', 2) })
    group.takeAll()
    group.persist('b')
    expect(group.drop(from('b'))).toMatchObject([{ to: 'c', term: 2, index: 2 }])
  })
})

describe('a write', () => {
  test('that was never handed out can not be confirmed', () => {
    const group = new Group(three)
    const token = { sequence: 3, term: asTerm(1), last: asLogIndex(1) }
    expect(() => group.step('b', { type: 'persisted', token })).toThrow('raft.token-unknown')
  })

  test('that is confirmed under another name stops the node', () => {
    const group = new Group(three)
    group.step('b', { type: 'message', message: appendOf([1], 0, 'a', 1) })
    const { token } = group.take('b')!.persist!
    expect(() => group.step('b', { type: 'persisted', token: { ...token, last: asLogIndex(7) } })).toThrow(
      'raft.token-mismatch',
    )
  })

  test('holds a tail that was cut and replaced before it was taken as one consistent change', () => {
    const group = new Group(three)
    group.step('b', { type: 'message', message: appendOf([1, 1, 1], 0, 'a', 1) })
    group.takeAll()
    group.persist('b')
    group.step('b', { type: 'message', message: appendOf([1, 1, 1, 1, 1], 3, 'a', 1) })
    group.step('b', { type: 'message', message: appendOf([1, 2, 2], 1, 'c', 2) })
    const persist = group.take('b')!.persist!
    expect(persist.entries.map(({ index, term }) => [index, term])).toEqual([
      [2, 2],
      [3, 2],
    ])
    expect(persist.token).toMatchObject({ term: 2, last: 3 })
    expect(persist.hardState).toMatchObject({ term: 2 })
  })

  test('says nothing for an entry that came back after it was overwritten (the append ABA race)', () => {
    // b gets entry 1 of term 1 from a, then another of term 2 from c, then the first again from a, leader of term 3
    // that never saw the second. Only then does the disk say that the first write is done.
    const group = new Group(three)
    group.step('b', { type: 'message', message: appendOf([1], 0, 'a', 1) })
    group.takeAll()
    group.step('b', { type: 'message', message: appendOf([2], 0, 'c', 2) })
    group.takeAll()
    group.step('b', { type: 'message', message: appendOf([1, 3], 0, 'a', 3) })
    group.takeAll()
    group.drop()
    group.persist('b', 1)
    expect(group.drop()).toEqual([])
    group.persist('b', 1)
    expect(group.drop()).toEqual([])
    // The disk holds entry 1 of term 2 now; that is not what the log says.
    group.step('b', { type: 'message', message: { ...appendOf([1, 3], 2, 'a', 3), commit: asLogIndex(2) } })
    group.takeAll()
    expect(group.folded.get('b')).toEqual([])
    group.persist('b', 1)
    expect(group.drop(ofType('appendReply'))).toMatchObject([{ to: 'a', index: 2, accepted: true }])
    expect(group.folded.get('b')!.map(({ term }) => term)).toEqual([1, 3])
  })

  test('is not made for the commit index alone, but carries it', () => {
    const group = new Group(three)
    group.elect('a')
    group.propose('a')
    group.settle()
    expect(group.status('b').commit).toBe(2)
    expect(group.core('b').hasOutput()).toBe(false)
    group.propose('a')
    group.deliver(to('b'))
    group.takeAll()
    expect(group.writes.get('b')!.at(-1)!.hardState).toMatchObject({ commit: 2 })
  })

  test('carries it only where it has risen by as many entries as it may lag', () => {
    const group = new Group(three, { config: { commitEntries: 3 } })
    group.elect('a')
    group.settle()
    const written: (number | undefined)[] = []
    for (let each = 0; each < 6; each += 1) {
      group.propose('a')
      group.deliver(to('b'))
      group.takeAll()
      written.push(group.writes.get('b')!.at(-1)!.hardState?.commit)
      group.settle()
    }
    expect(group.status('b').commit).toBe(7)
    // With the entries 2 to 7, each of which tells that the one before is committed; the vote before them knew of none.
    expect(written).toEqual([undefined, undefined, 3, undefined, undefined, 6])
  })

  test('carries it with any new term or vote, however little it has risen', () => {
    const group = new Group(three, { config: { commitEntries: 100 } })
    group.elect('a')
    group.propose('a')
    group.settle()
    group.step('b', { type: 'message', message: { ...appendOf([1], 0, 'c', 9), entries: [] } })
    expect(group.take('b')!.persist!.hardState).toMatchObject({ term: 9, commit: group.status('b').commit })
    expect(group.status('b').commit).toBeGreaterThan(0)
  })

  test('never calls entries committed that it only now brings to disk', () => {
    const group = new Group(three)
    group.step('b', { type: 'message', message: { ...appendOf([1, 1], 0, 'a', 1), commit: asLogIndex(2) } })
    expect(group.status('b').commit).toBe(2)
    expect(group.take('b')!.persist!.hardState).toMatchObject({ commit: 0 })
  })
})

describe('a start', () => {
  test('refuses storage that contradicts itself', () => {
    const empty = emptyBootstrap(cluster)
    const good = logOf(cluster, [1, 1, 2], 2, 2)
    const start = (bootstrap: typeof good) => () => new Group(three).start('a', bootstrap)
    expect(start({ ...good, hardState: { ...good.hardState, commit: asLogIndex(4) } })).toThrow(
      'raft.bootstrap-commit',
    )
    expect(start({ ...good, hardState: { ...good.hardState, term: asTerm(1) } })).toThrow(
      'raft.bootstrap-hard-term',
    )
    expect(start({ ...good, tail: good.tail.slice(1) })).toThrow('raft.bootstrap-reach')
    expect(start({ ...good, tail: good.tail.slice(0, 2) })).toThrow('raft.bootstrap-gap')
    expect(start({ ...good, termRuns: empty.termRuns })).toThrow('raft.bootstrap-term')
    expect(start({ ...good, last: { ...good.last, digest: empty.last.digest } })).toThrow(
      'raft.bootstrap-digest',
    )
  })

  test('goes on where storage ended: folds the rest, keeps its vote, catches up', () => {
    const group = new Group(three)
    group.elect('a')
    group.propose('a', 4)
    group.settle(['c'])
    const { last } = group.status('b')
    const tail = group.core('b').entriesInMemory(asLogIndex(3), last.index, Infinity)!
    const hardState = { term: asTerm(1), votedFor: asNodeId('a'), commit: asLogIndex(4) }
    const termRuns = [{ firstIndex: asLogIndex(1), term: asTerm(1) }]
    const applied = asLogIndex(2)
    group.start('b', { ...emptyBootstrap(cluster), hardState, last, termRuns, applied, tail })
    group.takeAll()
    expect(group.folded.get('b')!.map(({ index }) => index)).toEqual([3, 4])
    group.tick('a', 2)
    group.settle()
    expect(group.folded.get('b')!.map(({ index }) => index)).toEqual([3, 4, 5])
  })
})
