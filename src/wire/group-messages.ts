/** The messages of proto/flotilla/v1/group.proto as the code sees them, in the shape that messages.ts explains. */
import type { ErrorEffect, ErrorReason, LeaderHint, OffsetRange } from './errors.ts'
import type { RecordBatch, TimestampMessage } from './messages.ts'

/** google.protobuf.Duration */
export interface DurationMessage {
  readonly seconds: number
  readonly nanos: number
}

/** flotilla.v1.Error as it stands within other messages; see `errorOf` and `embeddedError`. */
export interface EmbeddedError {
  readonly reason: `ERROR_REASON_${ErrorReason | 'UNSPECIFIED'}`
  readonly code: number
  readonly message: string
  readonly effect: `ERROR_EFFECT_${Uppercase<ErrorEffect> | 'UNSPECIFIED'}`
  readonly retryable: boolean
  readonly retryDelay: DurationMessage | null
  readonly leader: LeaderHint | null
  readonly offsetRange: OffsetRange | null
}

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

export type StrategyName =
  | 'ASSIGNMENT_STRATEGY_UNSPECIFIED'
  | 'ASSIGNMENT_STRATEGY_BALANCED'
  | 'ASSIGNMENT_STRATEGY_RANGE'
  | 'ASSIGNMENT_STRATEGY_ROUND_ROBIN'
export type StartPositionName =
  'START_POSITION_UNSPECIFIED' | 'START_POSITION_BEGINNING' | 'START_POSITION_END'
export type OutOfRangeName =
  | 'OUT_OF_RANGE_POLICY_UNSPECIFIED'
  | 'OUT_OF_RANGE_POLICY_FAIL'
  | 'OUT_OF_RANGE_POLICY_EARLIEST'
  | 'OUT_OF_RANGE_POLICY_LATEST'

export interface ConsumeCredit {
  readonly records: number
  readonly bytes: number
}
export interface FetchOptionsMessage {
  readonly minBytes?: number
  readonly maxBytes?: number
  readonly maxWait?: DurationMessage | null
  readonly maxRecords?: number
}
export interface ConsumeStart {
  readonly group: string
  readonly topics?: readonly string[]
  readonly partitions?: readonly TopicPartition[]
  readonly memberId?: string
  readonly incarnation?: number
  readonly sessionTimeout?: DurationMessage | null
  readonly revokeTimeout?: DurationMessage | null
  readonly strategy?: StrategyName
  readonly weight?: number
  readonly from?: StartPositionName
  readonly outOfRange?: OutOfRangeName
  readonly credit?: ConsumeCredit | null
  readonly fetch?: FetchOptionsMessage | null
}
export interface CommitPosition extends TopicPartition {
  readonly offset: number
  readonly epoch: number
}
export interface ConsumeCommit {
  readonly correlationId: number
  readonly positions: readonly CommitPosition[]
}
export interface TopicPartitions {
  readonly partitions: readonly TopicPartition[]
}
export interface ConsumeSubscribe {
  readonly topics?: readonly string[]
  readonly partitions?: readonly TopicPartition[]
}
/** One of these; none of them: a message that this version doesn't know. */
export interface ConsumeRequest {
  readonly start?: ConsumeStart
  readonly credit?: ConsumeCredit
  readonly commit?: ConsumeCommit
  readonly release?: TopicPartitions
  readonly heartbeat?: { readonly positions?: readonly CommitPosition[] }
  readonly subscribe?: ConsumeSubscribe
  readonly pause?: TopicPartitions
  readonly resume?: TopicPartitions
  readonly leave?: Record<string, never>
}

