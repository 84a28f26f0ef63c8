import {
  decideMetadata,
  type MetadataCommand,
  type MetadataDecision,
  type MetadataLimits,
} from '../../../src/broker/metadata/decide.ts'
import type { NodeEntry } from '../../../src/broker/metadata/events.ts'
import { MetadataState } from '../../../src/broker/metadata/state.ts'
import { FlotillaError } from '../../../src/wire/errors.ts'
import type { CreateTopicRequest } from '../../../src/wire/messages.ts'

export const LIMITS: MetadataLimits = {
  maxPartitionsPerTopic: 16,
  maxTopics: 50,
  maxReplicasPerNode: 100,
  memberCount: 3,
}

export const node = (nodeId: string, hostLabel = nodeId): NodeEntry => ({
  nodeId,
  address: `${nodeId}:7101`,
  hostLabel,
})

export const createTopic = (
  name: string,
  fields: Partial<CreateTopicRequest> = {},
  topicId = `id of ${name}`,
) =>
  ({
    type: 'createTopic',
    request: { name, partitionCount: 3, replicationFactor: 3, ...fields },
    topicId,
  }) satisfies MetadataCommand

export const deleteTopic = (name: string, requestId = '') =>
  ({ type: 'deleteTopic', request: { name, requestId } }) satisfies MetadataCommand

/** The cluster's state, changed by what a leader decides. */
export class Cluster {
  state = new MetadataState()
  limits = LIMITS

  constructor(nodes: readonly NodeEntry[] = ['n1', 'n2', 'n3'].map((id) => node(id))) {
    this.do({ type: 'createCluster', clusterId: 'c1' })
    for (const each of nodes) this.do({ type: 'registerNode', node: each })
  }
  decide(command: MetadataCommand): MetadataDecision {
    try {
      return decideMetadata(this.state, command, 1_700_000_000_123, this.limits)
    } catch (error) {
      if (error instanceof FlotillaError) return { type: 'refused', error }
      throw error
    }
  }
  do(command: MetadataCommand): MetadataDecision {
    const decision = this.decide(command)
    if (decision.type === 'event') this.state.fold(decision.event)
    return decision
  }
  refusal(command: MetadataCommand): FlotillaError | undefined {
    const decision = this.decide(command)
    return decision.type === 'refused' ? decision.error : undefined
  }
}
