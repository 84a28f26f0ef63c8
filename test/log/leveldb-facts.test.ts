import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, constants, openSync } from 'node:fs'
import { copyFile, mkdir, open, readFile, readdir, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Level } from 'level'
import { describe, expect, it } from 'vitest'
import type { GroupWrite } from '../../src/log/index.ts'
import { asGroupId, asOffset } from '../../src/log/index.ts'
import { asLogIndex, asTerm } from '../../src/raft/types.ts'
import { nodeDisk } from '../../src/env/node/disk.ts'
import { until } from '../support/until.ts'
import { bytesOf, configuration, emptySnapshot, entriesAfter, flat, markOf } from './entries.ts'
import { faultyDisk } from './faulty-disk.ts'
import type { Faults } from './faulty-disk.ts'
import { allEntries, damageOf, group, openLog, smallLimits, temporaryFolder, testEnv } from './storage-env.ts'

// What LevelDB doesn't promise, each shown with the library itself and nothing of ours around it, and then that the log
// survives it. Its sources say as much; these tests notice when a new version says something else.

type Database = Level<Uint8Array, Uint8Array>

async function openLevel(directory: string, writeBufferSize = 4 * 1024 * 1024): Promise<Database> {
  const database: Database = new Level(directory, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    compression: false,
    writeBufferSize,
  })
  await database.open()
  return database
}

const key = (name: string): Uint8Array => new TextEncoder().encode(name)
const put = (
  database: Database,
  name: string,
  bytes: number,
  options: { sync?: boolean } = {},
): Promise<void> => database.batch().put(key(name), bytesOf(bytes, 1)).write(options)
const has = async (database: Database, name: string): Promise<boolean> =>
  (await database.get(key(name))) !== undefined
const logsIn = async (directory: string): Promise<string[]> =>
  (await readdir(directory)).filter((name) => name.endsWith('.log')).sort()

/** What is durable of a database's files: manifest and tables as they are, and of each log the bytes that a sync has covered. */
async function afterPowerCut(from: string, logBytes: ReadonlyMap<string, number>): Promise<string> {
  const copy = await temporaryFolder()
  for (const name of await readdir(from)) {
    if (!/^CURRENT$|^MANIFEST|\.ldb$/.test(name)) continue
    await copyFile(join(from, name), join(copy, name))
  }
  for (const [name, bytes] of logBytes) {
    await writeFile(join(copy, name), (await readFile(join(from, name))).subarray(0, bytes))
  }
  return copy
}

