import type { Logger } from '../env/index.ts'
import type { GroupId, GroupWrite } from '../log/types.ts'
import type {
  ChangeResult,
  ConfigurationChange,
  Digest,
  Entry,
  Input,
  LogIndex,
  LogMark,
  NodeId,
  Output,
  PersistToken,
  ProposeResult,
  RaftCore,
  Snapshot,
  Status,
} from '../raft/types.ts'
import { FlotillaError } from '../wire/errors.ts'
import { assert } from './assert.ts'
import { fetchFor, giveWay, loadSnapshotFor } from './catch-up-reads.ts'
import { LinearizableReads, type LinearizableRead } from './linearizable-reads.ts'
import type { QuietNotice } from './peers/peer-codec.ts'
import type { ReplicaHost, ReplicaLimits, TurnWrite } from './replica-host.ts'
import type { StateMachine } from './state-machine.ts'

export type { ReplicaHost, ReplicaLimits, TurnWrite }

const NONE: ReadonlySet<LogIndex> = new Set()

/** A leader looks after so many ticks whether its group may go quiet … */
const QUIET_CHECK_TICKS = 10
/** … and after so many such looks without anything new it does. */
const QUIET_CHECKS = 2
/** For so many ticks after a read, and after a start, there are readers: ten seconds with the usual ticks. */
export const READ_TICKS = 200
/** Without readers so much of the newest stays in memory. */
export const UNREAD_BYTES = 16 * 1024

/**
 * Drives one Raft group on this node: feeds the core, carries out what it says, folds what is committed and lets the
 * leader decide. Synchronous but for reading old entries; everything durable goes through the node's turn.
 */
export class Replica {
  readonly groupId: GroupId
  readonly machine: StateMachine
  readonly #core: RaftCore
  readonly #host: ReplicaHost
  readonly #limits: ReplicaLimits
  readonly #logger: Logger

  #foldedIndex: LogIndex
  /** Its mark; undefined between a start and the first fold where the start didn't load that entry. */
  #folded: LogMark | undefined
  #savedIndex: LogIndex
  #lowEndIndex: LogIndex
  #unsavedBytes = 0
  #isLeader = false
  #deciding = false
  #unsynced = 0
  #quiet = false
  #ticks = 0
  #windowBytes: number | undefined
  #heldBytes: number | undefined
  /** The tick in which somebody last asked for entries that are in memory. */
  #readTick = 0
  /** Looks in a row that found nothing going on, and the last index that they found. */
  #idleChecks = 0
  #idleAt: LogIndex | undefined
  #stopped = false
  /** Damaged entries for which it has handed over as a leader; there are none in nearly all replicas. */
  gaveWayFor: ReadonlySet<LogIndex> = NONE
  readonly #reads = new LinearizableReads()

  constructor(
    groupId: GroupId,
    core: RaftCore,
    machine: StateMachine,
    host: ReplicaHost,
    limits: ReplicaLimits,
    foldedIndex: LogIndex,
    folded: LogMark | undefined,
    logger: Logger,
  ) {
    this.groupId = groupId
    this.machine = machine
    this.#core = core
    this.#host = host
    this.#limits = limits
    this.#foldedIndex = foldedIndex
    this.#folded = folded
    this.#savedIndex = foldedIndex
    this.#lowEndIndex = core.status().lowEnd.index
    // No child logger a group: with thousands of groups it costs more than all else in a replica.
    this.#logger = logger
  }

  get foldedIndex(): LogIndex {
    return this.#foldedIndex
  }

  /** The running digest of the log up to what is folded, once it is known. */
  get foldedDigest(): Digest | undefined {
    return this.#folded?.digest
  }

  /** Entries up to and with this index are no longer there. */
  get lowIndex(): LogIndex {
    return this.#lowEndIndex
  }

  /** Leads, though it may have to fold the rest of its log before it decides. */
  get isLeader(): boolean {
    return this.#isLeader
  }

  status(): Status {
    return this.#core.status()
  }

  /** Leads, and has folded everything that was committed before its reign. */
  get isDeciding(): boolean {
    return this.#deciding
  }

