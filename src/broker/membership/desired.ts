import { membersOf } from '../../raft/index.ts'
import { asNodeId, type Configuration, type NodeId } from '../../raft/types.ts'
import type { PartitionPlace } from '../metadata/events.ts'
import type { MetadataState } from '../metadata/state.ts'
import type { DesiredMembers } from './step.ts'

const MOST_METADATA_VOTERS = 5

/** Where a partition's replicas shall be. */
export function desiredPartitionMembers({ replicas, target, lives }: PartitionPlace): DesiredMembers {
  return {
    voters: (target ?? replicas).map(asNodeId),
    learners: [],
    lifeOf: (id) => lives?.[id] ?? 0,
  }
}

/**
 * Every node of the cluster takes part in the metadata group; up to 5 of them vote, an odd number, as one more voter
 * would survive no further loss. Of two nodes both vote: better that changes wait for the other than that they are lost
 * with one disk. Those that vote go on voting. A founding node that hasn't registered yet is a member like any other;
 * only one that was removed goes.
 */
export function desiredMetadataMembers(
  state: MetadataState,
  configuration: Configuration,
  self: NodeId,
): DesiredMembers {
  const present = new Set([...state.nodes.keys(), ...membersOf(configuration)])
  const rank = (id: NodeId): number => (id === self ? 0 : configuration.voters.includes(id) ? 1 : 2)
  const nodes = [...present]
    .filter((id) => !state.removedNodes.has(id))
    .map(asNodeId)
    .toSorted((left, right) => rank(left) - rank(right) || (left < right ? -1 : 1))
  const votes = Math.min(MOST_METADATA_VOTERS, nodes.length)
  const voters = votes > 2 && votes % 2 === 0 ? votes - 1 : votes
  return {
    voters: nodes.slice(0, voters),
    learners: nodes.slice(voters),
    // A node that was removed isn't listed any more: newcomers refuse what it sends, and nobody else asks it for changes.
    mayLeadUntilGone: false,
    lifeOf: (id) => state.metadataLives.get(id) ?? 0,
  }
}
