/**
 * The messages of proto/flotilla/v1 as the code sees them. Those of the hot calls (Append, AppendStream, Read) have
 * codecs written by hand, leave the records as the bytes that the producer sent, and count time in milliseconds;
 * the others have the shape that proto-loader gives them.
 */
import type { ErrorEffect, ErrorReason, LeaderHint, OffsetRange } from './errors.ts'

/** A record in decoded form, for clients. */
export interface WireRecord {
  readonly key: Uint8Array | undefined
  readonly value: Uint8Array | undefined
  readonly headers: readonly WireHeader[]
  /** Milliseconds since 1970; undefined: the append time counts. */
  readonly timestampMs: number | undefined
}
export interface WireHeader {
  readonly name: string
  readonly value: Uint8Array
}

export interface ProducerIdentity {
  readonly producerId: string
  readonly epoch: number
  readonly sequence: number
}

export interface GroupCommit {
  readonly group: string
  readonly memberId: string
  readonly epoch: number
  readonly offset: number
}

export interface AppendRequest {
  readonly topic: string
  readonly partition: number | undefined
  readonly routingKey: Uint8Array | undefined
  /** An encoded RecordSet; a view of the message it came in. */
  readonly records: Uint8Array
  readonly producer: ProducerIdentity | undefined
  readonly recordsCrc32: number | undefined
  readonly groupCommit?: GroupCommit | undefined
}
export interface AppendResponse {
  readonly partition: number
  readonly baseOffset: number
  readonly recordCount: number
  readonly appendTimeMs: number
  readonly duplicate: boolean
}
export interface AppendStreamRequest {
  readonly appends: readonly CorrelatedAppend[]
}
export interface CorrelatedAppend {
  readonly correlationId: number
  readonly append: AppendRequest
}
export interface AppendStreamResponse {
  readonly results: readonly CorrelatedResult[]
}
export type CorrelatedResult =
  | { readonly correlationId: number; readonly appended: AppendResponse }
  | { readonly correlationId: number; readonly error: ErrorMessage }

/** flotilla.v1.Error */
export interface ErrorMessage {
  readonly reason: ErrorReason
  readonly message: string
  readonly effect: ErrorEffect
  readonly retryable: boolean
  readonly retryDelayMs: number | undefined
  readonly leader: LeaderHint | undefined
  readonly offsetRange: OffsetRange | undefined
}

export type ReadStart =
  | { readonly type: 'offset'; readonly offset: number }
  | { readonly type: 'time'; readonly timeMs: number }
  | { readonly type: 'beginning' }
  | { readonly type: 'end' }
export type ReadConsistency = 'committed' | 'linearizable'
export interface ReadRequest {
  readonly topic: string
  readonly partition: number
  readonly start: ReadStart
  readonly maxRecords: number | undefined
  readonly endOffset: number | undefined
  readonly untilEnd: boolean
  readonly maxMessageBytes: number | undefined
  readonly consistency: ReadConsistency
}
export interface RecordBatch {
  readonly baseOffset: number
  readonly recordCount: number
  readonly appendTimeMs: number
  /** Encoded record sets which, laid end to end, are the batch's RecordSet. */
  readonly records: readonly Uint8Array[]
}
export interface ReadResponse {
  readonly batches: readonly RecordBatch[]
  readonly nextOffset: number
  readonly highWatermark: number
  readonly lowOffset: number
}

export interface TimestampMessage {
  readonly seconds: number
  readonly nanos: number
}
export interface ListOffsetsRequest {
  readonly topic: string
  readonly partition: number
  readonly time?: TimestampMessage | null
  readonly consistency?:
    'READ_CONSISTENCY_UNSPECIFIED' | 'READ_CONSISTENCY_COMMITTED' | 'READ_CONSISTENCY_LINEARIZABLE'
}
export interface ListOffsetsResponse {
  readonly lowOffset: number
  readonly highWatermark: number
  readonly offsetForTime?: number
}

