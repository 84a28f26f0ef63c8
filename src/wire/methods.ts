/** Every call of proto/flotilla/v1, with how its messages are written. */
import type { MethodKind, RpcMethod } from '../env/index.ts'
import {
  appendRequestCodec,
  appendResponseCodec,
  appendStreamRequestCodec,
  appendStreamResponseCodec,
} from './log-codec.ts'
import type * as messages from './messages.ts'
import { reflectionCodec } from './protos.ts'
import { readRequestCodec, readResponseCodec } from './read-codec.ts'

export const LOG_SERVICE = 'flotilla.v1.LogService'
export const TOPIC_SERVICE = 'flotilla.v1.TopicService'
export const CLUSTER_SERVICE = 'flotilla.v1.ClusterService'

/** A call whose codecs come from the .proto files; buf's STANDARD rules make its message names follow from its own. */
function reflected<Q extends object, R extends object, Kind extends MethodKind>(
  service: string,
  name: string,
  kind: Kind,
): RpcMethod<Q, R, Kind> {
  return {
    path: `/${service}/${name}`,
    kind,
    request: reflectionCodec<Q>(`flotilla.v1.${name}Request`, 'request'),
    response: reflectionCodec<R>(`flotilla.v1.${name}Response`, 'response'),
  }
}

const append: RpcMethod<messages.AppendRequest, messages.AppendResponse, 'unary'> = {
  path: `/${LOG_SERVICE}/Append`,
  kind: 'unary',
  request: appendRequestCodec,
  response: appendResponseCodec,
}
const appendStream: RpcMethod<messages.AppendStreamRequest, messages.AppendStreamResponse, 'duplex'> = {
  path: `/${LOG_SERVICE}/AppendStream`,
  kind: 'duplex',
  request: appendStreamRequestCodec,
  response: appendStreamResponseCodec,
}
const read: RpcMethod<messages.ReadRequest, messages.ReadResponse, 'serverStream'> = {
  path: `/${LOG_SERVICE}/Read`,
  kind: 'serverStream',
  request: readRequestCodec,
  response: readResponseCodec,
}

export const logMethods = {
  append,
  appendStream,
  read,
  listOffsets: reflected<messages.ListOffsetsRequest, messages.ListOffsetsResponse, 'unary'>(
    LOG_SERVICE,
    'ListOffsets',
    'unary',
  ),
} as const

export const topicMethods = {
  createTopic: reflected<messages.CreateTopicRequest, messages.CreateTopicResponse, 'unary'>(
    TOPIC_SERVICE,
    'CreateTopic',
    'unary',
  ),
  getTopic: reflected<messages.GetTopicRequest, messages.GetTopicResponse, 'unary'>(
    TOPIC_SERVICE,
    'GetTopic',
    'unary',
  ),
  listTopics: reflected<messages.ListTopicsRequest, messages.ListTopicsResponse, 'unary'>(
    TOPIC_SERVICE,
    'ListTopics',
    'unary',
  ),
  deleteTopic: reflected<messages.DeleteTopicRequest, messages.DeleteTopicResponse, 'unary'>(
    TOPIC_SERVICE,
    'DeleteTopic',
    'unary',
  ),
} as const

export const clusterMethods = {
  describeCluster: reflected<messages.DescribeClusterRequest, messages.DescribeClusterResponse, 'unary'>(
    CLUSTER_SERVICE,
    'DescribeCluster',
    'unary',
  ),
  watchLayout: reflected<messages.WatchLayoutRequest, messages.WatchLayoutResponse, 'serverStream'>(
    CLUSTER_SERVICE,
    'WatchLayout',
    'serverStream',
  ),
  locatePartition: reflected<messages.LocatePartitionRequest, messages.LocatePartitionResponse, 'unary'>(
    CLUSTER_SERVICE,
    'LocatePartition',
    'unary',
  ),
  transferLeadership: reflected<
    messages.TransferLeadershipRequest,
    messages.TransferLeadershipResponse,
    'unary'
  >(CLUSTER_SERVICE, 'TransferLeadership', 'unary'),
} as const
