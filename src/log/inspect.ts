import type { Store } from '../env/index.ts'
import type { Configuration, HardState, LogIndex, LogMark, TermRun } from '../raft/types.ts'
import { assert } from './assert.ts'
import { DurableTurnFile, durableTurnName } from './durable-turn.ts'
import type { EntryHead } from './entry-codec.ts'
import { withPayload } from './entry-codec.ts'
import { FolderMismatchError, MalformedBytesError } from './errors.ts'
import { FolderScan } from './folder-scan.ts'
import { readClusterId, readIdentity, segmentsName, storeName } from './folder.ts'
import type { GroupScan } from './group-scan.ts'
import { groupKey, groupRange, identityKey, keyKind } from './keys.ts'
import { readLastTurn } from './last-turn.ts'
import type { LastTurn } from './last-turn.ts'
import type { LogEnv } from './log-storage.ts'
import { quarantineName } from './quarantine.ts'
import { decodeIndexPoint, decodeState, decodeStoredEntry } from './records.ts'
import type { StoredEntry, StoredPayload } from './records.ts'
import { describeSegment, SegmentFiles, segmentOwner } from './segments.ts'
import type { FolderIdentity, GroupId } from './types.ts'

/** A segment file, and what entries say of it. */
export interface InspectedSegment {
  readonly number: number
  /** Of the file; undefined where it isn't there. */
  readonly fileBytes: number | undefined
  /** Up to here entries name it, 0 where none does: what is behind the end of that block is garbage that a start cuts. */
  readonly namedBytes: number
}

export interface InspectedGroup {
  readonly groupId: GroupId
  readonly lowEnd: LogMark
  readonly last: LogMark
  readonly hardState: HardState
  readonly applied: LogIndex
  readonly termRuns: readonly TermRun[]
  readonly configuration: Configuration
  readonly entries: number
  readonly payloadBytes: number
  /** Entries whose payload lies in a segment. */
  readonly extents: number
  /** Payload bytes that lie in shared segments. */
  readonly sharedBytes: number
  readonly segments: readonly InspectedSegment[]
  readonly signposts: number
  /** The last turn may not have been whole: the next start cuts the log before this entry, which nobody was told of. */
  readonly cutBefore: LogIndex | undefined
  /** What is wrong; the first few things, then how many more. Empty: the group is sound. */
  readonly damage: readonly string[]
}

export interface InspectedEntry {
  readonly groupId: GroupId
  readonly head: EntryHead
  readonly payload: StoredPayload
  /** Its payload isn't what was written. */
  readonly damage: string | undefined
}

export interface Inspection {
  readonly formatVersion: number
  readonly identity: FolderIdentity
  readonly clusterId: string | undefined
  /** The newest turn. */
  readonly turn: number
  /** The folder says that this turn was durable as a whole: it was closed, or quiet, after it. */
  readonly durableTurn: number
  /** The store lost turns, so nothing in it can be trusted. */
  readonly lostTurns: string | undefined
  readonly groups: readonly InspectedGroup[]
  /** Those that all groups share. */
  readonly sharedSegments: readonly InspectedSegment[]
  /** Deleted groups whose space is still being given back. */
  readonly destroyed: readonly GroupId[]
  /** Directories of groups that were put aside. */
  readonly quarantined: readonly string[]
  /** Directories of segments of groups that the store doesn't know. */
  readonly unknownDirectories: readonly string[]
}

export interface InspectOptions {
  /** Only this group's entries are given to `onEntry`; the others are verified as well. */
  readonly groupId?: GroupId
  readonly onEntry?: (entry: InspectedEntry) => void
  /** Called after each entry with what has been verified so far. */
  readonly onProgress?: (entries: number, payloadBytes: number) => void
}

/** So many faults of a group are kept as text. */
const mostDamageTexts = 10

/**
 * Reads and verifies all of a stopped node's folder and changes nothing; `env.disk` should be one that can't write. Throws
 * FolderMismatchError where the folder is none of Flotilla's or of another format, StoreDamagedError or
 * FolderDamagedError where LevelDB's own files or the note of the last turn are damaged.
 */
