import type { Logger, Readers, Store } from '../env/index.ts'
import type { Entry, LogIndex } from '../raft/types.ts'
import { asLogIndex } from '../raft/types.ts'
import { assert } from './assert.ts'
import { withPayload } from './entry-codec.ts'
import { DamagedEntryError, EntriesCompactedError, MalformedBytesError } from './errors.ts'
import type { GroupState } from './group-state.ts'
import { wholeBlocks } from './group-state.ts'
import { entryRange, indexOfEntryKey } from './keys.ts'
import type { Range } from './keys.ts'
import { decodeIndexPoint, decodeStoredEntry } from './records.ts'
import type { Extent, StoredEntry } from './records.ts'
import { isNamed } from './restore.ts'
import type { SegmentFiles } from './segments.ts'
import { describeSegment, segmentOwner } from './segments.ts'
import type { GroupId, IndexPoint } from './types.ts'

/** The most payload bytes that one read from a segment brings. */
const mostBytesPerRead = 4 * 1024 * 1024

/** A payload moves once, from a shared segment to one of its group; a batch may meet as many moves as it names segments. */
const mostAttempts = 100

/** Entries whose payloads come with one read, or one entry whose payload is in the store. */
interface Run {
  readonly heads: readonly StoredEntry[]
  readonly length: number
}

/** The entry's payload was relocated after its record was read, or is named by a turn that is about to be known as durable. */
const moved = Symbol('moved')

/** Reads a group's durable log. `stateNow` is asked again after every wait: the low end may have moved meanwhile. */
export async function readEntries(
  store: Store,
  segments: SegmentFiles,
  stateNow: () => GroupState,
  from: LogIndex,
  to: LogIndex,
  maxBytes: number,
  readers: Readers = 'many',
): Promise<Entry[]> {
  const { groupId } = stateNow()
  for (let attempt = 1; attempt <= mostAttempts; attempt++) {
    refuseCompacted(stateNow(), from)
    const end = Math.min(to, stateNow().last.index)
    if (from > end) return []
    const heads = await readHeads(store, groupId, from, end, maxBytes).catch((error: unknown) => {
      refuseCompacted(stateNow(), from)
      throw error
    })
    refuseCompacted(stateNow(), from)
    assert(heads[0]!.head.index === from, 'log.read-first', () => `group ${groupId}: ${from}`)
    assert(
      heads.length <= end - from + 1,
      'log.read-more',
      () => `group ${groupId}: ${heads.length} from ${from}`,
    )
    const entries = await loadPayloads(segments, stateNow, heads, readers)
    if (entries !== moved) return entries
  }
  const detail = `its payload was moved during each of ${mostAttempts} attempts to read it`
  throw new DamagedEntryError(groupId, from, undefined, detail)
}

function refuseCompacted(state: GroupState, from: LogIndex): void {
  if (from <= state.lowEnd.index) throw new EntriesCompactedError(state.groupId, from, state.lowEnd.index)
}

async function readHeads(
  store: Store,
  groupId: GroupId,
  from: number,
  to: number,
  maxBytes: number,
): Promise<StoredEntry[]> {
  const heads: StoredEntry[] = []
  let bytes = 0
  let expected = from
  for await (const [key, value] of store.iterate({
    ...entryRange(groupId, from, to),
    limit: to - from + 1,
  })) {
    const stored = decodeChecked(groupId, asLogIndex(expected), indexOfEntryKey(key), value)
    bytes += stored.head.payloadBytes
    if (heads.length > 0 && bytes > maxBytes) return heads
    heads.push(stored)
    expected++
    assert(expected === from + heads.length, 'log.read-contiguous', () => `group ${groupId}: ${expected}`)
  }
  if (heads.length === 0) throw new DamagedEntryError(groupId, asLogIndex(from), undefined, "it isn't there")
  return heads
}

function decodeChecked(
  groupId: GroupId,
  expected: LogIndex,
  found: LogIndex,
  value: Uint8Array,
): StoredEntry {
  if (found !== expected) throw new DamagedEntryError(groupId, expected, undefined, "it isn't there")
  try {
    const stored = decodeStoredEntry(value)
    if (stored.head.index === expected) return stored
    throw new MalformedBytesError(`its head says that it is entry ${stored.head.index}`)
  } catch (error) {
    throw damaged(groupId, expected, undefined, error)
  }
}

