import { describe, expect, test } from 'vitest'
import {
  asLogIndex,
  asNodeId,
  emptyBootstrap,
  type InstallSnapshot,
  type Message,
  type Snapshot,
} from '../../src/raft/index.ts'
import { Group, ofType, to } from './group.ts'

const three = ['a', 'b', 'c']
const b = asNodeId('b')
const STATE = Uint8Array.from({ length: 25 }, (_, at) => at)
const config = { maxSnapshotChunkBytes: 10, maxSnapshotBytesPerTick: 1000 }

/** a leads and has compacted its log; b was away and needs the snapshot, which is loaded. */
function sending(more: ConstructorParameters<typeof Group>[1] = {}, state = STATE): Group {
  const group = new Group(three, { config: { ...config, ...more.config } })
  group.elect('a', ['b'])
  group.propose('a', 9)
  group.settle(['b'])
  const snapshot = snapshotAt(group, 8, state)
  const { state: _state, ...lowEnd } = snapshot
  group.step('a', { type: 'compacted', lowEnd })
  group.tick('a', 2)
  group.settle()
  expect(group.snapshotsWanted).toEqual(['b'])
  group.step('a', { type: 'snapshotLoaded', to: b, snapshot })
  group.takeAll()
  return group
}

function snapshotAt(group: Group, index: number, state: Uint8Array): Snapshot {
  const { term, digest } = group.core('a').entriesInMemory(asLogIndex(index), asLogIndex(index), 1)![0]!
  return { index: asLogIndex(index), term, digest, configuration: group.configuration, state }
}

const chunks = (messages: readonly Message[]): [number, number][] =>
  messages
    .filter((message): message is InstallSnapshot => message.type === 'snapshot')
    .map(({ offset = 0, snapshot }) => [offset, snapshot.state.length])

describe('a snapshot in chunks', () => {
  test('goes out one chunk at a time, and is installed when the last one is here', () => {
    const group = sending()
    expect(chunks(group.deliver(to('b')))).toEqual([[0, 10]])
    expect(group.deliver(to('a'))).toMatchObject([{ type: 'snapshotReply', index: 8, received: 10 }])
    expect(chunks(group.deliver(to('b')))).toEqual([[10, 10]])
    group.deliver(to('a'))
    expect(group.restored).toEqual([])
    expect(chunks(group.deliver(to('b')))).toEqual([[20, 5]])
    group.takeAll()
    expect(group.restored).toMatchObject([{ index: 8, state: STATE }])
    group.settle()
    expect(group.status('b')).toMatchObject({ commit: 10, lowEnd: { index: 8 } })
  })

  test('takes no more of a tick than its share, however fast the answers come', () => {
    const group = sending({ config: { maxSnapshotBytesPerTick: 15 } })
    // The second chunk begins within the share, the third one doesn't.
    group.settle()
    expect(group.restored).toEqual([])
    group.tick('a')
    group.settle()
    expect(group.restored).toMatchObject([{ state: STATE }])
  })

  test('goes on where it stopped after a chunk got lost', () => {
    const group = sending()
    group.deliver(to('b'))
    group.deliver(to('a'))
    expect(chunks(group.drop(ofType('snapshot')))).toEqual([[10, 10]])
    const again: [number, number][] = []
    for (let tick = 0; tick < 10; tick += 1) {
      group.tick('a')
      again.push(...chunks(group.deliver(to('b'))))
      group.deliver(to('a'))
    }
    expect(again[0]).toEqual([10, 10])
    group.settle()
    expect(group.restored).toMatchObject([{ state: STATE }])
    expect(group.snapshotsWanted).toEqual(['b'])
  })

  test('goes on where it stopped when the transport says that one got lost, once the follower is heard from', () => {
    const group = sending()
    group.deliver(to('b'))
    group.deliver(to('a'))
    group.drop(ofType('snapshot'))
    group.step('a', { type: 'unreachable', to: b })
    group.tick('a', 1)
    expect(chunks(group.drop(ofType('snapshot')))).toEqual([])
    group.tick('a', 1)
    group.deliver(ofType('heartbeat'))
    group.deliver(ofType('heartbeatReply'))
    expect(chunks(group.deliver(to('b')))).toEqual([[10, 10]])
    group.settle()
    expect(group.restored).toMatchObject([{ state: STATE }])
  })

  test('starts anew with a follower that was started anew', () => {
    const group = sending()
    group.deliver(to('b'))
    group.deliver(to('a'))
    group.start('b', emptyBootstrap(group.configuration))
    expect(chunks(group.deliver(to('b')))).toEqual([[10, 10]])
    expect(group.deliver(to('a'))).toMatchObject([{ type: 'snapshotReply', received: 0 }])
    expect(chunks(group.deliver(to('b')))).toEqual([[0, 10]])
    group.settle()
    expect(group.restored).toMatchObject([{ state: STATE }])
  })

  test('is not confused by chunks that come twice or out of turn', () => {
    const group = sending()
    const [first] = group.deliver(to('b'))
    group.step('b', { type: 'message', message: first! })
    group.deliver(to('a'))
    const [second] = group.deliver(to('b'))
    for (const message of [second!, first!]) group.step('b', { type: 'message', message })
    group.settle()
    expect(group.restored).toMatchObject([{ state: STATE }])
  })

  test('drops what came of an older snapshot when a newer one begins', () => {
    const group = sending()
    group.deliver(to('b'))
    group.drop()
    const newer = snapshotAt(
      group,
      9,
      Uint8Array.from({ length: 15 }, () => 7),
    )
    const message = { type: 'snapshot' as const, from: asNodeId('a'), to: b, term: group.status('a').term }
    const part = (start: number, end: number): Message => ({
      ...message,
      snapshot: { ...newer, state: newer.state.subarray(start, end) },
      offset: start,
      totalBytes: 15,
    })
    group.step('b', { type: 'message', message: part(10, 15) })
    expect(group.drop(to('a'))).toMatchObject([{ type: 'snapshotReply', index: 9, received: 0 }])
    group.step('b', { type: 'message', message: part(0, 10) })
    group.step('b', { type: 'message', message: part(10, 15) })
    group.takeAll()
    expect(group.restored).toMatchObject([{ index: 9, state: newer.state }])
  })

  test('that does not go on is forgotten by the follower, and tried again by the leader', () => {
    const group = sending()
    const [first] = group.deliver(to('b'))
    group.drop()
    group.tick('b', 80)
    group.drop()
    const late = { ...(first as InstallSnapshot), offset: 10 }
    group.step('b', { type: 'message', message: late })
    expect(group.drop(to('a')).filter(ofType('snapshotReply'))).toMatchObject([{ received: 0 }])
    for (let tick = 0; tick < 80; tick += 1) {
      group.tick('a')
      group.drop(ofType('snapshot'))
      group.settle()
    }
    expect(group.snapshotsWanted.length).toBeGreaterThan(1)
  })

  test('larger than a follower takes is refused and counted', () => {
    const group = sending({ config: { maxSnapshotBytes: 24 } })
    group.deliver(to('b'))
    expect(group.drop(ofType('snapshotReply'))).toEqual([])
    expect(group.status('b').refusedMessages).toBe(1)
  })

  test('without a state is one chunk', () => {
    const group = sending({}, new Uint8Array(0))
    expect(chunks(group.deliver(to('b')))).toEqual([[0, 0]])
    group.settle()
    expect(group.restored).toHaveLength(1)
  })
})