export async function inspectFolder(
  env: Pick<LogEnv, 'disk' | 'clock' | 'logger'>,
  directory: string,
  options: InspectOptions = {},
): Promise<Inspection> {
  const { files } = env.disk
  const names = await files.list(directory)
  if (!names.includes(storeName)) {
    throw new FolderMismatchError(
      directory,
      `has no ${storeName} in it: it is no data folder of a Flotilla node`,
    )
  }
  const store = await env.disk.openStore(`${directory}/${storeName}`)
  const segments = new SegmentFiles(files, `${directory}/${segmentsName}`)
  try {
    const value = await store.get(identityKey)
    if (value === undefined) {
      throw new FolderMismatchError(directory, "has a LevelDB store that doesn't say whose it is")
    }
    const found = readIdentity(directory, value)
    const durableTurn = names.includes(durableTurnName) ? await readDurable(env, directory) : 0
    const last = await readLastTurn(store, durableTurn)
    const payloads = new PayloadCheck(segments, last, options)
    const scan = new FolderScan(
      store,
      { tailBytes: 0 },
      env.clock,
      env.logger,
      new Map(),
      (group, index, value) => payloads.check(group, index, value),
    )
    await scan.run(undefined)
    const groups: InspectedGroup[] = []
    const shared = new Map<number, number>()
    for (const groupId of scan.groupIds()) {
      const group = scan.group(groupId)
      const faults = payloads.of(groupId)
      if (group.damage !== undefined) faults.add(group.damage)
      await checkLowEndState(store, group, faults)
      const inspected = await inspectSegments(segments, group, faults)
      for (const [number, end] of group.sharedEnds) shared.set(number, Math.max(end, shared.get(number) ?? 0))
      groups.push(describeGroup(group, faults, inspected, await countSignposts(store, groupId)))
    }
    const known = new Set(['shared', ...[...scan.groupIds(), ...scan.destroyed].map(String)])
    return {
      formatVersion: found.formatVersion,
      identity: found.identity,
      clusterId: await readClusterId(store),
      turn: last.turn,
      durableTurn,
      lostTurns: last.damage,
      groups,
      sharedSegments: segmentsOf(await segments.sizes('shared'), shared),
      destroyed: [...scan.destroyed],
      quarantined: await files.list(`${directory}/${quarantineName}`),
      unknownDirectories: (await segments.directories()).filter((name) => !known.has(name)),
    }
  } finally {
    await segments.close()
    await store.close()
  }
}

async function readDurable(env: Pick<LogEnv, 'disk'>, directory: string): Promise<number> {
  const file = await DurableTurnFile.open(env.disk.files, directory)
  try {
    return await file.read()
  } finally {
    await file.close()
  }
}

/** What was found of a group's payloads. */
class GroupFaults {
  readonly texts: string[] = []
  count = 0
  payloadBytes = 0
  extents = 0
  cutBefore: LogIndex | undefined

  add(text: string): void {
    this.count++
    if (this.texts.length < mostDamageTexts) this.texts.push(text)
  }
}

/** Reads every payload that lies in a segment, in the order of the log. */
class PayloadCheck {
  readonly #segments: SegmentFiles
  readonly #options: InspectOptions
  /** From here on the entries are of the last turn, which may not have been whole. */
  readonly #uncertainFrom: ReadonlyMap<GroupId, LogIndex>
  readonly #faults = new Map<GroupId, GroupFaults>()
  #entries = 0
  #bytes = 0

  constructor(segments: SegmentFiles, last: LastTurn, options: InspectOptions) {
    this.#segments = segments
    this.#options = options
    this.#uncertainFrom = new Map(
      last.certain ? [] : last.extents.map(({ groupId, firstIndex }) => [groupId, firstIndex]),
    )
  }

  of(groupId: GroupId): GroupFaults {
    let faults = this.#faults.get(groupId)
    if (faults === undefined) this.#faults.set(groupId, (faults = new GroupFaults()))
    return faults
  }

  async check({ groupId, lowEnd }: GroupScan, index: LogIndex, value: Uint8Array): Promise<void> {
    // Entries at and below the low end are on their way out.
    if (index <= lowEnd.index) return
    let stored: StoredEntry
    try {
      stored = decodeStoredEntry(value)
    } catch (error) {
      // The group's scan has said so.
      if (error instanceof MalformedBytesError) return
      throw error
    }
    const faults = this.of(groupId)
    faults.payloadBytes += stored.head.payloadBytes
    const damage = await this.#payloadDamage(groupId, stored, faults)
    const { onEntry, onProgress, groupId: wanted } = this.#options
    if (wanted === undefined || wanted === groupId) {
      onEntry?.({ groupId, head: stored.head, payload: stored.payload, damage })
    }
    this.#entries++
    this.#bytes += stored.head.payloadBytes
    onProgress?.(this.#entries, this.#bytes)
  }

  async #payloadDamage(groupId: GroupId, { head, payload }: StoredEntry, faults: GroupFaults) {
    if (payload.type === 'inline') return undefined
    faults.extents++
    const { segment, position } = payload.extent
    try {
      const owner = segmentOwner(groupId, payload.extent)
      withPayload(head, await this.#segments.read(owner, segment, position, head.payloadBytes))
      return undefined
    } catch (error) {
      // A file that isn't there or can't be read says so in its own words.
      const text = error instanceof Error ? error.message : String(error)
      const damage = `entry ${head.index} in ${describeSegment(payload.extent)} at ${position}: ${text}`
      const uncertain = this.#uncertainFrom.get(groupId)
      if (uncertain !== undefined && head.index >= uncertain) faults.cutBefore ??= head.index
      else faults.add(damage)
      return damage
    }
  }
}

