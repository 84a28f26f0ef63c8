import type { Logger, Store } from '../env/index.ts'
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
import type { StoredEntry } from './records.ts'
import type { SegmentFiles } from './segments.ts'
import type { GroupId, IndexPoint } from './types.ts'

/** The most payload bytes that one read from a segment brings. */
const mostBytesPerRead = 4 * 1024 * 1024

/** Reads a group's durable log. `stateNow` is asked again after every wait: the low end may have moved meanwhile. */
export async function readEntries(
  store: Store,
  segments: SegmentFiles,
  stateNow: () => GroupState,
  from: LogIndex,
  to: LogIndex,
  maxBytes: number,
): Promise<Entry[]> {
  const { groupId, last } = stateNow()
  refuseCompacted(stateNow(), from)
  const end = Math.min(to, last.index)
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
  return loadPayloads(segments, stateNow, heads)
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
): Promise<Entry[]> {
  const { groupId } = stateNow()
  const entries: Entry[] = []
  for (let at = 0; at < heads.length;) {
    const { head, payload } = heads[at]!
    if (payload.type === 'inline') {
      entries.push(checked(groupId, heads[at]!, undefined, payload.bytes))
      at++
      continue
    }
    const { segment, position } = payload.extent
    const { count, length } = adjacent(heads, at)
    assert(count >= 1, 'log.read-adjacent', () => `group ${groupId}: entry ${head.index}`)
    refuseRemoved(stateNow(), segment, head.index)
    const bytes = await segments.read(groupId, segment, position, length)
    for (const stored of heads.slice(at, at + count)) {
      const start = positionOf(stored) - position
      const part = bytes.subarray(start, start + stored.head.payloadBytes)
      entries.push(checked(groupId, stored, segment, part))
    }
    at += count
  }
  assert(entries.length === heads.length, 'log.read-complete', () => `group ${groupId}: ${entries.length}`)
  return entries
}

/** A segment that a move of the low end has given back in the meantime; opening it would create it anew. */
function refuseRemoved(state: GroupState, segment: number, index: LogIndex): void {
  if (state.segments.some(({ number }) => number === segment)) return
  throw new EntriesCompactedError(state.groupId, index, state.lowEnd.index)
}

function positionOf({ payload }: StoredEntry): number {
  assert(payload.type === 'extent', 'log.read-extent', () => payload.type)
  return payload.extent.position
}

function adjacent(heads: readonly StoredEntry[], from: number): { count: number; length: number } {
  const first = positionOf(heads[from]!)
  let count = 0
  let length = 0
  let segment: number | undefined
  for (const { head, payload } of heads.slice(from)) {
    if (payload.type !== 'extent') break
    const { position } = payload.extent
    const end = first + length
    if (count > 0) {
      const follows =
        payload.extent.segment === segment && (position === end || position === wholeBlocks(end))
      if (!follows || position + head.payloadBytes - first > mostBytesPerRead) break
    }
    segment = payload.extent.segment
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
  segment: number | undefined,
  payload: Uint8Array,
): Entry {
  try {
    return withPayload(head, payload)
  } catch (error) {
    throw damaged(groupId, head.index, segment, error)
  }
}

function damaged(groupId: GroupId, index: LogIndex, segment: number | undefined, error: unknown): unknown {
  if (!(error instanceof MalformedBytesError)) return error
  return new DamagedEntryError(groupId, index, segment, error.message, { cause: error })
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
