/**
 * The words of the consensus core. Everything here is data; nothing does I/O.
 * Terms as in Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (2014), and Ongaro's thesis.
 */

declare const brand: unique symbol
type Branded<T, Name extends string> = T & { readonly [brand]: Name }

/** A leader's reign; 0 before the first. */
export type Term = Branded<number, 'Term'>
/** A place in the Raft log; the first entry has 1, 0 means before it. */
export type LogIndex = Branded<number, 'LogIndex'>
/** A node's name in its cluster. */
export type NodeId = Branded<string, 'NodeId'>
/** The running digest of a log up to and with an entry: 64 bits, 0n before the first entry. */
export type Digest = Branded<bigint, 'Digest'>

export const asTerm = (value: number): Term => value as Term
export const asLogIndex = (value: number): LogIndex => value as LogIndex
export const asNodeId = (value: string): NodeId => value as NodeId
export const asDigest = (value: bigint): Digest => value as Digest

/** What is asked to enter the log. The core carries header and payload and never looks into them. */
export interface Draft {
  /** What the payload is, in the words of the layer above; at most 64 KiB. */
  readonly header: Uint8Array
  /** The payload, in chunks so that nothing needs copying together. */
  readonly payload: readonly Uint8Array[]
  /** Their total length. */
  readonly payloadBytes: number
  /** zlib's CRC-32 over the chunks one after the other; 0 without payload. */
  readonly payloadCrc32: number
}

/** `noop` starts a leader's term (§5.4.2 and §8); `event` is a draft; `configuration` has an encoded Configuration as header. */
export type EntryKind = 'noop' | 'event' | 'configuration'

/** One entry of the Raft log. */
export interface Entry extends Draft {
  readonly index: LogIndex
  readonly term: Term
  readonly kind: EntryKind
  /** chain(digest of the predecessor, this entry). */
  readonly digest: Digest
}

/** Which life of a member's disk takes part: a disk that lost what it held comes back under another number. */
export interface MemberLife {
  readonly id: NodeId
  /** A safe integer from 0. */
  readonly life: number
}

/** Who takes part. Joint (Raft §6) where `votersOutgoing` isn't empty: then both halves must agree. */
export interface Configuration {
  readonly voters: readonly NodeId[]
  /** Joint only: the voters before the change. */
  readonly votersOutgoing: readonly NodeId[]
  /** They get the log and count for nothing. One that is in `votersOutgoing`, too, votes until the joint phase is over. */
  readonly learners: readonly NodeId[]
  /** Joint only: the leader ends the joint phase as soon as its entry is committed, without being asked. */
  readonly leavesAutomatically?: boolean
  /** Members whose life isn't 0, sorted by id. */
  readonly lives?: readonly MemberLife[]
}

/** A configuration and where it comes from. */
export interface ConfigurationInForce {
  readonly configuration: Configuration
  /** Its entry; at or below the low end where a snapshot or the start of the group brought it. */
  readonly index: LogIndex
  /** While false, another leader's log may still take it back. */
  readonly committed: boolean
}

/** One step of a configuration change. `life` is 0 where it is left out. */
export type MemberChange =
  /** A new voter, or a learner that is promoted: nobody ever is without being asked. */
  | { readonly type: 'addVoter'; readonly id: NodeId; readonly life?: number }
  /** A new learner, or a voter that becomes one; under another life, a wiped node that starts anew. */
  | { readonly type: 'addLearner'; readonly id: NodeId; readonly life?: number }
  | { readonly type: 'remove'; readonly id: NodeId }

/**
 * How a change comes into force.
 * - auto: at once where at most one voter comes or goes, else by a joint phase that ends by itself.
 * - joint: by a joint phase that ends by itself.
 * - jointExplicit: by a joint phase that lasts until a change without steps ends it.
 */
export type ChangeTransition = 'auto' | 'joint' | 'jointExplicit'

export interface ConfigurationChange {
  /** Taken in order. None: end the joint phase. */
  readonly changes: readonly MemberChange[]
  /** Default auto. */
  readonly transition?: ChangeTransition
}

/** Why a change is refused; `detail` of the result says it with names. */
export type ChangeRefusal =
  | 'not-leader'
  | 'transferring'
  /** No entry of the leader's own term is committed yet, so it can't know whether a change is in flight (raft-dev, July 2015). */
  | 'own-term-uncommitted'
  | 'change-in-flight'
  /** Only ending the joint phase is possible now. */
  | 'joint'
  | 'not-joint'
  | 'nothing-changes'
  | 'no-voters'
  /** A voter can't change its life: it must become a learner under the new one first. */
  | 'life-of-voter'
  | 'too-many-members'

export type ChangeResult =
  | {
      readonly ok: true
      readonly index: LogIndex
      readonly term: Term
      readonly configuration: Configuration
    }
  | { readonly ok: false; readonly reason: ChangeRefusal; readonly detail: string }