  /** Wakes a quiet replica, unless it is a late heartbeat or its answer, which say nothing new. */
  step(input: Input): void {
    if (this.#stopped) return
    if (!isHeartbeat(input)) this.#quiet = false
    try {
      this.#core.step(input)
    } catch (error) {
      // A broken invariant stops the node rather than letting it go on with it: the core is of no further use.
      const broken = error instanceof Error ? error : new Error(String(error))
      this.stop(
        () => new FlotillaError('INTERNAL', `an invariant broke: ${broken.message}`, { cause: broken }),
      )
      this.#host.fail(broken)
      return
    }
    this.#host.wake(this)
  }

  /** Leaders: changes who takes part. */
  changeConfiguration(change: ConfigurationChange): ChangeResult {
    if (this.#stopped) return { ok: false, reason: 'not-leader', detail: 'this replica has stopped' }
    this.#quiet = false
    const result = this.#core.changeConfiguration(change)
    this.#host.wake(this)
    return result
  }

  /** Commands were queued in the machine. */
  commandsQueued(): void {
    this.#quiet = false
    this.#host.wake(this)
  }

  entriesInMemory(from: LogIndex, to: LogIndex, maxBytes: number): readonly Entry[] | undefined {
    this.#readTick = this.#ticks
    return this.#core.entriesInMemory(from, to, maxBytes)
  }

  async readEntries(from: LogIndex, to: LogIndex, maxBytes: number): Promise<Entry[]> {
    try {
      return await this.#host.readEntries(this.groupId, from, to, maxBytes)
    } catch (error) {
      giveWay(this, this.#logger, error)
      throw error
    }
  }

  /**
   * Calls `done` once this replica has made sure with a majority that it leads and has folded all that was committed
   * when it was asked (ReadIndex, thesis §6.4); with an error where it can't.
   */
  readIndex(read: LinearizableRead): void {
    if (this.#stopped) {
      read.done(new FlotillaError('REPLICA_UNAVAILABLE', 'this replica has stopped'))
      return
    }
    // By quorum, never by lease: the clock of a quiet group stands still, and a lease would seem to last for ever.
    this.step({ type: 'read', context: this.#reads.add(read) })
  }

  /** readIndex as a promise, which rejects with the FlotillaError. */
  confirmLeadership(deadlineMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.readIndex({ deadlineMs, done: (error) => (error === undefined ? resolve() : reject(error)) })
    })
  }

  /** One turn: decide, then carry out what the core says. Returns what must become durable. */
  turn(): TurnWrite[] {
    if (this.#stopped) return []
    const writes: TurnWrite[] = []
    this.#maybeDecide()
    // Folding may let the leader decide, which makes new output; a bound keeps one replica from holding the turn.
    for (let round = 0; round < 4; round++) {
      const output = this.#core.take()
      if (output === undefined) break
      this.#carryOut(output, writes)
      this.#maybeDecide()
    }
    if (this.#core.hasOutput()) this.#host.wake(this)
    return writes
  }

  /** The turn that held this token is on stable storage. */
  persisted(token: PersistToken): void {
    if (this.#stopped) return
    this.#unsynced -= 1
    this.step({ type: 'persisted', token })
  }

  tick(nowMs: number): void {
    if (this.#stopped) return
    this.#core.step({ type: 'tick' })
    this.machine.expire(nowMs)
    this.#reads.expire(nowMs)
    this.#ticks += 1
    if (this.#ticks % QUIET_CHECK_TICKS === 0) this.#maybeQuiet()
    if (this.#core.hasOutput() || this.machine.hasCommands()) this.#host.wake(this)
  }

  /**
   * Of its log, so many of the newest bytes stay in memory, but hardly any where nobody has read them for a while and each
   * follower has them, too: what lives for a second is what V8 has to look at again and again.
   */
  limitWindow(bytes: number): void {
    if (this.#stopped) return
    const isRead = this.#ticks - this.#readTick < READ_TICKS
    const heldBytes = isRead ? bytes : Math.min(bytes, UNREAD_BYTES)
    if (bytes === this.#windowBytes && heldBytes === this.#heldBytes) return
    this.#windowBytes = bytes
    this.#heldBytes = heldBytes
    this.#core.step({ type: 'window', bytes, heldBytes })
  }

  /** Ends the replica: answers everyone who waits, and takes nothing more. Storage is left as it is. */
  stop(error: () => FlotillaError): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#isLeader = false
    this.#deciding = false
    this.machine.follow(error)
    this.#reads.failAll(error)
  }

  // -- quiet groups --------------------------------------------------------------------------------------------

  /** Nothing happens in the group: it isn't ticked, and the node that leads it is heard from in its place. */
  get isQuiet(): boolean {
    return this.#quiet
  }

  /** The leader says that all is said. Ignored unless this replica holds exactly that log, all of it folded. */
  leaderIsQuiet(from: NodeId, { term, index }: QuietNotice): void {
    const { role, leader, term: ownTerm, last } = this.#core.status()
    const same = role === 'follower' && leader === from && ownTerm === term
    // What it has yet to send doesn't matter: only its clock stands still. The notice comes right after a heartbeat, whose
    // answer nearly always waits, and a follower that let it pass would soon ask for votes and wake the whole group.
    if (this.#stopped || !same || last.index !== index || this.#foldedIndex !== index) return
    this.#quiet = true
  }

  /** The node that leads a quiet group is gone: goes on as after any silence of a leader. */
  wakeUp(): void {
    if (this.#stopped) return
    this.#quiet = false
    this.#host.wake(this)
  }

  /** A leader goes quiet when nothing is under way and every follower that can be reached has everything. */
  #maybeQuiet(): void {
    const status = this.#core.status()
    const busy = this.machine.hasCommands() || !this.#reads.isEmpty
    // By the core: in the tick in which it steps down the rest of this replica hasn't heard of it yet, and a follower
    // that fell silent without a leader would never stand for election.
    const settled =
      status.role === 'leader' &&
      this.#deciding &&
      !busy &&
      this.#foldedIndex === status.last.index &&
      status.commit === status.last.index
    const reached = status.followers.filter(({ id }) => this.#host.isReachable(id))
    const alike = reached.every(({ match, recentlyActive }) => recentlyActive && match === status.last.index)
    const again = this.#idleAt === status.last.index
    this.#idleAt = status.last.index
    this.#idleChecks = settled && alike && again ? this.#idleChecks + 1 : 0
    if (this.#idleChecks < QUIET_CHECKS) return
    this.#idleChecks = 0
    this.#quiet = true
    const notice = { groupId: this.groupId, term: status.term, index: status.last.index }
    for (const { id } of reached) this.#host.sendQuiet(id, notice)
  }

  // -- deciding ------------------------------------------------------------------------------------------------

  #maybeDecide(): void {
    if (!this.#deciding) this.#maybeLead()
    if (!this.#deciding || !this.machine.hasCommands()) return
    // What arrives while the disk is busy shares the next entry: one header, one digest, one message for many.
    if (this.#unsynced >= this.#limits.maxUnsyncedEntries) return
    this.machine.decide((draft) => this.#propose(draft))
  }

  #propose(draft: Parameters<RaftCore['propose']>[0]): ProposeResult {
    const result = this.#core.propose(draft)
    if (!result.ok) this.#deciding = false
    return result
  }

  /** A leader decides only once an entry of its own term is committed and everything in its log is folded. */
  #maybeLead(): void {
    const status = this.#core.status()
    if (status.role !== 'leader' || !status.ownTermCommitted || this.#foldedIndex !== status.last.index)
      return
    this.#deciding = true
    this.machine.lead(status.term)
  }

  // -- carrying out --------------------------------------------------------------------------------------------

  #carryOut(output: Output, writes: TurnWrite[]): void {
    // Before a snapshot, which only a follower gets: whoever still waits here can't learn from it what became of his
    // entry. After what is committed, which answers those who wait for it even where this node leads no longer.
    const isReplaced = output.restore !== undefined
    if (isReplaced && output.leadership !== undefined) this.#leadershipChanged()
    if (output.restore !== undefined) this.#restore(output.restore)
    this.#fold(output.committed)
    if (!isReplaced && output.leadership !== undefined) this.#leadershipChanged()
    if (output.configuration !== undefined) this.#host.configurationChanged(this)
    if (output.messages.length > 0) this.#host.send(this.groupId, output.messages)
    if (output.persist !== undefined) {
      const { token, entries, hardState, snapshot } = output.persist
      const write: GroupWrite = {
        groupId: this.groupId,
        ...(snapshot === undefined ? {} : { snapshot }),
        ...(entries.length === 0 ? {} : { entries }),
        ...(hardState === undefined ? {} : { hardState }),
      }
      this.#unsynced += 1
      writes.push({ write, token })
    }
    for (const fetch of output.fetches) fetchFor(this, this.#host, this.#logger, fetch)
    for (const to of output.snapshotsWanted) loadSnapshotFor(this, this.#host, this.#logger, to)
    for (const { context, index } of output.reads) this.#reads.confirmed(context, index, this.#foldedIndex)
    for (const context of output.droppedReads) this.#reads.dropped(context)
  }

  #fold(committed: readonly Entry[]): void {
    const last = committed.at(-1)
    if (last === undefined) return
    for (const entry of committed) {
      assert(
        entry.index === this.#foldedIndex + 1,
        'replica.fold-contiguous',
        `${entry.index} after ${this.#foldedIndex}`,
      )
      if (entry.kind === 'event') this.machine.apply(entry)
      this.#foldedIndex = entry.index
      this.#unsavedBytes += entry.payloadBytes
    }
    // The mark alone: the entry holds its payload.
    this.#folded = { index: last.index, term: last.term, digest: last.digest }
    this.machine.applied(last)
    this.#core.step({ type: 'applied', index: last.index })
    this.#reads.folded(this.#foldedIndex)
  }

  #restore(snapshot: Snapshot): void {
    this.#logger.info(
      { group: this.groupId, index: snapshot.index, term: snapshot.term },
      'log replaced by a snapshot from the leader',
    )
    this.machine.restore(snapshot)
    this.#foldedIndex = snapshot.index
    this.#folded = snapshot
    this.#savedIndex = snapshot.index
    this.#lowEndIndex = snapshot.index
    this.#unsavedBytes = 0
    this.#core.step({ type: 'applied', index: snapshot.index })
    this.#reads.folded(this.#foldedIndex)
  }

  #leadershipChanged(): void {
    const status = this.#core.status()
    this.#isLeader = status.role === 'leader'
    if (!this.#isLeader) {
      this.#deciding = false
      this.machine.follow(
        () =>
          new FlotillaError(
            'UNKNOWN_OUTCOME',
            'the leader changed while the call was under way; it may yet take effect',
          ),
      )
    }
    this.#logger.debug(
      { group: this.groupId, role: status.role, term: status.term, leader: status.leader },
      'leadership',
    )
    this.#host.leadershipChanged(this)
  }

  /**
   * The folded state, where it is due: it rides in a turn that is written anyway, so that everything in the store goes
   * through one writer whose every batch is synced.
   */
  saveState(): GroupWrite | undefined {
    const entries = this.#foldedIndex - this.#savedIndex
    if (this.#stopped || entries === 0) return undefined
    if (entries < this.#limits.saveStateEntries && this.#unsavedBytes < this.#limits.saveStateBytes)
      return undefined
    const state = this.machine.encode()
    this.#savedIndex = this.#foldedIndex
    this.#unsavedBytes = 0
    const applied = { index: this.#foldedIndex, state, indexPoints: this.machine.takeIndexPoints() }
    const compactEntries = this.#limits.compactEntries
    const mark = this.#folded
    if (
      mark === undefined ||
      compactEntries === undefined ||
      mark.index - this.#lowEndIndex < compactEntries
    ) {
      return { groupId: this.groupId, applied }
    }
    const { index, term, digest } = mark
    // What is in force here, not at the end: a change that is still under way may yet be taken back.
    const configuration = this.#core.configurationAt(index)
    if (configuration === undefined) return { groupId: this.groupId, applied }
    return { groupId: this.groupId, applied, lowEnd: { index, term, digest, configuration, state } }
  }

  /** The turn that moved the low end is durable. */
  compacted(lowEnd: Snapshot): void {
    if (this.#stopped || lowEnd.index <= this.#lowEndIndex) return
    this.#lowEndIndex = lowEnd.index
    const { index, term, digest, configuration } = lowEnd
    this.step({ type: 'compacted', lowEnd: { index, term, digest, configuration } })
  }
}

function isHeartbeat(input: Input): boolean {
  if (input.type !== 'message') return false
  return input.message.type === 'heartbeat' || input.message.type === 'heartbeatReply'
}
