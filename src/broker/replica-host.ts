import type { GroupId, GroupWrite, LogStorage } from '../log/types.ts'
import type { Message, NodeId, PersistToken } from '../raft/types.ts'
import type { QuietNotice } from './peers/peer-codec.ts'
import type { Replica } from './replica.ts'

/** What a replica needs of the node that hosts it. */
export interface ReplicaHost extends Pick<LogStorage, 'readEntries' | 'readLowEnd'> {
  /** Has the node's loop look at this replica in its next turn. */
  wake(replica: Replica): void
  send(groupId: GroupId, messages: readonly Message[]): void
  leadershipChanged(replica: Replica): void
  /** Other members are in force, or are committed. */
  configurationChanged(replica: Replica): void
  /** Whether this node hears from that one. */
  isReachable(node: NodeId): boolean
  /** Tells a follower that the group has gone quiet. */
  sendQuiet(to: NodeId, notice: QuietNotice): void
  /** Something that should not happen happened; the node must stop. */
  fail(error: Error): void
}

export interface ReplicaLimits {
  /** The folded state is stored after so many entries … */
  readonly saveStateEntries: number
  /** … or so many payload bytes, whichever comes first. At a start, what came after is folded again. */
  readonly saveStateBytes: number
  /** The log is cut behind the stored state once it is so many entries longer; undefined: never. */
  readonly compactEntries: number | undefined
  /** A leader has at most so many of its own entries on the way to its own disk. */
  readonly maxUnsyncedEntries: number
}

/** What one replica asks of the node in a turn. */
export interface TurnWrite {
  readonly write: GroupWrite
  readonly token: PersistToken | undefined
}
