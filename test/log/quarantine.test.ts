import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { asGroupId } from '../../src/log/index.ts'
import { asLogIndex, asTerm } from '../../src/raft/types.ts'
import { memoryDisk } from '../../src/testing/memory-disk.ts'
import { bytesOf, emptySnapshot, entriesAfter, entryAfter, flat } from './entries.ts'
import { faultyDisk } from './faulty-disk.ts'
import type { Faults } from './faulty-disk.ts'
import { allEntries, damageOf, group, openLog, recoveredOf, temporaryFolder, testEnv } from './storage-env.ts'

const other = asGroupId(8)
const hardState = (commit: number) => ({ term: asTerm(1), votedFor: undefined, commit: asLogIndex(commit) })
const entries = entriesAfter(
  emptySnapshot,
  [20, 300, 0, 700, 60].map((size, i) => ({ payload: [bytesOf(size, i)] })),
)
const twoGroups = [group, other].map((groupId) => ({
  groupId,
  create: emptySnapshot,
  entries,
  hardState: hardState(3),
}))

/** A start that has found one of two groups damaged: a segment of it is cut. */
async function damagedGroup(disk = memoryDisk(), faults: Faults = {}) {
  const before = await openLog(testEnv(disk), '/data')
  await before.commit(twoGroups)
  await before.close()
  const file = await disk.files.open(`/data/segments/${group}/0000000001.seg`)
  await file.truncate(10)
  await file.close()
  const env = testEnv(faultyDisk(disk, faults))
  const log = await openLog(env, '/data')
  expect(damageOf(log, group)).toMatch('cut short to 10')
  return { disk, env, log }
}

describe('a group that is put aside', () => {
  it('can be created anew, and the other groups notice nothing', async () => {
    const { disk, log } = await damagedGroup()
    expect(await log.quarantine(group, 'a cut segment')).toBe(`/data/quarantine/${group}.1`)
    const learner = { ...emptySnapshot, configuration: { ...emptySnapshot.configuration, learners: [] } }
    const first = entryAfter(emptySnapshot, { payload: [bytesOf(500, 9)] })
    await log.commit([{ groupId: group, create: learner, entries: [first], hardState: hardState(0) }])
    await log.commit([{ groupId: other, entries: [entryAfter(entries.at(-1)!)] }])
    await log.close()
    const again = await openLog(testEnv(disk), '/data')
    expect((await allEntries(again, group)).map(flat)).toEqual([flat(first)])
    // Nothing of the earlier life is left: no vote, no commit index.
    expect(recoveredOf(again, group).bootstrap.hardState).toEqual({ term: 1, votedFor: undefined, commit: 0 })
    expect(again.lastMark(other).index).toBe(6)
  })

  it('takes a turn of its own, whenever the next turn of the others begins', async () => {
    // Each gap is one more microtask between the end of a turn and the next one's begin.
    for (let gap = 0; gap < 8; gap++) {
      const { log } = await damagedGroup()
      const aside = log.quarantine(group, 'a cut segment')
      let last = entries.at(-1)!
      for (let turns = 0; turns < 200; turns++) {
        last = entryAfter(last)
        await log.commit([{ groupId: other, entries: [last] }])
        for (let tick = 0; tick < gap; tick++) await Promise.resolve()
      }
      expect(await aside).toBe(`/data/quarantine/${group}.1`)
      expect(log.lastMark(other).index).toBe(last.index)
      await log.close()
    }
  })

  it('is kept to the last byte: its keys in a file, its segments next to it', async () => {
    const { disk, log } = await damagedGroup()
    await log.quarantine(group, 'a cut segment')
    await log.close()
    const kept = `/data/quarantine/${group}.1`
    expect(await disk.files.list(kept)).toEqual(['records', 'segments'])
    expect(await disk.files.list(`${kept}/segments`)).toEqual(['0000000001.seg'])
    expect(await disk.files.list('/data/segments')).toEqual([String(other)])
    const records = await disk.files.open(`${kept}/records`)
    const bytes = Buffer.from(await records.read(0, 1_000_000))
    const keys: string[] = []
    for (let at = 0; at < bytes.length;) {
      const keyBytes = bytes.readUInt32BE(at)
      keys.push(bytes.subarray(at + 8, at + 8 + keyBytes).toString('hex'))
      at += 8 + keyBytes + bytes.readUInt32BE(at + 4) + 4
    }
    const hex = (kind: string, index?: number): string =>
      kind +
      group.toString(16).padStart(16, '0') +
      (index === undefined ? '' : index.toString(16).padStart(16, '0'))
    expect(keys).toEqual([
      hex('10'),
      hex('11'),
      hex('12'),
      hex('15'),
      ...[1, 2, 3, 4, 5].map((index) => hex('20', index)),
    ])
  })

  it('may have been whole: damage that a read met later is a reason as well', async () => {
    const disk = memoryDisk()
    const log = await openLog(testEnv(disk), '/data')
    await log.commit(twoGroups)
    await log.quarantine(group, 'entry 2 is damaged')
    expect(() => log.lastMark(group)).toThrow('log.group-known')
    expect((await allEntries(log, other)).map(flat)).toEqual(entries.map(flat))
    await log.close()
    expect([...(await openLog(testEnv(disk), '/data')).recovered.keys()]).toEqual([other])
  })

  it('twice has two directories', async () => {
    const { log } = await damagedGroup()
    await log.quarantine(group, 'first')
    await log.commit([{ groupId: group, create: emptySnapshot }])
    expect(await log.quarantine(group, 'second')).toBe(`/data/quarantine/${group}.2`)
  })

  it('waits for the turn under way, and the next turn for it', async () => {
    const { log } = await damagedGroup()
    let next = entryAfter(entries.at(-1)!)
    const first = log.commit([{ groupId: other, entries: [next] }])
    const aside = log.quarantine(group, 'a cut segment')
    await first
    for (let turn = 0; turn < 20; turn++) {
      next = entryAfter(next)
      await log.commit([{ groupId: other, entries: [next] }])
    }
    await aside
    await log.commit([{ groupId: group, create: emptySnapshot }])
    expect(log.lastMark(other)).toMatchObject({ index: 26 })
  })

  it('must be one of this node', async () => {
    const { log } = await damagedGroup()
    await expect(log.quarantine(asGroupId(99), 'typing error')).rejects.toThrow('log.quarantined-known')
    await log.close()
    await expect(log.quarantine(group, 'late')).rejects.toThrow('log.quarantine-while-open')
  })
})

