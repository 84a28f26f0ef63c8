import type { Logger, Store, StoreOperation } from '../env/index.ts'
import type { LogIndex } from '../raft/types.ts'
import { asLogIndex } from '../raft/types.ts'
import { assert } from './assert.ts'
import { MalformedBytesError } from './errors.ts'
import { withPayload } from './entry-codec.ts'
import {
  entryKey,
  groupKey,
  groupRange,
  indexOfEntryKey,
  keyKind,
  kindRange,
  turnKey,
  turnSlots,
} from './keys.ts'
import {
  decodeTurnNumber,
  decodeHardState,
  decodeState,
  decodeTurn,
  encodeHardState,
  storedEntry,
} from './records.ts'
import type { TurnRecord } from './records.ts'
import type { SegmentFiles, SegmentPiece, SegmentWrite } from './segments.ts'
import { describeSegment, segmentOwner } from './segments.ts'
import type { GroupId } from './types.ts'

/** What a start knows of the turns before it. */
export interface LastTurn {
  /** The newest turn that the store has, 0 in a new folder. */
  readonly turn: number
  /** The turn is known to have been durable as a whole. */
  readonly certain: boolean
  /** Set where the store lost something that it had acknowledged: then no group can be trusted. */
  readonly damage: string | undefined
  readonly extents: TurnRecord['extents']
}

/** `durable`: the newest turn that is known to have been durable as a whole. */
export async function readLastTurn(store: Store, durable: number): Promise<LastTurn> {
  assert(Number.isSafeInteger(durable) && durable >= 0, 'log.durable-turn', () => `${durable}`)
  const value = await store.get(turnKey)
  if (value === undefined) return lastTurn(0, durable, [])
  try {
    const { turn, extents } = decodeTurn(value, turnKey)
    const missing = await missingTurns(store, turn)
    if (missing.length === 0 || durable > turn) return lastTurn(turn, durable, extents)
    const damage = `the store has turn ${turn}, but lost turn ${missing[0]} before it (${missing.length} in all)`
    return { turn, certain: false, damage, extents: [] }
  } catch (error) {
    if (!(error instanceof MalformedBytesError)) throw error
    return { turn: durable, certain: false, damage: `the store's turn record: ${error.message}`, extents: [] }
  }
}

/**
 * Turns that the store once had and has no more. LevelDB's recovery skips a broken record of its write-ahead log without
 * a word; what was in it may be a vote, which nothing else would miss.
 */
export async function missingTurns(store: Store, newest: number): Promise<number[]> {
  const slots = new Map<number, number>()
  for await (const [key, value] of store.iterate(kindRange(keyKind.turnSlot))) {
    const slot = key[1]! * 256 + key[2]!
    try {
      slots.set(slot, decodeTurnNumber(value, key))
    } catch (error) {
      if (!(error instanceof MalformedBytesError)) throw error
      // The slot is there, so its turn was; only which one it was can't be read.
      slots.set(slot, newest)
    }
  }
  const missing: number[] = []
  for (let turn = Math.max(1, newest - turnSlots + 1); turn <= newest; turn++) {
    if ((slots.get(turn % turnSlots) ?? 0) < turn) missing.push(turn)
  }
  assert(slots.size <= turnSlots, 'log.turn-slots', () => `${slots.size}`)
  assert(
    missing.length <= Math.min(newest, turnSlots),
    'log.missing-turns',
    () => `${missing.length} of ${newest}`,
  )
  return missing
}

function lastTurn(turn: number, durable: number, extents: TurnRecord['extents']): LastTurn {
  assert(turn >= 0, 'log.newest-turn', () => `${turn}`)
  if (durable <= turn) return { turn, certain: durable === turn, damage: undefined, extents }
  const damage = `the store's newest turn is ${turn}, but turn ${durable} was durable: what came between is lost`
  return { turn: durable, certain: false, damage, extents: [] }
}

/**
 * Looks at the payloads that the last turn put into segments. Where the turn may have been cut short by a power cut, a
 * payload that isn't whole was never acknowledged, so the log is cut before it, durably. Otherwise it is damage, which the
 * result has by group.
 */
