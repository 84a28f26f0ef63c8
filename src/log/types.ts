import type { Readers } from '../env/index.ts'
import type { Bootstrap, Entry, HardState, LogIndex, LogMark, Snapshot } from '../raft/types.ts'

declare const brand: unique symbol
type Branded<T, Name extends string> = T & { readonly [brand]: Name }

/** A Raft group; 0 is the metadata group. Never reused. */
export type GroupId = Branded<number, 'GroupId'>
/** The place of a record in its partition: dense, starts at 0. */
export type Offset = Branded<number, 'Offset'>

export const asGroupId = (value: number): GroupId => value as GroupId
export const asOffset = (value: number): Offset => value as Offset

/** A signpost in a log: the entry at `index` starts with `offset` and was appended at `appendTimeMs`. Only for committed entries. */
export interface IndexPoint {
  readonly index: LogIndex
  readonly offset: Offset
  /** Milliseconds since 1970, by the leader's clock; never goes back within a partition. */
  readonly appendTimeMs: number
}

/** The folded state of a group up to and with the entry `index`. */
export interface AppliedState {
  readonly index: LogIndex
  readonly state: Uint8Array
  /** Signposts for entries folded since the last AppliedState, ascending. */
  readonly indexPoints: readonly IndexPoint[]
}

/**
 * All that changes durably for one group in one turn. A turn may hold several for a group; they apply in order. Within
 * one: `create`, then `snapshot`, then `entries`, then `hardState`, `applied`, `lowEnd`; `destroy` stands alone.
 */
export interface GroupWrite {
  readonly groupId: GroupId
  /** The group's first write on this node: its log starts at this mark (for a new group index 0). */
  readonly create?: Snapshot
  /** Drop everything the group has and start at this snapshot, which is also its applied state. */
  readonly snapshot?: Snapshot
  /** Ascending without a gap. Stored entries from entries[0].index on are dropped first. */
  readonly entries?: readonly Entry[]
  readonly hardState?: HardState
  readonly applied?: AppliedState
  /** Move the log's low end up: `lowEnd` is the state at the new low end, entries up to and with it are dropped. */
  readonly lowEnd?: Snapshot
  /** Forget the group and give its space back. */
  readonly destroy?: true
}

/** What a start found of one group. */
export type RecoveredGroup =
  | {
      readonly groupId: GroupId
      readonly ok: true
      readonly bootstrap: Bootstrap
      /** The folded state at bootstrap.applied. */
      readonly appliedState: Uint8Array
    }
  /** The group's data is there but can't be trusted: its replica must not vote or serve. Nothing was deleted. */
  | { readonly groupId: GroupId; readonly ok: false; readonly damage: string }

/** Who a data folder belongs to. */
export interface FolderIdentity {
  readonly clusterName: string
  readonly nodeId: string
}

/** The face of a node's storage (log-storage.ts): one LevelDB and segment files for all groups of the node. */
export interface LogStorage {
  /** What the start found, by group. It holds the end of each log in memory until it is released. */
  readonly recovered: ReadonlyMap<GroupId, RecoveredGroup>
  /** Nobody needs any more what the start found of this group. */
  release(groupId: GroupId): void
  /** Random id of the cluster, once the metadata group has told it; kept in the folder. */
  readonly clusterId: string | undefined
  setClusterId(clusterId: string): Promise<void>
  /**
   * Makes one turn durable: segments and one synced LevelDB batch, in parallel. One call at a time. Throws
   * StorageFailedError on the first failure and at every call from then on: what was asked may or may not be there.
   */
  commit(turn: readonly GroupWrite[]): Promise<void>
  /**
   * Entries of a durable log from `from` to at most `to`: at least one, then up to maxBytes of payload; fewer only at
   * the end of what is stored. With `one` reader (default `many`) what comes from segments goes past the system's cache. Throws
   * EntriesCompactedError below the low end, DamagedEntryError on a checksum.
   */
  readEntries(
    groupId: GroupId,
    from: LogIndex,
    to: LogIndex,
    maxBytes: number,
    readers?: Readers,
  ): Promise<Entry[]>
  /** Whether the group is here and whole. */
  has(groupId: GroupId): boolean
  /**
   * Writes a payload of a segment whose bytes have rotted anew, durably, from `entry` as another replica has it. False where
   * this log has another entry there, or none in a segment. A failed write is final, as in commit().
   */
  restorePayload(groupId: GroupId, entry: Entry): Promise<boolean>
  /** The state at the log's low end, for a follower that is further behind. */
  readLowEnd(groupId: GroupId): Promise<Snapshot>
  /** The last signpost at or below `offset`; undefined where the log's low end is nearer. A seek, never a scan. */
  findByOffset(groupId: GroupId, offset: Offset): Promise<IndexPoint | undefined>
  /** The last signpost appended before `timeMs`; undefined where the low end is nearer. A seek, never a scan. */
  findByTime(groupId: GroupId, timeMs: number): Promise<IndexPoint | undefined>
  /** Bytes on disk for a group: entries, segments. An estimate. */
  sizeBytes(groupId: GroupId): number
  /** The marks of the durable log. */
  lastMark(groupId: GroupId): LogMark
  /**
   * Puts aside what this node has of a group, whole or damaged, so that the group can be created anew: its keys are
   * copied to a file in DIRECTORY/quarantine, its segments moved next to it, and only then are they gone from the log.
   * Nothing is deleted that isn't there. Nothing may write to the group meanwhile. Returns the directory. Where it fails
   * (a full disk), the group stays as damaged as `reason` says, also after a restart, and it can be called again.
   */
  quarantine(groupId: GroupId, reason: string): Promise<string>
  close(): Promise<void>
}

export interface LogLimits {
  /** Payloads of so many bytes and more go to segment files. Default 4096. */
  readonly segmentThresholdBytes: number
  /** A segment file is closed when it has reached this. Default 64 MiB. */
  readonly segmentBytes: number
  /**
   * A turn in which more groups than this have payloads for segments is crowded: the smaller ones go to one segment that all
   * groups share. Default 4, as many files as libuv syncs at once unless it is told otherwise.
   */
  readonly crowdedAboveGroups: number
  /** In a crowded turn, payloads of so many bytes and more go to the shared segment. Default 1024. */
  readonly sharedThresholdBytes: number
  /** A shared segment is closed when it has reached this; relocation reads one as a whole. Default 16 MiB. */
  readonly sharedSegmentBytes: number
  /** Where closed shared segments have more than this, the oldest is relocated to its groups' own. Default 1 GiB. */
  readonly sharedBytes: number
  /** At a start, so many bytes of a group's newest entries are loaded at most, beyond those not yet applied. Default 1 MiB. */
  readonly tailBytes: number
}
