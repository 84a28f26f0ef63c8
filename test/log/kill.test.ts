import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import type { GroupId, LogStorage } from '../../src/log/index.ts'
import { asGroupId } from '../../src/log/index.ts'
import { allEntries, openLog, recoveredOf, temporaryFolder, testEnv } from './storage-env.ts'

const child = fileURLToPath(new URL('crash-child.js', import.meta.url))
const rounds = 10

/** Lets a process commit until it has reported `lines` lines, kills it, and returns the last index reported by group. */
async function commitAndKill(folder: string, lines: number): Promise<Map<GroupId, number>> {
  const process = spawn('node', [child, folder], { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = once(process, 'close')
  const reported = new Map<GroupId, number>()
  let seen = 0
  for await (const line of createInterface({ input: process.stdout })) {
    const [groupId, index] = line.split(' ').map(Number)
    // The kill may cut a line in the middle; it then reports less than was durable.
    if (groupId !== undefined && index !== undefined) reported.set(asGroupId(groupId), index)
    if (++seen === lines) process.kill('SIGKILL')
  }
  const [code, signal] = await closed
  expect([code, signal]).toEqual([null, 'SIGKILL'])
  return reported
}

async function checkEntries(log: LogStorage, groupId: GroupId): Promise<void> {
  const entries = await allEntries(log, groupId, 1, 1_000_000)
  const wrong = entries.filter(({ index, payload }, i) => {
    const expected = Buffer.alloc((index * 97) % 1500, index % 251)
    return index !== i + 1 || !Buffer.concat(payload).equals(expected)
  })
  expect(wrong).toEqual([])
}

it(`a process that is killed ${rounds} times while it commits has every turn that it said was durable`, async () => {
  const folder = await temporaryFolder()
  const durable = new Map<GroupId, number>()
  for (let round = 0; round < rounds; round++) {
    // Not a multiple of three, so that the kill comes between and within turns.
    for (const [groupId, index] of await commitAndKill(folder, 20 + 17 * round)) durable.set(groupId, index)
    const log = await openLog(testEnv(), folder)
    expect(durable.size).toBe(3)
    for (const [groupId, index] of durable) {
      expect(log.lastMark(groupId).index).toBeGreaterThanOrEqual(index)
      expect(recoveredOf(log, groupId).bootstrap.last).toEqual(log.lastMark(groupId))
      await checkEntries(log, groupId)
    }
    await log.close()
  }
})
