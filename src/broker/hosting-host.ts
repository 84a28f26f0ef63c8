import type { HostingNode } from './hosting.ts'
import type { LeaderTable } from './leaders.ts'
import type { MetadataLeader } from './membership/metadata-leader.ts'
import type { MetadataPlace } from './metadata-place.ts'

/** What hosting sees of its node. Looked up at each use: parts of the node are made after this. */
export function hostingHost(
  node: Pick<HostingNode, 'nodeId' | 'fail'> & {
    readonly leaders: LeaderTable
    readonly metadata: MetadataPlace
    readonly metadataLeader: MetadataLeader
  },
  isReplayOver: () => boolean,
  makeReplica: HostingNode['makeReplica'],
): HostingNode {
  return {
    nodeId: node.nodeId,
    get isReplaying() {
      return !isReplayOver()
    },
    get isReplaced() {
      return node.metadata.isReplaced
    },
    get state() {
      return node.metadata.machine.state
    },
    makeReplica,
    forget: (groupId) => node.leaders.forgetGroup(groupId),
    replicaIsGone: (groupId) => node.leaders.replicaIsGone(groupId),
    isLed: (groupId) => node.leaders.get(groupId)?.leader !== undefined,
    restartReplica: (groupId) => node.metadataLeader.restart(groupId),
    fail: (error) => node.fail(error),
  }
}
