import { assert } from './assert.ts'
import type { GroupScan } from './group-scan.ts'
import type { StoredEntry } from './records.ts'
import type { SegmentFiles } from './segments.ts'
import { someAtOnce } from './some-at-once.ts'

/** What lies between two payloads is read with them, rather than with two reads, where it's no more than this. */
const mostGapBytes = 64 * 1024
const mostBytesPerRead = 1024 * 1024
const mostReadsAtOnce = 4

/** One read: payloads of any groups, in the order of the file. */
interface Run {
  readonly segment: number
  readonly position: number
  end: number
  readonly entries: SharedEntry[]
}

interface SharedEntry {
  readonly stored: StoredEntry
  readonly segment: number
  readonly position: number
  readonly end: number
}

/**
 * The payloads of the groups' last entries that lie in shared segments: all groups' with one pass over the files, since those
 * of one group alone are far apart. Fewer bytes than asked for where a file ends; whoever needs them checks them.
 */
export async function readSharedTails(
  segments: SegmentFiles,
  scans: readonly GroupScan[],
): Promise<Map<StoredEntry, Uint8Array>> {
  const payloads = new Map<StoredEntry, Uint8Array>()
  const present = await segments.sizes('shared')
  assert(new Set(scans).size === scans.length, 'log.shared-tails-once', () => `${scans.length} groups`)
  const wanted = scans.flatMap((scan) => sharedEntries(scan)).filter(({ segment }) => present.has(segment))
  await someAtOnce(inRuns(wanted), mostReadsAtOnce, async ({ segment, position, end, entries }) => {
    const bytes = await segments.read('shared', segment, position, end - position).catch(() => undefined)
    assert((bytes?.length ?? 0) <= end - position, 'log.shared-tail-bytes', () => `${bytes?.length} bytes`)
    for (const entry of entries) {
      // What can't be read may be what lies between. A copy, or a small payload would keep all of the read in memory.
      const payload =
        bytes === undefined
          ? await segments.read('shared', segment, entry.position, entry.end - entry.position)
          : new Uint8Array(bytes.subarray(entry.position - position, entry.end - position))
      payloads.set(entry.stored, payload)
    }
  })
  assert(payloads.size === wanted.length, 'log.shared-tails', () => `${payloads.size} of ${wanted.length}`)
  return payloads
}

function sharedEntries(scan: GroupScan): SharedEntry[] {
  const entries: SharedEntry[] = []
  for (const stored of scan.damage === undefined ? scan.tail() : []) {
    if (stored.payload.type === 'inline' || !stored.payload.extent.shared) continue
    const { segment, position } = stored.payload.extent
    const { payloadBytes } = stored.head
    assert(payloadBytes > 0, 'log.shared-tail-payload', () => `group ${scan.groupId}: ${stored.head.index}`)
    entries.push({ stored, segment, position, end: position + payloadBytes })
  }
  return entries
}

function inRuns(entries: SharedEntry[]): Run[] {
  entries.sort((left, right) => left.segment - right.segment || left.position - right.position)
  const runs: Run[] = []
  for (const entry of entries) {
    const run = runs.at(-1)
    const belongs =
      run?.segment === entry.segment &&
      entry.position <= run.end + mostGapBytes &&
      entry.end <= run.position + mostBytesPerRead
    if (!belongs) {
      const { segment, position, end } = entry
      runs.push({ segment, position, end, entries: [entry] })
      continue
    }
    assert(entry.position >= run.position, 'log.shared-tail-order', () => `${entry.position}`)
    run.end = Math.max(run.end, entry.end)
    run.entries.push(entry)
  }
  const count = runs.reduce((sum, run) => sum + run.entries.length, 0)
  assert(count === entries.length, 'log.shared-tail-runs', () => `${count} of ${entries.length}`)
  return runs
}