export type PartitionerName = 'PARTITIONER_UNSPECIFIED' | 'PARTITIONER_HASH_RANGE' | 'PARTITIONER_MODULO'
export interface PartitionMessage {
  readonly partition: number
  readonly groupId: number
  readonly replicaNodeIds: readonly string[]
  readonly leaderNodeId?: string
  readonly leaderTerm: number
  readonly hashFirst: number
  readonly hashLast: number
  /** Where its replicas are moving to; empty (or absent, from older nodes) where they aren't moving. */
  readonly targetNodeIds?: readonly string[]
}
export interface TopicMessage {
  readonly name: string
  readonly topicId: string
  readonly partitioner: PartitionerName
  readonly replicationFactor: number
  readonly partitions: readonly PartitionMessage[]
  readonly createTime: TimestampMessage | null
  readonly survivableLosses: number
}
export interface CreateTopicRequest {
  readonly name: string
  readonly partitionCount: number
  readonly replicationFactor?: number
  readonly partitioner?: PartitionerName
  readonly force?: boolean
  readonly requestId?: string
  readonly validateOnly?: boolean
}
export interface CreateTopicResponse {
  readonly topic: TopicMessage
}
export interface GetTopicRequest {
  readonly name: string
}
export interface GetTopicResponse {
  readonly topic: TopicMessage
}
export interface ListTopicsRequest {
  readonly pageSize?: number
  readonly pageToken?: string
}
export interface ListTopicsResponse {
  readonly topics: readonly TopicMessage[]
  readonly nextPageToken: string
}
export interface DeleteTopicRequest {
  readonly name: string
  readonly requestId?: string
}
export type DeleteTopicResponse = Record<string, never>

export interface NodeMessage {
  readonly nodeId: string
  readonly address: string
  readonly hostLabel: string
  readonly reachable: boolean
}
export type ReplicaRoleName =
  | 'REPLICA_ROLE_UNSPECIFIED'
  | 'REPLICA_ROLE_FOLLOWER'
  | 'REPLICA_ROLE_CANDIDATE'
  | 'REPLICA_ROLE_LEADER'
  | 'REPLICA_ROLE_LEARNER'
export interface ReplicaStatusMessage {
  readonly topic: string
  readonly partition: number
  readonly groupId: number
  readonly nodeId: string
  readonly role: ReplicaRoleName
  readonly term: number
  readonly lastIndex: number
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly lowOffset: number
  readonly highWatermark: number
  readonly lagEntries: number
  /** A decimal string: 64 bits don't fit a number. */
  readonly commitDigest: string
  readonly unavailableReason?: string
}
export type DescribeClusterRequest = Record<string, never>
export interface DescribeClusterResponse {
  readonly clusterName: string
  readonly clusterId: string
  readonly nodeId: string
  readonly nodes: readonly NodeMessage[]
  readonly replicas: readonly ReplicaStatusMessage[]
  readonly metadataLeaderNodeId?: string
}
export type WatchLayoutRequest = Record<string, never>
export interface WatchLayoutResponse {
  readonly epoch: number
  readonly snapshot: boolean
  readonly nodes: readonly NodeMessage[]
  readonly topics: readonly TopicMessage[]
  readonly deletedTopics: readonly string[]
}
export interface LocatePartitionRequest {
  readonly topic: string
  readonly key: Uint8Array
}
export interface LocatePartitionResponse {
  readonly partition: PartitionMessage
  readonly keyHash: number
}
export interface TransferLeadershipRequest {
  readonly topic: string
  readonly partition: number
  readonly targetNodeId?: string
}
export interface TransferLeadershipResponse {
  readonly leaderNodeId: string
  readonly term: number
}
export interface MoveReplicasRequest {
  readonly topic: string
  readonly partition: number
  readonly replicaNodeIds: readonly string[]
}
export type MoveReplicasResponse = Record<string, never>
export interface DrainNodeRequest {
  readonly nodeId: string
}
export interface DrainNodeResponse {
  readonly remaining: number
}
export interface RemoveNodeRequest {
  readonly nodeId: string
}
export type RemoveNodeResponse = Record<string, never>