/** What must be on stable storage before the core answers anyone (figure 2, "persistent state"). */
export interface HardState {
  readonly term: Term
  readonly votedFor: NodeId | undefined
  /** A lower bound of the commit index; persisted for a quicker start, not for safety. */
  readonly commit: LogIndex
}

/** Names a place in the log and all that is before it. */
export interface LogMark {
  readonly index: LogIndex
  readonly term: Term
  readonly digest: Digest
}

/** The folded state up to and with `index`, in place of the entries before it (§7). */
export interface Snapshot extends LogMark {
  readonly configuration: Configuration
  /** Opaque to the core. */
  readonly state: Uint8Array
}

export type SnapshotMark = Omit<Snapshot, 'state'>

/** From `firstIndex` on, entries have `term`, up to the next run. */
export interface TermRun {
  readonly firstIndex: LogIndex
  readonly term: Term
}

/** What a core starts from: what storage holds. */
export interface Bootstrap {
  readonly hardState: HardState
  /** The log's low end: entries up to and with `lowEnd.index` aren't there. A new group has index 0, term 0, digest 0n. */
  readonly lowEnd: SnapshotMark
  /** The newest entry in storage, or the low end where there is none. */
  readonly last: LogMark
  /** Ascending, covering lowEnd.index + 1 to last.index; empty for an empty log. */
  readonly termRuns: readonly TermRun[]
  /** Up to here the state machine has folded, durably. */
  readonly applied: LogIndex
  /** Contiguous entries that end with `last`; must reach back to applied + 1. */
  readonly tail: readonly Entry[]
  /** The configuration in force at `last`. Without voters: a replica that joins and knows nobody yet. */
  readonly configuration: Configuration
}

export interface RaftConfig {
  readonly id: NodeId
  /**
   * Which life of its disk this replica is in: whoever finds its data gone must come back with a number that it never
   * had before, and is then a stranger to all that was promised under the old one. Default 0.
   */
  readonly life: number
  /** An election starts after electionTicks to 2 * electionTicks - 1 ticks without a leader. Default 10. */
  readonly electionTicks: number
  /** A leader sends heartbeats so often. Default 2. */
  readonly heartbeatTicks: number
  /** Most entry bytes in one append message; a single entry may exceed it. Default 1 MiB. */
  readonly maxAppendBytes: number
  /** Most append messages under way to a follower. Default 64. */
  readonly maxInflightMessages: number
  /** Most entry bytes under way to a follower. Default 16 MiB. */
  readonly maxInflightBytes: number
  /**
   * The next read from storage for a follower waits while so many bytes that storage had are under way to it; twice as many, up to
   * maxInflightBytes, after each election timeout in which nothing was committed or it came no nearer to the end of the log.
   * Default 8 MiB.
   */
  readonly catchUpBytes: number
  /** Proposals beyond so many uncommitted bytes are refused. Default 64 MiB. */
  readonly maxUncommittedBytes: number
  /**
   * The commit index alone is never worth a write, and rides along with one where it has risen by so many entries since it last did:
   * a start that knows of fewer only folds the others later, once a leader tells. Default 1.
   */
  readonly commitEntries: number
  /** Entries that are durable and applied stay in memory up to so many bytes, newest first, until told otherwise. Default 4 MiB. */
  readonly windowBytes: number
  /** A snapshot goes out in chunks of at most so many bytes, one under way at a time. Default 1 MiB. */
  readonly maxSnapshotChunkBytes: number
  /** Snapshot chunks begin until so many bytes went out in a tick, all followers together. Default 4 MiB. */
  readonly maxSnapshotBytesPerTick: number
  /** A larger snapshot is refused: a follower gathers its chunks in memory. Default 1 GiB. */
  readonly maxSnapshotBytes: number
  /**
   * Lease reads (thesis §6.4.1): no clock of the group runs so many percent faster than another. Undefined: there are no
   * leases, and reads that ask for one go by quorum. All replicas of a group must agree whether there are. Default undefined.
   */
  readonly leaseClockDriftPercent: number | undefined
  /**
   * Where leaders should be, 0 to 3: for each step below 3 a replica waits an election timeout longer before it stands.
   * It only waits and never refuses anyone, so it can't keep a group from having a leader. Default 3.
   */
  readonly leaderPriority: number
  /** A leader whose own disk hasn't answered for so long steps down, and a node in that state doesn't campaign. Default 40. */
  readonly stalledDiskTicks: number
}

export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader'

