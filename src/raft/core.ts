import { assert } from './assert.ts'
import { isMember, isVoter, lifeOf, membersOf } from './configuration.ts'
import { ConfigurationHistory } from './configuration-history.ts'
import { HIGHEST_PRIORITY } from './defaults.ts'
import { chain } from './digest.ts'
import { Durability } from './durability.ts'
import { entryBytes, RaftLog } from './log.ts'
import { Outbox } from './outbox.ts'
import { Progress } from './progress.ts'
import { hasQuorum, quorumIndex, voteResult, type VoteResult } from './quorum.ts'
import {
  asLogIndex,
  asTerm,
  type Bootstrap,
  type Configuration,
  type Draft,
  type Entry,
  type EntryKind,
  type HardState,
  type LogIndex,
  type Message,
  type NodeId,
  type RaftConfig,
  type Role,
  type Term,
} from './types.ts'

/** Answers speak for their sender, everything else is meant for its addressee. */
function isReply({ type }: Message): boolean {
  switch (type) {
    case 'preVoteReply':
    case 'voteReply':
    case 'appendReply':
    case 'heartbeatReply':
    case 'snapshotReply':
      return true
    case 'preVote':
    case 'vote':
    case 'append':
    case 'heartbeat':
    case 'snapshot':
    case 'timeoutNow':
      return false
  }
}

const NOOP: Draft = { header: new Uint8Array(0), payload: [], payloadBytes: 0, payloadCrc32: 0 }

/**
 * The state that the roles share (figure 2, "State"), and the transitions between roles. Election, Replication, Follower,
 * ReadIndex and Transfer act on it; Raft tells them when.
 */
export class Core {
  readonly config: RaftConfig
  readonly log: RaftLog
  readonly durability: Durability
  readonly outbox = new Outbox()
  readonly configurations: ConfigurationHistory
  /** Messages that were refused because they concern another life. */
  refusedMessages = 0

  term: Term
  votedFor: NodeId | undefined
  commit: LogIndex
  /** The state machine has folded up to here. */
  applied: LogIndex
  /** Committed entries have been handed out to be folded up to here: applied <= handedOut <= commit. */
  handedOut: LogIndex

  role: Role = 'follower'
  leader: NodeId | undefined
  /** The disk failed: mute for good. */
  failed = false

  ticks = 0
  /** Ticks since the leader was heard from, a vote was given, or the last campaign. */
  electionElapsed = 0
  electionTimeout = 0
  heartbeatElapsed = 0

  /** Candidates: who answered what. */
  readonly votes = new Map<NodeId, boolean>()

  /** Leaders: the others, sorted by id. */
  followers: Progress[] = []
  /** Leaders: bytes of entries that aren't committed yet. */
  uncommittedBytes = 0
  /** Leaders: the follower that is to take over, and since how many ticks. */
  transfer: { readonly to: NodeId; ticks: number } | undefined
  /** Leaders: reads that no round serves yet. */
  waitingReads: number[] = []
  /** Leaders: the reads of the round that waits for a quorum, and what they may read at. */
  readRound:
    { readonly round: number; readonly index: LogIndex; readonly contexts: readonly number[] } | undefined
  newestReadRound = 0
  /** Leaders: a transfer has begun in this term, so another may be elected whatever the lease says. */
  leaseBroken = false
  /** The tick in which a leader was last heard from; at a start, that may have been just before it. */
  leaderHeardTick = 0
  /** Entries that are durable and applied stay in memory up to so many bytes. */
  windowBytes: number
  /** The same of those that every follower holds as well. */
  heldWindowBytes: number
  /** Leaders: so many bytes of snapshots may still begin in this tick. */
  snapshotBudget = 0

  readonly #random: (bound: number) => number

