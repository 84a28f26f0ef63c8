import { access, constants, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import type { Cancel, Clock, Disk, Logger } from '../../src/env/index.ts'
import { nodeDisk } from '../../src/env/node/disk.ts'
import type { FolderIdentity, GroupId, LogEnv, LogStorage } from '../../src/log/index.ts'
import { asGroupId, openLogStorage } from '../../src/log/index.ts'
import type { Entry } from '../../src/raft/types.ts'
import { asLogIndex } from '../../src/raft/types.ts'
import type { RecoveredGroup } from '../../src/log/index.ts'
import { smallLimits } from './limits.ts'

export { sharedLimits, smallLimits } from './limits.ts'

export const identity: FolderIdentity = { clusterName: 'test', nodeId: 'n1' }
export const group = asGroupId(7)
/** A clock that stands still until a test lets timers fire. */
export interface TestClock extends Clock {
  fireTimers(): void
}

export function testClock(): TestClock {
  const timers = new Set<() => void>()
  const add = (callback: () => void): Cancel => {
    timers.add(callback)
    return () => timers.delete(callback)
  }
  return {
    nowMs: () => 0,
    wallMs: () => 0,
    setTimer: (_delayMs, callback) => add(callback),
    defer: add,
    fireTimers() {
      const due = [...timers]
      timers.clear()
      for (const callback of due) callback()
    },
  }
}

export interface LogLine {
  readonly level: string
  readonly message: string
  readonly fields: object
}

export function testLogger(lines: LogLine[] = []): Logger {
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ level, fields, message })
  }
  const logger: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => logger,
  }
  return logger
}

export interface TestEnv extends LogEnv {
  readonly clock: TestClock
  readonly lines: LogLine[]
}

export function testEnv(disk: Disk = nodeDisk()): TestEnv {
  const lines: LogLine[] = []
  return {
    disk,
    clock: testClock(),
    random: { below: () => 0, bytes: (count) => new Uint8Array(count) },
    logger: testLogger(lines),
    lines,
  }
}

const openNow = new Set<LogStorage>()
const folders: string[] = []

afterEach(async () => {
  for (const log of openNow) await log.close().catch(() => undefined)
  openNow.clear()
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

/** A folder that is gone after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-log-'))
  folders.push(folder)
  return folder
}

/**
 * The same in memory, where the system has such a place: for tests of what a killed process or damage leaves, which is the
 * same there, and of which there are many.
 */
export async function quickFolder(): Promise<string> {
  const base = await access('/dev/shm', constants.W_OK).then(
    () => '/dev/shm',
    () => tmpdir(),
  )
  const folder = await mkdtemp(join(base, 'flotilla-log-'))
  folders.push(folder)
  return folder
}

/** Opens the log with small limits; it is closed after the test. */
export async function openLog(env: LogEnv, directory: string, limits = smallLimits): Promise<LogStorage> {
  const log = await openLogStorage(env, directory, identity, limits)
  openNow.add(log)
  return log
}

export async function allEntries(
  log: LogStorage,
  groupId: GroupId,
  from = 1,
  maxBytes = 1000,
): Promise<Entry[]> {
  const entries: Entry[] = []
  const { index: end } = log.lastMark(groupId)
  for (let next = from; next <= end; next = entries.at(-1)!.index + 1) {
    entries.push(...(await log.readEntries(groupId, asLogIndex(next), end, maxBytes)))
  }
  return entries
}

export function recoveredOf(log: LogStorage, groupId: GroupId): RecoveredGroup & { readonly ok: true } {
  const recovered = log.recovered.get(groupId)
  if (recovered?.ok !== true)
    throw new Error(`group ${groupId} is not whole: ${recovered?.damage ?? 'not there'}`)
  return recovered
}

/** What is wrong with the group; undefined where it is whole. */
export function damageOf(log: LogStorage, groupId: GroupId): string | undefined {
  const recovered = log.recovered.get(groupId)
  return recovered?.ok === false ? recovered.damage : undefined
}
