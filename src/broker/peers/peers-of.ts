import { membersOf } from '../../raft/index.ts'
import { asNodeId, type NodeId, type Status } from '../../raft/types.ts'
import type { ClusterMember } from '../config.ts'
import type { MetadataState } from '../metadata/state.ts'
import type { PeerAddress } from './peer-links.ts'

/**
 * The other nodes: those of the settings' list, at their addresses there; those that the cluster knows; those that this
 * node was told of when it came. One that was removed stays as long as it takes part in the metadata group, so that it can
 * hand over and hear that it is out.
 */
export function peersOf(
  self: NodeId,
  state: MetadataState,
  known: {
    readonly introduced: readonly ClusterMember[]
    readonly listed: readonly ClusterMember[]
    readonly members: ReadonlySet<string>
  },
): PeerAddress[] {
  const addresses = new Map<string, string>()
  for (const { nodeId, address } of [...known.introduced, ...state.nodes.values(), ...known.listed]) {
    const isOut = state.removedNodes.has(nodeId) && !known.members.has(nodeId)
    if (nodeId !== self && !isOut) addresses.set(nodeId, address)
  }
  return [...addresses].map(([nodeId, address]) => ({ nodeId: asNodeId(nodeId), address }))
}

interface MetadataGroup {
  readonly machine: { readonly state: MetadataState }
  readonly replica: { status(): Pick<Status, 'configuration'> }
}

/** It was removed, and takes no part in the metadata group any more. Until then nobody may tell it to end: its vote may be needed. */
export function hasLeft(
  { machine, replica }: MetadataGroup,
  nodeId: NodeId,
  life: number | undefined,
): boolean {
  const { configuration } = replica.status()
  return machine.state.isRemoved(nodeId, life) && !membersOf(configuration).includes(nodeId)
}
