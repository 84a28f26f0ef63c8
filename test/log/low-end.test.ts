import { describe, expect, it } from 'vitest'
import type { LogMark, Snapshot } from '../../src/raft/types.ts'
import { asLogIndex, asTerm } from '../../src/raft/types.ts'
import { asGroupId, asOffset } from '../../src/log/index.ts'
import type { GroupId, IndexPoint, LogEnv, LogStorage } from '../../src/log/index.ts'
import type { Disk, Store } from '../../src/env/index.ts'
import { memoryDisk } from '../../src/testing/memory-disk.ts'
import { until } from '../support/until.ts'
import { bytesOf, configuration, emptySnapshot, entriesAfter, entryAfter, flat, markOf } from './entries.ts'
import { allEntries, group, openLog, recoveredOf, testEnv } from './storage-env.ts'

const hardState = (term: number, commit: number) => ({
  term: asTerm(term),
  votedFor: undefined,
  commit: asLogIndex(commit),
})
const snapshotAt = (mark: LogMark, seed: number): Snapshot => ({
  ...markOf(mark),
  configuration,
  state: bytesOf(30, seed),
})
const signpost = (index: number): IndexPoint => ({
  index: asLogIndex(index),
  offset: asOffset(index * 10),
  appendTimeMs: 1000 + index,
})

/** Twenty entries of 300 bytes, four to a segment, all applied, with a signpost at every second one. */
async function twentyEntries(groupId: GroupId = group, disk: Disk = memoryDisk()) {
  const env = testEnv(disk)
  const log = await openLog(env, '/data')
  const entries = entriesAfter(
    emptySnapshot,
    Array.from({ length: 20 }, (_, i) => ({ payload: [bytesOf(300, i)] })),
  )
  const indexPoints = entries.filter(({ index }) => index % 2 === 0).map(({ index }) => signpost(index))
  const applied = { index: asLogIndex(20), state: bytesOf(40, 9), indexPoints }
  await log.commit([{ groupId, create: emptySnapshot, entries, hardState: hardState(1, 20), applied }])
  return { env, log, entries }
}

const segmentsOf = async (disk: Disk, groupId: GroupId): Promise<number[]> =>
  (await disk.files.list(`/data/segments/${groupId}`)).map((name) => Number.parseInt(name, 10))

/** Pairs in the store of a closed log, by the first byte of their keys. */
async function keysByKind(disk: Disk): Promise<Record<string, number>> {
  const store: Store = await disk.openStore('/data/store')
  const counts: Record<string, number> = {}
  for await (const [key] of store.iterate({ gte: Uint8Array.of(0x10), lt: Uint8Array.of(0xff) })) {
    const kind = key[0]!.toString(16)
    counts[kind] = (counts[kind] ?? 0) + 1
  }
  await store.close()
  return counts
}

const openAgain = async (env: LogEnv, log: LogStorage): Promise<LogStorage> => {
  await log.close()
  return openLog(env, '/data')
}

/** A disk that notes what is asked of its stores: keys of entries that were read in order, and keys that were deleted. */
function watched(disk: Disk) {
  const entriesRead: Uint8Array[] = []
  const deleted: Uint8Array[] = []
  const openStore = async (directory: string): Promise<Store> => {
    const store = await disk.openStore(directory)
    return {
      get: (key) => store.get(key),
      batch: (operations, options) => {
        deleted.push(...operations.filter(({ type }) => type === 'del').map(({ key }) => key))
        return store.batch(operations, options)
      },
      async *iterate(range) {
        for await (const pair of store.iterate(range)) {
          if (pair[0][0] === 0x20) entriesRead.push(pair[0])
          yield pair
        }
      },
      clear: (range) => store.clear(range),
      compact: (range) => store.compact(range),
      close: () => store.close(),
    }
  }
  return { disk: { ...disk, openStore }, entriesRead, deleted }
}

/** Waits until what is given back in the background is given back. */
async function untilSegments(disk: Disk, groupId: GroupId, wanted: readonly number[]): Promise<void> {
  for (;;) {
    const found = await segmentsOf(disk, groupId)
    if (found.join() === wanted.join()) return
    await new Promise((resolve) => setImmediate(resolve))
  }
}

