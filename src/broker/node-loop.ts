import type { Cancel, Clock, Logger } from '../env/index.ts'
import type { GroupId, GroupWrite, LogStorage } from '../log/types.ts'
import type { PersistToken, Snapshot } from '../raft/types.ts'
import { FlotillaError } from '../wire/errors.ts'
import type { Replica } from './replica.ts'
import { windowShare, type WindowLimits } from './window-share.ts'

interface Pending {
  readonly write: GroupWrite
  /** Called when the write is on stable storage. */
  readonly durable: (() => void) | undefined
}

/** So many groups at most look for a leader at once after they were hosted; the others wait without ticks. */
export const MOST_LEADERLESS = 100
/** A group that has found no leader after so many ticks, having no majority perhaps, makes room for the next. */
export const PATIENCE_TICKS = 40
/** A commit for so many groups is crowded … */
export const CROWDED_GROUPS = 8
/**
 * … and the next one begins at the earliest so long after it did. Whatever comes up until then shares its trips to libuv's
 * threads and to the disk, which cost as much as the work for a dozen groups.
 */
export const CROWDED_INTERVAL_MS = 4

/**
 * The node's one loop. A turn takes the output of every replica that has work: messages leave at once, and in parallel
 * everything that must become durable, of all groups, goes into one group commit. One commit runs at a time; what comes
 * up meanwhile is gathered for the next. Consensus needs no more: each answer that depends on the disk waits in the
 * core for its token.
 */
export class NodeLoop {
  readonly #clock: Clock
  readonly #storage: LogStorage
  readonly #logger: Logger
  readonly #windows: WindowLimits
  /** What the quiet replicas were told last. */
  #quietWindowBytes: number | undefined
  readonly #flush: () => void
  readonly #onFailure: (error: Error) => void

  readonly #replicas = new Map<GroupId, Replica>()
  #dirty = new Set<Replica>()
  /** Those that need ticks; quiet ones cost nothing. */
  readonly #awake = new Set<Replica>()
  /** Hosted a moment ago and not ticked yet: thousands of elections at once would only starve each other. */
  readonly #waiting = new Set<Replica>()
  /** Let in from there, without a leader so far, and for how many ticks. */
  readonly #leaderless = new Map<Replica, number>()
  #scheduled = false
  #gathered: Pending[] = []
  #committing: Promise<void> | undefined
  /** No commit begins before. */
  #nextCommitMs = 0
  #cancelCommit: Cancel | undefined
  #failed = false
  #closed = false

  /** `flush` is called at the end of each turn, to send what the turn left for the peers. */
  constructor(parts: {
    readonly clock: Clock
    readonly storage: LogStorage
    readonly logger: Logger
    readonly windows: WindowLimits
    readonly flush: () => void
    readonly onFailure: (error: Error) => void
  }) {
    this.#clock = parts.clock
    this.#storage = parts.storage
    this.#logger = parts.logger
    this.#windows = parts.windows
    this.#flush = parts.flush
    this.#onFailure = parts.onFailure
  }

  get replicas(): ReadonlyMap<GroupId, Replica> {
    return this.#replicas
  }

  /** Its first tick comes when it is its turn, or with the first message for it. */
  add(replica: Replica): void {
    this.#replicas.set(replica.groupId, replica)
    this.#waiting.add(replica)
    this.#dirty.add(replica)
    this.schedule()
  }

  remove(replica: Replica): void {
    this.#replicas.delete(replica.groupId)
    this.#dirty.delete(replica)
    this.#awake.delete(replica)
    this.#waiting.delete(replica)
    this.#leaderless.delete(replica)
  }

  wake(replica: Replica): void {
    this.#dirty.add(replica)
    if (!replica.isQuiet) {
      this.#awake.add(replica)
      this.#waiting.delete(replica)
    }
    this.schedule()
  }

  /** How many replicas are ticked. */
  get awakeCount(): number {
    return this.#awake.size
  }

