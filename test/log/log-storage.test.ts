import { describe, expect, it } from 'vitest'
import { BLOCK_BYTES, type Readers } from '../../src/env/index.ts'
import type { Entry, Snapshot } from '../../src/raft/types.ts'
import { asLogIndex, asNodeId, asTerm } from '../../src/raft/types.ts'
import { encodeConfiguration } from '../../src/raft/index.ts'
import { EntriesCompactedError, asGroupId } from '../../src/log/index.ts'
import { memoryDisk } from '../../src/testing/memory-disk.ts'
import { bytesOf, configuration, emptySnapshot, entriesAfter, entryAfter, flat, markOf } from './entries.ts'
import type { EntryShape } from './entries.ts'
import { faultyDisk } from './faulty-disk.ts'
import {
  allEntries,
  group,
  openLog,
  recoveredOf,
  smallLimits,
  temporaryFolder,
  testEnv,
} from './storage-env.ts'

const small = (seed: number): EntryShape => ({ payload: [bytesOf(10, seed)], header: bytesOf(5, seed) })
const large = (seed: number): EntryShape => ({ payload: [bytesOf(100, seed), bytesOf(200, seed + 1)] })
const hardState = (term: number, commit: number) => ({
  term: asTerm(term),
  votedFor: asNodeId('n2'),
  commit: asLogIndex(commit),
})
const snapshotAt = (mark: ReturnType<typeof markOf>, state: Uint8Array): Snapshot => ({
  ...mark,
  configuration,
  state,
})
/** A log in memory with one group of ten entries, every third one large. */
async function tenEntries() {
  const env = testEnv(memoryDisk())
  const log = await openLog(env, '/data')
  const entries = entriesAfter(
    emptySnapshot,
    Array.from({ length: 10 }, (_, i) => (i % 3 === 0 ? large(i) : small(i))),
  )
  await log.commit([{ groupId: group, create: emptySnapshot, entries, hardState: hardState(1, 4) }])
  return { env, log, entries, reopen: async () => (await log.close(), openLog(env, '/data')) }
}

