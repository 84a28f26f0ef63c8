import { FlotillaError } from '../../wire/errors.ts'
import { validateNodeId } from '../../wire/index.ts'
import type { MetadataDecision, MetadataResult } from './decide.ts'
import { hostsOf, type NodeEntry, type PartitionPlace } from './events.ts'
import { replaceReplica } from './placement.ts'
import type { MetadataState } from './state.ts'

/** What changes who takes part: in the cluster, and in its groups. */
export type MembershipCommand =
  /**
   * A node with an empty disk comes, or comes back. `knownLife`: the newest that it has heard it had. Requests of its earlier
   * processes may still be on their way; one that comes after it must not give the node a life that nobody has.
   */
  | {
      readonly type: 'enterNode'
      readonly node: NodeEntry
      readonly requestId: string
      readonly knownLife: number
    }
  | { readonly type: 'removeNode'; readonly nodeId: string }
  | {
      readonly type: 'moveReplicas'
      readonly topic: string
      readonly partition: number
      readonly replicas: readonly string[]
    }
  /** A group's leader says that its configuration is what target number `moves` asked for. */
  | {
      readonly type: 'replicasMoved'
      readonly groupId: number
      readonly moves: number
      readonly replicas: readonly string[]
    }
  | {
      readonly type: 'restartReplica'
      readonly groupId: number
      readonly nodeId: string
      readonly requestId: string
    }

const DONE: MetadataDecision = { type: 'answer', result: { type: 'done' } }

/** The leader's decision on a change of members: pure. Throws INVALID_NAME. */
export function decideMembership(state: MetadataState, command: MembershipCommand): MetadataDecision {
  switch (command.type) {
    case 'enterNode':
      return decideEnterNode(state, command)
    case 'removeNode':
      return decideRemoveNode(state, command.nodeId)
    case 'moveReplicas':
      return decideMoveReplicas(state, command.topic, command.partition, command.replicas)
    case 'replicasMoved':
      return decideReplicasMoved(state, command.groupId, command.moves, command.replicas)
    case 'restartReplica':
      return decideRestartReplica(state, command.groupId, command.nodeId, command.requestId)
  }
}

const event = (
  decided: (MetadataDecision & { readonly type: 'event' })['event'],
  result: MetadataResult = { type: 'done' },
): MetadataDecision => ({ type: 'event', event: decided, result })

const refused = (error: FlotillaError): MetadataDecision => ({ type: 'refused', error })

/** Each time under a life that it never had: what it promised before, it no longer knows. */
function decideEnterNode(
  state: MetadataState,
  { node, requestId, knownLife }: MembershipCommand & { readonly type: 'enterNode' },
): MetadataDecision {
  validateNodeId(node.nodeId)
  const earlier = state.requests.get(requestId)
  if (earlier?.type === 'nodeEntered' && earlier.nodeId === node.nodeId) {
    return { type: 'answer', result: { type: 'life', life: earlier.life } }
  }
  const sameAddress = [...state.nodes.values()].find(
    ({ address, nodeId }) => address === node.address && nodeId !== node.nodeId,
  )
  if (sameAddress !== undefined) {
    const text = `node ${node.nodeId} says that it is at ${node.address}, which is the address of node ${sameAddress.nodeId}`
    return refused(new FlotillaError('DUPLICATE_NODE_ID', text))
  }
  const newest = state.newestLifeOf(node.nodeId)
  if (knownLife < newest) return { type: 'answer', result: { type: 'isLate', life: newest } }
  const life = newest + 1
  return event({ type: 'nodeRegistered', node, life, requestId }, { type: 'life', life })
}

export function removedNode(nodeId: string): FlotillaError {
  return new FlotillaError(
    'NODE_REMOVED',
    `node ${nodeId} was removed from the cluster; to take it in again start it with an empty data folder and --join`,
  )
}

function unknownNode(state: MetadataState, nodeId: string): FlotillaError {
  const known = [...state.nodes.keys()].toSorted().join(', ')
  return new FlotillaError('UNKNOWN_NODE', `no node has the id "${nodeId}"; there are ${known}`)
}

function decideRemoveNode(state: MetadataState, nodeId: string): MetadataDecision {
  if (state.removedNodes.has(nodeId)) return DONE
  if (!state.nodes.has(nodeId)) return refused(unknownNode(state, nodeId))
  const held = [...state.topics.values()].flatMap(({ name, partitions }) =>
    partitions.flatMap((place) => (hostsOf(place).includes(nodeId) ? [`${name}/${place.partition}`] : [])),
  )
  if (held.length > 0) {
    const some = `${held.slice(0, 3).join(', ')}${held.length > 3 ? ', …' : ''}`
    return refused(
      new FlotillaError(
        'NODE_IN_USE',
        `node ${nodeId} holds ${held.length} ${held.length === 1 ? 'replica' : 'replicas'} (${some}); move them away first: flotilla cluster drain ${nodeId}`,
      ),
    )
  }
  if (state.nodes.size === 1) {
    return refused(new FlotillaError('NODE_IN_USE', `node ${nodeId} is the only one of the cluster`))
  }
  return event({ type: 'nodeRemoved', nodeId })
}

const sameNodes = (left: readonly string[], right: readonly string[]): boolean =>
  left.length === right.length && left.every((nodeId) => right.includes(nodeId))