export async function checkLastTurn(
  store: Store,
  segments: SegmentFiles,
  last: LastTurn,
  logger: Logger,
): Promise<Map<GroupId, string>> {
  const damage = new Map<GroupId, string>()
  assert(
    last.damage === undefined || (!last.certain && last.extents.length === 0),
    'log.last-turn-damage',
    () => `turn ${last.turn}: ${last.damage}`,
  )
  const shared = await segments.sizes('shared')
  for (const { groupId, firstIndex } of last.extents) {
    const broken = await firstBrokenExtent(store, segments, shared, groupId, firstIndex)
    if (broken === undefined) continue
    if (last.certain) {
      damage.set(groupId, `entry ${broken.index}, of the last turn, which was durable: ${broken.detail}`)
      continue
    }
    const refused = await cutBefore(store, groupId, broken.index)
    if (refused !== undefined) {
      damage.set(groupId, refused)
      continue
    }
    logger.warn(
      { groupId, index: broken.index, detail: broken.detail },
      'the last turn before the stop was not whole and not acknowledged: the log is cut before this entry',
    )
  }
  if (!last.certain) await makeDurable(store, segments, last, damage)
  return damage
}

/** So many bytes are written again at a time. */
const mostBytesAtOnce = 4 * 1024 * 1024

/**
 * What is left of the last turn's payloads may lie in the system's cache alone: a process that is killed between the two
 * syncs of a turn leaves a batch that is durable with segments that are not. A start counts that turn as durable, so it
 * must be, or the next power cut takes what this start has answered for. A sync alone would not do: where one has failed
 * before, the system calls what it did not write clean, and the next sync succeeds without writing it (Rebello et al.,
 * "Can Applications Recover from fsync Failures?", ATC 2020). So the bytes are written again.
 */
async function makeDurable(
  store: Store,
  segments: SegmentFiles,
  last: LastTurn,
  damage: ReadonlyMap<GroupId, string>,
): Promise<void> {
  assert(!last.certain, 'log.settled-turn', () => `turn ${last.turn}`)
  const ofAll = new SharedRewrite(segments)
  for (const { groupId, firstIndex } of last.extents) {
    if (damage.has(groupId)) continue
    let writes: OpenWrite[] = []
    let bytes = 0
    const { lt } = groupRange(keyKind.entry, groupId)
    for await (const [, value] of store.iterate({ gte: entryKey(groupId, firstIndex), lt })) {
      // One that is damaged the scan tells.
      const stored = storedEntry(value)
      if (stored?.payload.type !== 'extent') continue
      const { shared, segment, position } = stored.payload.extent
      const owner = segmentOwner(groupId, stored.payload.extent)
      const payload = await segments.read(owner, segment, position, stored.head.payloadBytes)
      withPayload(stored.head, payload)
      if (shared) {
        await ofAll.add(segment, position, payload)
        continue
      }
      addTo(writes, groupId, segment, position, payload)
      bytes += payload.length
      if (bytes < mostBytesAtOnce) continue
      await segments.write(writes)
      writes = []
      bytes = 0
    }
    await segments.write(writes)
  }
  await ofAll.flush()
}

/** A turn writes to one shared segment; each group's payloads lie somewhere in it. */
class SharedRewrite {
  readonly #segments: SegmentFiles
  #segment: number | undefined
  #pieces: SegmentPiece[] = []
  #bytes = 0

  constructor(segments: SegmentFiles) {
    this.#segments = segments
  }

