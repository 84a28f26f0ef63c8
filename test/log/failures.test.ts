import { describe, expect, it } from 'vitest'
import { asLogIndex, asTerm } from '../../src/raft/types.ts'
import type { Entry } from '../../src/raft/types.ts'
import { StorageFailedError } from '../../src/log/index.ts'
import { memoryDisk } from '../../src/testing/memory-disk.ts'
import { bytesOf, configuration, emptySnapshot, entriesAfter, entryAfter, flat, markOf } from './entries.ts'
import { faultyDisk } from './faulty-disk.ts'
import type { Faults } from './faulty-disk.ts'
import { allEntries, group, openLog, testEnv } from './storage-env.ts'

const hardState = { term: asTerm(1), votedFor: undefined, commit: asLogIndex(0) }
const broken = (what: string) => () => {
  throw new Error(`EIO: ${what}`)
}

async function fourEntries(faults: Faults) {
  const disk = memoryDisk()
  const env = testEnv(faultyDisk(disk, faults))
  const log = await openLog(env, '/data')
  const entries = entriesAfter(
    emptySnapshot,
    Array.from({ length: 4 }, (_, i) => ({ payload: [bytesOf(300, i)] })),
  )
  await log.commit([{ groupId: group, create: emptySnapshot, entries, hardState }])
  return { disk, env, log, entries }
}

const nextOf = (entries: readonly Entry[]): Entry =>
  entryAfter(entries.at(-1)!, { payload: [bytesOf(300, 77)] })

describe('a failing disk', () => {
  const failing: readonly (readonly [string, Faults])[] = [
    ['a batch', { beforeBatch: broken('batch') }],
    ['the write of a segment', { beforeWrite: broken('write') }],
    ['the sync of a segment', { beforeSync: broken('sync') }],
    ['the sync of a directory', { beforeSyncDirectory: broken('sync of a directory') }],
  ]
  for (const [what, fault] of failing) {
    it(`at ${what} ends all writing, for ever, and says why`, async () => {
      const faults: Faults = {}
      const { log, entries, env } = await fourEntries(faults)
      Object.assign(faults, fault)
      const next = nextOf(entries)
      await expect(log.commit([{ groupId: group, entries: [next] }])).rejects.toThrow(StorageFailedError)
      for (const name of Object.keys(fault) as (keyof Faults)[]) delete faults[name]
      const again = log.commit([{ groupId: group, hardState: { ...hardState, term: asTerm(2) } }])
      await expect(again).rejects.toThrow(/EIO: .*; look at the disk, then restart the node/)
      await expect(log.setClusterId('abc')).rejects.toThrow(StorageFailedError)
      expect(env.lines.filter(({ level }) => level === 'error')).toHaveLength(1)
      // What was durable before can still be read, and no more than that is said to be there.
      expect(log.lastMark(group)).toEqual(markOf(entries.at(-1)!))
      expect((await allEntries(log, group)).map(flat)).toEqual(entries.map(flat))
      await log.close()
    })
  }

  it('leaves a folder that starts again with all that was durable', async () => {
    const faults: Faults = {}
    const { log, entries, disk } = await fourEntries(faults)
    faults.beforeBatch = broken('batch')
    await expect(log.commit([{ groupId: group, entries: [nextOf(entries)] }])).rejects.toThrow('EIO: batch')
    await log.close()
    const again = await openLog(testEnv(disk), '/data')
    expect((await allEntries(again, group)).map(flat)).toEqual(entries.map(flat))
    const next = nextOf(entries)
    await again.commit([{ groupId: group, entries: [next] }])
    expect((await allEntries(again, group)).map(flat)).toEqual([...entries, next].map(flat))
  })

  it('at a read fails that read alone', async () => {
    const faults: Faults = {}
    const { log, entries } = await fourEntries(faults)
    faults.beforeRead = broken('read')
    await expect(allEntries(log, group)).rejects.toThrow('EIO: read')
    delete faults.beforeRead
    expect((await allEntries(log, group)).map(flat)).toEqual(entries.map(flat))
    await log.commit([{ groupId: group, entries: [nextOf(entries)] }])
  })

  it('at the removal of a file costs space and nothing else', async () => {
    const faults: Faults = {}
    const { log, entries, env, disk } = await fourEntries(faults)
    await log.commit([{ groupId: group, entries: [nextOf(entries)] }])
    faults.beforeRemove = broken('remove')
    const lowEnd = { ...markOf(entries[3]!), configuration, state: bytesOf(3, 1) }
    await log.commit([{ groupId: group, lowEnd }])
    while (!env.lines.some(({ level }) => level === 'warn'))
      await new Promise((resolve) => setImmediate(resolve))
    await log.commit([{ groupId: group, hardState: { ...hardState, commit: asLogIndex(4) } }])
    await log.close()
    expect(await disk.files.list(`/data/segments/${group}`)).toHaveLength(2)
    await openLog(testEnv(disk), '/data')
    expect(await disk.files.list(`/data/segments/${group}`)).toHaveLength(1)
  })
})

describe('what makes a turn durable', () => {
  it('is one synced batch, next to the syncs of the segments, not after them', async () => {
    const order: string[] = []
    const faults: Faults = {}
    const { log, entries } = await fourEntries(faults)
    faults.beforeBatch = (_, sync) => order.push(sync ? 'synced batch' : 'batch')
    faults.beforeSync = () => order.push('segment sync')
    await log.commit([{ groupId: group, entries: [nextOf(entries)] }])
    expect(order.sort()).toEqual(['segment sync', 'synced batch'])
  })

  it('waits for the segments where an applied state stands on entries of the same turn', async () => {
    const order: string[] = []
    const faults: Faults = {}
    const { log, entries } = await fourEntries(faults)
    faults.beforeBatch = () => order.push('batch')
    faults.beforeSync = () => order.push('segment sync')
    const applied = { index: asLogIndex(5), state: bytesOf(3, 3), indexPoints: [] }
    await log.commit([
      {
        groupId: group,
        entries: [nextOf(entries)],
        hardState: { ...hardState, commit: asLogIndex(5) },
        applied,
      },
    ])
    expect(order).toEqual(['segment sync', 'batch'])
  })

  it('is noted, unsynced, once nothing follows', async () => {
    const notes: string[] = []
    const faults: Faults = {}
    const { log, entries, env } = await fourEntries(faults)
    faults.beforeWrite = (path) => path.endsWith('/turn') && notes.push('written')
    faults.beforeSync = (path) => path.endsWith('/turn') && notes.push('synced')
    await log.commit([{ groupId: group, entries: [nextOf(entries)] }])
    env.clock.fireTimers()
    env.clock.fireTimers()
    expect(notes).toEqual(['written'])
    const next = nextOf([nextOf(entries)])
    const committed = log.commit([{ groupId: group, entries: [next] }])
    env.clock.fireTimers()
    await committed
    expect(notes).toEqual(['written'])
    await log.close()
    expect(notes).toEqual(['written', 'written', 'synced'])
  })
})
