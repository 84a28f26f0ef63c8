import { afterEach, describe, expect, test } from 'vitest'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'
import { readAll, textOf } from '../support/ledger.ts'
import { until } from '../support/until.ts'

describe('groups in which nothing happens', () => {
  let cluster: TestCluster | undefined
  afterEach(async () => {
    await cluster?.close()
    cluster = undefined
  })

  function awake(): number[] {
    return (cluster?.nodeIds ?? []).flatMap((nodeId) => cluster?.server(nodeId)?.load().awakeReplicas ?? [])
  }

  test('cost no ticks, take the next append at once, and notice the loss of their leader’s node', async () => {
    cluster = await startTestCluster()
    const client = await cluster.connect()
    const { partitions } = await client.topics.create('events', { partitions: 8 })
    await using producer = client.producer()
    for (const { partition } of partitions)
      await producer.send({ topic: 'events', partition, value: 'before' })
    await until('all replicas are quiet', () => awake().every((count) => count === 0))

    await producer.send({ topic: 'events', partition: 0, value: 'while quiet' })
    await until('all replicas are quiet again', () => awake().every((count) => count === 0))

    const leader = partitions[0]?.leaderNodeId ?? ''
    await cluster.stopNode(leader, { handOver: false })
    await producer.send({ topic: 'events', partition: 0, value: 'after the loss' })
    const led = partitions.filter(({ leaderNodeId }) => leaderNodeId === leader)
    for (const { partition } of led)
      await producer.send({ topic: 'events', partition, value: 'after the loss' })

    await cluster.startNode(leader)
    await cluster.ready()
    await until('every node has everything', async () => {
      const { replicas } = await client.cluster.describe()
      const shown = replicas.filter(({ topic }) => topic === 'events')
      // A node that doesn't reach the others yet describes itself alone.
      if (shown.length !== 3 * partitions.length) return false
      return partitions.every(({ partition }) => {
        const ends = shown.filter((replica) => replica.partition === partition)
        return new Set(ends.map(({ highWatermark }) => highWatermark)).size === 1
      })
    })
    const values = (await readAll(client, 'events', leader)).filter(({ partition }) => partition === 0)
    expect(values.map((record) => textOf(record.value))).toEqual([
      'before',
      'while quiet',
      'after the loss',
      'after the loss',
    ])
  })
})