  constructor(config: RaftConfig, bootstrap: Bootstrap, random: (bound: number) => number) {
    this.config = config
    this.windowBytes = config.windowBytes
    this.heldWindowBytes = config.windowBytes
    this.#random = random
    this.log = new RaftLog(bootstrap)
    this.durability = new Durability(this.log, bootstrap, config.commitEntries)
    this.configurations = new ConfigurationHistory(bootstrap)
    this.term = bootstrap.hardState.term
    this.votedFor = bootstrap.hardState.votedFor
    this.applied = bootstrap.applied
    this.handedOut = bootstrap.applied
    this.commit = asLogIndex(Math.max(bootstrap.hardState.commit, bootstrap.applied))
    assert(
      this.commit <= this.log.last.index,
      'raft.bootstrap-commit',
      () => `commit ${this.commit}, last ${this.log.last.index}: storage lost committed entries`,
    )
    assert(this.log.last.term <= this.term, 'raft.bootstrap-hard-term')
    assert(this.term > 0 || this.votedFor === undefined, 'raft.bootstrap-vote', () => `${this.votedFor}`)
    assert(this.configurationIndex <= this.log.last.index, 'raft.bootstrap-configuration-index')
    assert(this.applied >= this.log.lowEnd.index, 'raft.bootstrap-applied')
    assert(
      this.applied === this.log.last.index || this.log.entryAt(this.applied + 1) !== undefined,
      'raft.bootstrap-reach',
      () => `tail must reach back to ${this.applied + 1}`,
    )
    this.resetElectionTimer()
  }

  get id(): NodeId {
    return this.config.id
  }

  /** In force: the newest in the log, committed or not (thesis §4.1). */
  get configuration(): Configuration {
    return this.configurations.current
  }

  get configurationIndex(): LogIndex {
    return this.configurations.index
  }

  configurationCommitted(): boolean {
    return this.configurationIndex <= this.commit
  }

  /** Whose agreement decides: the one place that elections, commits, reads and CheckQuorum ask. */
  deciding(): Configuration {
    return this.configuration
  }

  hasQuorum(agrees: (id: NodeId) => boolean): boolean {
    return hasQuorum(this.deciding(), agrees)
  }

  quorumIndex(indexOf: (id: NodeId) => number): number {
    return quorumIndex(this.deciding(), indexOf)
  }

  voteResult(): VoteResult {
    return voteResult(this.deciding(), this.votes)
  }

  /**
   * The commit index only as far as the entries are on disk already: if a power cut tears the very write that holds
   * both, a start may cut the log before these entries, and must not find them called committed.
   */
  hardState(): HardState {
    const commit = asLogIndex(Math.min(this.commit, this.durability.persisted))
    assert(!this.failed, 'raft.hard-state-failed')
    assert(commit >= 0 && commit <= this.log.last.index, 'raft.hard-state-commit', () => `${commit}`)
    return { term: this.term, votedFor: this.votedFor, commit }
  }

  /** A new draw each time, so that candidates that collided don't collide again (§5.2). */
  resetElectionTimer(): void {
    const { electionTicks } = this.config
    this.electionElapsed = 0
    const extra = this.#random(electionTicks)
    assert(Number.isInteger(extra) && extra >= 0 && extra < electionTicks, 'raft.random', () => `${extra}`)
    const later = (HIGHEST_PRIORITY - this.config.leaderPriority) * electionTicks
    this.electionTimeout = electionTicks + later + extra
    assert(this.electionTimeout >= electionTicks, 'raft.election-timeout', () => `${this.electionTimeout}`)
  }

