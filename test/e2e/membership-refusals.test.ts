import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startServer, type ServerConfig } from '../../src/broker/index.ts'
import type { Client } from '../../src/client/index.ts'
import { nodeEnv } from '../../src/env/node/index.ts'
import { freePorts, startTestCluster, type TestCluster } from '../../src/testing/index.ts'
import { textOf } from '../support/ledger.ts'
import { untilMoved, untilVoters } from '../support/members.ts'
import { until } from '../support/until.ts'

const env = nodeEnv({ level: 'silent' })

async function freeAddress(): Promise<string> {
  const [port = 0] = await freePorts(1)
  return `127.0.0.1:${port}`
}

describe('who takes part is refused', () => {
  let cluster: TestCluster
  let client: Client
  let directory: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'flotilla-refusals-'))
    cluster = await startTestCluster()
    client = await cluster.connect()
    await client.topics.create('three', { partitions: 1, replicationFactor: 3 })
    await client.topics.create('one', { partitions: 3, replicationFactor: 1 })
  })
  afterAll(async () => {
    await cluster.close()
    await rm(directory, { recursive: true, force: true })
  })

  const failureOf = async (config: ServerConfig): Promise<Error> => {
    const server = await startServer(env, config)
    const error = await server.failed
    await server.close({ handOver: false })
    return error
  }

  const joining = async (nodeId: string, changes: Partial<ServerConfig> = {}): Promise<ServerConfig> => ({
    ...cluster.configOf('n1'),
    nodeId,
    hostLabel: nodeId,
    listen: await freeAddress(),
    dataDirectory: join(directory, `${nodeId}-${Math.random()}`),
    cluster: [],
    join: cluster.bootstrap,
    ...changes,
  })

  test('to a newcomer whose id is taken by a node that is there', async () => {
    const error = await failureOf(await joining('n2'))
    expect(error).toMatchObject({ reason: 'DUPLICATE_NODE_ID' })
    expect(error.message).toContain(`n2 belongs to ${cluster.addressOf('n2')}`)
  })

  test('to a newcomer that means another cluster', async () => {
    const error = await failureOf(await joining('n9', { clusterName: 'other' }))
    expect(error).toMatchObject({ reason: 'CLUSTER_MISMATCH' })
    expect(error.message).toMatch(/"test".*"other"/)
  })

  test('to a newcomer with a cluster list that contradicts', async () => {
    const listen = await freeAddress()
    const list = [...cluster.configOf('n1').cluster, { nodeId: 'n9', address: listen }]
    const { join: _join, ...config } = await joining('n9', { listen, cluster: list })
    const error = await failureOf(config)
    expect(error).toMatchObject({ reason: 'CLUSTER_MISMATCH' })
    expect(error.message).toContain('n1,n2,n3,n9')
  })

  test('to an operator who takes what is needed away', async () => {
    await expect(client.cluster.drainNode('n1')).rejects.toMatchObject({
      reason: 'NODE_IN_USE',
      message: expect.stringMatching(
        /three\/0 has 3 replicas.*without node n1.*2 nodes.*add a node/,
      ) as string,
    })
    await expect(client.cluster.removeNode('n1')).rejects.toMatchObject({
      reason: 'NODE_IN_USE',
      message: expect.stringContaining('flotilla cluster drain n1') as string,
    })
    await expect(client.cluster.removeNode('n9')).rejects.toMatchObject({ reason: 'UNKNOWN_NODE' })
    await expect(client.cluster.drainNode('n9')).rejects.toMatchObject({ reason: 'UNKNOWN_NODE' })
    const move = (...nodeIds: string[]): Promise<void> => client.cluster.moveReplicas('three', 0, nodeIds)
    await expect(move('n1', 'n2')).rejects.toMatchObject({ reason: 'INVALID_ARGUMENT' })
    await expect(move('n1', 'n2', 'n2')).rejects.toMatchObject({ reason: 'INVALID_ARGUMENT' })
    await expect(move('n1', 'n2', 'n9')).rejects.toMatchObject({ reason: 'UNKNOWN_NODE' })
  })

  test('to a node that was removed and comes with what it had, but not with nothing', async () => {
    const n4 = await cluster.addNode()
    await untilVoters(client, 'three', ['n1', 'n2', 'n3'])
    await client.cluster.moveReplicas('one', 0, [n4])
    await untilMoved(client, 'one')
    await using producer = client.producer()
    await producer.send({ topic: 'one', partition: 0, key: 'k', value: 'v' })
    await client.cluster.moveReplicas('one', 0, ['n1'])
    await untilMoved(client, 'one')
    await cluster.stopNode(n4)
    await client.cluster.removeNode(n4)
    // Nothing to do a second time.
    await client.cluster.removeNode(n4)
    const error = await failureOf(cluster.configOf(n4))
    expect(error).toMatchObject({ reason: 'NODE_REMOVED' })
    await cluster.wipeNode(n4)
    const again = await cluster.startNode(n4)
    await again.ready
    await client.cluster.moveReplicas('one', 0, [n4])
    await untilMoved(client, 'one')
    const values = async (): Promise<string[]> => {
      const read: string[] = []
      const place = { topic: 'one', partitions: [0], nodeId: n4 }
      const reader = client.reader({ ...place, untilEnd: true, consistency: 'committed' })
      for await (const record of reader) read.push(textOf(record.value))
      return read
    }
    // The client may hear of the move later than the operator.
    const untilThere = async (): Promise<boolean> => (await values().catch(() => [])).length > 0
    await until('the record is on the one that came back', untilThere)
    expect(await values()).toEqual(['v'])
  }, 120_000)

  test('to an operator who takes the last node away', async () => {
    await using alone = await startTestCluster({ nodes: 1 })
    const operator = await alone.connect()
    await expect(operator.cluster.removeNode('n1')).rejects.toMatchObject({
      reason: 'NODE_IN_USE',
      message: expect.stringContaining('the only one') as string,
    })
  })
})

describe('the metadata group', () => {
  test('has an odd number of voters, up to five, and learners beyond', async () => {
    await using cluster = await startTestCluster({ nodes: 3 })
    const client = await cluster.connect()
    const votersAre = (nodeIds: readonly string[]): Promise<void> => untilVoters(client, '', nodeIds)
    await votersAre(['n1', 'n2', 'n3'])
    await cluster.addNode()
    await votersAre(['n1', 'n2', 'n3'])
    await cluster.addNode()
    await votersAre(['n1', 'n2', 'n3', 'n4', 'n5'])
    await cluster.addNode()
    await until('the sixth is a learner', async () => {
      const { replicas } = await client.cluster.describe()
      return replicas.some(({ nodeId, groupId, role }) => {
        return nodeId === 'n6' && groupId === 0 && role === 'REPLICA_ROLE_LEARNER'
      })
    })
    await votersAre(['n1', 'n2', 'n3', 'n4', 'n5'])
    await client.cluster.removeNode('n2')
    await votersAre(['n1', 'n3', 'n4', 'n5', 'n6'])
  }, 120_000)
})