describe('a move of the low end', () => {
  it('is refused beyond the log and backwards', async () => {
    const { log, entries } = await twentyEntries()
    const beyond = snapshotAt(entryAfter(entries.at(-1)!), 1)
    await expect(log.commit([{ groupId: group, lowEnd: beyond }])).rejects.toThrow('log.low-end-within-log')
    await log.commit([{ groupId: group, lowEnd: snapshotAt(entries[9]!, 1) }])
    const back = log.commit([{ groupId: group, lowEnd: snapshotAt(entries[4]!, 1) }])
    await expect(back).rejects.toThrow('log.low-end-within-log')
  })

  it('drops entries, signposts and whole segments below it, now and at a later start', async () => {
    const { env, log, entries } = await twentyEntries()
    const before = log.sizeBytes(group)
    await log.commit([{ groupId: group, lowEnd: snapshotAt(entries[9]!, 5) }])
    await untilSegments(env.disk, group, [3, 4, 5])
    expect(log.sizeBytes(group)).toBeLessThan(before * 0.7)
    expect(await log.findByOffset(group, asOffset(105))).toBeUndefined()
    expect(await log.findByOffset(group, asOffset(125))).toEqual(signpost(12))
    expect(await log.readLowEnd(group)).toEqual({
      ...snapshotAt(entries[9]!, 5),
      state: Buffer.from(bytesOf(30, 5)),
    })
    const again = await openAgain(env, log)
    expect((await allEntries(again, group, 11)).map(flat)).toEqual(entries.slice(10).map(flat))
    const { bootstrap } = recoveredOf(again, group)
    expect(bootstrap.lowEnd).toEqual({ ...markOf(entries[9]!), configuration })
    expect(bootstrap.termRuns).toEqual([{ firstIndex: 11, term: 1 }])
    expect(bootstrap.applied).toBe(20)
    await again.close()
  })

  it('deletes entries by their keys and reads none of them', async () => {
    const { disk, entriesRead, deleted } = watched(memoryDisk())
    const { log, entries } = await twentyEntries(group, disk)
    await log.commit([{ groupId: group, lowEnd: snapshotAt(entries[9]!, 5) }])
    const entriesDeleted = () => deleted.filter(([kind]) => kind === 0x20).length
    await until('the entries are deleted', () => entriesDeleted() > 0)
    await log.close()
    expect(entriesDeleted()).toBe(10)
    expect(entriesRead).toEqual([])
  })

  it('to the very end leaves an empty log that goes on', async () => {
    const { env, log, entries } = await twentyEntries()
    const last = entries.at(-1)!
    await log.commit([{ groupId: group, lowEnd: snapshotAt(last, 5) }])
    const again = await openAgain(env, log)
    expect(recoveredOf(again, group).bootstrap.tail).toEqual([])
    expect(Buffer.from(recoveredOf(again, group).appliedState)).toEqual(Buffer.from(bytesOf(30, 5)))
    const next = entryAfter(last, { payload: [bytesOf(300, 50)] })
    await again.commit([{ groupId: group, entries: [next] }])
    expect((await allEntries(again, group, 21)).map(flat)).toEqual([flat(next)])
  })

  it('that was cut short by a stop is finished after the next start', async () => {
    const { env, log, entries } = await twentyEntries()
    await log.commit([{ groupId: group, lowEnd: snapshotAt(entries[9]!, 5) }])
    // Closed at once: nothing below the low end needs to be gone yet.
    await log.close()
    let counts = await keysByKind(env.disk)
    for (let starts = 0; counts['20'] !== 10 && starts < 100; starts++) {
      const again = await openLog(env, '/data')
      for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve))
      await again.close()
      counts = await keysByKind(env.disk)
    }
    expect(await segmentsOf(env.disk, group)).toEqual([3, 4, 5])
    // Ten entries are left; the signposts at 12, 14, 16, 18 and 20, by offset and by time.
    expect(counts).toMatchObject({ '20': 10, '30': 5, '31': 5 })
  })
})

describe('a snapshot', () => {
  it('is refused where it would take back what is applied', async () => {
    const { log, entries } = await twentyEntries()
    const older = log.commit([{ groupId: group, snapshot: snapshotAt(entries[9]!, 1) }])
    await expect(older).rejects.toThrow('log.snapshot-goes-on')
  })

  it('replaces the whole log, and entries may follow in the same turn', async () => {
    const { env, log, entries } = await twentyEntries()
    const uncommitted = entriesAfter(entries.at(-1)!, [{ payload: [bytesOf(300, 60)] }, {}, {}, {}])
    await log.commit([{ groupId: group, entries: uncommitted }])
    const snapshot = snapshotAt({ ...uncommitted[1]!, term: asTerm(4) }, 8)
    const next = entriesAfter(snapshot, [{ payload: [bytesOf(300, 70)] }, { payload: [bytesOf(3, 71)] }])
    await log.commit([{ groupId: group, snapshot, entries: next, hardState: hardState(4, 22) }])
    expect(log.lastMark(group)).toEqual(markOf(next.at(-1)!))
    const again = await openAgain(env, log)
    const { bootstrap, appliedState } = recoveredOf(again, group)
    expect(bootstrap.lowEnd.index).toBe(22)
    expect(bootstrap.applied).toBe(22)
    expect(Buffer.from(appliedState)).toEqual(Buffer.from(snapshot.state))
    expect(bootstrap.tail.map(flat)).toEqual(next.map(flat))
    expect(await again.findByOffset(group, asOffset(1000))).toBeUndefined()
  })

  it('far beyond the end deletes no more than what was there', async () => {
    const { disk, deleted } = watched(memoryDisk())
    const { log, entries } = await twentyEntries(group, disk)
    const far = { ...markOf(entries.at(-1)!), index: asLogIndex(10_000_000) }
    await log.commit([{ groupId: group, snapshot: snapshotAt(far, 8) }])
    const entriesDeleted = () => deleted.filter(([kind]) => kind === 0x20).length
    await until('the entries are deleted', () => entriesDeleted() > 0)
    await log.close()
    expect(entriesDeleted()).toBe(20)
  })
})

