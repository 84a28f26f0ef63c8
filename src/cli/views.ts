/** How topics, nodes and replicas look in JSON and in tables. */
import { millisecondsOf } from '../wire/time.ts'
import type {
  DescribeClusterResponse,
  PartitionMessage,
  ReplicaStatusMessage,
  TopicMessage,
} from '../wire/messages.ts'
import type { Output } from './context.ts'
import { formatCount, paint, plural } from './format.ts'
import { renderTable } from './table.ts'

export function partitionJson(partition: PartitionMessage) {
  return {
    partition: partition.partition,
    leader: partition.leaderNodeId ?? null,
    leaderTerm: partition.leaderTerm,
    replicas: [...partition.replicaNodeIds],
    target: [...(partition.targetNodeIds ?? [])],
    groupId: partition.groupId,
    hashFirst: partition.hashFirst,
    hashLast: partition.hashLast,
  }
}

/** "n1,n2,n3", or "n1,n2,n3 → n4,n2,n3" while they move. */
function replicasText({ replicaNodeIds, targetNodeIds = [] }: PartitionMessage): string {
  const here = replicaNodeIds.join(',')
  return targetNodeIds.length === 0 ? here : `${here} → ${targetNodeIds.join(',')}`
}

export function topicJson(topic: TopicMessage) {
  return {
    name: topic.name,
    topicId: topic.topicId,
    partitioner: partitionerName(topic),
    replicationFactor: topic.replicationFactor,
    survivableLosses: topic.survivableLosses,
    createTime: topic.createTime === null ? null : new Date(millisecondsOf(topic.createTime)).toISOString(),
    partitions: topic.partitions.map(partitionJson),
  }
}

export function partitionerName(topic: Pick<TopicMessage, 'partitioner'>): string {
  switch (topic.partitioner) {
    case 'PARTITIONER_HASH_RANGE':
      return 'hash-range'
    case 'PARTITIONER_MODULO':
      return 'modulo'
    case 'PARTITIONER_UNSPECIFIED':
      return 'unspecified'
  }
}

/** "survives the loss of 1 node". */
export function survival(topic: Pick<TopicMessage, 'survivableLosses'>): string {
  return topic.survivableLosses === 0
    ? 'survives no loss of a node'
    : `survives the loss of ${plural(topic.survivableLosses, 'node')}`
}

export function topicsTable(output: Output, topics: readonly TopicMessage[]): string {
  return renderTable(
    output,
    [
      { title: 'TOPIC' },
      { title: 'PARTITIONS', align: 'right' },
      { title: 'REPLICAS', align: 'right' },
      { title: 'SURVIVES', align: 'right' },
      { title: 'PARTITIONER' },
    ],
    topics.map((topic) => [
      topic.name,
      topic.partitions.length,
      topic.replicationFactor,
      plural(topic.survivableLosses, 'loss', 'losses'),
      partitionerName(topic),
    ]),
  )
}

export function topicTable(output: Output, topic: TopicMessage): string {
  const summary = [
    paint(output, 'bold', topic.name),
    plural(topic.partitions.length, 'partition'),
    `${plural(topic.replicationFactor, 'replica')} each`,
    survival(topic),
    `partitioner ${partitionerName(topic)}`,
  ].join(' · ')
  const table = renderTable(
    output,
    [
      { title: 'PARTITION', align: 'right' },
      { title: 'LEADER' },
      { title: 'TERM', align: 'right' },
      { title: 'REPLICAS' },
      { title: 'HASHES' },
    ],
    topic.partitions.map((partition) => [
      partition.partition,
      partition.leaderNodeId ?? 'none',
      partition.leaderTerm,
      replicasText(partition),
      topic.partitioner === 'PARTITIONER_HASH_RANGE' ? hashRange(partition) : '-',
    ]),
  )
  return `${summary}\n\n${table}`
}

export function hashRange(partition: Pick<PartitionMessage, 'hashFirst' | 'hashLast'>): string {
  return `${hex(partition.hashFirst)}-${hex(partition.hashLast)}`
}