/** Payloads that lie one after the other in a segment come with one read; between turns there is at most a part of a block. */
async function loadPayloads(
  segments: SegmentFiles,
  stateNow: () => GroupState,
  heads: readonly StoredEntry[],
  readers: Readers,
): Promise<Entry[] | typeof moved> {
  const { groupId } = stateNow()
  const runs: Run[] = []
  for (let at = 0; at < heads.length;) {
    const { count, length } = adjacent(heads, at)
    assert(count >= 1, 'log.read-adjacent', () => `group ${groupId}: entry ${heads[at]?.head.index}`)
    runs.push({ heads: heads.slice(at, at + count), length })
    at += count
  }
  assert(runs.length <= heads.length, 'log.read-runs', () => `group ${groupId}: ${runs.length}`)
  const entries: Entry[] = []
  for (const run of runs) {
    const part = await loadRun(segments, stateNow, run, readers)
    if (part === moved) return moved
    assert(part.length > 0, 'log.read-part', () => `group ${groupId}`)
    entries.push(...part)
  }
  assert(entries.length === heads.length, 'log.read-complete', () => `group ${groupId}: ${entries.length}`)
  return entries
}

async function loadRun(
  segments: SegmentFiles,
  stateNow: () => GroupState,
  { heads, length }: Run,
  readers: Readers,
): Promise<Entry[] | typeof moved> {
  const { groupId } = stateNow()
  const { head, payload } = heads[0]!
  if (payload.type === 'inline') return [checked(groupId, heads[0]!, undefined, payload.bytes)]
  const { extent } = payload
  // A file that was given back must not be opened: that would create it anew.
  if (!isNamed(stateNow(), extent)) {
    refuseCompacted(stateNow(), head.index)
    return moved
  }
  const { segment, position } = extent
  assert(length >= head.payloadBytes, 'log.read-run', () => `group ${groupId}: entry ${head.index}`)
  const bytes = await segments.read(segmentOwner(groupId, extent), segment, position, length, readers)
  return heads.map((stored) => {
    const start = positionOf(stored) - position
    assert(start >= 0 && start <= length, 'log.read-within-run', () => `group ${groupId}: ${start}`)
    return checked(groupId, stored, extent, bytes.subarray(start, start + stored.head.payloadBytes))
  })
}

function positionOf({ payload }: StoredEntry): number {
  assert(payload.type === 'extent', 'log.read-extent', () => payload.type)
  return payload.extent.position
}

function adjacent(heads: readonly StoredEntry[], from: number): { count: number; length: number } {
  if (heads[from]!.payload.type === 'inline') return { count: 1, length: 0 }
  const first = positionOf(heads[from]!)
  let count = 0
  let length = 0
  let before: Extent | undefined
  for (const { head, payload } of heads.slice(from)) {
    if (payload.type !== 'extent') break
    const { position, segment, shared } = payload.extent
    const end = first + length
    if (before !== undefined) {
      const follows =
        segment === before.segment &&
        shared === before.shared &&
        (position === end || position === wholeBlocks(end))
      if (!follows || position + head.payloadBytes - first > mostBytesPerRead) break
    }
    before = payload.extent
    length = position + head.payloadBytes - first
    count++
  }
  assert(count <= heads.length - from, 'log.adjacent-count', () => `${count} from ${from}`)
  assert(count <= 1 || length <= mostBytesPerRead, 'log.adjacent-bytes', () => `${length} bytes`)
  return { count, length }
}

function checked(
  groupId: GroupId,
  { head }: StoredEntry,
  extent: Extent | undefined,
  payload: Uint8Array,
): Entry {
  try {
    return withPayload(head, payload)
  } catch (error) {
    throw damaged(groupId, head.index, extent, error)
  }
}

function damaged(groupId: GroupId, index: LogIndex, extent: Extent | undefined, error: unknown): unknown {
  if (!(error instanceof MalformedBytesError)) return error
  const place = extent && describeSegment(extent)
  return new DamagedEntryError(groupId, index, place, error.message, { cause: error })
}

/** The last signpost in the range that is above the low end. A damaged one is passed over: it would only have helped. */
export async function lastSignpost(
  store: Store,
  stateNow: () => GroupState,
  range: Range,
  logger: Logger,
): Promise<IndexPoint | undefined> {
  for (let limit = 1; ; limit *= 8) {
    let seen = 0
    for await (const [key, value] of store.iterate({ ...range, reverse: true, limit })) {
      seen++
      try {
        const point = decodeIndexPoint(value, key)
        return point.index > stateNow().lowEnd.index ? point : undefined
      } catch (error) {
        if (!(error instanceof MalformedBytesError)) throw error
        logger.warn({ err: error }, 'a damaged signpost is passed over')
      }
    }
    if (seen < limit) return undefined
  }
}
