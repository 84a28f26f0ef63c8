import type { Clock, Logger, Store, StoreOperation } from '../env/index.ts'
import type { Bootstrap, Entry } from '../raft/types.ts'
import { asLogIndex } from '../raft/types.ts'
import { assert } from './assert.ts'
import { withPayload } from './entry-codec.ts'
import { MalformedBytesError } from './errors.ts'
import { FolderScan } from './folder-scan.ts'
import type { GroupScan } from './group-scan.ts'
import type { GroupState } from './group-state.ts'
import { wholeBlocks } from './group-state.ts'
import { groupKey, keyKind, turnKey, turnSlotKey } from './keys.ts'
import type { DurableTurnFile } from './durable-turn.ts'
import { checkLastTurn, missingTurns, readLastTurn } from './last-turn.ts'
import type { LastTurn } from './last-turn.ts'
import { decodeState, encodeText, encodeTurn, encodeTurnNumber } from './records.ts'
import type { StoredEntry } from './records.ts'
import type { SegmentFiles } from './segments.ts'
import { readSharedTails } from './shared-tails.ts'
import { someAtOnce } from './some-at-once.ts'
import type { Sweep } from './sweep.ts'
import type { GroupId, LogLimits, RecoveredGroup } from './types.ts'

export interface Recovery {
  /** The newest turn; the next one has one more. */
  readonly turn: number
  readonly groups: Map<GroupId, GroupState>
  readonly recovered: Map<GroupId, RecoveredGroup>
  /** The files of the shared segments, and their sizes in bytes. */
  readonly sharedSizes: ReadonlyMap<number, number>
  /** The newest shared segment that an entry of any group names, damaged groups included: its file may be gone. */
  readonly newestShared: number
  /** What an earlier run began to give back and didn't finish. */
  readonly sweeps: readonly Sweep[]
}

/** Groups that are loaded at the same time: enough to keep a disk busy, few enough that a start with thousands stays small. */
const mostGroupsAtOnce = 16

/** Reads what is there, checks it, cuts what a power cut left half done, and leaves damage as it is. */
export async function recover(
  store: Store,
  segments: SegmentFiles,
  durableTurn: DurableTurnFile,
  limits: LogLimits,
  clock: Clock,
  logger: Logger,
): Promise<Recovery> {
  const startedMs = clock.nowMs()
  const last = await readLastTurn(store, await durableTurn.read())
  const damage = await checkLastTurn(store, segments, last, logger)
  const scan = new FolderScan(store, limits, clock, logger, damage)
  await scan.run(last.damage)
  await settleLastTurn(store, durableTurn, last, scan.groupIds())

  const groups = new Map<GroupId, GroupState>()
  const recovered = new Map<GroupId, RecoveredGroup>()
  const sweeps: Sweep[] = [...scan.destroyed].map((groupId) => ({
    type: 'destroyed',
    groupId,
    stored: undefined,
  }))
  const directories = new Set(await segments.directories())
  const sharedSizes = await segments.sizes('shared')
  const scans = scan.groupIds().map((groupId) => scan.group(groupId))
  const sharedTails = await readSharedTails(segments, scans)
  const loaded = await someAtOnce(scans, mostGroupsAtOnce, (group) =>
    loadGroup(store, segments, group, directories.has(String(group.groupId)), sharedSizes, sharedTails),
  )
  for (const { group, found, state } of loaded) {
    const { groupId } = group
    recovered.set(groupId, found)
    if (state !== undefined) groups.set(groupId, state)
    if (!found.ok) {
      const { damage: text } = found
      logger.error({ groupId, damage: text }, 'a group is damaged; its replica on this node takes no part')
    } else if (group.leftBelow) {
      sweeps.push({ type: 'below', groupId, from: 0, to: group.lowEnd.index, segments: [] })
    }
  }
  await warnOfUnknownDirectories(segments, recovered, scan.destroyed, logger)
  assert(recovered.size === scan.groupIds().length, 'log.recovered-all', () => `${recovered.size}`)
  assert(groups.size <= recovered.size, 'log.recovered-sound', () => `${groups.size} of ${recovered.size}`)
  const damaged = recovered.size - groups.size
  const ms = Math.round(clock.nowMs() - startedMs)
  logger.info(
    { groups: recovered.size, damaged, entries: scan.entries, turn: last.turn, ms },
    'the log is read',
  )
  const newestShared = Math.max(0, ...scans.map((group) => group.newestShared))
  return { turn: last.turn, groups, recovered, sharedSizes, newestShared, sweeps }
}

