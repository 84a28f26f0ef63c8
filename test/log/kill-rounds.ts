import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { chain } from '../../src/raft/index.ts'
import { asDigest } from '../../src/raft/types.ts'
import type { GroupId, LogStorage } from '../../src/log/index.ts'
import { asGroupId, openLogStorage } from '../../src/log/index.ts'
import { allEntries, damageOf, identity, smallLimits, testEnv } from './storage-env.ts'

const child = fileURLToPath(new URL('crash-child.js', import.meta.url))

/** So long at most a process goes on after it has said that a turn is durable. */
const mostDelayMs = 10
const groups = [1, 2, 3].map(asGroupId)

export interface KillTally {
  rounds: number
  /** Turns that were said to be durable. */
  acknowledged: number
  /** Starts that found entries of a turn that nobody had been told of. */
  foundMore: number
}

/**
 * Lets a process commit to a folder, kills it at a moment that `random` (0 to below 1) picks, and checks what it left; then
 * the next one goes on from there. Every `freshAfter` rounds the folder begins anew. Every second process writes to shared segments.
 */
export async function killRounds(
  folder: string,
  rounds: number,
  random: () => number,
  tally: KillTally,
  freshAfter = 8,
): Promise<void> {
  let durable = new Map<GroupId, number>()
  for (let round = 0; round < rounds; round++) {
    if (round % freshAfter === 0) {
      await rm(folder, { recursive: true, force: true })
      durable = new Map()
    }
    const turns = 1 + Math.floor(random() * 12)
    for (const [groupId, index] of await commitAndKill(
      folder,
      round % 2 === 1,
      turns,
      random() * mostDelayMs,
      tally,
    ))
      durable.set(groupId, index)
    await check(folder, durable, tally)
    tally.rounds++
  }
}

async function commitAndKill(
  folder: string,
  shared: boolean,
  turns: number,
  delayMs: number,
  tally: KillTally,
): Promise<Map<GroupId, number>> {
  const process = spawn('node', [child, folder, shared ? 'shared' : 'own'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const closed = once(process, 'close')
  const reported = new Map<GroupId, number>()
  let seen = 0
  for await (const line of createInterface({ input: process.stdout })) {
    const [groupId, index] = line.split(' ').map(Number)
    if (groupId === undefined || index === undefined) continue
    // The kill may cut a line in the middle of a number, which is then a smaller one.
    reported.set(asGroupId(groupId), Math.max(index, reported.get(asGroupId(groupId)) ?? 0))
    if (++seen === turns * groups.length) setTimeout(() => process.kill('SIGKILL'), delayMs)
  }
  const [code, signal] = await closed
  expect([code, signal]).toEqual([null, 'SIGKILL'])
  tally.acknowledged += Math.floor(seen / groups.length)
  return reported
}

async function check(folder: string, durable: ReadonlyMap<GroupId, number>, tally: KillTally): Promise<void> {
  const log = await openLogStorage(testEnv(), folder, identity, smallLimits)
  try {
    let more = false
    for (const groupId of groups) {
      expect(damageOf(log, groupId)).toBeUndefined()
      const last = log.lastMark(groupId).index
      const told = durable.get(groupId)!
      expect(last).toBeGreaterThanOrEqual(told)
      // What was durable and not told yet may be there as well, in whole entries.
      more ||= last > told
      await checkEntries(log, groupId)
    }
    if (more) tally.foundMore++
  } finally {
    await log.close()
  }
}

/** Each entry is what the child makes of its index, whole, and continues its predecessor's digest. */
async function checkEntries(log: LogStorage, groupId: GroupId): Promise<void> {
  const entries = await allEntries(log, groupId, 1, 1_000_000)
  let digest = asDigest(0n)
  const wrong = entries.filter((entry, i) => {
    const { index, payload } = entry
    const expected = Buffer.alloc((index * 97) % 1500, index % 251)
    const continues = chain(digest, entry) === entry.digest
    digest = entry.digest
    return index !== i + 1 || !continues || !Buffer.concat(payload).equals(expected)
  })
  expect(wrong).toEqual([])
}

/** A small generator of numbers, so that a run can be repeated. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