function decideMoveReplicas(
  state: MetadataState,
  topicName: string,
  partition: number,
  replicas: readonly string[],
): MetadataDecision {
  const topic = state.topics.get(topicName)
  const place = topic?.partitions[partition]
  if (topic === undefined) {
    return refused(new FlotillaError('UNKNOWN_TOPIC', `no topic has the name "${topicName}"`))
  }
  const name = `partition ${partition} of "${topicName}"`
  if (place === undefined) {
    return refused(
      new FlotillaError('UNKNOWN_PARTITION', `topic "${topicName}" has no partition ${partition}`),
    )
  }
  if (replicas.length !== topic.replicationFactor || new Set(replicas).size !== replicas.length) {
    const text = `${name} has ${topic.replicationFactor} replicas, so as many different nodes are needed, not ${replicas.join(', ') || 'none'}`
    return refused(new FlotillaError('INVALID_ARGUMENT', text))
  }
  const unknown = replicas.find((nodeId) => !state.nodes.has(nodeId))
  if (unknown !== undefined) return refused(unknownNode(state, unknown))
  const isCancelling = place.target !== undefined && sameNodes(replicas, place.replicas)
  if (sameNodes(replicas, place.target ?? place.replicas)) return DONE
  if (place.target !== undefined && !isCancelling) {
    // A node that was on the way there must not be asked to come anew before it has dropped what it has.
    const text = `${name} is moving to ${place.target.join(', ')}; wait for that, or call it off by naming ${place.replicas.join(', ')}`
    return refused(new FlotillaError('REPLICAS_MOVING', text, { retryDelayMs: 1000 }))
  }
  return event({
    type: 'replicasTargeted',
    groupId: place.groupId,
    replicas: isCancelling ? place.replicas : replicas,
    lives: livesOfComing(place, replicas),
  })
}

/** Whoever comes starts with an empty log, also where it was here before: each time under a life of its own. */
function livesOfComing(place: PartitionPlace, replicas: readonly string[]): Record<string, number> {
  const here = hostsOf(place)
  const coming = replicas.filter((nodeId) => !here.includes(nodeId))
  return Object.fromEntries(coming.map((nodeId) => [nodeId, (place.lives?.[nodeId] ?? 0) + 1]))
}

function decideReplicasMoved(
  state: MetadataState,
  groupId: number,
  moves: number,
  replicas: readonly string[],
): MetadataDecision {
  const place = state.placeOf(groupId)?.place
  // Told before, of an earlier target, or of a group that is deleted by now.
  if (place?.target === undefined || place.moves !== moves || !sameNodes(replicas, place.target)) return DONE
  return event({ type: 'replicasMoved', groupId, replicas: place.target })
}

function decideRestartReplica(
  state: MetadataState,
  groupId: number,
  nodeId: string,
  requestId: string,
): MetadataDecision {
  const place = state.placeOf(groupId)?.place
  if (place === undefined || !hostsOf(place).includes(nodeId)) {
    return refused(new FlotillaError('UNKNOWN_NODE', `group ${groupId} has no replica on node ${nodeId}`))
  }
  const earlier = state.requests.get(requestId)
  if (earlier?.type === 'replicaRestarted' && earlier.groupId === groupId) {
    return { type: 'answer', result: { type: 'life', life: earlier.life } }
  }
  const life = (place.lives?.[nodeId] ?? 0) + 1
  return event({ type: 'replicaRestarted', groupId, nodeId, life, requestId }, { type: 'life', life })
}

export interface DrainPlan {
  readonly moves: readonly {
    readonly topic: string
    readonly partition: number
    readonly replicas: readonly string[]
  }[]
  /** Partitions that have a replica on the node, and are on their way already. */
  readonly moving: number
}

/** Where the replicas of a node shall go. Throws UNKNOWN_NODE, NODE_REMOVED, and NODE_IN_USE where there is no node to take one. */
export function planDrain(
  state: MetadataState,
  nodeId: string,
  isReachable: (nodeId: string) => boolean,
): DrainPlan {
  if (!state.nodes.has(nodeId))
    throw state.removedNodes.has(nodeId) ? removedNode(nodeId) : unknownNode(state, nodeId)
  const nodes = [...state.nodes.values()].filter((node) => node.nodeId !== nodeId)
  // Each move counts as load for the next.
  const planned = state.clone()
  const moves: { topic: string; partition: number; replicas: readonly string[] }[] = []
  let moving = 0
  for (const topic of state.topics.values()) {
    for (const place of topic.partitions) {
      if (!hostsOf(place).includes(nodeId)) continue
      if (place.target !== undefined) {
        moving += 1
        continue
      }
      const replicas = replaceReplica(nodes, planned.topics.values(), place, nodeId, isReachable)
      if (replicas === undefined) {
        throw new FlotillaError(
          'NODE_IN_USE',
          `${topic.name}/${place.partition} has ${place.replicas.length} replicas, and without node ${nodeId} the cluster has ${nodes.length} nodes; add a node first`,
        )
      }
      planned.fold({ type: 'replicasTargeted', groupId: place.groupId, replicas, lives: {} })
      moves.push({ topic: topic.name, partition: place.partition, replicas })
    }
  }
  return { moves, moving }
}