describe('a turn', () => {
  it('writes payloads as whole blocks, into none that an earlier turn has made durable, also after a start', async () => {
    const blocks = new Set<string>()
    const disk = faultyDisk(memoryDisk(), {
      beforeWrite: (path, position, bytes) => {
        if (!path.endsWith('.seg')) return
        expect([position % BLOCK_BYTES, bytes % BLOCK_BYTES]).toEqual([0, 0])
        for (let at = position; at < position + bytes; at += BLOCK_BYTES) {
          expect(blocks.has(`${path} ${at}`)).toBe(false)
          blocks.add(`${path} ${at}`)
        }
      },
    })
    const limits = { ...smallLimits, segmentBytes: 5 * BLOCK_BYTES }
    let log = await openLog(testEnv(disk), '/data', limits)
    await log.commit([{ groupId: group, create: emptySnapshot, hardState: hardState(1, 0) }])
    const entries: Entry[] = []
    for (let turn = 0; turn < 12; turn++) {
      const shapes = Array.from({ length: 1 + (turn % 4) }, (_, at) => ({
        payload: [bytesOf(64 + ((turn * 1237 + at * 2971) % 6000), turn + at)],
      }))
      const next = entriesAfter(entries.at(-1) ?? emptySnapshot, shapes)
      await log.commit([{ groupId: group, entries: next }])
      entries.push(...next)
      if (turn % 3 !== 2) continue
      await log.close()
      log = await openLog(testEnv(disk), '/data', limits)
    }
    expect((await allEntries(log, group, 1, 1_000_000)).map(flat)).toEqual(entries.map(flat))
    expect(blocks.size).toBeGreaterThan(12)
  })

  it('is refused where its entries leave a gap', async () => {
    const { log, entries } = await tenEntries()
    const next = entryAfter(entryAfter(entries.at(-1)!))
    await expect(log.commit([{ groupId: group, entries: [next] }])).rejects.toThrow('log.contiguous')
  })

  it('is refused where its entries do not continue the digest', async () => {
    const { log, entries } = await tenEntries()
    const next = { ...entryAfter(entries.at(-1)!), digest: entries[0]!.digest }
    await expect(log.commit([{ groupId: group, entries: [next] }])).rejects.toThrow('log.digest-chain')
  })

  it('is refused where it would cut off what is committed', async () => {
    const { log, entries } = await tenEntries()
    const other = entryAfter(entries[2]!, { term: 2 })
    await expect(log.commit([{ groupId: group, entries: [other] }])).rejects.toThrow('log.cut-above-commit')
  })

  it('is refused for a group that is not there, and for a second creation', async () => {
    const { log } = await tenEntries()
    const entries = [entryAfter(emptySnapshot)]
    await expect(log.commit([{ groupId: asGroupId(99), entries }])).rejects.toThrow('log.written-known')
    await expect(log.commit([{ groupId: group, create: emptySnapshot }])).rejects.toThrow('log.create-once')
  })

  it('is refused while another one is under way', async () => {
    const { log, entries } = await tenEntries()
    const first = log.commit([{ groupId: group, entries: [entryAfter(entries.at(-1)!)] }])
    await expect(log.commit([{ groupId: group, hardState: hardState(2, 4) }])).rejects.toThrow(
      'log.one-commit-at-a-time',
    )
    await first
  })

  it('that was refused has left nothing behind, and the next one goes through', async () => {
    const { log, entries, reopen } = await tenEntries()
    const gap = entryAfter(entryAfter(entries.at(-1)!))
    await expect(
      log.commit([
        { groupId: group, hardState: hardState(9, 4) },
        { groupId: group, entries: [gap] },
      ]),
    ).rejects.toThrow('log.contiguous')
    await log.commit([{ groupId: group, entries: [entryAfter(entries.at(-1)!)] }])
    const again = await reopen()
    expect(recoveredOf(again, group).bootstrap.hardState).toEqual(hardState(1, 4))
    expect(again.lastMark(group).index).toBe(11)
  })

  it('may hold several writes for a group, which apply in order', async () => {
    const { log, entries, reopen } = await tenEntries()
    const first = entriesAfter(entries[7]!, [{ term: 2, ...large(20) }, small(21)])
    const second = entriesAfter(first[0]!, [{ term: 3, ...large(22) }])
    await log.commit([
      { groupId: group, entries: first, hardState: hardState(2, 4) },
      { groupId: group, entries: second, hardState: hardState(3, 8) },
    ])
    const again = await reopen()
    expect((await allEntries(again, group)).map(flat)).toEqual(
      [...entries.slice(0, 8), first[0]!, ...second].map(flat),
    )
    expect(recoveredOf(again, group).bootstrap.hardState).toEqual(hardState(3, 8))
  })

  it('without anything writes nothing', async () => {
    const { log } = await tenEntries()
    await log.commit([])
  })
})

describe('reading entries', () => {
  it('below the low end says where the log starts', async () => {
    const { log, entries } = await tenEntries()
    await log.commit([{ groupId: group, lowEnd: snapshotAt(markOf(entries[3]!), bytesOf(3, 3)) }])
    const read = log.readEntries(group, asLogIndex(4), asLogIndex(9), 1000)
    await expect(read).rejects.toThrow(EntriesCompactedError)
    await expect(read).rejects.toThrow('the log starts at 5')
  })

  it('tells the disk of a reader that reads alone, so that no cache keeps what it reads', async () => {
    const disk = memoryDisk()
    const told: (Readers | undefined)[] = []
    const openPlain = disk.files.open.bind(disk.files)
    disk.files.open = async (path) => {
      const file = await openPlain(path)
      const read = file.read.bind(file)
      file.read = (position, length, readers) => {
        if (path.endsWith('.seg')) told.push(readers)
        return read(position, length, readers)
      }
      return file
    }
    const log = await openLog(testEnv(disk), '/data')
    await log.commit([
      {
        groupId: group,
        create: emptySnapshot,
        entries: entriesAfter(emptySnapshot, [large(1)]),
        hardState: hardState(1, 0),
      },
    ])
    told.length = 0
    for (const readers of ['one', 'many', undefined] as const)
      await log.readEntries(group, asLogIndex(1), asLogIndex(1), 1000, readers)
    expect(told).toEqual(['one', 'many', 'many'])
  })

  it('gives nothing beyond the end', async () => {
    const { log } = await tenEntries()
    expect(await log.readEntries(group, asLogIndex(11), asLogIndex(20), 1000)).toEqual([])
  })

  it('gives at least one, then no more than the bytes asked for', async () => {
    const { log, entries } = await tenEntries()
    const read = async (from: number, maxBytes: number) =>
      (await log.readEntries(group, asLogIndex(from), asLogIndex(100), maxBytes)).map(({ index }) => index)
    expect(await read(1, 0)).toEqual([1])
    expect(await read(1, 310)).toEqual([1, 2])
    expect(await read(2, 30)).toEqual([2, 3])
    expect(await read(9, 100_000)).toEqual([9, 10])
    expect((await log.readEntries(group, asLogIndex(1), asLogIndex(10), 1e6)).map(flat)).toEqual(
      entries.map(flat),
    )
  })

  it('goes on while the low end moves past the segment', async () => {
    const folder = await temporaryFolder()
    const log = await openLog(testEnv(), folder)
    const entries = entriesAfter(
      emptySnapshot,
      Array.from({ length: 40 }, (_, i) => large(i)),
    )
    await log.commit([{ groupId: group, create: emptySnapshot, entries, hardState: hardState(1, 40) }])
    const reads = [1, 5, 9].map((from) => log.readEntries(group, asLogIndex(from), asLogIndex(40), 900))
    const moved = log.commit([{ groupId: group, lowEnd: snapshotAt(markOf(entries[29]!), bytesOf(3, 3)) }])
    const results = await Promise.allSettled([...reads, moved])
    expect(results.at(-1)!.status).toBe('fulfilled')
    for (const result of results.slice(0, -1)) {
      if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(EntriesCompactedError)
      else expect((result.value as unknown[]).length).toBe(3)
    }
    expect((await allEntries(log, group, 31)).map(flat)).toEqual(entries.slice(30).map(flat))
  })
})