export interface ConsumeJoined {
  readonly memberId: string
  readonly incarnation: number
  readonly sessionTimeout: DurationMessage | null
}
export interface AssignedPartition extends TopicPartition {
  readonly epoch: number
  readonly startOffset: number
  readonly committedOffset?: number
  readonly highWatermark: number
}
export interface ConsumeRecords extends TopicPartition {
  readonly epoch: number
  readonly batches: readonly RecordBatch[]
  readonly nextOffset: number
  readonly highWatermark: number
}
export interface CommitResult extends TopicPartition {
  readonly committedOffset?: number
  readonly error?: EmbeddedError | null
}
export interface ConsumeCommitted {
  readonly correlationId: number
  readonly results: readonly CommitResult[]
}
export interface ConsumeRevoked extends TopicPartitions {
  readonly timeout: DurationMessage | null
}
export interface ConsumeLost extends TopicPartitions {
  readonly error: EmbeddedError | null
}
export interface ConsumeCaughtUp extends TopicPartition {
  readonly offset: number
}
export interface ConsumePosition extends TopicPartition {
  readonly nextOffset: number
  readonly highWatermark: number
}
/** One of these; none of them: a message that this version doesn't know. */
export interface ConsumeResponse {
  readonly joined?: ConsumeJoined
  readonly assigned?: { readonly partitions: readonly AssignedPartition[] }
  readonly records?: ConsumeRecords
  readonly committed?: ConsumeCommitted
  readonly revoked?: ConsumeRevoked
  readonly lost?: ConsumeLost
  readonly caughtUp?: ConsumeCaughtUp
  readonly position?: ConsumePosition
}

export interface ListGroupsRequest {
  readonly pageSize?: number
  readonly pageToken?: string
}
export interface GroupSummary {
  readonly group: string
  readonly memberCount: number
  readonly topics: readonly string[]
  readonly strategy: StrategyName
}
export interface ListGroupsResponse {
  readonly groups: readonly GroupSummary[]
  readonly nextPageToken: string
}
export interface DescribeGroupRequest {
  readonly group: string
  readonly stalledAfter?: DurationMessage | null
}
export interface GroupMember {
  readonly memberId: string
  readonly incarnation: number
  readonly isStatic: boolean
  readonly topics: readonly string[]
  readonly manualPartitions: readonly TopicPartition[]
  readonly weight: number
  readonly sessionTimeout: DurationMessage | null
  readonly clientAddress: string
}
export type GroupPartitionStateName =
  | 'GROUP_PARTITION_STATE_UNSPECIFIED'
  | 'GROUP_PARTITION_STATE_ACTIVE'
  | 'GROUP_PARTITION_STATE_STALLED'
  | 'GROUP_PARTITION_STATE_UNOWNED'
  | 'GROUP_PARTITION_STATE_IDLE'
  | 'GROUP_PARTITION_STATE_REVOKING'
  | 'GROUP_PARTITION_STATE_UNREACHABLE'
export interface GroupPartition extends TopicPartition {
  readonly state: GroupPartitionStateName
  readonly ownerMemberId?: string
  readonly epoch: number
  readonly committedOffset?: number
  readonly lowOffset: number
  readonly highWatermark: number
  readonly lag: number
  readonly commitTime: TimestampMessage | null
}
export interface DescribeGroupResponse {
  readonly group: string
  readonly strategy: StrategyName
  readonly members: readonly GroupMember[]
  readonly partitions: readonly GroupPartition[]
  readonly coordinatorNodeId?: string
}
export interface DeleteGroupRequest {
  readonly group: string
}
export type DeleteGroupResponse = Record<string, never>
export interface ResetGroupOffsetsRequest {
  readonly group: string
  readonly topic: string
  readonly partitions?: readonly number[]
  /** One of these three. */
  readonly offset?: number
  readonly time?: TimestampMessage
  readonly position?: StartPositionName
  readonly dryRun?: boolean
  readonly force?: boolean
}
export interface ResetOffset extends TopicPartition {
  readonly fromOffset?: number
  readonly toOffset: number
}
export interface ResetGroupOffsetsResponse {
  readonly offsets: readonly ResetOffset[]
}
export interface HeartbeatRequest {
  readonly members: readonly MemberHeartbeat[]
}
export interface HeartbeatResponse {
  readonly notHere: readonly MemberHeartbeat[]
}
export interface MemberHeartbeat {
  readonly group: string
  readonly memberId: string
  readonly incarnation: number
}

export interface CommitOffsetsRequest {
  readonly group: string
  readonly memberId: string
  readonly positions: readonly CommitPosition[]
}
export interface CommitOffsetsResponse {
  readonly results: readonly CommitResult[]
}
export interface FetchOffsetsRequest {
  readonly group: string
  readonly partitions?: readonly TopicPartition[]
}
export interface FetchedOffset extends TopicPartition {
  readonly committedOffset?: number
  readonly lowOffset: number
  readonly highWatermark: number
  readonly epoch: number
  readonly ownerMemberId?: string
  readonly commitTime?: TimestampMessage | null
  readonly error?: EmbeddedError | null
}
export interface FetchOffsetsResponse {
  readonly offsets: readonly FetchedOffset[]
}
