import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { asGroupId, defaultLogLimits } from '../../src/log/index.ts'
import { asTerm } from '../../src/raft/types.ts'
import { until } from '../support/until.ts'
import { bytesOf, emptySnapshot, entriesAfter, flat } from './entries.ts'
import { allEntries, openLog, temporaryFolder, testEnv } from './storage-env.ts'

const doomed = asGroupId(1)
const kept = asGroupId(2)
const MiB = 1024 * 1024

async function bytesIn(folder: string): Promise<number> {
  // What is given back may go while it is counted: a file counts as nothing, after a folder it is counted anew.
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  })
  if (entries === undefined) return bytesIn(folder)
  let sum = 0
  for (const entry of entries) {
    if (entry.isFile())
      sum += (await stat(join(entry.parentPath, entry.name)).catch(() => ({ size: 0 }))).size
  }
  return sum
}

it('a deleted group gives its space back, in segments and in LevelDB, and the others keep theirs', async () => {
  const folder = await temporaryFolder()
  const log = await openLog(testEnv(), folder, defaultLogLimits)
  await log.commit([doomed, kept].map((groupId) => ({ groupId, create: emptySnapshot })))
  const hardState = { term: asTerm(1), votedFor: undefined, commit: emptySnapshot.index }
  for (let turn = 0; turn < 12; turn++) {
    // 2 MiB of small payloads for LevelDB and 2 MiB of large ones for segments; the other group takes part a little.
    const shapes = Array.from({ length: 700 }, (_, i) => ({ payload: [bytesOf(3000, i)] }))
    const large = [{ payload: [bytesOf(2 * MiB, turn)] }]
    const few = entriesAfter(log.lastMark(kept), [
      { payload: [bytesOf(3000, turn)] },
      { payload: [bytesOf(50_000, turn)] },
    ])
    await log.commit([
      { groupId: doomed, entries: entriesAfter(log.lastMark(doomed), [...shapes, ...large]), hardState },
      { groupId: kept, entries: few, hardState },
    ])
  }
  const before = (await allEntries(log, kept, 1, MiB)).map(flat)
  expect(await bytesIn(join(folder, 'segments'))).toBeGreaterThan(24 * MiB)
  expect(await bytesIn(join(folder, 'store'))).toBeGreaterThan(24 * MiB)
  await log.commit([{ groupId: doomed, destroy: true }])
  await until('the space is back', async () => (await bytesIn(folder)) < 3 * MiB)
  expect(await readdir(join(folder, 'segments'))).toEqual([String(kept)])
  expect((await allEntries(log, kept, 1, MiB)).map(flat)).toEqual(before)
})
