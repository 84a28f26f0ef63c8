import { FlotillaError } from '../../wire/errors.ts'
import { hashRanges, validateNodeId, validateTopicName } from '../../wire/index.ts'
import type { CreateTopicRequest, DeleteTopicRequest } from '../../wire/messages.ts'
import { decideGroup, type GroupResult } from '../groups/decide.ts'
import type { GroupChangeCommand } from '../groups/types.ts'
import type { MetadataEvent, NodeEntry, TopicLayout } from './events.ts'
import { decideMembership, removedNode, type MembershipCommand } from './decide-membership.ts'
import { placeReplicas } from './placement.ts'
import type { MetadataState } from './state.ts'

export type MetadataCommand =
  | { readonly type: 'createCluster'; readonly clusterId: string }
  | { readonly type: 'registerNode'; readonly node: NodeEntry }
  | { readonly type: 'createTopic'; readonly request: CreateTopicRequest; readonly topicId: string }
  | { readonly type: 'deleteTopic'; readonly request: DeleteTopicRequest }
  | MembershipCommand
  | { readonly type: 'changeGroup'; readonly command: GroupChangeCommand }

/** What the caller of a command gets. */
export type MetadataResult =
  | { readonly type: 'done' }
  | { readonly type: 'topic'; readonly topic: TopicLayout }
  | { readonly type: 'topicDeleted'; readonly name: string }
  /** The life under which the node, or its replica, takes part from now on. */
  | { readonly type: 'life'; readonly life: number }
  /** Nothing was done: the node has had a later life than who asks for it knew. */
  | { readonly type: 'isLate'; readonly life: number }
  | { readonly type: 'group'; readonly result: GroupResult }

export type MetadataDecision =
  | { readonly type: 'event'; readonly event: MetadataEvent; readonly result: MetadataResult }
  /** Nothing to change: it is so already. */
  | { readonly type: 'answer'; readonly result: MetadataResult }
  | { readonly type: 'refused'; readonly error: FlotillaError }

export interface MetadataLimits {
  readonly maxPartitionsPerTopic: number
  readonly maxTopics: number
  /** Replicas that one node hosts at most. */
  readonly maxReplicasPerNode: number
  /** Nodes that the cluster was started with; at first not all of them have registered. */
  readonly memberCount: number
}

const DONE: MetadataResult = { type: 'done' }

/** The leader's decision on a command: pure. Throws FlotillaError; the machine refuses with what is thrown. */
export function decideMetadata(
  state: MetadataState,
  command: MetadataCommand,
  nowMs: number,
  limits: MetadataLimits,
): MetadataDecision {
  switch (command.type) {
    case 'createCluster':
      if (state.clusterId !== '') return { type: 'answer', result: DONE }
      return {
        type: 'event',
        event: { type: 'clusterCreated', clusterId: command.clusterId, timeMs: nowMs },
        result: DONE,
      }
    case 'registerNode':
      return decideRegisterNode(state, command.node)
    case 'createTopic':
      return decideCreateTopic(state, command.request, command.topicId, nowMs, limits)
    case 'deleteTopic':
      return decideDeleteTopic(state, command.request)
    case 'enterNode':
    case 'removeNode':
    case 'moveReplicas':
    case 'replicasMoved':
    case 'restartReplica':
      return decideMembership(state, command)
    case 'changeGroup':
      return decideChangeGroup(state, command.command)
  }
}

function decideChangeGroup(state: MetadataState, command: GroupChangeCommand): MetadataDecision {
  const decision = decideGroup(state.groups, state.topics, command)
  const result: MetadataResult = { type: 'group', result: decision.result }
  switch (decision.type) {
    case 'answer':
      return { type: 'answer', result }
    case 'changed': {
      const { group, epoch, change } = decision
      return { type: 'event', event: { type: 'groupChanged', group, epoch, change }, result }
    }
    case 'deleted':
      return { type: 'event', event: { type: 'groupDeleted', group: decision.group }, result }
  }
}

function decideRegisterNode(state: MetadataState, node: NodeEntry): MetadataDecision {
  validateNodeId(node.nodeId)
  if (state.removedNodes.has(node.nodeId)) return { type: 'refused', error: removedNode(node.nodeId) }
  const known = state.nodes.get(node.nodeId)
  if (known !== undefined && known.address === node.address && known.hostLabel === node.hostLabel) {
    return { type: 'answer', result: DONE }
  }
  return { type: 'event', event: { type: 'nodeRegistered', node }, result: DONE }
}