  async add(segment: number, position: number, payload: Uint8Array): Promise<void> {
    if (this.#segment !== segment || this.#bytes >= mostBytesAtOnce) await this.flush()
    assert(this.#pieces.length === 0 || this.#segment === segment, 'log.rewrite-one-file', () => `${segment}`)
    this.#segment = segment
    assert(payload.length > 0 && position >= 0, 'log.rewrite-piece', () => `${payload.length} at ${position}`)
    this.#pieces.push({ position, chunks: [payload] })
    this.#bytes += payload.length
  }

  async flush(): Promise<void> {
    if (this.#segment === undefined) return
    // The file may have begun in this turn, and its directory with it.
    await this.#segments.makeDirectory('shared')
    await this.#segments.rewrite('shared', this.#segment, this.#pieces)
    assert(this.#pieces.length > 0, 'log.rewrite-pieces', () => `shared segment ${this.#segment}`)
    this.#segment = undefined
    this.#pieces = []
    this.#bytes = 0
  }
}

type OpenWrite = SegmentWrite & { readonly chunks: Uint8Array[]; end: number }

/** One write for payloads that lie side by side. */
function addTo(
  writes: OpenWrite[],
  owner: GroupId,
  segment: number,
  position: number,
  payload: Uint8Array,
): void {
  const open = writes.at(-1)
  const end = position + payload.length
  if (open?.segment === segment && open.end === position) {
    open.chunks.push(payload)
    open.end = end
    return
  }
  // The name of a file that began in this turn is as doubtful as what is in it.
  writes.push({ owner, segment, position, chunks: [payload], created: position === 0, end })
}

interface BrokenExtent {
  readonly index: LogIndex
  readonly detail: string
}

async function firstBrokenExtent(
  store: Store,
  segments: SegmentFiles,
  ofAll: ReadonlyMap<number, number>,
  groupId: GroupId,
  firstIndex: LogIndex,
): Promise<BrokenExtent | undefined> {
  const own = await segments.sizes(groupId)
  const { lt } = groupRange(keyKind.entry, groupId)
  for await (const [key, value] of store.iterate({ gte: entryKey(groupId, firstIndex), lt })) {
    const stored = storedEntry(value)
    // A batch is written as a whole or not at all, so this is damage of another kind; the scan tells it.
    if (stored === undefined) return undefined
    if (stored.payload.type === 'inline') continue
    const { extent } = stored.payload
    const { segment, position } = extent
    const index = indexOfEntryKey(key)
    assert(index >= firstIndex, 'log.extent-before', () => `entry ${index} before ${firstIndex}`)
    const present = extent.shared ? ofAll : own
    if (!present.has(segment)) return { index, detail: `${describeSegment(extent)} isn't there` }
    try {
      const owner = segmentOwner(groupId, extent)
      withPayload(stored.head, await segments.read(owner, segment, position, stored.head.payloadBytes))
    } catch (error) {
      if (!(error instanceof MalformedBytesError)) throw error
      return { index, detail: `${describeSegment(extent)} at ${position}: ${error.message}` }
    }
  }
  return undefined
}

/** Drops the entries from `first` on. Returns why it can't be, where something durable stands on them. */
async function cutBefore(store: Store, groupId: GroupId, first: LogIndex): Promise<string | undefined> {
  const operations: StoreOperation[] = []
  try {
    const appliedKey = groupKey(keyKind.applied, groupId)
    const applied = await store.get(appliedKey)
    if (applied !== undefined && decodeState(applied, appliedKey).index >= first) {
      return `entry ${first} isn't whole, but the applied state stands on it`
    }
    const key = groupKey(keyKind.hardState, groupId)
    const value = await store.get(key)
    if (value !== undefined) {
      const hardState = decodeHardState(value, key)
      const commit = asLogIndex(Math.min(hardState.commit, first - 1))
      operations.push({ type: 'put', key, value: encodeHardState({ ...hardState, commit }, key) })
    }
  } catch (error) {
    if (error instanceof MalformedBytesError) return error.message
    throw error
  }
  const { lt } = groupRange(keyKind.entry, groupId)
  for await (const [key] of store.iterate({ gte: entryKey(groupId, first), lt })) {
    assert(
      indexOfEntryKey(key) >= first,
      'log.cut-from',
      () => `entry ${indexOfEntryKey(key)} before ${first}`,
    )
    operations.push({ type: 'del', key })
  }
  await store.batch(operations, { sync: true })
  return undefined
}
