import { StatusCode } from '../env/index.ts'

/** Whether a failed call changed anything: it surely didn't, it may have or may yet, it surely did. */
export type ErrorEffect = 'none' | 'unknown' | 'done'

interface ReasonRow {
  /** Its number in flotilla.v1.ErrorReason. */
  readonly number: number
  readonly status: StatusCode
  readonly effect: ErrorEffect
  /** The same call may succeed later, unchanged. */
  readonly retryable: boolean
  readonly meaning: string
  readonly wayOut: string
}

/** Every reason for which a call can fail. proto/flotilla/v1/error.proto and docs/errors.md say the same; a test compares them. */
export const ERROR_REASONS = {
  INVALID_ARGUMENT: {
    number: 1,
    status: StatusCode.invalidArgument,
    effect: 'none',
    retryable: false,
    meaning: 'A field of the request has a value that it cannot have.',
    wayOut: 'Correct the field that the message names.',
  },
  INVALID_NAME: {
    number: 2,
    status: StatusCode.invalidArgument,
    effect: 'none',
    retryable: false,
    meaning: 'The name of a topic, node, producer, group or member breaks the rule for names.',
    wayOut: 'Use 1 to 249 of a-z, A-Z, 0-9, ".", "_" and "-".',
  },
  UNKNOWN_TOPIC: {
    number: 3,
    status: StatusCode.notFound,
    effect: 'none',
    retryable: false,
    meaning: 'No topic has this name.',
    wayOut: 'Create it (flotilla topic create), or correct the name (flotilla topic list).',
  },
  UNKNOWN_PARTITION: {
    number: 4,
    status: StatusCode.notFound,
    effect: 'none',
    retryable: false,
    meaning: 'The topic has no partition of this number.',
    wayOut: 'Use 0 to the number of partitions less one (flotilla topic describe).',
  },
  TOPIC_EXISTS: {
    number: 5,
    status: StatusCode.alreadyExists,
    effect: 'none',
    retryable: false,
    meaning: 'A topic of this name is there already.',
    wayOut: 'Use it, choose another name, or delete it first.',
  },
  RECORD_TOO_LARGE: {
    number: 6,
    status: StatusCode.invalidArgument,
    effect: 'none',
    retryable: false,
    meaning: 'A record is larger than the limit.',
    wayOut: 'Split it, or keep the bulk elsewhere and append a reference.',
  },
  KEY_TOO_LARGE: {
    number: 7,
    status: StatusCode.invalidArgument,
    effect: 'none',
    retryable: false,
    meaning: 'A record key or routing key is larger than the limit.',
    wayOut: 'Use a shorter key, for example a digest of it.',
  },
  HEADERS_TOO_LARGE: {
    number: 8,
    status: StatusCode.invalidArgument,
    effect: 'none',
    retryable: false,
    meaning: 'The headers of a record are together larger than the limit.',
    wayOut: 'Move some of them into the value.',
  },
  BATCH_TOO_LARGE: {
    number: 9,
    status: StatusCode.invalidArgument,
    effect: 'none',
    retryable: false,
    meaning: 'A batch has more bytes or records than the limit.',
    wayOut: 'Append it in several batches.',
  },
  EMPTY_BATCH: {
    number: 10,
    status: StatusCode.invalidArgument,
    effect: 'none',
    retryable: false,
    meaning: 'A batch without records was appended.',
    wayOut: 'Append at least one record.',
  },
  CHECKSUM_MISMATCH: {
    number: 11,
    status: StatusCode.invalidArgument,
    effect: 'none',
    retryable: true,
    meaning: 'The records that arrived do not have the checksum that was sent with them.',
    wayOut:
      'Send again. Where it comes back, the checksum is computed over other bytes than the encoded RecordSet.',
  },
  MALFORMED_REQUEST: {
    number: 12,
    status: StatusCode.invalidArgument,
    effect: 'none',
    retryable: false,
    meaning: 'The bytes are no such protobuf message.',
    wayOut: 'Generate the stub from the protos of the server.',
  },
  BATCH_SPANS_PARTITIONS: {
    number: 13,
    status: StatusCode.invalidArgument,
    effect: 'none',
    retryable: false,
    meaning: 'The keys of a batch belong to several partitions, and a batch goes to one.',
    wayOut: 'Send a batch a partition, or give partition or routing_key.',
  },
  OFFSET_OUT_OF_RANGE: {
    number: 14,
    status: StatusCode.outOfRange,
    effect: 'none',
    retryable: false,
    meaning: 'The offset is below the oldest that is kept or above the high watermark.',
    wayOut: 'Start at an offset in the range that the error carries.',
  },
  REPLICATION_FACTOR_TOO_LARGE: {
    number: 15,
    status: StatusCode.failedPrecondition,
    effect: 'none',
    retryable: false,
    meaning: 'The cluster has fewer nodes than the topic shall have replicas.',
    wayOut: 'Add nodes, or use a lower replication factor.',
  },
  REPLICATION_FACTOR_EVEN: {
    number: 16,
    status: StatusCode.invalidArgument,
    effect: 'none',
    retryable: false,
    meaning: 'An even replication factor survives no more losses than the odd one below it.',
    wayOut: 'Use an odd factor, or insist with force.',
  },
  NOT_LEADER: {
    number: 17,
    status: StatusCode.unavailable,
    effect: 'none',
    retryable: true,
    meaning: 'The node that was asked does not lead the partition.',
    wayOut: 'Go to the leader that the error names; clients do so by themselves.',
  },
  NO_LEADER: {
    number: 18,
    status: StatusCode.unavailable,
    effect: 'none',
    retryable: true,
    meaning: 'The partition has no leader that the node knows, as for a moment after a failure.',
    wayOut: 'Retry; where it lasts, a majority of the replicas is down (flotilla cluster describe).',
  },
  NO_QUORUM: {
    number: 19,
    status: StatusCode.unavailable,
    effect: 'none',
    retryable: true,
    meaning: 'A majority of the replicas did not answer in time; nothing was changed.',
    wayOut: 'Bring the nodes back that are down (flotilla cluster describe).',
  },
  UNKNOWN_OUTCOME: {
    number: 20,
    status: StatusCode.deadlineExceeded,
    effect: 'unknown',
    retryable: true,
    meaning:
      'The call was under way when the deadline passed or the leader changed. It may have taken effect, or may yet.',
    wayOut:
      'With a producer identity or request id retry the same call: it is not doubled. Without one, read and look.',
  },
  PRODUCER_FENCED: {
    number: 21,
    status: StatusCode.failedPrecondition,
    effect: 'none',
    retryable: false,
    meaning: 'A producer with the same id and a higher epoch has taken over.',
    wayOut: 'Stop this producer, or start it anew with a higher epoch.',
  },
  OUT_OF_ORDER_SEQUENCE: {
    number: 22,
    status: StatusCode.failedPrecondition,
    effect: 'none',
    retryable: true,
    meaning: 'A batch of this producer before this one is missing.',
    wayOut: 'Send the missing batch first.',
  },
  UNKNOWN_PRODUCER: {
    number: 23,
    status: StatusCode.failedPrecondition,
    effect: 'none',
    retryable: false,
    meaning: 'The partition has forgotten this producer, because many others appended since.',
    wayOut: 'Go on with a higher epoch from sequence 0; look first whether the last batch is there.',
  },
  SEQUENCE_TOO_OLD: {
    number: 24,
    status: StatusCode.alreadyExists,
    effect: 'done',
    retryable: false,
    meaning: 'The batch was appended long ago; its offset is no longer remembered.',
    wayOut: 'Take it as appended.',
  },
  THROTTLED: {
    number: 25,
    status: StatusCode.resourceExhausted,
    effect: 'none',
    retryable: true,
    meaning: 'The node has as much under way as it may hold.',
    wayOut: 'Wait for the delay that the error carries, then retry.',
  },
  STORAGE_FAILED: {
    number: 26,
    status: StatusCode.unavailable,
    effect: 'unknown',
    retryable: true,
    meaning: 'The disk of the node failed while the call was under way. The node takes no more.',
    wayOut: 'Mend the disk and start the node again; retry as for UNKNOWN_OUTCOME.',
  },
  SHUTTING_DOWN: {
    number: 27,
    status: StatusCode.unavailable,
    effect: 'none',
    retryable: true,
    meaning: 'The node is stopping and takes no new calls.',
    wayOut: 'Retry at another node; clients do so by themselves.',
  },
  UNKNOWN_NODE: {
    number: 28,
    status: StatusCode.notFound,
    effect: 'none',
    retryable: false,
    meaning: 'No node of the cluster, or no replica of the partition, has this id.',
    wayOut: 'Use an id that flotilla cluster describe shows.',
  },
  DUPLICATE_NODE_ID: {
    number: 29,
    status: StatusCode.alreadyExists,
    effect: 'none',
    retryable: false,
    meaning: 'Another process has this node id.',
    wayOut: 'Give every node an id of its own (--id) and the same --cluster list.',
  },
  CLUSTER_MISMATCH: {
    number: 30,
    status: StatusCode.failedPrecondition,
    effect: 'none',
    retryable: false,
    meaning: 'The two nodes belong to different clusters.',
    wayOut: 'Correct --cluster or --data of the node that is wrong.',
  },
  LIMIT_EXCEEDED: {
    number: 31,
    status: StatusCode.resourceExhausted,
    effect: 'none',
    retryable: false,
    meaning: 'A limit of the cluster would be passed.',
    wayOut: 'Stay below the limit that the message names.',
  },
  REPLICA_UNAVAILABLE: {
    number: 32,
    status: StatusCode.unavailable,
    effect: 'none',
    retryable: true,
    meaning: 'The replica on this node cannot serve: it is damaged, or still catching up.',
    wayOut: 'Ask another replica; look at flotilla cluster describe.',
  },
  INTERNAL: {
    number: 33,
    status: StatusCode.internal,
    effect: 'unknown',
    retryable: false,
    meaning: 'A fault in Flotilla itself.',
    wayOut: 'Report it with the log of the node.',
  },
  UNREACHABLE: {
    number: 34,
    status: StatusCode.unavailable,
    effect: 'none',
    retryable: true,
    meaning: 'No connection to the node could be made; the call never left the client.',
    wayOut: 'Correct the address (--bootstrap), or start the node.',
  },
  UNKNOWN_GROUP: {
    number: 35,
    status: StatusCode.notFound,
    effect: 'none',
    retryable: false,
    meaning: 'No consumer group has this name, or it has never had the partition.',
    wayOut: 'Correct the name (flotilla group list); the first member makes a group.',
  },
  UNKNOWN_MEMBER: {
    number: 36,
    status: StatusCode.notFound,
    effect: 'none',
    retryable: false,
    meaning: 'The group has no such member: it left, or was silent for longer than its session time-out.',
    wayOut: 'Join again; what was not committed is handled by others.',
  },
  MEMBER_FENCED: {
    number: 37,
    status: StatusCode.failedPrecondition,
    effect: 'none',
    retryable: false,
    meaning: 'A younger member has joined under the same member id and taken the place.',
    wayOut: 'Stop this one, or give each member an id of its own.',
  },
  STALE_GROUP_EPOCH: {
    number: 38,
    status: StatusCode.failedPrecondition,
    effect: 'none',
    retryable: false,
    meaning: 'The partition has changed hands since it was assigned under this epoch.',
    wayOut: 'Drop the work that was not committed: the new owner handles it.',
  },
  PARTITION_NOT_OWNED: {
    number: 39,
    status: StatusCode.failedPrecondition,
    effect: 'none',
    retryable: false,
    meaning: 'The member does not own the partition, so it cannot commit for it.',
    wayOut: 'Commit only partitions that were assigned to this member, with the epoch of the assignment.',
  },
  COMMIT_BACKWARDS: {
    number: 40,
    status: StatusCode.failedPrecondition,
    effect: 'none',
    retryable: false,
    meaning: 'The offset is below the one that is committed, and commits only go forward.',
    wayOut: 'To go back, reset the group (flotilla group reset).',
  },
  GROUP_HAS_MEMBERS: {
    number: 41,
    status: StatusCode.failedPrecondition,
    effect: 'none',
    retryable: false,
    meaning: 'The group has live members, which the message names.',
    wayOut: 'Stop them first; a reset can also be forced.',
  },
  PARTITION_CLAIMED: {
    number: 42,
    status: StatusCode.alreadyExists,
    effect: 'none',
    retryable: false,
    meaning: 'Another member has named the same partition for itself.',
    wayOut: 'Name other partitions, or stop that member.',
  },
  REPLICAS_MOVING: {
    number: 43,
    status: StatusCode.unavailable,
    effect: 'none',
    retryable: true,
    meaning: 'The replicas of the partition are moving already.',
    wayOut: 'Wait until they have moved (flotilla cluster describe), or call the move off.',
  },
  NODE_IN_USE: {
    number: 44,
    status: StatusCode.failedPrecondition,
    effect: 'none',
    retryable: false,
    meaning:
      'The cluster cannot do without this node yet: it holds replicas, or there is no other in its place.',
    wayOut: 'Move its replicas away (flotilla cluster drain), or add a node first.',
  },
  NODE_REMOVED: {
    number: 45,
    status: StatusCode.failedPrecondition,
    effect: 'none',
    retryable: false,
    meaning: 'The node was removed from the cluster, or has come in with another disk since.',
    wayOut:
      'Stop it. To take it in again start it with an empty data folder and --join. Where it has come in with another disk, use that folder.',
  },
} as const satisfies Record<string, ReasonRow>

