import type { RpcMethod } from '../../env/index.ts'
import { reflectionCodec } from '../../wire/index.ts'
import type { ReplicaStatusMessage } from '../../wire/messages.ts'
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
  /** Of a node that doesn't know yet whether it is the right cluster. */
  readonly clusterName?: string
}
export interface RegisterNodeResponse {
  readonly clusterId: string
  readonly life: number
  readonly nodes: readonly NodeEntry[]
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

export const metadataIndexMethod = unary<Empty, { readonly index: number }>('MetadataIndex')

export interface DescribeReplicasResponse {
  readonly replicas: readonly ReplicaStatusMessage[]
}

export const describeReplicasMethod = unary<Empty, DescribeReplicasResponse>('DescribeReplicas')
