import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { asGroupId } from '../../src/log/index.ts'
import { asLogIndex, asTerm } from '../../src/raft/types.ts'
import { bytesOf, emptySnapshot, entriesAfter, flat } from './entries.ts'
import { allEntries, damageOf, group, openLog, smallLimits, temporaryFolder, testEnv } from './storage-env.ts'

// What LevelDB itself does with its own files, on real ones; design and docs/storage-format.md rest on it.

const bystander = asGroupId(8)
const inlineLimits = { ...smallLimits, segmentThresholdBytes: 100_000 }
const hardState = { term: asTerm(1), votedFor: undefined, commit: asLogIndex(0) }

/** The folder of a process that died after thirty turns of 6 KB, all in LevelDB's write-ahead log. */
async function killedFolder() {
  const folder = await temporaryFolder()
  const log = await openLog(testEnv(), folder, inlineLimits)
  await log.commit([bystander, group].map((groupId) => ({ groupId, create: emptySnapshot, hardState })))
  const entries = entriesAfter(
    emptySnapshot,
    Array.from({ length: 30 }, (_, i) => ({ payload: [bytesOf(6000, i)] })),
  )
  for (const entry of entries) await log.commit([{ groupId: group, entries: [entry] }])
  // A copy of the files under a running process is what a SIGKILL leaves.
  const copy = await temporaryFolder()
  await cp(folder, copy, { recursive: true })
  const name = (await readdir(join(copy, 'store'))).find((file) => file.endsWith('.log'))!
  return { copy, entries, walPath: join(copy, 'store', name) }
}

it('a killed process has every turn in its write-ahead log', async () => {
  const { copy, entries } = await killedFolder()
  const log = await openLog(testEnv(), copy, inlineLimits)
  expect((await allEntries(log, group)).map(flat)).toEqual(entries.map(flat))
})

it('a flipped bit in the write-ahead log makes LevelDB skip turns in silence, and the start says so', async () => {
  const { copy, walPath } = await killedFolder()
  const wal = await readFile(walPath)
  wal[wal.length >> 1]! ^= 1
  await writeFile(walPath, wal)
  for (const _start of [1, 2]) {
    const log = await openLog(testEnv(), copy, inlineLimits)
    expect(damageOf(log, group)).toMatch(/^the store has turn 31, but lost turn \d+ before it/)
    // Nobody can know that the lost turns held nothing of this group.
    expect(damageOf(log, bystander)).toMatch(/^the store has turn 31/)
    await log.close()
  }
})

it('a torn end of the write-ahead log is the end of the log: that turn was never acknowledged', async () => {
  const { copy, entries, walPath } = await killedFolder()
  const wal = await readFile(walPath)
  await writeFile(walPath, wal.subarray(0, wal.length - 100))
  const log = await openLog(testEnv(), copy, inlineLimits)
  expect((await allEntries(log, group)).map(flat)).toEqual(entries.slice(0, -1).map(flat))
})
