import { isVoter } from '../../raft/index.ts'
import type { Status } from '../../raft/types.ts'
import type { ReplicaRoleName, ReplicaStatusMessage } from '../../wire/messages.ts'
import type { Node } from '../node.ts'
import type { Replica } from '../replica.ts'

/** The replicas that this node hosts, those that can't serve included. */
export function describeReplicas(node: Node): ReplicaStatusMessage[] {
  const { replica } = node.metadata
  const statuses = [{ ...statusOf(node, replica), topic: '', partition: 0, lowOffset: 0, highWatermark: 0 }]
  for (const { topic, replica: hosted, machine } of node.partitions) {
    const { lowOffset, highWatermark, partition } = machine
    statuses.push({ ...statusOf(node, hosted), topic, partition, lowOffset, highWatermark })
  }
  const unavailable = [...node.damaged].map(([groupId, damage]): ReplicaStatusMessage => {
    const place = node.view.placeOfGroup(groupId)
    return {
      topic: place?.topic ?? '',
      partition: place?.partition ?? 0,
      groupId,
      nodeId: node.nodeId,
      role: 'REPLICA_ROLE_UNSPECIFIED',
      term: 0,
      lastIndex: 0,
      commitIndex: 0,
      appliedIndex: 0,
      lowOffset: 0,
      highWatermark: 0,
      lagEntries: 0,
      commitDigest: '0',
      unavailableReason: damage,
    }
  })
  return [...statuses, ...unavailable]
}

function statusOf(
  node: Node,
  replica: Replica,
): Omit<ReplicaStatusMessage, 'topic' | 'partition' | 'lowOffset' | 'highWatermark'> {
  const status = replica.status()
  return {
    groupId: replica.groupId,
    nodeId: node.nodeId,
    role: roleOf(status),
    term: status.term,
    lastIndex: status.last.index,
    commitIndex: status.commit,
    appliedIndex: replica.foldedIndex,
    lagEntries: 0,
    commitDigest: (replica.foldedDigest ?? 0n).toString(),
  }
}

/** One that begins anew has no vote either, long before it has heard that it is a learner. */
export function roleOf({
  role,
  configuration,
  id,
}: Pick<Status, 'role' | 'configuration' | 'id'>): ReplicaRoleName {
  switch (role) {
    case 'leader':
      return 'REPLICA_ROLE_LEADER'
    case 'candidate':
    case 'pre-candidate':
      return 'REPLICA_ROLE_CANDIDATE'
    case 'follower':
      return isVoter(configuration, id) ? 'REPLICA_ROLE_FOLLOWER' : 'REPLICA_ROLE_LEARNER'
  }
}

/** Fills in how many entries each replica is behind the leader of its group. */
export function withLag(replicas: readonly ReplicaStatusMessage[]): ReplicaStatusMessage[] {
  const leaders = new Map<number, ReplicaStatusMessage>()
  for (const replica of replicas) {
    const known = leaders.get(replica.groupId)
    if (replica.role !== 'REPLICA_ROLE_LEADER' || (known !== undefined && known.term >= replica.term))
      continue
    leaders.set(replica.groupId, replica)
  }
  return replicas
    .map((replica) => {
      const leader = leaders.get(replica.groupId)
      return leader === undefined
        ? replica
        : { ...replica, lagEntries: Math.max(0, leader.lastIndex - replica.lastIndex) }
    })
    .toSorted(
      (a, b) => compareText(a.topic, b.topic) || a.partition - b.partition || compareText(a.nodeId, b.nodeId),
    )
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
