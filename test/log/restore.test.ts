import { existsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { DamagedEntryError, StorageFailedError, type LogStorage } from '../../src/log/index.ts'
import { BLOCK_BYTES } from '../../src/env/index.ts'
import { nodeDisk } from '../../src/env/node/disk.ts'
import { asLogIndex, asTerm, type Entry } from '../../src/raft/types.ts'
import { until } from '../support/until.ts'
import { bytesOf, emptySnapshot, entriesAfter, entryAfter, flat } from './entries.ts'
import { faultyDisk, type Faults } from './faulty-disk.ts'
import { allEntries, group, openLog, quickFolder, recoveredOf, testEnv } from './storage-env.ts'

const hardState = { term: asTerm(1), votedFor: undefined, commit: asLogIndex(4) }
const segmentOf = (folder: string): string => join(folder, 'segments', String(group), '0000000001.seg')

/** A log of four entries; the first three have their payloads in a segment, 200 bytes each. */
async function written(folder: string, faults: Faults = {}): Promise<{ log: LogStorage; entries: Entry[] }> {
  const log = await openLog(testEnv(faultyDisk(nodeDisk(), faults)), folder)
  const lengths = [200, 200, 200, 10]
  const entries = entriesAfter(
    emptySnapshot,
    lengths.map((length, at) => ({ payload: [bytesOf(length, at)] })),
  )
  await log.commit([{ groupId: group, create: emptySnapshot, entries, hardState }])
  return { log, entries }
}

async function rot(folder: string, position: number): Promise<void> {
  await using file = await open(segmentOf(folder), 'r+')
  await file.write(Buffer.from([0xaa, 0x55, 0xaa]), 0, 3, position)
}

/** A restore whose write has begun, and goes on when it is released. */
async function heldRestore(log: LogStorage, entry: Entry, faults: Faults) {
  let release = (): void => undefined
  const gate = new Promise<void>((resolve) => (release = resolve))
  let hasBegun = false
  faults.stall = () => {
    hasBegun = true
    return gate
  }
  const restoring = log.restorePayload(group, entry)
  await until('the write has begun', () => hasBegun)
  delete faults.stall
  return { restoring, release }
}

describe('a payload that has rotted in its segment', () => {
  it('is told, and is there again once another replica’s was written over it, also after a restart', async () => {
    const folder = await quickFolder()
    const { log, entries } = await written(folder)
    await rot(folder, 250)
    await expect(allEntries(log, group)).rejects.toThrow(DamagedEntryError)
    expect(await log.restorePayload(group, entries[1]!)).toBe(true)
    expect((await allEntries(log, group)).map(flat)).toEqual(entries.map(flat))
    await log.close()
    const again = await openLog(testEnv(), folder)
    expect(recoveredOf(again, group).bootstrap.last.index).toBe(4)
    expect((await allEntries(again, group)).map(flat)).toEqual(entries.map(flat))
  })

  it('is not replaced by that of another entry', async () => {
    const folder = await quickFolder()
    const { log, entries } = await written(folder)
    await rot(folder, 250)
    const other = entryAfter(entries[0]!, { payload: [bytesOf(200, 99)] })
    expect(await log.restorePayload(group, other)).toBe(false)
    await expect(allEntries(log, group)).rejects.toThrow(DamagedEntryError)
  })

  it('is nothing that an entry in LevelDB, one that is not there or another group has', async () => {
    const { log, entries } = await written(await quickFolder())
    expect(await log.restorePayload(group, entries[3]!)).toBe(false)
    expect(await log.restorePayload(group, entryAfter(entries[3]!, { payload: [bytesOf(200, 1)] }))).toBe(
      false,
    )
  })

  it('is nobody’s any more where the group ends while it is written: the node goes on', async () => {
    const folder = await quickFolder()
    const faults: Faults = {}
    const { log, entries } = await written(folder, faults)
    const { restoring, release } = await heldRestore(log, entries[1]!, faults)
    await log.commit([{ groupId: group, destroy: true }])
    await until(
      'the group’s directory is gone',
      async () => !existsSync(join(folder, 'segments', String(group))),
    )
    release()
    expect(await restoring).toBe(false)
    const anew = { ...hardState, commit: asLogIndex(0) }
    await log.commit([{ groupId: group, create: emptySnapshot, hardState: anew }])
  })

  it('is waited for where the node stops while it is written', async () => {
    const folder = await quickFolder()
    const faults: Faults = {}
    const { log, entries } = await written(folder, faults)
    await rot(folder, 250)
    const { restoring, release } = await heldRestore(log, entries[1]!, faults)
    const closing = log.close().then(() => 'closed under a write')
    // Where it doesn't wait it takes a few milliseconds; where it does, the time makes no difference.
    expect(await Promise.race([closing, sleep(300, 'waits')])).toBe('waits')
    release()
    expect(await restoring).toBe(true)
    await closing
    expect((await allEntries(await openLog(testEnv(), folder), group)).map(flat)).toEqual(entries.map(flat))
  })

  it('comes back whole where it fills blocks of its own, which are written past the page cache', async () => {
    const folder = await quickFolder()
    const log = await openLog(testEnv(), folder)
    const entries = entriesAfter(emptySnapshot, [{ payload: [bytesOf(3 * BLOCK_BYTES, 1)] }])
    const one = { ...hardState, commit: asLogIndex(1) }
    await log.commit([{ groupId: group, create: emptySnapshot, entries, hardState: one }])
    await rot(folder, 2 * BLOCK_BYTES)
    await expect(allEntries(log, group)).rejects.toThrow(DamagedEntryError)
    expect(await log.restorePayload(group, entries[0]!)).toBe(true)
    expect((await allEntries(log, group)).map(flat)).toEqual(entries.map(flat))
    await log.close()
    expect((await allEntries(await openLog(testEnv(), folder), group)).map(flat)).toEqual(entries.map(flat))
  })

  it('ends all writing where its disk does not take it, as any write does', async () => {
    const folder = await quickFolder()
    const faults: Faults = {}
    const { log, entries } = await written(folder, faults)
    faults.beforeSync = () => {
      throw new Error('EIO: sync')
    }
    await expect(log.restorePayload(group, entries[1]!)).rejects.toThrow(StorageFailedError)
    await expect(log.commit([{ groupId: group, hardState }])).rejects.toThrow(StorageFailedError)
  })
})