export function hex(hash: number): string {
  return hash.toString(16).padStart(8, '0')
}

const roles = {
  REPLICA_ROLE_UNSPECIFIED: 'unknown',
  REPLICA_ROLE_FOLLOWER: 'follower',
  REPLICA_ROLE_CANDIDATE: 'candidate',
  REPLICA_ROLE_LEADER: 'leader',
  REPLICA_ROLE_LEARNER: 'learner',
} as const

/** The metadata group's replicas have no topic. */
export const metadataGroup = '(metadata)'

export function replicaJson(replica: ReplicaStatusMessage) {
  const { topic, unavailableReason, role, ...rest } = replica
  return {
    topic: topic === '' ? null : topic,
    ...rest,
    role: roles[role],
    unavailableReason: unavailableReason ?? null,
  }
}

export function clusterJson(cluster: DescribeClusterResponse) {
  return {
    clusterName: cluster.clusterName,
    clusterId: cluster.clusterId,
    answeredBy: cluster.nodeId,
    metadataLeader: cluster.metadataLeaderNodeId ?? null,
    nodes: cluster.nodes.map((node) => ({ ...node })),
    replicas: sortedReplicas(cluster).map(replicaJson),
  }
}

/** One object a line: the cluster, then its nodes, then its replicas, told apart by `type`. */
export function clusterRows(cluster: DescribeClusterResponse): object[] {
  const { nodes, replicas, ...summary } = clusterJson(cluster)
  return [
    { type: 'cluster', ...summary },
    ...nodes.map((node) => ({ type: 'node', ...node })),
    ...replicas.map((replica) => ({ type: 'replica', ...replica })),
  ]
}

export function clusterTable(output: Output, cluster: DescribeClusterResponse): string {
  const leader = cluster.metadataLeaderNodeId
  const summary = [
    `cluster ${paint(output, 'bold', cluster.clusterName)}`,
    `id ${cluster.clusterId === '' ? 'not known yet' : cluster.clusterId}`,
    leader === undefined
      ? paint(output, 'red', 'no leader of the metadata group is known')
      : `metadata led by ${leader}`,
    `answered by ${cluster.nodeId}`,
  ].join(' · ')
  const nodes = renderTable(
    output,
    [{ title: 'NODE' }, { title: 'ADDRESS' }, { title: 'HOST' }, { title: 'STATE' }, { title: 'LEADS' }],
    cluster.nodes.map((node) => [
      node.nodeId,
      node.address,
      node.hostLabel,
      node.reachable ? 'up' : 'not reachable',
      cluster.replicas.filter(
        (replica) =>
          replica.nodeId === node.nodeId && replica.role === 'REPLICA_ROLE_LEADER' && replica.topic !== '',
      ).length,
    ]),
  )
  const replicas = renderTable(
    output,
    [
      { title: 'TOPIC' },
      { title: 'PARTITION', align: 'right' },
      { title: 'NODE' },
      { title: 'ROLE' },
      { title: 'TERM', align: 'right' },
      { title: 'LAST INDEX', align: 'right' },
      { title: 'COMMITTED', align: 'right' },
      { title: 'HIGH WATERMARK', align: 'right' },
      { title: 'LAG', align: 'right' },
      { title: 'STATE' },
    ],
    sortedReplicas(cluster).map((replica) => [
      replica.topic === '' ? metadataGroup : replica.topic,
      replica.topic === '' ? '-' : replica.partition,
      replica.nodeId,
      roles[replica.role],
      replica.term,
      formatCount(replica.lastIndex),
      formatCount(replica.commitIndex),
      replica.topic === '' ? '-' : formatCount(replica.highWatermark),
      formatCount(replica.lagEntries),
      replica.unavailableReason ?? 'serving',
    ]),
  )
  return `${summary}\n\n${nodes}\n${replicas}`
}

function sortedReplicas(cluster: DescribeClusterResponse): ReplicaStatusMessage[] {
  return [...cluster.replicas].sort(
    (a, b) => compareText(a.topic, b.topic) || a.partition - b.partition || compareText(a.nodeId, b.nodeId),
  )
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
