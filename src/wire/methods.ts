/** Every call of proto/flotilla/v1, with how its messages are written. */
import type { Codec, MethodKind, RpcMethod } from '../env/index.ts'
import { FlotillaError } from './errors.ts'
import { consumeResponseCodec } from './group-codec.ts'
import type * as groups from './group-messages.ts'
import {
  appendRequestCodec,
  appendResponseCodec,
  appendStreamRequestCodec,
  appendStreamResponseCodec,
} from './log-codec.ts'
import type * as messages from './messages.ts'
import { MalformedMessageError } from './protobuf.ts'
import { reflectionCodec } from './protos.ts'
import { readRequestCodec, readResponseCodec } from './read-codec.ts'
import { toRpcError } from './status.ts'

export const LOG_SERVICE = 'flotilla.v1.LogService'
export const TOPIC_SERVICE = 'flotilla.v1.TopicService'
export const CLUSTER_SERVICE = 'flotilla.v1.ClusterService'
export const GROUP_SERVICE = 'flotilla.v1.GroupService'

/** A server that is sent a malformed request answers with the RpcError that this throws. */
function refusing<Q>(path: string, codec: Codec<Q>): Codec<Q> {
  return {
    encode: (message) => codec.encode(message),
    decode(bytes) {
      try {
        return codec.decode(bytes)
      } catch (cause) {
        if (!(cause instanceof MalformedMessageError)) throw cause
        const message = `the bytes sent to ${path} are malformed: ${cause.message}`
        throw toRpcError(new FlotillaError('MALFORMED_REQUEST', message, { cause }))
      }
    },
  }
}

/** A call whose codecs come from the .proto files; buf's STANDARD rules make its message names follow from its own. */
function reflected<Q extends object, R extends object, Kind extends MethodKind>(
  service: string,
  name: string,
  kind: Kind,
): RpcMethod<Q, R, Kind> {
  const path = `/${service}/${name}`
  return {
    path,
    kind,
    request: refusing(path, reflectionCodec<Q>(`flotilla.v1.${name}Request`, 'request')),
    response: reflectionCodec<R>(`flotilla.v1.${name}Response`, 'response'),
  }
}

const append: RpcMethod<messages.AppendRequest, messages.AppendResponse, 'unary'> = {
  path: `/${LOG_SERVICE}/Append`,
  kind: 'unary',
  request: refusing(`/${LOG_SERVICE}/Append`, appendRequestCodec),
  response: appendResponseCodec,
}
const appendStream: RpcMethod<messages.AppendStreamRequest, messages.AppendStreamResponse, 'duplex'> = {
  path: `/${LOG_SERVICE}/AppendStream`,
  kind: 'duplex',
  request: refusing(`/${LOG_SERVICE}/AppendStream`, appendStreamRequestCodec),
  response: appendStreamResponseCodec,
}
const read: RpcMethod<messages.ReadRequest, messages.ReadResponse, 'serverStream'> = {
  path: `/${LOG_SERVICE}/Read`,
  kind: 'serverStream',
  request: refusing(`/${LOG_SERVICE}/Read`, readRequestCodec),
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
  moveReplicas: reflected<messages.MoveReplicasRequest, messages.MoveReplicasResponse, 'unary'>(
    CLUSTER_SERVICE,
    'MoveReplicas',
    'unary',
  ),
  drainNode: reflected<messages.DrainNodeRequest, messages.DrainNodeResponse, 'unary'>(
    CLUSTER_SERVICE,
    'DrainNode',
    'unary',
  ),
  removeNode: reflected<messages.RemoveNodeRequest, messages.RemoveNodeResponse, 'unary'>(
    CLUSTER_SERVICE,
    'RemoveNode',
    'unary',
  ),
} as const

const consume: RpcMethod<groups.ConsumeRequest, groups.ConsumeResponse, 'duplex'> = {
  ...reflected<groups.ConsumeRequest, groups.ConsumeResponse, 'duplex'>(GROUP_SERVICE, 'Consume', 'duplex'),
  response: consumeResponseCodec,
}

export const groupMethods = {
  consume,
  heartbeat: reflected<groups.HeartbeatRequest, groups.HeartbeatResponse, 'unary'>(
    GROUP_SERVICE,
    'Heartbeat',
    'unary',
  ),
  listGroups: reflected<groups.ListGroupsRequest, groups.ListGroupsResponse, 'unary'>(
    GROUP_SERVICE,
    'ListGroups',
    'unary',
  ),
  describeGroup: reflected<groups.DescribeGroupRequest, groups.DescribeGroupResponse, 'unary'>(
    GROUP_SERVICE,
    'DescribeGroup',
    'unary',
  ),
  deleteGroup: reflected<groups.DeleteGroupRequest, groups.DeleteGroupResponse, 'unary'>(
    GROUP_SERVICE,
    'DeleteGroup',
    'unary',
  ),
  resetGroupOffsets: reflected<groups.ResetGroupOffsetsRequest, groups.ResetGroupOffsetsResponse, 'unary'>(
    GROUP_SERVICE,
    'ResetGroupOffsets',
    'unary',
  ),
  commitOffsets: reflected<groups.CommitOffsetsRequest, groups.CommitOffsetsResponse, 'unary'>(
    GROUP_SERVICE,
    'CommitOffsets',
    'unary',
  ),
  fetchOffsets: reflected<groups.FetchOffsetsRequest, groups.FetchOffsetsResponse, 'unary'>(
    GROUP_SERVICE,
    'FetchOffsets',
    'unary',
  ),
} as const