interface LoadedGroup {
  readonly group: GroupScan
  readonly found: RecoveredGroup
  /** Undefined where it is damaged. */
  readonly state: GroupState | undefined
}

/** What the scan left open: segments against what entries say of them, the end of the log, the state at its low end. */
async function loadGroup(
  store: Store,
  segments: SegmentFiles,
  group: GroupScan,
  hasDirectory: boolean,
  sharedSizes: ReadonlyMap<number, number>,
  sharedTails: ReadonlyMap<StoredEntry, Uint8Array>,
): Promise<LoadedGroup> {
  const { groupId } = group
  if (group.damage === undefined) compareShared(group, sharedSizes)
  if (group.damage === undefined) await compareSegments(segments, group, hasDirectory)
  const tail = group.damage === undefined ? await loadTail(segments, group, sharedTails) : []
  const lowEndState = group.damage === undefined ? await loadLowEndState(store, group) : undefined
  if (group.damage !== undefined || lowEndState === undefined) {
    const damage = group.damage ?? 'the state at its low end is missing'
    return { group, found: { groupId, ok: false, damage }, state: undefined }
  }
  const appliedState = group.applied?.state ?? lowEndState
  const bootstrap = bootstrapOf(group, tail)
  assert(bootstrap.last.index === group.last.index, 'log.loaded-last', () => `group ${groupId}`)
  return {
    group,
    found: { groupId, ok: true, bootstrap, appliedState },
    state: group.state(lowEndState.length),
  }
}

/**
 * Writes down what this start found of the last turn: a lost turn as damage of every group, for the next turn would
 * overwrite the evidence; a turn that was looked at as durable.
 */
async function settleLastTurn(
  store: Store,
  durableTurn: DurableTurnFile,
  last: LastTurn,
  groupIds: readonly GroupId[],
): Promise<void> {
  assert(last.damage === undefined || !last.certain, 'log.lost-turn-certain', () => `turn ${last.turn}`)
  if (last.damage !== undefined) {
    const operations: StoreOperation[] = []
    const record = { turn: last.turn, extents: [] }
    operations.push({ type: 'put', key: turnKey, value: encodeTurn(record, turnKey) })
    // Told once: groups that come to be after this aren't concerned.
    for (const turn of await missingTurns(store, last.turn)) {
      const key = turnSlotKey(turn)
      operations.push({ type: 'put', key, value: encodeTurnNumber(turn, key) })
    }
    for (const groupId of groupIds) {
      const key = groupKey(keyKind.damage, groupId)
      operations.push({ type: 'put', key, value: encodeText(last.damage, key) })
    }
    await store.batch(operations, { sync: true })
  }
  if (last.turn > 0) await durableTurn.write(last.turn, { sync: true })
}

/** Nothing is cut from a shared segment: none that a start finds is ever written on. */
function compareShared(group: GroupScan, sizes: ReadonlyMap<number, number>): void {
  for (const { number, lastIndex } of group.shared()) {
    const bytes = group.sharedEnds.get(number) ?? 0
    assert(bytes > 0 && lastIndex <= group.last.index, 'log.shared-named', () => `${number}: ${lastIndex}`)
    const fault = shortage(sizes.get(number), bytes)
    if (fault === undefined) continue
    group.damage = `shared segment ${number}, with entries up to ${lastIndex}, ${fault}`
    return
  }
}

function shortage(size: number | undefined, bytes: number): string | undefined {
  if (size === undefined) return "isn't there"
  return size < bytes ? `has ${size} bytes of ${bytes}` : undefined
}

/** Every segment that an entry names must be there as a whole; what no entry names is garbage and goes. */
async function compareSegments(
  segments: SegmentFiles,
  group: GroupScan,
  hasDirectory: boolean,
): Promise<void> {
  const { groupId } = group
  const found = hasDirectory ? await segments.sizes(groupId) : new Map<number, number>()
  const named = new Map(group.segments().map((segment) => [segment.number, segment]))
  for (const { number, bytes, lastIndex } of named.values()) {
    assert(bytes >= 0 && lastIndex <= group.last.index, 'log.segment-named', () => `${number}: ${lastIndex}`)
    const fault = shortage(found.get(number), bytes)
    if (fault === undefined) continue
    group.damage = `segment ${number}, with entries up to ${lastIndex}, ${fault}`
    return
  }
  for (const [number, size] of found) {
    const segment = named.get(number)
    // All that is named is there by now; a group with damage loses nothing.
    assert(group.damage === undefined, 'log.remove-unnamed', () => `group ${groupId}: ${group.damage}`)
    if (segment === undefined) {
      await segments.remove(groupId, number)
      continue
    }
    const written = wholeBlocks(segment.bytes)
    if (size > written) await segments.truncate(groupId, number, written)
  }
}

