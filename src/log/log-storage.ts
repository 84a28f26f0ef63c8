import type { Cancel, Env, Logger, Readers, Store } from '../env/index.ts'
import type { Entry, LogIndex, LogMark, Snapshot } from '../raft/types.ts'
import { assert } from './assert.ts'
import { DamagedEntryError, FolderMismatchError, MalformedBytesError, StorageFailedError } from './errors.ts'
import { DurableTurnFile } from './durable-turn.ts'
import { checkFolder, claimFolder, readClusterId, segmentsName, storeName, writeClusterId } from './folder.ts'
import type { GroupState, SharedPart } from './group-state.ts'
import { totalBytes } from './group-state.ts'
import { byOffsetKey, byTimeKey, groupKey, groupRange, keyKind } from './keys.ts'
import { lastSignpost, readEntries } from './reader.ts'
import { putAside } from './quarantine.ts'
import { decodeSnapshot, encodeText } from './records.ts'
import { SharedRelocation } from './relocation.ts'
import { isNamed, placeOfPayload } from './restore.ts'
import { recover } from './recovery.ts'
import type { Recovery } from './recovery.ts'
import { SegmentFiles, segmentOwner, settleAll } from './segments.ts'
import { SharedSegments } from './shared-segments.ts'
import { Sweeper } from './sweeper.ts'
import type { TurnContext, TurnPlan } from './turn.ts'
import { planRelocation, planTurn } from './turn.ts'
import { TurnOrder } from './turn-order.ts'
import type {
  FolderIdentity,
  GroupId,
  GroupWrite,
  IndexPoint,
  LogLimits,
  LogStorage,
  Offset,
  RecoveredGroup,
} from './types.ts'
import { asOffset } from './types.ts'

export const defaultLogLimits: LogLimits = {
  segmentThresholdBytes: 4096,
  segmentBytes: 64 * 1024 * 1024,
  crowdedAboveGroups: 4,
  sharedThresholdBytes: 1024,
  sharedSegmentBytes: 16 * 1024 * 1024,
  sharedBytes: 1024 * 1024 * 1024,
  tailBytes: 1024 * 1024,
}

/** After so many turns another attempt is made to relocate what could not be moved. */
const turnsBetweenAttempts = 64

export type LogEnv = Pick<Env, 'disk' | 'clock' | 'random' | 'logger'>

/**
 * How long the storage must be quiet before it notes that its last turn was durable. Short, because the note is what
 * tells damage from a power cut; not zero, so that a turn right after another doesn't pay for it.
 */
const quietMs = 10
/** Mark and state of a low end are two reads; a turn that comes between them is rare, several in a row don't happen. */
const mostReadAttempts = 10

/**
 * Opens a node's data folder, creating it where it isn't there, and checks all that it holds.
 * Throws FolderMismatchError where it isn't this node's, StoreLockedError where another process has it, StoreDamagedError or
 * FolderDamagedError where nobody could tell what is missing.
 */
export async function openLogStorage(
  env: LogEnv,
  directory: string,
  identity: FolderIdentity,
  limits: LogLimits = defaultLogLimits,
): Promise<LogStorage> {
  checkLimits(limits)
  const { files } = env.disk
  const isUsed = await checkFolder(files, directory)
  const storeDirectory = `${directory}/${storeName}`
  const segmentsDirectory = `${directory}/${segmentsName}`
  await files.makeDirectory(storeDirectory)
  const store = await env.disk.openStore(storeDirectory)
  const segments = new SegmentFiles(files, segmentsDirectory)
  let durableTurn: DurableTurnFile | undefined
  try {
    // Of names that were not synced a power cut leaves any: a folder with others and no store would be taken for a stranger's.
    if (!isUsed) await files.syncDirectory(directory)
    durableTurn = await DurableTurnFile.open(files, directory)
    await claimFolder(store, directory, identity, await durableTurn.read())
    await durableTurn.prepare()
    await files.makeDirectory(segmentsDirectory)
    await files.syncDirectory(directory)
    const clusterId = await readClusterId(store)
    const recovery = await recover(store, segments, durableTurn, limits, env.clock, env.logger)
    return new NodeLogStorage(env, directory, limits, { store, segments, durableTurn }, recovery, clusterId)
  } catch (error) {
    await durableTurn?.close()
    await segments.close()
    await store.close()
    throw error
  }
}

