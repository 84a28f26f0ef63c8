import { describe, expect, test } from 'vitest'
import { Checkers } from '../../sim/core/checkers.ts'
import { SimulatedDisk } from '../../sim/core/disk.ts'
import { asDigest, asLogIndex, asNodeId, asTerm, type Persist } from '../../src/raft/index.ts'
import { configurationOf, Group, logOf } from './group.ts'

const cluster = configurationOf('a', 'b', 'c')
const a = asNodeId('a')
const { tail } = logOf(cluster, [1, 1, 1], 1)

function diskWith(entries: Persist['entries']): SimulatedDisk {
  const disk = new SimulatedDisk(cluster)
  const token = { sequence: 1, term: asTerm(1), last: asLogIndex(entries.length) }
  disk.enqueue({
    persist: { token, entries, hardState: undefined, snapshot: undefined },
    applied: asLogIndex(0),
  })
  disk.begin()
  disk.finish()
  return disk
}

function checkersOver(...disks: SimulatedDisk[]): Checkers {
  const nodes = disks.map((disk, at) => ({ id: asNodeId(['a', 'b', 'c'][at]!), life: 0, disk }))
  return new Checkers(
    () => nodes,
    () => 0,
  )
}

const laws = (checkers: Checkers): string[] => checkers.violations.map(({ law }) => law)

/** A leader of term 1 with so many entries, of a group of its own or with others. */
function leader(entries: number, ids = ['a']): Group {
  const group = new Group(ids)
  group.elect('a')
  group.propose('a', entries - 1)
  group.settle()
  return group
}

describe('each law, broken by hand, is noticed', () => {
  const full = (): SimulatedDisk => diskWith(tail)

  test('two leaders in a term', () => {
    const checkers = checkersOver(full())
    const core = leader(1).core('a')
    const leadership = { role: 'leader' as const, term: asTerm(1), leader: a }
    checkers.leadership(a, leadership, core, full())
    checkers.leadership(asNodeId('b'), leadership, core, full())
    expect(laws(checkers)).toEqual(['election-safety'])
  })

  test('a leader that overwrites its log, or cuts it', () => {
    const checkers = checkersOver(full())
    checkers.leaderLog(a, leader(3).core('a'))
    checkers.leaderLog(a, leader(2).core('a'))
    expect(laws(checkers)).toEqual(['leader-append-only'])
  })

  test('one index and term with two histories', () => {
    const checkers = checkersOver(full())
    checkers.entryWritten(a, tail[1]!)
    checkers.entryWritten(a, { ...tail[1]!, digest: asDigest(1n) })
    expect(laws(checkers)).toEqual(['log-matching'])
  })

  test('a gap in what is handed out, and an entry handed out twice', () => {
    const core = leader(3).core('a')
    const checkers = checkersOver(full(), full(), full())
    checkers.committed(a, [tail[0]!], 0, core)
    checkers.committed(a, [tail[2]!], 1, core)
    checkers.committed(a, [tail[0]!], 1, core)
    expect(laws(checkers)).toEqual(['fold-in-order', 'fold-in-order'])
  })

  test('two state machines that fold different entries', () => {
    const checkers = checkersOver(full())
    checkers.mark(a, tail[0]!, 1)
    checkers.mark(asNodeId('b'), { ...tail[0]!, digest: asDigest(1n) }, 1)
    expect(laws(checkers)).toEqual(['state-machine-safety'])
  })

  test('a commit that only one disk of three holds', () => {
    const checkers = checkersOver(full(), diskWith([]), diskWith([]))
    checkers.leaderCommit(a, leader(3, ['a', 'b', 'c']).core('a'), full())
    expect(laws(checkers)).toEqual(['committed-is-durable'])
  })

  test('an acknowledged entry that is gone from a disk at the end', () => {
    const checkers = checkersOver(full(), full(), diskWith(tail.slice(0, 2)))
    checkers.committed(a, tail, 0, leader(3).core('a'))
    checkers.acknowledged(tail[2]!)
    checkers.finish()
    expect(laws(checkers)).toEqual(['acknowledged-lost'])
  })

  test('a read that is older than an acknowledgement before it', () => {
    const checkers = checkersOver(full())
    checkers.readServed(a, 4, 5)
    checkers.readServed(a, 5, 5)
    expect(laws(checkers)).toEqual(['linearizable-read'])
  })
})

describe('the simulated disk', () => {
  const write = (sequence: number, entries: Persist['entries']) => ({
    persist: {
      token: { sequence, term: asTerm(1), last: asLogIndex(sequence) },
      entries,
      hardState: undefined,
      snapshot: undefined,
    },
    applied: asLogIndex(0),
  })

  test('refuses a write that leaves a gap', () => {
    const disk = new SimulatedDisk(cluster)
    disk.enqueue(write(1, tail.slice(1)))
    disk.begin()
    expect(() => disk.finish()).toThrow('leaves a gap')
  })

  test('loses in a crash what waits, and keeps what is under way whole or not at all', () => {
    const disk = new SimulatedDisk(cluster)
    disk.enqueue(write(1, tail.slice(0, 1)))
    disk.enqueue(write(2, tail.slice(1, 2)))
    disk.begin()
    disk.enqueue(write(3, tail.slice(2)))
    expect(disk.lastIndex).toBe(0)
    expect(disk.crash(true)).toBe(1)
    expect(disk.lastIndex).toBe(2)
    disk.enqueue(write(3, tail.slice(2)))
    disk.begin()
    expect(disk.crash(false)).toBe(1)
    expect(disk.bootstrap(0)).toMatchObject({
      last: { index: 2 },
      applied: 0,
      tail: tail.slice(0, 2),
    })
  })
})
