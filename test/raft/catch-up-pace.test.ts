import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CatchUpPace } from '../../src/raft/catch-up-pace.ts'
import { asLogIndex, type AppendRequest, type Message } from '../../src/raft/index.ts'
import { Group, ofType, to } from './group.ts'

const config = { windowBytes: 300, maxAppendBytes: 200, catchUpBytes: 400, maxInflightBytes: 1600 }
const entryBytes = 100

/** Leads with a hundred entries of 100 bytes, of which `b` has two and its memory holds the last three. */
function behind(): Group {
  const group = new Group(['a', 'b', 'c'], { config })
  group.elect('a')
  group.propose('a', 1, entryBytes)
  group.settle()
  for (let proposed = 0; proposed < 100; proposed++) {
    group.propose('a', 1, entryBytes)
    group.settle(['b'])
  }
  group.step('a', { type: 'unreachable', to: group.configuration.voters[1]! })
  return group
}

/** Heartbeats and their answers arrive, and nothing else of what goes to and from `b`. */
function beat(group: Group): void {
  const isBeat = ofType('heartbeat', 'heartbeatReply')
  group.tick('a', 2)
  group.deliver((message) => isBeat(message) || (message.to !== 'b' && message.from !== 'b'))
  group.deliver((message) => isBeat(message) || (message.to !== 'b' && message.from !== 'b'))
}

/** The disk answers all reads, until the leader asks for no more. */
function readAll(group: Group): void {
  group.takeAll()
  while (group.fetches.length > 0) {
    for (const { to: reader, from: first, maxBytes } of group.fetches.splice(0)) {
      const entries = group.folded.get('a')!.filter(({ index }) => index >= first)
      const few = entries.slice(0, Math.max(1, Math.floor(maxBytes / entryBytes)))
      group.step('a', { type: 'fetched', to: reader, from: asLogIndex(first), entries: few })
    }
    group.takeAll()
  }
}

const appendsTo = (group: Group, id: string): AppendRequest[] =>
  group.wire.filter(
    (message: Message): message is AppendRequest => message.type === 'append' && message.to === id,
  )
const bytesUnderWay = (group: Group): number =>
  appendsTo(group, 'b').flatMap(({ entries }) => entries).length * entryBytes

/** `b` answers until the leader knows where their logs part, and reads begin. */
function returned(): Group {
  const group = behind()
  const stateOf = (): string | undefined => group.status('a').followers.find(({ id }) => id === 'b')?.state
  for (let round = 0; round < 20 && stateOf() !== 'replicate'; round++) {
    beat(group)
    answer(group)
  }
  expect(stateOf()).toBe('replicate')
  return group
}

/** `b` has what is under way on its disk, and says so. */
function answer(group: Group): void {
  group.deliver(to('b'))
  group.persist('b')
  group.deliver(to('a'))
  readAll(group)
}

describe('a follower that is served from storage', () => {
  test('has little under way, and not what a follower may have that keeps up', () => {
    const group = returned()
    expect(bytesUnderWay(group)).toBe(config.catchUpBytes)
    readAll(group)
    expect(bytesUnderWay(group)).toBe(config.catchUpBytes)
  })

  test('gets as much again as it confirms, and in the end it is level', () => {
    const group = returned()
    for (let round = 0; round < 200 && group.status('b').last.index < 102; round++) {
      answer(group)
      expect(bytesUnderWay(group)).toBeLessThanOrEqual(config.catchUpBytes)
    }
    group.settle()
    expect(group.status('b')).toMatchObject({ commit: 102, last: { index: 102 } })
  })

  test('gets twice as much where it comes no nearer within an election timeout, up to the limit of all', () => {
    const group = returned()
    const seen = new Set<number>()
    for (let beats = 0; beats < 30; beats++) {
      group.propose('a', 1, entryBytes)
      group.persist('c')
      group.persist('a')
      beat(group)
      readAll(group)
      seen.add(bytesUnderWay(group))
    }
    expect([...seen]).toEqual([400, 800, 1600])
  })

  test('gets all that may be under way once nothing is committed: nobody appends, or all wait for it', () => {
    const group = returned()
    const seen: number[] = []
    for (let beats = 0; beats < 20; beats++) {
      beat(group)
      // Slowly, but it comes nearer: one message a heartbeat.
      const [next] = appendsTo(group, 'b')
      group.deliver((message) => message === next)
      group.persist('b')
      group.deliver((message) => message.from === 'b')
      readAll(group)
      seen.push(bytesUnderWay(group))
    }
    expect(group.status('b').last.index).toBeGreaterThan(20)
    expect(Math.max(...seen)).toBe(config.maxInflightBytes)
  })

  test('asks for what got lost also where nothing more may be under way', () => {
    const group = returned()
    group.drop(to('b'))
    group.tick('a', 2)
    for (let round = 0; round < 300 && group.status('b').last.index < 102; round++) {
      group.settle()
      readAll(group)
      group.tick('a', 1)
    }
    expect(group.status('b').last.index).toBe(102)
  })
})

describe('the pace', () => {
  const limits = { catchUpBytes: 3, maxInflightBytes: 20, electionTicks: 2 }
  const at = (missing: number, commit: number) => ({ missing, commit: asLogIndex(commit) })
  const roomOf = (pace: CatchUpPace): number => {
    let bytes = 0
    while (pace.hasRoom(bytes)) bytes++
    return bytes
  }

  test('stays between its two limits, whatever happens', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(50), fc.nat(3)), { maxLength: 40 }), (steps) => {
        const pace = new CatchUpPace(limits, at(10, 0))
        let commit = 0
        for (const [missing, more] of steps) pace.tick(at(missing, (commit += more)))
        expect(roomOf(pace)).toBeGreaterThanOrEqual(limits.catchUpBytes)
        expect(roomOf(pace)).toBeLessThanOrEqual(limits.maxInflightBytes)
      }),
    )
  })

  test('never grows while the follower comes nearer and the appends go on', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }))),
        (steps) => {
          const pace = new CatchUpPace(limits, at(1000, 0))
          let [missing, commit] = [1000, 0]
          for (const [nearer, more] of steps.slice(0, 100))
            pace.tick(at((missing -= nearer), (commit += more)))
          expect(roomOf(pace)).toBe(limits.catchUpBytes)
        },
      ),
    )
  })

  test('grows where the follower comes nearer and nothing is committed, and where it comes no nearer', () => {
    const alone = new CatchUpPace(limits, at(1000, 5))
    for (let tick = 1; tick <= limits.electionTicks; tick++) alone.tick(at(1000 - tick, 5))
    expect(roomOf(alone)).toBe(2 * limits.catchUpBytes)
    const far = new CatchUpPace(limits, at(1000, 5))
    for (let tick = 1; tick <= limits.electionTicks; tick++) far.tick(at(1000, 5 + tick))
    expect(roomOf(far)).toBe(2 * limits.catchUpBytes)
  })
})