describe('a batch without sync', () => {
  it('is LevelDB’s default: it stands in the log, and nothing has synced it, so that a power cut loses it', async () => {
    const directory = await temporaryFolder()
    const database = await openLevel(directory)
    await put(database, 'synced', 10, { sync: true })
    const [log] = await logsIn(directory)
    const covered = (await readFile(join(directory, log!))).length
    await put(database, 'by default', 10)
    const killed = await afterPowerCut(directory, new Map([[log!, Infinity]]))
    const cut = await afterPowerCut(directory, new Map([[log!, covered]]))
    await database.close()
    const ofKilled = await openLevel(killed)
    expect([await has(ofKilled, 'synced'), await has(ofKilled, 'by default')]).toEqual([true, true])
    await ofKilled.close()
    const ofCut = await openLevel(cut)
    expect([await has(ofCut, 'synced'), await has(ofCut, 'by default')]).toEqual([true, false])
    await ofCut.close()
  })

  it('may be lost where a later one with sync is kept, since a log is not synced when it is rotated', async () => {
    const directory = await temporaryFolder()
    const database = await openLevel(directory, 64 * 1024)
    const [first] = await logsIn(directory)
    // As at the moment of the rotation; LevelDB notes later that it has put the first log into a table.
    const manifest = await afterPowerCut(directory, new Map())
    await put(database, 'earlier', 70 * 1024)
    await put(database, 'later', 10, { sync: true })
    const second = (await logsIn(directory)).at(-1)!
    expect(second).not.toBe(first)
    await copyFile(join(directory, second), join(manifest, second))
    await writeFile(join(manifest, first!), '')
    await database.close()
    const found = await openLevel(manifest)
    expect([await has(found, 'earlier'), await has(found, 'later')]).toEqual([false, true])
    await found.close()
  })

  it('is what the log never writes', async () => {
    const synced: boolean[] = []
    const faults: Faults = { beforeBatch: (_, sync) => synced.push(sync) }
    const env = testEnv(faultyDisk(nodeDisk(), faults))
    const log = await openLog(env, await temporaryFolder())
    const entries = entriesAfter(
      emptySnapshot,
      Array.from({ length: 20 }, (_, i) => ({ payload: [bytesOf(100, i)] })),
    )
    const other = asGroupId(9)
    const hardState = { term: asTerm(1), votedFor: undefined, commit: asLogIndex(20) }
    const indexPoints = [{ index: asLogIndex(3), offset: asOffset(3), appendTimeMs: 3 }]
    const turns: GroupWrite[][] = [
      [group, other].map((groupId) => ({ groupId, create: emptySnapshot })),
      [group, other].map((groupId) => ({ groupId, entries, hardState })),
      [{ groupId: group, applied: { index: asLogIndex(20), state: bytesOf(9, 9), indexPoints } }],
      [{ groupId: group, lowEnd: { ...markOf(entries[9]!), configuration, state: bytesOf(8, 8) } }],
      [{ groupId: other, destroy: true }],
    ]
    await log.setClusterId('abc')
    for (const turn of turns) {
      await log.commit(turn)
      env.clock.fireTimers()
    }
    await log.quarantine(group, 'to see its batches')
    await log.close()
    expect(synced.length).toBeGreaterThan(turns.length + 3)
    expect(synced.every(Boolean)).toBe(true)
  })

  it('would be missed: a start whose store lost a rotated log says so', async () => {
    const folder = await temporaryFolder()
    // In LevelDB, and enough of it that the log is rotated (16 MiB).
    const limits = { ...smallLimits, segmentThresholdBytes: 10_000_000 }
    const before = await openLog(testEnv(), folder, limits)
    await before.commit([{ groupId: group, create: emptySnapshot }])
    await before.close()
    const log = await openLog(testEnv(), folder, limits)
    const store = join(folder, 'store')
    const [first] = await logsIn(store)
    const copy = await temporaryFolder()
    await mkdir(join(copy, 'segments'))
    const hole = await afterPowerCut(store, new Map())
    const hardState = { term: asTerm(1), votedFor: undefined, commit: emptySnapshot.index }
    for (let turn = 0; turn < 6; turn++) {
      const [entry] = entriesAfter(log.lastMark(group), [{ payload: [bytesOf(3_500_000, turn)] }])
      await log.commit([{ groupId: group, entries: [entry!], hardState }])
    }
    const second = (await logsIn(store)).at(-1)!
    expect(second).not.toBe(first)
    await copyFile(join(store, second), join(hole, second))
    await writeFile(join(hole, first!), '')
    await mkdir(join(copy, 'store'))
    for (const name of await readdir(hole)) await copyFile(join(hole, name), join(copy, 'store', name))
    const found = await openLog(testEnv(), copy, limits)
    expect(damageOf(found, group)).toMatch(/^the store has turn 7, but lost turn 2 before it \(\d in all\)/)
  })
})

describe('a record of the log whose checksum is wrong', () => {
  it('is skipped when LevelDB opens, with all up to the end of its block, and nobody is told', async () => {
    const directory = await temporaryFolder()
    const database = await openLevel(directory)
    for (const name of ['one', 'two', 'three']) await put(database, name, 20_000, { sync: true })
    await put(database, 'four', 40_000, { sync: true })
    await database.close()
    const path = join(directory, (await logsIn(directory))[0]!)
    const bytes = await readFile(path)
    bytes[30_000]! ^= 1
    await writeFile(path, bytes)
    const found = await openLevel(directory)
    const names = ['one', 'two', 'three', 'four']
    const there = await Promise.all(names.map((name) => has(found, name)))
    expect(there).toEqual([true, false, true, true])
    await found.close()
  })

  it('that was the last one of a folder that was closed is missed, though nothing follows it', async () => {
    const folder = await temporaryFolder()
    const log = await openLog(testEnv(), folder)
    const hardState = { term: asTerm(4), votedFor: configuration.voters[1], commit: asLogIndex(0) }
    await log.commit([{ groupId: group, create: emptySnapshot }])
    // A vote: nothing else would miss it.
    await log.commit([{ groupId: group, hardState }])
    await log.close()
    const path = join(folder, 'store', (await logsIn(join(folder, 'store'))).at(-1)!)
    const { length } = await readFile(path)
    await truncate(path, length - 1)
    const again = await openLog(testEnv(), folder)
    expect(damageOf(again, group)).toBe(
      "the store's newest turn is 1, but turn 2 was durable: what came between is lost",
    )
  })
})