  #stamp(message: Message): Message {
    const life = isReply(message) ? this.config.life : lifeOf(this.configuration, message.to)
    return life === 0 ? message : { ...message, life }
  }

  send(message: Message): void {
    this.outbox.messages.push(this.#stamp(message))
  }

  /** Sends once all that led to this message is on stable storage. */
  sendDurably(message: Message): void {
    this.durability.gate(this.#stamp(message), this.hardState())
  }

  /**
   * Whether a message is meant for the disk that is here, or comes from one that takes part. A disk that was wiped has
   * promised things that it no longer knows of: it must not vote or acknowledge under its old name, not even once it
   * has caught up (SPEC.md, "Lives").
   */
  concernsThisLife(message: Message): boolean {
    const { configuration, config } = this
    const { from, life = 0 } = message
    assert(Number.isSafeInteger(life) && life >= 0, 'raft.message-life', () => `${life} from ${from}`)
    if (!isReply(message)) return life === config.life
    return isMember(configuration, from) && life === lifeOf(configuration, from)
  }

  follower(id: NodeId): Progress | undefined {
    for (const progress of this.followers) if (progress.id === id) return progress
    return undefined
  }

  mayCampaign(): boolean {
    return this.#hasStanding() && this.durability.ticksWaiting < this.config.stalledDiskTicks
  }

  /**
   * A voter; or one that the newest configuration leaves out while nobody knows that it is committed: then its log may be
   * the one that the others need, and they would refuse each other for ever. It doesn't count itself (thesis §4.2.2).
   */
  #hasStanding(): boolean {
    if (isVoter(this.configuration, this.id)) return true
    const { previous } = this.configurations
    assert(!this.configuration.voters.includes(this.id), 'raft.standing-voter', () => this.id)
    return !this.configurationCommitted() && previous !== undefined && isVoter(previous, this.id)
  }

  /** Leaders: an entry of the own term is committed, so all that ever was committed is known to be (§5.4.2, §8). */
  ownTermCommitted(): boolean {
    return this.role === 'leader' && this.log.termAt(this.commit) === this.term
  }

  #enterTerm(term: Term): void {
    assert(term > this.term, 'raft.term-monotone', () => `${term} after ${this.term}`)
    assert(Number.isSafeInteger(term), 'raft.term-number', () => `${term}`)
    assert(!this.failed, 'raft.term-failed', () => `${term}`)
    this.term = term
    this.votedFor = undefined
  }

  /** Same term: votedFor stays, a node has one vote in a term whatever it becomes. */
  becomeFollower(term: Term, leader: NodeId | undefined): void {
    if (term !== this.term) this.#enterTerm(term)
    assert(this.term === term, 'raft.follower-term', () => `${term} in ${this.term}`)
    const wasFollower = this.role === 'follower'
    this.#leaveLeadership()
    assert(leader !== this.id, 'raft.follows-itself')
    this.role = 'follower'
    this.leader = leader
    if (!wasFollower || leader !== undefined) this.resetElectionTimer()
  }

  /** Asks whether it could win without raising anybody's term (thesis §9.6). */
  becomePreCandidate(): void {
    assert(this.role !== 'leader', 'raft.leader-campaigns')
    assert(this.mayCampaign(), 'raft.pre-stands-without-standing', () => this.id)
    assert(this.followers.length === 0, 'raft.pre-candidate-leads', () => this.id)
    this.role = 'pre-candidate'
    this.leader = undefined
    this.votes.clear()
    this.resetElectionTimer()
  }

  becomeCandidate(): void {
    assert(this.role !== 'leader', 'raft.leader-stands')
    assert(this.mayCampaign(), 'raft.stands-without-standing', () => this.id)
    this.#enterTerm(asTerm(this.term + 1))
    this.role = 'candidate'
    this.leader = undefined
    assert(this.votedFor === undefined, 'raft.candidate-vote-taken', () => `${this.votedFor}`)
    this.votedFor = this.id
    this.votes.clear()
    this.resetElectionTimer()
  }

  becomeLeader(): void {
    assert(this.role === 'candidate', 'raft.leader-without-election', () => this.role)
    assert(this.log.last.term <= this.term, 'raft.leader-term')
    assert(this.voteResult() === 'won', 'raft.leader-without-majority', () => `${this.votes.size} answers`)
    assert(this.votedFor === this.id, 'raft.leader-vote', () => `${this.votedFor}`)
    assert(this.waitingReads.length === 0 && this.readRound === undefined, 'raft.leader-old-reads')
    this.role = 'leader'
    this.leader = this.id
    this.heartbeatElapsed = 0
    this.newestReadRound = 0
    this.leaseBroken = false
    this.snapshotBudget = this.config.maxSnapshotBytesPerTick
    this.uncommittedBytes = 0
    for (let index = this.commit + 1; index <= this.log.last.index; index += 1) {
      this.uncommittedBytes += entryBytes(this.log.entryAt(index)!)
    }
    this.#refreshFollowers()
    // Without an entry of its own term a leader can commit nothing (§5.4.2).
    this.append('noop', NOOP)
  }

  /** Leaders: one for each other member; who stays is known already. */
  #refreshFollowers(): void {
    assert(this.role === 'leader', 'raft.followers-leader', () => this.role)
    const next = asLogIndex(this.log.last.index + 1)
    this.followers = membersOf(this.configuration)
      .filter((id) => id !== this.id)
      .map((id) => {
        const life = lifeOf(this.configuration, id)
        const known = this.follower(id)
        return known?.life === life ? known : new Progress(id, life, next, this.ticks, this.config)
      })
    assert(this.follower(this.id) === undefined, 'raft.follows-itself-as-leader', () => this.id)
  }

  /** The only way into the log. */
  addToLog(entry: Entry): void {
    assert(entry.term <= this.term, 'raft.entry-term', () => `${entry.term} in term ${this.term}`)
    this.log.append(entry)
    if (entry.kind !== 'configuration') return
    this.configurations.appended(entry)
    assert(this.configurationIndex === entry.index, 'raft.configuration-in-force', () => `${entry.index}`)
    if (this.role === 'leader') this.#refreshFollowers()
  }

  #leaveLeadership(): void {
    this.followers = []
    this.uncommittedBytes = 0
    this.transfer = undefined
    this.votes.clear()
    this.outbox.droppedReads.push(...this.waitingReads, ...(this.readRound?.contexts ?? []))
    this.waitingReads = []
    this.readRound = undefined
    assert(this.leader !== this.id || this.role === 'leader', 'raft.left-leader', () => this.role)
  }

  /** Leaders: the only place where entries come into being. */
  append(kind: EntryKind, draft: Draft): Entry {
    assert(this.role === 'leader', 'raft.append-as-follower')
    const { last } = this.log
    const { header, payload, payloadBytes, payloadCrc32 } = draft
    const index = asLogIndex(last.index + 1)
    const { term } = this
    const digest = chain(last.digest, { index, term, kind, payloadBytes, payloadCrc32, header })
    const entry: Entry = { index, term, kind, digest, header, payload, payloadBytes, payloadCrc32 }
    this.addToLog(entry)
    assert(this.log.last.index === index, 'raft.appended-last', () => `${this.log.last.index}, not ${index}`)
    assert(this.commit < index, 'raft.appended-committed', () => `${index}, commit ${this.commit}`)
    this.uncommittedBytes += entryBytes(entry)
    return entry
  }

  commitTo(index: LogIndex): void {
    if (index <= this.commit) return
    assert(index <= this.log.last.index, 'raft.commit-beyond-last', () => {
      return `commit ${index}, last ${this.log.last.index}: this node lost entries that it had acknowledged`
    })
    if (this.role === 'leader') {
      for (let at = this.commit + 1; at <= index; at += 1) {
        this.uncommittedBytes -= entryBytes(this.log.entryAt(at)!)
      }
    }
    assert(this.uncommittedBytes >= 0, 'raft.uncommitted-after', () => `${this.uncommittedBytes}`)
    assert(!this.failed, 'raft.commit-failed', () => `${index}`)
    this.commit = index
  }

  /** The disk is gone. What it still holds can't be told, so nothing may be promised any more. */
  fail(): void {
    if (this.failed) return
    this.becomeFollower(this.term, undefined)
    assert(this.followers.length === 0, 'raft.failed-leads')
    this.durability.fail()
    this.outbox.messages = []
    this.failed = true
    assert(!this.durability.hasReleasable(), 'raft.failed-promises')
  }
}