function checkLimits(limits: LogLimits): void {
  for (const [name, value] of Object.entries(limits) as [keyof LogLimits, number][]) {
    const least = name === 'tailBytes' || name === 'crowdedAboveGroups' ? 0 : 1
    if (Number.isSafeInteger(value) && value >= least) continue
    throw new RangeError(`${name} is ${value}; it must be a whole number, ${least} or more`)
  }
}

interface OpenFolder {
  readonly store: Store
  readonly segments: SegmentFiles
  readonly durableTurn: DurableTurnFile
}

class NodeLogStorage implements LogStorage {
  readonly recovered: Map<GroupId, RecoveredGroup>
  readonly #env: LogEnv
  readonly #logger: Logger
  readonly #directory: string
  readonly #limits: LogLimits
  readonly #store: Store
  readonly #segments: SegmentFiles
  readonly #durableTurn: DurableTurnFile
  readonly #sweeper: Sweeper
  readonly #shared: SharedSegments
  readonly #relocation: SharedRelocation
  readonly #groups: Map<GroupId, GroupState>
  readonly #damaged: Set<GroupId>
  #turn: number
  /** The turn that the note outside of the store names. */
  #notedTurn: number
  #clusterId: string | undefined
  #failure: StorageFailedError | undefined
  readonly #order = new TurnOrder()
  readonly #puttingAside = new Map<GroupId, Promise<string>>()
  /** What groups that are put aside have in shared segments, until it's copied. */
  readonly #sharedAside = new Map<GroupId, readonly SharedPart[]>()
  readonly #restoring = new Set<Promise<void>>()
  #noting: Promise<void> | undefined
  #cancelNote: Cancel | undefined
  #closing: Promise<void> | undefined