async function checkLowEndState(store: Store, group: GroupScan, faults: GroupFaults): Promise<void> {
  const key = groupKey(keyKind.lowEndState, group.groupId)
  const value = await store.get(key)
  if (value === undefined) {
    faults.add('the state at its low end is missing')
    return
  }
  try {
    const { index } = decodeState(value, key)
    if (index === group.lowEnd.index) return
    faults.add(`the state at its low end is of entry ${index}, and the low end is ${group.lowEnd.index}`)
  } catch (error) {
    if (!(error instanceof MalformedBytesError)) throw error
    faults.add(`the state at its low end: ${error.message}`)
  }
}

async function inspectSegments(
  segments: SegmentFiles,
  group: GroupScan,
  faults: GroupFaults,
): Promise<InspectedSegment[]> {
  const found = await segments.sizes(group.groupId)
  const named = new Map(group.segments().map(({ number, bytes }) => [number, bytes]))
  const inspected = segmentsOf(found, named)
  for (const { number, fileBytes, namedBytes } of inspected) {
    const short = fileBytes === undefined ? "isn't there" : `has ${fileBytes} bytes of ${namedBytes}`
    if ((fileBytes ?? 0) < namedBytes && faults.cutBefore === undefined)
      faults.add(`segment ${number} ${short}`)
  }
  return inspected
}

function segmentsOf(
  found: ReadonlyMap<number, number>,
  named: ReadonlyMap<number, number>,
): InspectedSegment[] {
  const numbers = [...new Set([...found.keys(), ...named.keys()])].sort((left, right) => left - right)
  assert(numbers.length >= found.size, 'log.inspected-segments', () => `${numbers.length} of ${found.size}`)
  return numbers.map((number) => ({
    number,
    fileBytes: found.get(number),
    namedBytes: named.get(number) ?? 0,
  }))
}

async function countSignposts(
  store: Store,
  groupId: GroupId,
): Promise<{ readonly count: number; readonly damaged: number }> {
  let count = 0
  let damaged = 0
  for (const kind of [keyKind.byOffset, keyKind.byTime] as const) {
    for await (const [key, value] of store.iterate(groupRange(kind, groupId))) {
      if (kind === keyKind.byOffset) count++
      try {
        decodeIndexPoint(value, key)
      } catch (error) {
        if (!(error instanceof MalformedBytesError)) throw error
        damaged++
      }
    }
  }
  return { count, damaged }
}

function describeGroup(
  group: GroupScan,
  faults: GroupFaults,
  segments: readonly InspectedSegment[],
  signposts: { readonly count: number; readonly damaged: number },
): InspectedGroup {
  const { groupId, lowEnd, last, hardState, termRuns, configuration, entries } = group
  if (signposts.damaged > 0)
    faults.add(`${signposts.damaged} signposts are damaged; they only make a search longer`)
  const more = faults.count - faults.texts.length
  return {
    groupId,
    lowEnd: { index: lowEnd.index, term: lowEnd.term, digest: lowEnd.digest },
    last,
    hardState,
    applied: group.appliedIndex,
    termRuns,
    configuration,
    entries,
    payloadBytes: faults.payloadBytes,
    extents: faults.extents,
    sharedBytes: group.shared().reduce((sum, { bytes }) => sum + bytes, 0),
    segments,
    signposts: signposts.count,
    cutBefore: faults.cutBefore,
    damage: more > 0 ? [...faults.texts, `and ${more} more`] : faults.texts,
  }
}