describe('the end of a group', () => {
  it('is refused for one that is not there, and with anything after it in the turn', async () => {
    const { log } = await twentyEntries()
    await expect(log.commit([{ groupId: asGroupId(99), destroy: true }])).rejects.toThrow(
      'log.destroyed-known',
    )
    const both = log.commit([
      { groupId: group, destroy: true },
      { groupId: group, create: emptySnapshot },
    ])
    await expect(both).rejects.toThrow('log.destroy-alone')
  })

  it('gives back keys and files, and leaves other groups alone', async () => {
    const { env, log } = await twentyEntries()
    const other = asGroupId(8)
    const entries = entriesAfter(emptySnapshot, [{ payload: [bytesOf(300, 1)] }, {}])
    await log.commit([{ groupId: other, create: emptySnapshot, entries, hardState: hardState(1, 0) }])
    await log.commit([{ groupId: group, destroy: true }])
    expect(() => log.lastMark(group)).toThrow('log.group-known')
    const again = await openAgain(env, log)
    expect([...again.recovered.keys()]).toEqual([other])
    await untilSegments(env.disk, group, [])
    // A group that is created again waits for the end of its earlier life.
    await again.commit([{ groupId: group, create: emptySnapshot, hardState: hardState(1, 0) }])
    await again.close()
    expect(await keysByKind(env.disk)).toEqual({ '10': 2, '11': 2, '12': 2, '20': 2 })
    const third = await openLog(env, '/data')
    expect((await allEntries(third, other)).map(flat)).toEqual(entries.map(flat))
    expect(third.lastMark(group).index).toBe(0)
  })

  it('reads nothing of what it held', async () => {
    const { disk, entriesRead } = watched(memoryDisk())
    const { log } = await twentyEntries(group, disk)
    await log.commit([{ groupId: group, destroy: true }])
    // A new life waits for the end of the old one.
    await log.commit([{ groupId: group, create: emptySnapshot, hardState: hardState(1, 0) }])
    expect(entriesRead).toEqual([])
    await log.close()
    expect(await keysByKind(disk)).toEqual({ '10': 1, '11': 1, '12': 1 })
  })

  it('may be followed at once by a new life that knows nothing of the old one', async () => {
    const { env, log } = await twentyEntries()
    await log.commit([{ groupId: group, destroy: true }])
    const entries = entriesAfter(emptySnapshot, [{ payload: [bytesOf(400, 90)] }])
    await log.commit([{ groupId: group, create: emptySnapshot, entries, hardState: hardState(1, 0) }])
    expect((await allEntries(log, group)).map(flat)).toEqual(entries.map(flat))
    expect(await log.findByOffset(group, asOffset(1000))).toBeUndefined()
    const again = await openAgain(env, log)
    expect((await allEntries(again, group)).map(flat)).toEqual(entries.map(flat))
  })
})

describe('signposts', () => {
  it('lead to the last one at or below an offset', async () => {
    const { log } = await twentyEntries()
    const find = async (offset: number) => (await log.findByOffset(group, asOffset(offset)))?.index
    expect(await find(19)).toBeUndefined()
    expect(await find(20)).toBe(2)
    expect(await find(39)).toBe(2)
    expect(await find(40)).toBe(4)
    expect(await find(1_000_000)).toBe(20)
  })

  it('lead to the last one appended before a time', async () => {
    const { log } = await twentyEntries()
    const find = async (timeMs: number) => (await log.findByTime(group, timeMs))?.index
    expect(await find(0)).toBeUndefined()
    expect(await find(1002)).toBeUndefined()
    expect(await find(1002.5)).toBe(2)
    expect(await find(1005)).toBe(4)
    expect(await find(Number.MAX_SAFE_INTEGER)).toBe(20)
  })

  it('of a neighbour are never found', async () => {
    const { log } = await twentyEntries(asGroupId(6))
    await log.commit([{ groupId: group, create: emptySnapshot, hardState: hardState(1, 0) }])
    expect(await log.findByOffset(group, asOffset(1000))).toBeUndefined()
    expect(await log.findByTime(group, 1e6)).toBeUndefined()
  })
})