  constructor(
    env: LogEnv,
    directory: string,
    limits: LogLimits,
    { store, segments, durableTurn }: OpenFolder,
    recovery: Recovery,
    clusterId: string | undefined,
  ) {
    this.#env = env
    this.#logger = env.logger
    this.#directory = directory
    this.#limits = limits
    this.#store = store
    this.#segments = segments
    this.#durableTurn = durableTurn
    this.#groups = recovery.groups
    this.#turn = recovery.turn
    this.#notedTurn = recovery.turn
    this.#clusterId = clusterId
    assert(recovery.turn >= 0, 'log.recovered-turn', () => `${recovery.turn}`)
    assert(
      recovery.groups.size <= recovery.recovered.size,
      'log.recovered-groups',
      () => `${recovery.groups.size} of ${recovery.recovered.size}`,
    )
    this.recovered = recovery.recovered
    this.#damaged = new Set(
      [...recovery.recovered.values()].filter(({ ok }) => !ok).map(({ groupId }) => groupId),
    )
    this.#sweeper = new Sweeper(store, segments, env.logger, (error) => this.#fail(error))
    for (const sweep of recovery.sweeps) this.#sweeper.add(sweep)
    this.#shared = new SharedSegments(limits, recovery, this.#groups.values())
    this.#relocation = new SharedRelocation(store, segments, this.#shared, env.logger, {
      groups: () => this.#groups.values(),
      stateOf: (groupId) => this.#groups.get(groupId),
      commit: (relocations) =>
        this.#order.between(() => this.#commit(() => planRelocation(this.#context(), relocations))),
      fail: (error) => this.#fail(error),
    })
    this.#sweepShared()
  }

  release(groupId: GroupId): void {
    this.recovered.delete(groupId)
  }

  get clusterId(): string | undefined {
    return this.#clusterId
  }

  async setClusterId(clusterId: string): Promise<void> {
    if (this.#clusterId === clusterId) return
    assert(clusterId !== '', 'log.cluster-id', () => this.#directory)
    if (this.#clusterId !== undefined) {
      throw new FolderMismatchError(
        this.#directory,
        `belongs to the cluster with id ${this.#clusterId}, and the node met one with id ${clusterId}; a folder never ` +
          'changes its cluster: choose another folder with --data, or look at the addresses in --cluster',
      )
    }
    await this.#writing(() => writeClusterId(this.#store, clusterId))
    this.#clusterId = clusterId
  }

  async commit(turn: readonly GroupWrite[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    assert(this.#closing === undefined, 'log.commit-while-open', () => 'a turn after close()')
    assert(
      !this.#order.isTurnUnderWay,
      'log.one-commit-at-a-time',
      () => `turn ${this.#turn + 1} is under way`,
    )
    if (turn.length === 0) return
    await this.#order.turn(() => this.#commitWrites(turn))
  }

  async #commitWrites(turn: readonly GroupWrite[]): Promise<void> {
    // A group that comes back must not meet the end of its earlier life.
    if (turn.some((write) => write.create !== undefined && this.#sweeper.isDestroying(write.groupId))) {
      await this.#sweeper.idle()
    }
    const before = this.#turn
    await this.#commit(() => planTurn(this.#context(), turn))
    assert(this.#turn === before + 1, 'log.turn-alone', () => `turn ${this.#turn} after ${before}`)
    if (this.#isRelocationDue()) this.#relocation.start()
  }

  #context(): TurnContext {
    return {
      turn: this.#turn + 1,
      limits: this.#limits,
      sharedEnd: this.#shared.end,
      stateOf: (groupId) => this.#groups.get(groupId),
      isDamaged: (groupId) => this.#damaged.has(groupId),
    }
  }

  async #commit(planned: () => TurnPlan): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    this.#cancelNote?.()
    const plan = planned()
    await this.#writing(() => this.#write(plan))
    this.#turn++
    assert(plan.turn === this.#turn, 'log.turn-counted', () => `${plan.turn}, not ${this.#turn}`)
    const closed = plan.sharedEnd !== undefined && this.#shared.wrote(plan.sharedEnd)
    for (const [groupId, state] of plan.groups) {
      assert(state === undefined || state.groupId === groupId, 'log.planned-group', () => `group ${groupId}`)
      this.#shared.changed(this.#groups.get(groupId)?.shared ?? [], state?.shared ?? [])
      if (state !== undefined) this.#groups.set(groupId, state)
      else this.#groups.delete(groupId)
      this.#damaged.delete(groupId)
    }
    for (const sweep of plan.sweeps) this.#sweeper.add(sweep)
    this.#sweepShared()
    if (closed) this.#relocation.start()
    this.#noteSoon()
  }

  /** Where there is no room, none is closed any more, but what could not be moved then may have been committed since. */
  #isRelocationDue(): boolean {
    return this.#turn % turnsBetweenAttempts === 0 && this.#shared.end === undefined
  }

  /** Nobody knows what a damaged group needs, so while there is one, all that the start found stay. */
  #sweepShared(): void {
    const segments = this.#shared.takeUnnamed({ butFound: this.#damaged.size > 0 })
    if (segments.length > 0) this.#sweeper.add({ type: 'shared', segments })
  }

  async #write(plan: TurnPlan): Promise<void> {
    const { operations, segmentWrites, segmentsFirst } = plan
    assert(operations.length >= 2, 'log.turn-recorded', () => `turn ${plan.turn}`)
    assert(!segmentsFirst || segmentWrites.length > 0, 'log.segments-first', () => `turn ${plan.turn}`)
    if (segmentWrites.length === 0) {
      await this.#store.batch(operations, { sync: true })
      return
    }
    if (segmentsFirst) await this.#segments.write(segmentWrites)
    const parallel = segmentsFirst ? [] : [this.#segments.write(segmentWrites)]
    await settleAll([this.#store.batch(operations, { sync: true }), ...parallel])
  }

  #noteSoon(): void {
    this.#cancelNote?.()
    this.#cancelNote = this.#env.clock.setTimer(quietMs, () => this.#noteWhenQuiet())
  }

  /** One at a time: of two that are cut off together none might be left that can be read. */
  #noteWhenQuiet(): void {
    if (
      this.#noting !== undefined ||
      !this.#order.isIdle ||
      this.#failure !== undefined ||
      this.#closing !== undefined
    )
      return
    // A failure is latched and told at the next turn; the timer has nobody to tell.
    this.#noting = this.#note(false)
      .catch(() => undefined)
      .then(() => {
        this.#noting = undefined
        if (this.#notedTurn !== this.#turn && this.#closing === undefined) this.#noteSoon()
      })
  }

  async #note(sync: boolean): Promise<void> {
    const turn = this.#turn
    assert(this.#notedTurn <= turn, 'log.noted-later', () => `${this.#notedTurn} > ${turn}`)
    if (this.#notedTurn === turn) return
    await this.#writing(() => this.#durableTurn.write(turn, { sync }))
    this.#notedTurn = turn
  }

  async #writing(write: () => Promise<void>): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    try {
      await write()
    } catch (error) {
      throw this.#fail(error)
    }
  }

  #fail(error: unknown): StorageFailedError {
    if (this.#failure === undefined) {
      assert(!(error instanceof StorageFailedError), 'log.failure-first', () => String(error))
      this.#failure = new StorageFailedError(error)
      this.#logger.error({ err: error, turn: this.#turn + 1 }, 'the storage failed and takes no more writes')
    }
    return this.#failure
  }

  async quarantine(groupId: GroupId, reason: string): Promise<string> {
    let running = this.#puttingAside.get(groupId)
    if (running === undefined) {
      running = this.#quarantine(groupId, reason).finally(() => this.#puttingAside.delete(groupId))
      this.#puttingAside.set(groupId, running)
    }
    return running
  }

  async #quarantine(groupId: GroupId, reason: string): Promise<string> {
    if (this.#failure !== undefined) throw this.#failure
    assert(reason !== '', 'log.quarantine-reason', () => `group ${groupId}`)
    assert(this.#closing === undefined, 'log.quarantine-while-open', () => `group ${groupId} after close()`)
    await this.#order.between(async () => {
      const state = this.#groups.get(groupId)
      if (state !== undefined) this.#sharedAside.set(groupId, state.shared)
      assert(state === undefined || state.groupId === groupId, 'log.aside-state', () => `group ${groupId}`)
      const isKnown = this.#groups.delete(groupId) || this.#damaged.has(groupId)
      assert(isKnown, 'log.quarantined-known', () => `group ${groupId} is to be put aside and isn't there`)
      this.#damaged.add(groupId)
    })
    if (this.#failure !== undefined) throw this.#failure
    // A start in the middle of this must not take what is left for whole.
    const key = groupKey(keyKind.damage, groupId)
    const value = encodeText(reason, key)
    await this.#writing(() => this.#store.batch([{ type: 'put', key, value }], { sync: true }))
    await this.#sweeper.idle()
    const { files } = this.#env.disk
    const target = await putAside(files, this.#store, this.#segments, this.#directory, groupId)
    await this.#order.between(async () => {
      this.#shared.changed(this.#sharedAside.get(groupId) ?? [], [])
      this.#sharedAside.delete(groupId)
      await this.#commit(() => planTurn(this.#context(), [{ groupId, destroy: true }]))
    })
    assert(
      !this.#groups.has(groupId) && !this.#damaged.has(groupId),
      'log.quarantined-gone',
      () => `group ${groupId}`,
    )
    this.#logger.warn({ groupId, reason, directory: target }, 'a group was put aside')
    return target
  }

  async readEntries(
    groupId: GroupId,
    from: LogIndex,
    to: LogIndex,
    maxBytes: number,
    readers: Readers = 'many',
  ): Promise<Entry[]> {
    assert(from >= 0, 'log.read-from', () => `group ${groupId}: ${from}`)
    assert(maxBytes >= 0, 'log.read-bytes', () => `group ${groupId}: ${maxBytes} bytes`)
    return readEntries(this.#store, this.#segments, () => this.#state(groupId), from, to, maxBytes, readers)
  }

  has(groupId: GroupId): boolean {
    return this.#groups.has(groupId)
  }

  async restorePayload(groupId: GroupId, entry: Entry): Promise<boolean> {
    const place = await placeOfPayload(this.#store, groupId, entry)
    if (place === undefined || this.#closing !== undefined) return false
    if (this.#failure !== undefined) throw this.#failure
    const { segment, position } = place
    // The low end may pass the entry meanwhile, or the group may end: then its file may be gone, and nobody needs it.
    const isNeeded = (): boolean => isNamed(this.#groups.get(groupId), place)
    if (!isNeeded()) return false
    const rewriting = this.#segments.rewrite(segmentOwner(groupId, place), segment, [
      { position, chunks: entry.payload },
    ])
    this.#restoring.add(rewriting)
    try {
      await rewriting
      this.#relocation.restored()
      return true
    } catch (error) {
      if (!isNeeded()) return false
      throw this.#fail(error)
    } finally {
      this.#restoring.delete(rewriting)
    }
  }

  async readLowEnd(groupId: GroupId): Promise<Snapshot> {
    const markKey = groupKey(keyKind.group, groupId)
    const stateKey = groupKey(keyKind.lowEndState, groupId)
    for (let attempt = 0; attempt < mostReadAttempts; attempt++) {
      const { lowEnd } = this.#state(groupId)
      const [mark, folded] = await Promise.all([this.#store.get(markKey), this.#store.get(stateKey)])
      try {
        const snapshot = decodeSnapshot(mark, markKey, folded, stateKey)
        // A turn may have moved it between the two reads.
        if (snapshot !== undefined) {
          assert(
            snapshot.index >= lowEnd.index,
            'log.low-end-back',
            () => `${snapshot.index} < ${lowEnd.index}`,
          )
          return snapshot
        }
      } catch (error) {
        if (!(error instanceof MalformedBytesError)) throw error
        throw new DamagedEntryError(groupId, lowEnd.index, undefined, error.message, { cause: error })
      }
    }
    const { lowEnd } = this.#state(groupId)
    throw new DamagedEntryError(
      groupId,
      lowEnd.index,
      undefined,
      'the state at the low end is of another entry',
    )
  }

  async findByOffset(groupId: GroupId, offset: Offset): Promise<IndexPoint | undefined> {
    assert(offset >= 0, 'log.find-offset', () => `group ${groupId}: ${offset}`)
    const { gte } = groupRange(keyKind.byOffset, groupId)
    const range = { gte, lt: byOffsetKey(groupId, asOffset(offset + 1)) }
    return lastSignpost(this.#store, () => this.#state(groupId), range, this.#logger)
  }

  async findByTime(groupId: GroupId, timeMs: number): Promise<IndexPoint | undefined> {
    assert(Number.isFinite(timeMs), 'log.find-time', () => `group ${groupId}: ${timeMs}`)
    const { gte } = groupRange(keyKind.byTime, groupId)
    const range = { gte, lt: byTimeKey(groupId, Math.max(0, Math.ceil(timeMs)), 0) }
    return lastSignpost(this.#store, () => this.#state(groupId), range, this.#logger)
  }

  sizeBytes(groupId: GroupId): number {
    return totalBytes(this.#state(groupId))
  }

  lastMark(groupId: GroupId): LogMark {
    return this.#state(groupId).last
  }

  #state(groupId: GroupId): GroupState {
    const state = this.#groups.get(groupId)
    assert(state !== undefined, 'log.group-known', () => `group ${groupId} isn't there, or is damaged`)
    return state
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close()
    await this.#closing
  }

  async #close(): Promise<void> {
    this.#cancelNote?.()
    // First, or it would go on between the turns that are waited for.
    await this.#relocation.close()
    await this.#order.idle()
    assert(!this.#order.isTurnUnderWay, 'log.closed-between-turns', () => `turn ${this.#turn + 1}`)
    await Promise.allSettled([...this.#puttingAside.values(), ...this.#restoring])
    await this.#sweeper.close()
    await this.#noting
    try {
      if (this.#failure === undefined) await this.#note(true)
    } finally {
      await this.#durableTurn.close()
      await this.#segments.close()
      await this.#store.close()
    }
  }
}