interface Addressed {
  readonly from: NodeId
  readonly to: NodeId
  /** The sender's term; in preVote and a granted preVoteReply the term that the candidate would have. */
  readonly term: Term
  /**
   * In a request the addressee's life as the sender's configuration has it; in a reply the sender's own. What concerns
   * another life is refused, so that neither a wiped disk nor a group that was deleted speaks for the one that is there.
   * 0 where it is left out.
   */
  readonly life?: number | undefined
}

export interface VoteRequest extends Addressed {
  readonly type: 'preVote' | 'vote'
  readonly lastIndex: LogIndex
  readonly lastTerm: Term
  /** Set by a leadership transfer: voters then ignore that they hear from a leader (thesis §4.2.3). */
  readonly transfer: boolean
}
export interface VoteReply extends Addressed {
  readonly type: 'preVoteReply' | 'voteReply'
  readonly granted: boolean
}
export interface AppendRequest extends Addressed {
  readonly type: 'append'
  /** The entry before the first one sent. Its digest lets the follower prove that the logs are the same up to there. */
  readonly previous: LogMark
  readonly entries: readonly Entry[]
  readonly commit: LogIndex
}
export interface AppendReply extends Addressed {
  readonly type: 'appendReply'
  readonly accepted: boolean
  /** Accepted: the follower durably matches up to here. Rejected: previous.index of the refused request. */
  readonly index: LogIndex
  /** Rejected: where to go on, and the term there, so that a conflict costs one round per term (§5.3, thesis §4). */
  readonly hintIndex: LogIndex
  readonly hintTerm: Term
}
export interface Heartbeat extends Addressed {
  readonly type: 'heartbeat'
  /** min(the follower's match, the leader's commit): never above what the follower surely has. */
  readonly commit: LogIndex
  /** The newest read round that waits for a quorum (thesis §6.4); 0 where none. */
  readonly readRound: number
}
export interface HeartbeatReply extends Addressed {
  readonly type: 'heartbeatReply'
  readonly readRound: number
}
/** One chunk of a snapshot (§7, figure 13). */
export interface InstallSnapshot extends Addressed {
  readonly type: 'snapshot'
  /** Its `state` is this chunk. */
  readonly snapshot: Snapshot
  /** Where in the state the chunk belongs; 0 where it is left out. */
  readonly offset?: number | undefined
  /** Length of the whole state; the chunk's own where it is left out. */
  readonly totalBytes?: number | undefined
}
/** A chunk came, and the snapshot isn't complete: the last one is answered by an appendReply, once all of it is on disk. */
export interface SnapshotReply extends Addressed {
  readonly type: 'snapshotReply'
  /** The snapshot's. */
  readonly index: LogIndex
  /** So many bytes from its start are here: where to go on. */
  readonly received: number
}
export interface TimeoutNow extends Addressed {
  readonly type: 'timeoutNow'
}

export type Message =
  | VoteRequest
  | VoteReply
  | AppendRequest
  | AppendReply
  | Heartbeat
  | HeartbeatReply
  | InstallSnapshot
  | SnapshotReply
  | TimeoutNow

/** Names one write to storage. The term closes the append ABA race (etcd-io/raft, rawnode.go). */
export interface PersistToken {
  readonly sequence: number
  readonly term: Term
  readonly last: LogIndex
}

export type Input =
  | { readonly type: 'tick' }
  | { readonly type: 'message'; readonly message: Message }
  /** Starts an election now (a test, or the first node of a new group). */
  | { readonly type: 'campaign' }
  /** Followers: the leader is known to be gone, so that whoever asks may have this node's vote without waiting. */
  | { readonly type: 'forgetLeader' }
  /**
   * Asks for a linearizable read; `context` comes back in Output.reads or Output.droppedReads. Mode quorum (default) asks a
   * quorum each time. Mode lease answers at once while this leader's lease holds, and asks a quorum otherwise; before it, the
   * driver must have stepped every tick that is due by its monotonic clock, or a process that slept would trust an old lease.
   */
  | { readonly type: 'read'; readonly context: number; readonly mode?: 'quorum' | 'lease' }
  /** Hands leadership over; `to` undefined: the follower that is furthest along. */
  | { readonly type: 'transfer'; readonly to: NodeId | undefined }
  /** The write of this token, and all before it, is on stable storage. */
  | { readonly type: 'persisted'; readonly token: PersistToken }
  /**
   * From now on so many bytes in place of RaftConfig.windowBytes: a node's groups share its memory. Of entries that each follower
   * holds, where a leader waits for any, at most `heldBytes` of them (default: as many).
   */
  | { readonly type: 'window'; readonly bytes: number; readonly heldBytes?: number }
  /** The state machine has folded up to `index`. */
  | { readonly type: 'applied'; readonly index: LogIndex }
  /** Entries from storage for Output.fetches; empty where storage no longer has them. */
  | {
      readonly type: 'fetched'
      readonly to: NodeId
      readonly from: LogIndex
      readonly entries: readonly Entry[]
    }
  /** The snapshot asked for by Output.snapshotsWanted, at the log's low end. */
  | { readonly type: 'snapshotLoaded'; readonly to: NodeId; readonly snapshot: Snapshot }
  /** The transport could not deliver to this node, or the snapshot for it got lost. */
  | { readonly type: 'unreachable'; readonly to: NodeId }
  /** Storage durably dropped the entries up to and with this mark. */
  | { readonly type: 'compacted'; readonly lowEnd: SnapshotMark }
  /** A write or sync failed. Final: the core steps down, votes for no one and appends nothing from then on. */
  | { readonly type: 'storageFailed' }

