import { describe, expect, test } from 'vitest'
import { asLogIndex, type Snapshot } from '../../src/raft/index.ts'
import { configurationOf, Group, logOf, ofType, to } from './group.ts'

const three = ['a', 'b', 'c']
const cluster = configurationOf(...three)

/** What storage would give as the state at `index` of this node's log. */
function snapshotAt(group: Group, id: string, index: number): Snapshot {
  const { term, digest } = group.core(id).entriesInMemory(asLogIndex(index), asLogIndex(index), 1)![0]!
  return { index: asLogIndex(index), term, digest, configuration: cluster, state: new Uint8Array([9]) }
}

function compact(group: Group, id: string, index: number): Snapshot {
  const snapshot = snapshotAt(group, id, index)
  const { state: _state, ...lowEnd } = snapshot
  group.step(id, { type: 'compacted', lowEnd })
  return snapshot
}

/** a leads and has 20 entries; b was away. */
function behind(config: ConstructorParameters<typeof Group>[1] = {}): Group {
  const group = new Group(three, config)
  group.elect('a', ['b'])
  group.propose('a', 19)
  group.settle(['b'])
  return group
}

function comeBack(group: Group): void {
  group.tick('a', 2)
  group.settle()
}

describe('a window that is made smaller while the group runs', () => {
  test('keeps what is not yet durable and applied, and gives the rest back at once', () => {
    const group = new Group(three)
    group.elect('a')
    group.propose('a', 19)
    group.settle()
    const core = group.core('a')
    expect(core.entriesInMemory(asLogIndex(1), asLogIndex(20), Infinity)).toHaveLength(20)
    group.step('a', { type: 'window', bytes: 1 })
    expect(core.entriesInMemory(asLogIndex(20), asLogIndex(20), Infinity)).toBeUndefined()
    group.propose('a', 3)
    expect(core.entriesInMemory(asLogIndex(21), asLogIndex(23), Infinity)).toHaveLength(3)
    group.settle()
    expect(core.entriesInMemory(asLogIndex(21), asLogIndex(23), Infinity)).toBeUndefined()
  })
})

describe('a window in which only what somebody needs shall stay', () => {
  /** Index 1 is the leader's first entry; `id` was told to let go of what each follower holds. */
  function told(id: string, bytes: number, cutOff: readonly string[] = []) {
    const group = new Group(three)
    group.elect('a')
    group.settle()
    group.step(id, { type: 'window', bytes, heldBytes: 1 })
    group.propose('a', 5)
    const held = (from: number, to: number) =>
      group.core(id).entriesInMemory(asLogIndex(from), asLogIndex(to), Infinity)
    const settle = (): void => group.settle(cutOff)
    return { group, held, settle }
  }

  test('keeps what a follower lacks, and gives it back once each holds it', () => {
    const { group, held, settle } = told('a', 1_000_000, ['c'])
    settle()
    expect(group.status('a').applied).toBe(6)
    expect(held(2, 6)).toHaveLength(5)
    comeBack(group)
    group.propose('a', 1)
    group.settle()
    expect(group.status('a').followers.map(({ match }) => match)).toEqual([7, 7])
    expect(held(6, 6)).toBeUndefined()
  })

  test('but never more than its whole size for a follower that is away', () => {
    const { group, held, settle } = told('a', 1, ['c'])
    settle()
    expect(group.status('a').applied).toBe(6)
    expect(held(6, 6)).toBeUndefined()
  })

  test('of a follower holds what is not yet durable, and nothing more once that is applied', () => {
    const { group, held, settle } = told('b', 1_000_000)
    group.deliver(to('b'))
    expect(group.status('b')).toMatchObject({ applied: 1, last: { index: 6 } })
    expect(held(2, 6)).toHaveLength(5)
    settle()
    group.propose('a', 1)
    settle()
    expect(group.status('b').applied).toBeGreaterThanOrEqual(6)
    expect(held(6, 6)).toBeUndefined()
  })
})

describe('entries that memory no longer holds', () => {
  const options = { config: { windowBytes: 1, maxAppendBytes: 100 } }

  test('are asked from storage, once, and sent on when they come', () => {
    const group = behind(options)
    const all = logOf(
      cluster,
      Array.from({ length: 20 }, () => 1),
      1,
    )
    expect(all.tail).toHaveLength(20)
    comeBack(group)
    expect(group.fetches).toEqual([{ id: 'a', to: 'b', from: 1, maxBytes: 100 }])
    comeBack(group)
    expect(group.fetches).toHaveLength(1)
  })

  test('that storage has dropped meanwhile make a snapshot necessary', () => {
    const group = behind(options)
    comeBack(group)
    group.step('a', { type: 'fetched', to: group.fetches[0]!.to, from: asLogIndex(1), entries: [] })
    group.takeAll()
    expect(group.snapshotsWanted).toEqual(['b'])
  })

  test('bring a follower up to the leader, piece by piece', () => {
    const group = behind()
    const stored = group.core('a').entriesInMemory(asLogIndex(1), asLogIndex(20), Infinity)!
    const { last, configuration } = group.status('a')
    const bootstrap = logOf(cluster, [], 1)
    group.start('a', {
      ...bootstrap,
      last,
      configuration,
      applied: asLogIndex(20),
      tail: [],
      termRuns: [{ firstIndex: asLogIndex(1), term: stored[0]!.term }],
    })
    group.tick('c', 11)
    group.elect('a', ['b'])
    expect(group.status('a')).toMatchObject({ role: 'leader', term: 2 })
    comeBack(group)
    for (let answered = 0; answered < group.fetches.length; answered += 1) {
      const { to: follower, from } = group.fetches[answered]!
      const entries = stored.slice(from - 1, from + 3)
      group.step('a', { type: 'fetched', to: follower, from: asLogIndex(from), entries })
      group.settle()
    }
    expect(group.status('b').last).toEqual(group.status('a').last)
    expect(group.fetches.map(({ from }) => from)).toEqual([1, 5, 9, 13, 17])
  })
})

