import type { RpcMethod } from '../../env/index.ts'
import { reflectionCodec } from '../../wire/index.ts'
import type { ReplicaStatusMessage } from '../../wire/messages.ts'
import type { NodeEntry } from '../metadata/events.ts'

const SERVICE = 'flotilla.peer.v1.PeerService'

type Empty = Record<string, never>

export const registerNodeMethod: RpcMethod<NodeEntry, Empty, 'unary'> = {
  path: `/${SERVICE}/RegisterNode`,
  kind: 'unary',
  request: reflectionCodec<NodeEntry>('flotilla.peer.v1.RegisterNodeRequest', 'request'),
  response: reflectionCodec<Empty>('flotilla.peer.v1.RegisterNodeResponse', 'response'),
}

export interface DescribeReplicasResponse {
  readonly replicas: readonly ReplicaStatusMessage[]
}

export const describeReplicasMethod: RpcMethod<Empty, DescribeReplicasResponse, 'unary'> = {
  path: `/${SERVICE}/DescribeReplicas`,
  kind: 'unary',
  request: reflectionCodec<Empty>('flotilla.peer.v1.DescribeReplicasRequest', 'request'),
  response: reflectionCodec<DescribeReplicasResponse>(
    'flotilla.peer.v1.DescribeReplicasResponse',
    'response',
  ),
}