export interface Persist {
  readonly token: PersistToken
  /** Set where entries have changed: storage drops what it has from entries[0].index on, then adds these. */
  readonly entries: readonly Entry[]
  readonly hardState: HardState | undefined
  /** Set where a snapshot replaces the whole log: storage drops all entries, takes the snapshot as low end, then adds `entries`. */
  readonly snapshot: Snapshot | undefined
}

export interface Output {
  /** May leave now. Votes and acknowledgements aren't among them before their write is persisted. */
  readonly messages: readonly Message[]
  /** To be written, as one atomic unit, in the order of the outputs. */
  readonly persist: Persist | undefined
  /** The state machine is to be replaced by this before anything committed is folded. */
  readonly restore: Snapshot | undefined
  /** Newly committed entries to fold, in order, without a gap; each is handed out once, and only when it is persisted here, too. */
  readonly committed: readonly Entry[]
  /** Entries that a follower needs and memory no longer holds. */
  readonly fetches: readonly { readonly to: NodeId; readonly from: LogIndex; readonly maxBytes: number }[]
  /** Followers that are behind the log's low end. */
  readonly snapshotsWanted: readonly NodeId[]
  /** Reads that may be served once `index` is applied. */
  readonly reads: readonly { readonly context: number; readonly index: LogIndex }[]
  /** Reads that could not be confirmed: not the leader, or no longer. */
  readonly droppedReads: readonly number[]
  /** Set where role, term or leader changed. */
  readonly leadership: Leadership | undefined
  /** Set where another configuration came into force, was taken back, or was committed. */
  readonly configuration: ConfigurationInForce | undefined
}

export interface Leadership {
  readonly role: Role
  readonly term: Term
  readonly leader: NodeId | undefined
}

export type ProposeResult =
  | { readonly ok: true; readonly index: LogIndex; readonly term: Term }
  | { readonly ok: false; readonly reason: 'not-leader' | 'transferring' | 'too-many-uncommitted-bytes' }

export interface FollowerStatus {
  readonly id: NodeId
  readonly match: LogIndex
  readonly next: LogIndex
  readonly state: 'probe' | 'replicate' | 'snapshot'
  /** Heard from within the last election timeout. */
  readonly recentlyActive: boolean
}

export interface Status extends Leadership {
  readonly id: NodeId
  readonly last: LogMark
  readonly commit: LogIndex
  readonly applied: LogIndex
  readonly lowEnd: SnapshotMark
  readonly configuration: Configuration
  /** The entry that brought the configuration; at or below the low end where a snapshot or the start did. */
  readonly configurationIndex: LogIndex
  readonly configurationCommitted: boolean
  /** Messages refused since the start because they concern another life. */
  readonly refusedMessages: number
  /** Leaders only: the others, sorted by id. */
  readonly followers: readonly FollowerStatus[]
  /** Leaders only: an entry of the leader's own term is committed, so it knows all that is committed (§8). */
  readonly ownTermCommitted: boolean
}

/** The face of the core (raft.ts). Synchronous: no promise, clock, randomness or I/O of its own. */
export interface RaftCore {
  /** One input. Throws AssertionError on a broken invariant; the core is then of no further use. */
  step(input: Input): void
  propose(draft: Draft): ProposeResult
  /** Leaders: changes who takes part. In force at once (thesis §4.1), final once Output.configuration says committed. */
  changeConfiguration(change: ConfigurationChange): ChangeResult
  /**
   * The configuration in force at this entry, for a snapshot there; undefined where that isn't known: outside the log,
   * below where the replica started from, or on a replica that has joined and hasn't learnt it yet.
   */
  configurationAt(index: LogIndex): Configuration | undefined
  /** Whether take() has something to say. */
  hasOutput(): boolean
  /** All that came up since the last call; undefined where nothing did. */
  take(): Output | undefined
  status(): Status
  /** Entries from memory: from `from` to at most `to`, at least one, then up to maxBytes; undefined where memory doesn't reach back to `from`. */
  entriesInMemory(from: LogIndex, to: LogIndex, maxBytes: number): readonly Entry[] | undefined
  /** Folds the visible state into 32 bits, for traces. */
  digest(): number
}