function decideCreateTopic(
  state: MetadataState,
  request: CreateTopicRequest,
  topicId: string,
  nowMs: number,
  limits: MetadataLimits,
): MetadataDecision {
  const earlier = state.requests.get(request.requestId ?? '')
  const existing = state.topics.get(request.name)
  if (earlier?.type === 'topicCreated' && existing?.topicId === earlier.topicId) {
    return { type: 'answer', result: { type: 'topic', topic: existing } }
  }
  const replicationFactor = request.replicationFactor ?? (expectedNodes(state, limits) >= 3 ? 3 : 1)
  const fault = faultOf(state, request, replicationFactor, limits)
  if (fault !== undefined) return { type: 'refused', error: fault }
  const nodes = [...state.nodes.values()]
  const placement = placeReplicas(nodes, state.topics.values(), request.partitionCount, replicationFactor)
  const ranges = hashRanges(request.partitionCount)
  const topic: TopicLayout = {
    name: request.name,
    topicId,
    partitioner:
      request.partitioner === 'PARTITIONER_MODULO' ? 'PARTITIONER_MODULO' : 'PARTITIONER_HASH_RANGE',
    replicationFactor,
    createTimeMs: nowMs,
    partitions: placement.map((replicas, partition) => ({
      partition,
      groupId: state.nextGroupId + partition,
      replicas,
      hashFirst: ranges[partition]?.hashFirst ?? 0,
      hashLast: ranges[partition]?.hashLast ?? 0,
    })),
  }
  const result: MetadataResult = { type: 'topic', topic }
  if (request.validateOnly === true) return { type: 'answer', result }
  return { type: 'event', event: { type: 'topicCreated', topic, requestId: request.requestId ?? '' }, result }
}

function faultOf(
  state: MetadataState,
  request: CreateTopicRequest,
  replicationFactor: number,
  limits: MetadataLimits,
): FlotillaError | undefined {
  validateTopicName(request.name)
  const { name, partitionCount } = request
  if (state.topics.has(name)) return new FlotillaError('TOPIC_EXISTS', `topic "${name}" is there already`)
  if (
    !Number.isInteger(partitionCount) ||
    partitionCount < 1 ||
    partitionCount > limits.maxPartitionsPerTopic
  ) {
    return new FlotillaError(
      'INVALID_ARGUMENT',
      `partition_count is ${partitionCount}, but a topic has 1 to ${limits.maxPartitionsPerTopic} partitions`,
    )
  }
  if (!Number.isInteger(replicationFactor) || replicationFactor < 1) {
    return new FlotillaError(
      'INVALID_ARGUMENT',
      `replication_factor is ${replicationFactor}, but at least 1 is needed`,
    )
  }
  const nodes = expectedNodes(state, limits)
  if (replicationFactor > nodes) {
    return new FlotillaError(
      'REPLICATION_FACTOR_TOO_LARGE',
      `replication_factor is ${replicationFactor}, but the cluster has ${nodes} ${nodes === 1 ? 'node' : 'nodes'}`,
    )
  }
  if (replicationFactor > state.nodes.size) {
    return new FlotillaError(
      'NO_QUORUM',
      `replication_factor is ${replicationFactor}, but only ${state.nodes.size} of the cluster's ${nodes} nodes have joined so far`,
    )
  }
  const survives = survivableLosses(replicationFactor)
  if (replicationFactor % 2 === 0 && request.force !== true) {
    return new FlotillaError(
      'REPLICATION_FACTOR_EVEN',
      `replication_factor ${replicationFactor} survives the loss of ${survives} ${survives === 1 ? 'replica' : 'replicas'}, ` +
        `as many as ${replicationFactor - 1} does; use ${replicationFactor - 1} or ${replicationFactor + 1}, or insist with force`,
    )
  }
  if (state.topics.size >= limits.maxTopics) {
    return new FlotillaError(
      'LIMIT_EXCEEDED',
      `the cluster has ${state.topics.size} topics, the limit is ${limits.maxTopics}`,
    )
  }
  return replicaLimitFault(state, partitionCount * replicationFactor, limits)
}

/** At first not all have registered; once nodes have left, only those count that are here. */
function expectedNodes(state: MetadataState, limits: MetadataLimits): number {
  return state.removedNodes.size > 0 ? state.nodes.size : Math.max(state.nodes.size, limits.memberCount)
}

function replicaLimitFault(
  state: MetadataState,
  added: number,
  limits: MetadataLimits,
): FlotillaError | undefined {
  let replicas = added
  for (const topic of state.topics.values()) replicas += topic.partitions.length * topic.replicationFactor
  const limit = limits.maxReplicasPerNode * state.nodes.size
  if (replicas <= limit) return undefined
  return new FlotillaError(
    'LIMIT_EXCEEDED',
    `the cluster would have ${replicas} replicas, the limit is ${limits.maxReplicasPerNode} a node, ${limit} in all`,
  )
}

function decideDeleteTopic(state: MetadataState, request: DeleteTopicRequest): MetadataDecision {
  const { name, requestId = '' } = request
  const result: MetadataResult = { type: 'topicDeleted', name }
  // First, so that a retry never deletes a topic that was created under the same name since.
  const earlier = state.requests.get(requestId)
  if (earlier?.type === 'topicDeleted' && earlier.name === name) return { type: 'answer', result }
  if (!state.topics.has(name)) return { type: 'refused', error: unknownTopic(name) }
  return { type: 'event', event: { type: 'topicDeleted', name, requestId }, result }
}

/** A majority must stay. */
export function survivableLosses(replicationFactor: number): number {
  return Math.floor((replicationFactor - 1) / 2)
}

export function unknownTopic(name: string): FlotillaError {
  return new FlotillaError('UNKNOWN_TOPIC', `no topic has the name "${name}"`)
}