export type ErrorReason = keyof typeof ERROR_REASONS

export interface LeaderHint {
  readonly nodeId: string
  /** HOST:PORT */
  readonly address: string
  readonly term: number
}

export interface OffsetRange {
  readonly lowOffset: number
  readonly highWatermark: number
}

export interface FlotillaErrorOptions {
  readonly cause?: unknown
  readonly effect?: ErrorEffect
  readonly retryable?: boolean
  readonly retryDelayMs?: number
  readonly leader?: LeaderHint
  readonly offsetRange?: OffsetRange
}

const brand = Symbol.for('flotilla.FlotillaError')

/**
 * The one error that Flotilla throws, on servers and in clients. `reason` tells which; docs/errors.md lists them.
 * Matches `instanceof` across copies of the package.
 */
export class FlotillaError extends Error {
  override readonly name = 'FlotillaError'
  readonly reason: ErrorReason
  /** Canonical gRPC status. */
  readonly code: StatusCode
  readonly effect: ErrorEffect
  readonly retryable: boolean
  readonly retryDelayMs: number | undefined
  readonly leader: LeaderHint | undefined
  readonly offsetRange: OffsetRange | undefined
  readonly [brand] = true

  constructor(reason: ErrorReason, message: string, options: FlotillaErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    const row = ERROR_REASONS[reason]
    this.reason = reason
    this.code = row.status
    this.effect = options.effect ?? row.effect
    this.retryable = options.retryable ?? row.retryable
    this.retryDelayMs = options.retryDelayMs
    this.leader = options.leader
    this.offsetRange = options.offsetRange
  }

  get mayHaveTakenEffect(): boolean {
    return this.effect !== 'none'
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && brand in value
  }
}