  /** A turn will come soon, also where only messages or writes wait. */
  schedule(): void {
    if (this.#scheduled || this.#closed) return
    this.#scheduled = true
    this.#clock.defer(() => this.#turn())
  }

  /** Makes a write durable that no core asked for: a new group, one that is forgotten. */
  write(write: GroupWrite, durable?: () => void): void {
    this.#gathered.push({ write, durable })
    this.schedule()
  }

  tick(): void {
    const nowMs = this.#clock.nowMs()
    this.#letIn()
    const awakeBytes = windowShare(this.#windows, this.#awake.size)
    const quietBytes = windowShare(this.#windows, this.#replicas.size)
    for (const replica of this.#awake) {
      this.#guarded(() => {
        replica.tick(nowMs)
        replica.limitWindow(replica.isQuiet ? quietBytes : awakeBytes)
      })
      if (replica.isQuiet) this.#awake.delete(replica)
    }
    if (quietBytes !== this.#quietWindowBytes) this.#limitQuiet(quietBytes)
  }

  /** Those that aren't ticked share what they have with each replica that is hosted later. */
  #limitQuiet(bytes: number): void {
    this.#quietWindowBytes = bytes
    for (const replica of this.#replicas.values()) {
      if (!this.#awake.has(replica)) this.#guarded(() => replica.limitWindow(bytes))
    }
  }

  #letIn(): void {
    for (const [replica, ticks] of this.#leaderless) {
      if (ticks >= PATIENCE_TICKS || replica.isQuiet || replica.status().leader !== undefined) {
        this.#leaderless.delete(replica)
      } else this.#leaderless.set(replica, ticks + 1)
    }
    for (const replica of this.#waiting) {
      if (this.#leaderless.size >= MOST_LEADERLESS) return
      this.#waiting.delete(replica)
      if (replica.isQuiet) continue
      this.#awake.add(replica)
      this.#leaderless.set(replica, 0)
    }
  }

  /** Waits for the commit under way; takes no further turn. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelCommit?.()
    await this.#committing
  }

  #turn(): void {
    this.#scheduled = false
    if (this.#failed || this.#closed) return
    const dirty = this.#dirty
    this.#dirty = new Set()
    for (const replica of dirty) {
      this.#guarded(() => {
        for (const { write, token } of replica.turn()) {
          this.#gathered.push({
            write,
            durable: token === undefined ? undefined : this.#tellPersisted(replica, token),
          })
        }
      })
    }
    this.#guarded(() => {
      this.#flush()
      this.#commitInTime()
    })
  }

  #commitInTime(): void {
    if (this.#committing !== undefined || this.#cancelCommit !== undefined || this.#gathered.length === 0)
      return
    const waitMs = this.#nextCommitMs - this.#clock.nowMs()
    if (waitMs <= 0) return this.#startCommit()
    this.#cancelCommit = this.#clock.setTimer(Math.ceil(waitMs), () => {
      this.#cancelCommit = undefined
      this.#guarded(() => this.#startCommit())
    })
  }

  #tellPersisted(replica: Replica, token: PersistToken): () => void {
    return () => replica.persisted(token)
  }

  #startCommit(): void {
    const turn = this.#gathered
    this.#gathered = []
    const written = new Set(turn.map(({ write }) => write.groupId))
    this.#nextCommitMs = written.size < CROWDED_GROUPS ? 0 : this.#clock.nowMs() + CROWDED_INTERVAL_MS
    for (const groupId of written) this.#addSavedState(groupId, turn)
    this.#committing = this.#storage.commit(turn.map(({ write }) => write)).then(
      () => this.#committed(turn),
      (error: unknown) => this.#storageFailed(error),
    )
  }

  #addSavedState(groupId: GroupId, turn: Pending[]): void {
    const replica = this.#replicas.get(groupId)
    const write = replica?.saveState()
    if (replica === undefined || write === undefined) return
    const lowEnd: Snapshot | undefined = write.lowEnd
    turn.push({ write, durable: lowEnd === undefined ? undefined : () => replica.compacted(lowEnd) })
  }

  #committed(turn: readonly Pending[]): void {
    this.#committing = undefined
    for (const { durable } of turn) if (durable !== undefined) this.#guarded(durable)
    if (this.#gathered.length > 0) this.schedule()
  }

  /** Final: after a failed sync nobody knows what is on the disk, so nothing is retried. */
  #storageFailed(error: unknown): void {
    this.#committing = undefined
    this.#failed = true
    // Followers notice the silence; those who wait here are told at once.
    for (const replica of this.#replicas.values()) replica.step({ type: 'storageFailed' })
    this.#stopAll(() => new FlotillaError('STORAGE_FAILED', `the disk of this node failed: ${String(error)}`))
    this.#onFailure(new Error(`the disk failed and the node stops: ${String(error)}`, { cause: error }))
  }

  #stopAll(error: () => FlotillaError): void {
    for (const replica of this.#replicas.values()) replica.stop(error)
  }

  /** A broken invariant stops the node rather than letting it go on with it. */
  #guarded(work: () => void): void {
    if (this.#failed) return
    try {
      work()
    } catch (error) {
      this.#failed = true
      const broken = error instanceof Error ? error : new Error(String(error))
      this.#logger.error({ error: broken.stack ?? broken.message }, 'invariant broken')
      // No turn will come that could answer those who wait.
      this.#stopAll(
        () => new FlotillaError('INTERNAL', `an invariant broke: ${broken.message}`, { cause: broken }),
      )
      this.#onFailure(broken)
    }
  }
}