describe('a follower behind the low end', () => {
  test('gets a snapshot, asked for once, and then entries', () => {
    const group = behind()
    const snapshot = compact(group, 'a', 15)
    comeBack(group)
    comeBack(group)
    expect(group.snapshotsWanted).toEqual(['b'])
    expect(group.status('a').followers[0]).toMatchObject({ id: 'b', state: 'snapshot' })
    group.step('a', { type: 'snapshotLoaded', to: group.snapshotsWanted[0]!, snapshot })
    group.deliver(to('b'))
    // It doesn't answer before the snapshot is on its disk.
    expect(group.drop(to('a')).filter(ofType('appendReply'))).toEqual([])
    expect(group.writes.get('b')!.at(-1)!.snapshot).toBe(snapshot)
    expect(group.restored).toEqual([snapshot])
    comeBack(group)
    expect(group.status('b')).toMatchObject({ commit: 20, lowEnd: { index: 15 } })
    expect(group.folded.get('b')!.map(({ index }) => index)).toEqual([16, 17, 18, 19, 20])
    expect(group.status('a').followers[0]).toMatchObject({ state: 'replicate', match: 20 })
  })

  test('is tried again when the snapshot got lost, at once if the transport says so, else after a while', () => {
    const group = behind()
    compact(group, 'a', 15)
    comeBack(group)
    group.step('a', { type: 'unreachable', to: group.snapshotsWanted[0]! })
    comeBack(group)
    expect(group.snapshotsWanted).toEqual(['b', 'b'])
    for (let tick = 0; tick < 80; tick += 1) {
      group.tick('a')
      group.settle()
    }
    expect(group.snapshotsWanted).toEqual(['b', 'b', 'b'])
  })

  test('needs another snapshot when the low end has moved on before the first one arrived', () => {
    const group = behind()
    const first = compact(group, 'a', 10)
    comeBack(group)
    group.step('a', { type: 'snapshotLoaded', to: group.snapshotsWanted[0]!, snapshot: first })
    const second = compact(group, 'a', 15)
    comeBack(group)
    expect(group.snapshotsWanted).toEqual(['b', 'b'])
    group.step('a', { type: 'snapshotLoaded', to: group.snapshotsWanted[1]!, snapshot: second })
    comeBack(group)
    expect(group.status('b').commit).toBe(20)
  })

  test('a snapshot at or below what it has committed changes nothing', () => {
    const group = behind()
    comeBack(group)
    const snapshot = snapshotAt(group, 'a', 10)
    const { voters } = cluster
    const term = group.status('a').term
    group.step('b', {
      type: 'message',
      message: { type: 'snapshot', from: voters[0]!, to: voters[1]!, term, snapshot },
    })
    group.persist('b')
    expect(group.restored).toEqual([])
    expect(group.drop(to('a'))).toMatchObject([{ type: 'appendReply', accepted: true, index: 20 }])
  })

  test('a snapshot of what its log holds already moves the commit index only, and keeps what follows', () => {
    const group = new Group(three)
    const terms = [1, 1, 1, 1]
    const bootstrap = logOf(cluster, terms, 1)
    group.start('b', bootstrap)
    const { index, term, digest } = bootstrap.tail[2]!
    const snapshot = { index, term, digest, configuration: cluster, state: new Uint8Array() }
    const [from, id] = [cluster.voters[0]!, cluster.voters[1]!]
    group.step('b', { type: 'message', message: { type: 'snapshot', from, to: id, term, snapshot } })
    group.takeAll()
    expect(group.restored).toEqual([])
    expect(group.status('b')).toMatchObject({ commit: 3, last: { index: 4 }, lowEnd: { index: 0 } })
  })

  test('a snapshot in place of a log that parted drops all of it', () => {
    const group = new Group(three)
    group.start('b', logOf(cluster, [1, 1, 2, 2, 2, 2], 2))
    const other = logOf(cluster, [1, 1, 3, 3], 3)
    const snapshot = { ...other.last, configuration: cluster, state: new Uint8Array([5]) }
    const [from, id] = [cluster.voters[0]!, cluster.voters[1]!]
    const { term } = other.last
    group.step('b', { type: 'message', message: { type: 'snapshot', from, to: id, term, snapshot } })
    const output = group.take('b')!
    expect(output.restore).toBe(snapshot)
    expect(output.persist).toMatchObject({ snapshot, entries: [], token: { last: 4 } })
    expect(group.status('b')).toMatchObject({
      commit: 4,
      applied: 4,
      last: { index: 4 },
      lowEnd: { index: 4 },
    })
  })

  test('the low end never passes what is folded', () => {
    const group = new Group(three)
    group.start('b', logOf(cluster, [1, 1], 1))
    const { index, term, digest } = logOf(cluster, [1, 1], 1).last
    const lowEnd = { index, term, digest, configuration: cluster }
    expect(() => group.step('b', { type: 'compacted', lowEnd })).toThrow('raft.compacted-unapplied')
  })
})