describe('a flipped bit in a table', () => {
  it('is not noticed by LevelDB, which may then give an older value as the newest', async () => {
    const { found, value } = await withHiddenKey(async (directory) => {
      const database = await openLevel(directory)
      const value = await database.get(key('vote'))
      await database.close()
      return value
    })
    expect(found).toBe(true)
    expect(Buffer.from(value!).toString()).toBe('old')
  })

  it('keeps our store from being opened', async () => {
    const { found, value } = await withHiddenKey((directory) =>
      nodeDisk()
        .openStore(directory)
        .then(
          () => 'opened',
          (error: unknown) => String(error),
        ),
    )
    expect(found).toBe(true)
    expect(value).toMatch(/StoreDamagedError: .*\.ldb: the block at \d+ has a wrong checksum/)
  })

  /** A newer value in one table and an older one in another; then a bit of the newer one's key is flipped. */
  async function withHiddenKey<T>(look: (directory: string) => Promise<T>) {
    const directory = await temporaryFolder()
    for (const value of ['old', 'new']) {
      const database = await openLevel(directory)
      await database.batch().put(key('vote'), key(value)).write({ sync: true })
      await database.close()
    }
    // The log of the last run becomes a table as well.
    await (await openLevel(directory)).close()
    const tables = (await readdir(directory)).filter((name) => name.endsWith('.ldb')).sort()
    const path = join(directory, tables.at(-1)!)
    const bytes = await readFile(path)
    const at = bytes.indexOf('vote')
    bytes[at]! ^= 1
    await writeFile(path, bytes)
    return { found: at >= 0 && bytes.includes('new'), value: await look(directory) }
  }
})

describe('a write that the system refuses', () => {
  const child = fileURLToPath(new URL('crash-child.js', import.meta.url))

  it('ends the storage for good, in one line, and the folder starts again with all that was told', async () => {
    const folder = await temporaryFolder()
    // No file may grow over 60 KiB: what a full disk is to a program, made by the system and not by us.
    const run = spawnSync('bash', ['-c', `trap '' XFSZ; ulimit -f 60; exec node "$0" "$1"`, child, folder], {
      encoding: 'utf8',
    })
    expect(run.status).toBe(3)
    const lines = run.stdout.trimEnd().split('\n')
    const failure = lines.at(-2)!
    expect(failure).toMatch(
      /^failed StorageFailedError: the node's storage failed and takes no more writes: .*(File too large|EFBIG).*; look at the disk, then restart the node$/,
    )
    expect(lines.at(-1)).toBe(failure.replace('failed StorageFailedError: ', 'again '))
    const told = new Map(lines.slice(0, -2).map((line) => line.split(' ').map(Number) as [number, number]))
    const log = await openLog(testEnv(), folder)
    expect(told.size).toBe(3)
    for (const [groupId, index] of told) {
      expect(damageOf(log, asGroupId(groupId))).toBeUndefined()
      expect(log.lastMark(asGroupId(groupId)).index).toBeGreaterThanOrEqual(index)
      await allEntries(log, asGroupId(groupId), 1, 100_000)
    }
    await log.commit([
      { groupId: asGroupId(1), hardState: { term: asTerm(2), votedFor: undefined, commit: asLogIndex(0) } },
    ])
  })
})

describe('the four threads of libuv', () => {
  it('carry every call of LevelDB: while all are busy none gets on, and then all do', async () => {
    const folder = await temporaryFolder()
    const log = await openLog(testEnv(), folder)
    await log.commit([{ groupId: group, create: emptySnapshot }])
    // To open a pipe that nobody writes to takes a thread until somebody does.
    const threads = Number(process.env['UV_THREADPOOL_SIZE'] ?? 4)
    const pipes = Array.from({ length: threads }, (_, i) => join(folder, `.pipe${i}`))
    execFileSync('mkfifo', pipes)
    const opening = pipes.map((pipe) => open(pipe, 'r'))
    let isDurable = false
    const entries = entriesAfter(emptySnapshot, [{ payload: [bytesOf(10, 1)] }])
    const hardState = { term: asTerm(1), votedFor: undefined, commit: asLogIndex(0) }
    const commit = log.commit([{ groupId: group, entries, hardState }]).then(() => (isDurable = true))
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(isDurable).toBe(false)
    for (const pipe of pipes) {
      const writer = await until('somebody waits for the pipe', () => tryToWrite(pipe))
      closeSync(writer)
    }
    await commit
    for (const file of await Promise.all(opening)) await file.close()
    expect((await allEntries(log, group)).map(flat)).toEqual(entries.map(flat))
  })

  /** Undefined as long as nobody has the other end. */
  function tryToWrite(pipe: string): number | undefined {
    try {
      return openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK)
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENXIO') return undefined
      throw error
    }
  }
})