describe('a quarantine that fails', () => {
  it('for want of space leaves the group damaged, now and after a restart, and nothing is lost', async () => {
    const faults: Faults = {}
    const { disk, log } = await damagedGroup(memoryDisk(), faults)
    faults.beforeWrite = () => {
      throw new Error('ENOSPC: no space left on device')
    }
    await expect(log.quarantine(group, 'a cut segment')).rejects.toThrow('ENOSPC')
    delete faults.beforeWrite
    // The node goes on with its other groups.
    await log.commit([{ groupId: other, entries: [entryAfter(entries.at(-1)!)] }])
    await log.close()
    const again = await openLog(testEnv(disk), '/data')
    expect(damageOf(again, group)).toBe('a cut segment')
    expect(await disk.files.list(`/data/segments/${group}`)).toEqual(['0000000001.seg'])
    expect(await again.quarantine(group, 'a cut segment')).toBe(`/data/quarantine/${group}.2`)
  })

  it('at any write finds the group damaged or gone at the next start, and its bytes in one of two places', async () => {
    for (let after = 0; ; after++) {
      const faults: Faults = {}
      const { disk, log } = await damagedGroup(memoryDisk(), faults)
      let writes = 0
      const die = (): void => {
        if (writes++ >= after) throw new Error('the process ends here')
      }
      Object.assign(faults, { beforeBatch: die, beforeWrite: die, beforeSync: die, beforeSyncDirectory: die })
      const done = await log.quarantine(group, 'a cut segment').then(
        () => true,
        () => false,
      )
      await log.close().catch(() => undefined)
      const again = await openLog(testEnv(disk), '/data')
      const places = [
        await disk.files.list(`/data/segments/${group}`),
        await disk.files.list(`/data/quarantine/${group}.1/segments`),
      ]
      expect(places.flat()).toEqual(['0000000001.seg'])
      expect(recoveredOf(again, other).bootstrap.last.index).toBe(5)
      expect(again.recovered.has(group)).toBe(!done)
      if (!done) expect(damageOf(again, group)).toBeDefined()
      await again.close()
      if (writes <= after) {
        expect(after).toBeGreaterThan(6)
        return
      }
    }
  })

  it('is done with real files as well', async () => {
    const folder = await temporaryFolder()
    const log = await openLog(testEnv(), folder)
    await log.commit(twoGroups)
    const segment = await readFile(join(folder, `segments/${group}/0000000001.seg`))
    const kept = await log.quarantine(group, 'to see it')
    expect(await readFile(join(kept, 'segments/0000000001.seg'))).toEqual(segment)
    expect(await readdir(join(folder, 'segments'))).toEqual([String(other)])
  })
})
