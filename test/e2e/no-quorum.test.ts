import { afterEach, describe, expect, test } from 'vitest'
import { FlotillaError } from '../../src/client/index.ts'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'
import { readAll, textOf } from '../support/ledger.ts'
import { until } from '../support/until.ts'

describe('without a majority', () => {
  let cluster: TestCluster | undefined
  afterEach(async () => {
    await cluster?.close()
    cluster = undefined
  })

  test('an append fails as unknown at its deadline, committed records are still read, and all goes on with the majority', async () => {
    const running = await startTestCluster()
    cluster = running
    const client = await cluster.connect()
    const topic = await client.topics.create('events', { partitions: 1 })
    await using producer = client.producer({ deliveryTimeoutMs: 1500 })
    await producer.send({ topic: 'events', value: 'kept' })
    const leader = topic.partitions[0]?.leaderNodeId ?? ''
    const others = cluster.nodeIds.filter((nodeId) => nodeId !== leader)
    await Promise.all(others.map((nodeId) => running.stopNode(nodeId, { handOver: false })))

    const error = await producer.send({ topic: 'events', value: 'perhaps' }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    expect(error).toBeInstanceOf(FlotillaError)
    expect((error as FlotillaError).reason).toBe('UNKNOWN_OUTCOME')
    expect((error as FlotillaError).mayHaveTakenEffect).toBe(true)

    const kept = await readAll(client, 'events', leader)
    expect(kept.map((record) => textOf(record.value))).toEqual(['kept'])

    await Promise.all(others.map((nodeId) => running.startNode(nodeId)))
    await cluster.ready()
    await using second = client.producer()
    await second.send({ topic: 'events', value: 'after' })
    const all = (await readAll(client, 'events')).map((record) => textOf(record.value))
    expect(all.filter((value) => value !== 'perhaps')).toEqual(['kept', 'after'])
  })

  test('a node that was away while the metadata log was cut gets a snapshot and hosts what it missed', async () => {
    cluster = await startTestCluster({ limits: { metadataCompactEntries: 5 } })
    const client = await cluster.connect()
    await cluster.stopNode('n3', { handOver: false })
    for (let number = 0; number < 12; number++)
      await client.topics.create(`topic-${number}`, { partitions: 1 })
    await client.topics.delete('topic-0')
    await using producer = client.producer()
    await producer.send({ topic: 'topic-11', value: 'before it came back' })
    await cluster.startNode('n3')
    await until('n3 hosts the topics that it missed', async () => {
      const { replicas } = await client.cluster.describe()
      const own = replicas.filter((replica) => replica.nodeId === 'n3' && replica.topic !== '')
      return (
        own.length === 11 &&
        own.some((replica) => replica.topic === 'topic-11' && replica.highWatermark === 1)
      )
    })
    const read = await readAll(client, 'topic-11', 'n3')
    expect(read.map((record) => textOf(record.value))).toEqual(['before it came back'])
  })
})
