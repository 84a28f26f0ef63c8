import type { Client } from '../../src/client/index.ts'
import type { ReplicaStatusMessage } from '../../src/wire/messages.ts'
import { until } from './until.ts'

const VOTING: readonly string[] = ['REPLICA_ROLE_LEADER', 'REPLICA_ROLE_FOLLOWER']

/** Waits until the groups of a topic ('' for the metadata group) have exactly these replicas, all with everything. */
export async function untilVoters(client: Client, topic: string, nodeIds: readonly string[]): Promise<void> {
  await until(
    `"${topic}" is on ${nodeIds.join()}`,
    async () => {
      const { replicas } = await client.cluster.describe()
      const own = replicas.filter((each) => each.topic === topic)
      const isVoting = ({ role, lagEntries }: ReplicaStatusMessage): boolean =>
        VOTING.includes(role) && lagEntries < 20
      const groups = new Set(own.map(({ groupId }) => groupId))
      return [...groups].every((groupId) => {
        const voters = own.filter((each) => each.groupId === groupId && isVoting(each))
        const leads = voters.filter(({ role }) => role === 'REPLICA_ROLE_LEADER')
        const ids = voters.map(({ nodeId }) => nodeId).toSorted()
        return leads.length === 1 && ids.join() === nodeIds.toSorted().join()
      })
    },
    60_000,
  )
}

export async function untilMoved(client: Client, topic: string): Promise<void> {
  await until(
    `the replicas of ${topic} are where they shall be`,
    async () => {
      const { partitions } = await client.topics.describe(topic)
      return partitions.every(({ targetNodeIds = [] }) => targetNodeIds.length === 0)
    },
    60_000,
  )
}
