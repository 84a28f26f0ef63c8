import type { Codec, RpcMethod } from '../../env/index.ts'
import { reflectionCodec } from '../../wire/index.ts'
import type { ReplicaStatusMessage } from '../../wire/messages.ts'
import type { GroupResult } from '../groups/decide.ts'
import type { GroupChangeCommand, GroupCommand, GroupOutcome } from '../groups/types.ts'
import type { NodeEntry } from '../metadata/events.ts'

const SERVICE = 'flotilla.peer.v1.PeerService'

type Empty = Record<string, never>

function unary<Q extends object, R extends object>(name: string): RpcMethod<Q, R, 'unary'> {
  return {
    path: `/${SERVICE}/${name}`,
    kind: 'unary',
    request: reflectionCodec<Q>(`flotilla.peer.v1.${name}Request`, 'request'),
    response: reflectionCodec<R>(`flotilla.peer.v1.${name}Response`, 'response'),
  }
}

export interface RegisterNodeRequest extends NodeEntry {
  /** Of a node whose disk is empty. */
  readonly freshRequestId?: string
  /** Of such a node: the newest life that it has been told it had, 0 where none. */
  readonly knownLife?: number
  /** Of a node that doesn't know yet whether it is the right cluster. */
  readonly clusterName?: string
}
export interface RegisterNodeResponse {
  readonly clusterId: string
  readonly life: number
  readonly nodes: readonly NodeEntry[]
  /** Nothing was done: `life` is the one to ask again with. */
  readonly isLate: boolean
}
export const registerNodeMethod = unary<RegisterNodeRequest, RegisterNodeResponse>('RegisterNode')

export interface ReportReplicasRequest {
  readonly groupId: number
  readonly moves: number
  readonly nodeIds: readonly string[]
}
export const reportReplicasMethod = unary<ReportReplicasRequest, Empty>('ReportReplicas')

export interface RestartReplicaRequest {
  readonly groupId: number
  readonly nodeId: string
  readonly requestId: string
}
export const restartReplicaMethod = unary<RestartReplicaRequest, { readonly life: number }>('RestartReplica')

export interface ReadEntryRequest {
  readonly groupId: number
  readonly index: number
}
export interface ReadEntryResponse {
  /** Head (docs/storage-format.md) and payload. */
  readonly entry: Uint8Array
}
export const readEntryMethod = unary<ReadEntryRequest, ReadEntryResponse>('ReadEntry')

export const metadataIndexMethod = unary<Empty, { readonly index: number }>('MetadataIndex')

export interface DescribeReplicasResponse {
  readonly replicas: readonly ReplicaStatusMessage[]
}

export const describeReplicasMethod = unary<Empty, DescribeReplicasResponse>('DescribeReplicas')

/** What the leader of a partition is asked about a group. */
export interface PartitionAsk {
  readonly topic: string
  readonly partition: number
  readonly ask: GroupCommand | { readonly type: 'fetch'; readonly group: string }
}

/** Members that were heard, and how long ago. */
export interface GroupBeats {
  readonly beats: readonly {
    readonly group: string
    readonly memberId: string
    readonly incarnation: number
    readonly silentMs: number
  }[]
}

/** Asks the coordinator to change a group. */
export const changeGroupMethod = jsonMethod<GroupChangeCommand, GroupResult>('ChangeGroup')
/** Tells the coordinator who lives. */
export const beatGroupsMethod = jsonMethod<GroupBeats, Empty>('BeatGroups')
/** Asks the leader of a partition. */
export const askPartitionMethod = jsonMethod<PartitionAsk, GroupOutcome>('AskPartition')

function jsonMethod<Q, R>(name: string): RpcMethod<Q, R, 'unary'> {
  return {
    path: `/${SERVICE}/${name}`,
    kind: 'unary',
    request: jsonCodec<Q>('flotilla.peer.v1.GroupCallRequest', 'request'),
    response: jsonCodec<R>('flotilla.peer.v1.GroupCallResponse', 'response'),
  }
}

/** What another node of the cluster wrote: it is trusted as an entry of the log is. */
function jsonCodec<T>(typeName: string, use: 'request' | 'response'): Codec<T> {
  const envelope = reflectionCodec<{ readonly content: Uint8Array }>(typeName, use)
  return {
    encode: (message) => envelope.encode({ content: Buffer.from(JSON.stringify(message)) }),
    decode: (bytes) => JSON.parse(Buffer.from(envelope.decode(bytes).content).toString('utf8')) as T,
  }
}
