/** What Linux tells of a process below /proc. Elsewhere there is nothing to read, and the figures are left out. */
import type { CliContext } from '../context.ts'

export interface ProcessUsage {
  /** Of all its threads, user and system, since it started. */
  readonly cpuSeconds: number
  /** What it caused to be written to storage; undefined where that isn't told. */
  readonly writtenBytes: number | undefined
  readonly rssBytes: number | undefined
}

/** The kernel counts in ticks of 1/100 s towards programs, whatever its own clock (USER_HZ; proc(5)). */
const ticksPerSecond = 100

/** Seconds of CPU from the text of /proc/PID/stat; undefined where it isn't such a text. */
export function parseCpuSeconds(stat: string): number | undefined {
  // The second field is the program's name in brackets, which may itself hold blanks and brackets.
  const fields = stat
    .slice(stat.lastIndexOf(')') + 1)
    .trim()
    .split(/\s+/)
  // Fields 14 and 15 of the line; the first one here is field 3.
  const ticks = Number(fields[11]) + Number(fields[12])
  return Number.isFinite(ticks) ? ticks / ticksPerSecond : undefined
}

/** From the text of /proc/PID/io. */
export function parseWrittenBytes(io: string): number | undefined {
  return numberAfter(io, /^write_bytes: (\d+)$/m)
}

/** From the text of /proc/PID/status. */
export function parseRssBytes(status: string): number | undefined {
  const kibibytes = numberAfter(status, /^VmRSS:\s+(\d+) kB$/m)
  return kibibytes === undefined ? undefined : kibibytes * 1024
}

function numberAfter(text: string, pattern: RegExp): number | undefined {
  const digits = pattern.exec(text)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

type Files = Pick<CliContext, 'readText'>

/** Undefined where there is no /proc or no such process. */
export async function readProcessUsage(files: Files, pid: number): Promise<ProcessUsage | undefined> {
  const [stat, io, rssBytes] = await Promise.all([
    read(files, pid, 'stat'),
    read(files, pid, 'io'),
    readRssBytes(files, pid),
  ])
  const cpuSeconds = parseCpuSeconds(stat)
  return cpuSeconds === undefined ? undefined : { cpuSeconds, writtenBytes: parseWrittenBytes(io), rssBytes }
}

/** Memory that the process has at this moment. */
export async function readRssBytes(files: Files, pid: number): Promise<number | undefined> {
  return parseRssBytes(await read(files, pid, 'status'))
}

/** Empty where it can't be read: nothing is told, and that is what the report says. */
function read(files: Files, pid: number, name: string): Promise<string> {
  return files.readText(`/proc/${pid}/${name}`).catch(() => '')
}