async function loadTail(
  segments: SegmentFiles,
  group: GroupScan,
  sharedTails: ReadonlyMap<StoredEntry, Uint8Array>,
): Promise<readonly Entry[]> {
  const entries: Entry[] = []
  for (const stored of group.tail()) {
    try {
      const payload = sharedTails.get(stored) ?? (await loadPayload(segments, group.groupId, stored))
      entries.push(withPayload(stored.head, payload))
    } catch (error) {
      if (!(error instanceof MalformedBytesError)) throw error
      group.damage = `entry ${stored.head.index}: ${error.message}`
      return []
    }
  }
  const newest = entries.at(-1)
  assert(
    newest === undefined || newest.index === group.last.index,
    'log.tail-last',
    () => `group ${group.groupId}: ${newest?.index}, not ${group.last.index}`,
  )
  assert(
    newest === undefined || newest.digest === group.last.digest,
    'log.tail-digest',
    () => `group ${group.groupId}: at ${newest?.index}`,
  )
  return entries
}

async function loadPayload(
  segments: SegmentFiles,
  groupId: GroupId,
  stored: StoredEntry,
): Promise<Uint8Array> {
  const { head, payload } = stored
  if (payload.type === 'inline') return payload.bytes
  const { shared, segment, position } = payload.extent
  assert(!shared, 'log.shared-tail-read', () => `group ${groupId}: entry ${head.index}`)
  return segments.read(groupId, segment, position, head.payloadBytes)
}

async function loadLowEndState(store: Store, group: GroupScan): Promise<Uint8Array | undefined> {
  const key = groupKey(keyKind.lowEndState, group.groupId)
  const value = await store.get(key)
  if (value === undefined) return undefined
  try {
    const { index, state } = decodeState(value, key)
    assert(group.damage === undefined, 'log.low-end-of-damaged', () => `group ${group.groupId}`)
    if (index === group.lowEnd.index) return state
    group.damage = `the state at its low end is of entry ${index}, and the low end is ${group.lowEnd.index}`
  } catch (error) {
    if (!(error instanceof MalformedBytesError)) throw error
    group.damage = `the state at its low end: ${error.message}`
  }
  return undefined
}

function bootstrapOf(group: GroupScan, tail: readonly Entry[]): Bootstrap {
  const { hardState, lowEnd, last, termRuns, appliedIndex, configuration } = group
  const commit = asLogIndex(Math.max(hardState.commit, lowEnd.index))
  assert(commit <= last.index, 'log.start-commit', () => `group ${group.groupId}: ${commit} > ${last.index}`)
  assert(appliedIndex <= last.index, 'log.start-applied', () => `group ${group.groupId}: ${appliedIndex}`)
  assert(hardState.term >= last.term, 'log.start-term', () => `group ${group.groupId}: ${hardState.term}`)
  assert(
    appliedIndex + tail.length >= last.index,
    'log.start-tail',
    () => `group ${group.groupId}: ${tail.length} entries after ${appliedIndex}`,
  )
  return {
    hardState: { ...hardState, commit },
    lowEnd,
    last,
    termRuns,
    applied: appliedIndex,
    tail,
    configuration,
  }
}

async function warnOfUnknownDirectories(
  segments: SegmentFiles,
  recovered: ReadonlyMap<GroupId, RecoveredGroup>,
  destroyed: ReadonlySet<GroupId>,
  logger: Logger,
): Promise<void> {
  const known = new Set(['shared', ...[...recovered.keys(), ...destroyed].map(String)])
  const unknown = (await segments.directories()).filter((name) => !known.has(name))
  if (unknown.length === 0) return
  logger.warn(
    { directories: unknown.slice(0, 10), count: unknown.length },
    'segment directories of groups that the store does not know; they are left alone and may be moved away',
  )
}
