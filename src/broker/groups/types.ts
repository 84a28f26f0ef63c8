/**
 * What is known of consumer groups, and where. Two state machines share it:
 *
 * - The **group** (its members, and which member each partition is given to) is a part of the metadata group's state: a
 *   fold over `groupChanged` events, so it survives the loss of the coordinator, which is the leader of that group, and
 *   every node knows it. Leases aren't in it: the coordinator alone keeps them, in memory, and a new one grants every
 *   member a whole lease. So heartbeats cost no log.
 * - The **position** of a group in a partition (what is committed, and the fence: who may commit, under which epoch) is a
 *   part of that partition's state: a fold over marks in its own log.
 *
 * A partition changes hands in this order: revoked (its owner is told, finishes, commits, releases), given (an event of the
 * group with a new epoch), taken (the new owner's node has the partition's leader log the fence with that epoch; from there
 * on commits under the old epoch are refused), read. Nobody is sent a record before the fence is in the log.
 */
import type { TopicPartition } from '../../wire/index.ts'

export type Strategy = 'balanced' | 'range' | 'round-robin'

/** What a member asks for. */
export interface Subscription {
  /** Whole topics, shared with others. Sorted, without repeats. */
  readonly topics: readonly string[]
  /** Partitions that it names for itself. Not empty: it gets these and no others. */
  readonly partitions: readonly TopicPartition[]
}

export interface Member extends Subscription {
  readonly memberId: string
  /** Rises whenever somebody joins under this id: only the youngest counts. */
  readonly incarnation: number
  /** It named itself, so it may come back within its lease. */
  readonly isStatic: boolean
  readonly weight: number
  /** Silent for so long, it loses its place. */
  readonly sessionTimeoutMs: number
  /** How long it may take to give a partition back. */
  readonly revokeTimeoutMs: number
  /** HOST:PORT of the client, for people. */
  readonly clientAddress: string
}

/** Who a partition is given to. */
export interface Assignment extends TopicPartition {
  /** undefined: nobody. */
  readonly owner: string | undefined
  /** Of this giving; rises each time, over all groups and for ever. */
  readonly epoch: number
  /** The owner is to give it back. */
  readonly isRevoking: boolean
  /**
   * Where the group goes on from, for whom takes it next with an epoch above this one's fence: how a reset comes into the
   * partition's log, even where the partition had no leader when it was asked for.
   */
  readonly reset: { readonly epoch: number; readonly offset: number } | undefined
}

/** What changes in a group at once; what isn't named stays. */
export interface GroupChange {
  readonly strategy?: Strategy
  readonly joined?: readonly Member[]
  /** Ids. */
  readonly left?: readonly string[]
  /** Partitions stay listed when nobody wants them any more: their offsets are kept. */
  readonly assignments?: readonly Assignment[]
}

/** A group as the metadata group's log tells it. */
export interface Group {
  readonly name: string
  /** Of its making: positions under an older epoch belong to another group that had the name. */
  readonly sinceEpoch: number
  /** Counts the changes since this node has loaded it. */
  readonly version: number
  readonly strategy: Strategy
  readonly members: ReadonlyMap<string, Member>
  /** By `partitionKey`. */
  readonly assignments: ReadonlyMap<string, Assignment>
}

/** What a change of a group is asked for with. */
export type GroupChangeCommand =
  | {
      readonly type: 'join'
      readonly group: string
      readonly member: JoiningMember
      readonly strategy: Strategy
    }
  | {
      readonly type: 'leave'
      readonly group: string
      readonly memberId: string
      readonly incarnation: number
    }
  /** Their leases ended. */
  | {
      readonly type: 'expire'
      readonly group: string
      readonly members: readonly { readonly memberId: string; readonly incarnation: number }[]
    }
  | {
      readonly type: 'subscribe'
      readonly group: string
      readonly memberId: string
      readonly incarnation: number
      readonly subscription: Subscription
    }
  /** Revoked partitions that their owner gives back, or that it held for too long; others are left alone. */
  | { readonly type: 'release'; readonly group: string; readonly partitions: readonly GivenEpoch[] }
  /** Topics came or went. */
  | { readonly type: 'balance'; readonly group: string }
  | {
      readonly type: 'reset'
      readonly group: string
      readonly topic: string
      readonly offsets: readonly { readonly partition: number; readonly offset: number }[]
      readonly force: boolean
    }
  | { readonly type: 'delete'; readonly group: string }

/** One giving of a partition. */
export interface GivenEpoch extends TopicPartition {
  readonly epoch: number
}

export interface JoiningMember extends Omit<Member, 'incarnation'> {
  /** Set by one that goes on after its stream broke. */
  readonly incarnation: number | undefined
}

export function partitionKey({ topic, partition }: TopicPartition): string {
  // No topic's name has a slash.
  return `${topic}/${partition}`
}

/** What a partition knows of a group. */
export interface GroupPosition {
  /** Of the newest fence. */
  readonly epoch: number
  /** Who may commit under it; empty: nobody. */
  readonly owner: string
  /** The next offset that the group needs; undefined: nothing is committed. */
  readonly committedOffset: number | undefined
  /** When that was logged, by the leader's clock; 0: never. */
  readonly commitTimeMs: number
}

/** A change of a group's position in a partition's log. Folding one can't fail. */
export type GroupMark =
  | {
      readonly type: 'fenced'
      readonly group: string
      readonly epoch: number
      readonly owner: string
      /** What is committed: as before; nothing, since it was of a deleted group of this name; or where a reset put it. */
      readonly committed: 'kept' | 'cleared' | number
    }
  | { readonly type: 'committed'; readonly group: string; readonly offset: number }
  | { readonly type: 'forgotten'; readonly group: string }

/** What a partition's leader is asked to do for a group. */
export type GroupCommand =
  /** Fences all earlier epochs and makes `owner` the one who may commit. */
  | {
      readonly type: 'take'
      readonly group: string
      readonly epoch: number
      readonly owner: string
      /** When the group was made: what was committed under an older epoch belongs to another group of this name. */
      readonly sinceEpoch: number
      readonly reset: Assignment['reset']
    }
  | {
      readonly type: 'commit'
      readonly group: string
      readonly epoch: number
      readonly owner: string
      readonly offset: number
    }
  /** The group was deleted; takes no effect where a group of the same name has fenced since. */
  | { readonly type: 'forget'; readonly group: string; readonly beforeEpoch: number }

/** What came of it: the group's position in the partition, and the partition's range. */
export interface GroupOutcome {
  readonly position: GroupPosition | undefined
  readonly lowOffset: number
  readonly highWatermark: number
}
