import type { GroupId } from '../../log/types.ts'
import { METADATA_GROUP } from '../metadata-group.ts'
import type { Node } from '../node.ts'
import type { Replica } from '../replica.ts'
import { desiredMetadataMembers, desiredPartitionMembers } from './desired.ts'
import type { MembershipHost } from './driver.ts'
import type { DesiredMembers } from './step.ts'

/** What the driver needs of the node, out of the metadata that it has folded. */
export function membershipHost(node: Node): MembershipHost {
  return {
    replicaOf: (groupId) => node.loop.replicas.get(groupId),
    desiredOf: (replica) => desiredOf(node, replica),
    targetOf: (groupId) => {
      const place = node.view.state.placeOf(groupId)?.place
      if (place?.target === undefined) return undefined
      return { moves: place.moves ?? 0, nodeIds: place.target }
    },
    metadataIndex: (groupId: GroupId) =>
      groupId === METADATA_GROUP ? undefined : node.metadataLeader.index(),
    foldedMetadataIndex: () => node.metadata.replica.foldedIndex,
    report: async (groupId, moves, nodeIds) => {
      await node.metadataLeader.report({ groupId, moves, nodeIds })
    },
  }
}

function desiredOf(node: Node, replica: Replica): DesiredMembers | undefined {
  const { state } = node.view
  if (replica.groupId === METADATA_GROUP) {
    // The founders first find each other.
    if (state.clusterId === '' || !replica.isDeciding) return undefined
    return desiredMetadataMembers(state, replica.status().configuration, node.nodeId)
  }
  const place = state.placeOf(replica.groupId)?.place
  return place === undefined ? undefined : desiredPartitionMembers(place)
}