describe('a start', () => {
  it('of a new folder finds nothing', async () => {
    const log = await openLog(testEnv(memoryDisk()), '/data')
    expect(log.recovered.size).toBe(0)
    expect(log.clusterId).toBeUndefined()
  })

  it('hands the core what it stopped with', async () => {
    const { log, entries, reopen } = await tenEntries()
    const later = entriesAfter(entries.at(-1)!, [
      { term: 2, kind: 'noop' },
      { term: 2, ...small(30) },
      {
        term: 5,
        kind: 'configuration',
        header: encodeConfiguration({ ...configuration, learners: [asNodeId('n4')] }),
      },
    ])
    const applied = { index: asLogIndex(9), state: bytesOf(20, 1), indexPoints: [] }
    await log.commit([{ groupId: group, entries: later, hardState: hardState(5, 9), applied }])
    const { bootstrap, appliedState } = recoveredOf(await reopen(), group)
    expect(bootstrap.last).toEqual(markOf(later.at(-1)!))
    expect(bootstrap.hardState).toEqual(hardState(5, 9))
    expect(bootstrap.termRuns).toEqual([
      { firstIndex: 1, term: 1 },
      { firstIndex: 11, term: 2 },
      { firstIndex: 13, term: 5 },
    ])
    expect(bootstrap.applied).toBe(9)
    expect(Buffer.from(appliedState)).toEqual(Buffer.from(bytesOf(20, 1)))
    expect(bootstrap.configuration.learners).toEqual(['n4'])
    expect(bootstrap.lowEnd).toEqual({ ...markOf(emptySnapshot), configuration })
  })

  it('loads what is not applied, and of the rest only up to the limit', async () => {
    const { env, entries, reopen } = await tenEntries()
    const first = await reopen()
    expect(recoveredOf(first, group).bootstrap.tail.map(flat)).toEqual(entries.map(flat))
    const applied = { index: asLogIndex(9), state: bytesOf(20, 1), indexPoints: [] }
    await first.commit([{ groupId: group, hardState: hardState(1, 9), applied }])
    await first.close()
    const second = await openLog(env, '/data', { ...smallLimits, tailBytes: 200 })
    expect(recoveredOf(second, group).bootstrap.tail.map(flat)).toEqual([flat(entries[9]!)])
  })

  it('keeps the id of the cluster, and refuses another one', async () => {
    const { log, reopen } = await tenEntries()
    await log.setClusterId('abc')
    const again = await reopen()
    expect(again.clusterId).toBe('abc')
    await again.setClusterId('abc')
    await expect(again.setClusterId('xyz')).rejects.toThrow('id abc, and the node met one with id xyz')
  })
})
