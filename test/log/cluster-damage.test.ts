import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'
import { expectKept, readAll } from '../support/ledger.ts'
import { Traffic } from './traffic.ts'
import { until } from '../support/until.ts'

let cluster: TestCluster | undefined
afterEach(async () => {
  await cluster?.close()
  cluster = undefined
})

it('a node whose segments of one partition are gone starts with all its others, and nothing acknowledged is lost', async () => {
  cluster = await startTestCluster()
  const client = await cluster.connect()
  const topic = await client.topics.create('events', { partitions: 2 })
  const traffic = new Traffic(client, 'events').start()
  await traffic.more(200)
  await cluster.stopNode('n1', { handOver: false })
  const segments = join(cluster.dataDirectoryOf('n1'), 'segments')
  const damaged = topic.partitions[0]!.groupId
  expect(await readdir(segments)).toContain(String(damaged))
  await rm(join(segments, String(damaged)), { recursive: true })
  await cluster.startNode('n1')
  await cluster.ready()
  await traffic.more(200)
  await traffic.stop()
  expect(traffic.failures).toEqual([])
  expectKept(traffic.acknowledged, await readAll(client, 'events'))
  // The other partition is served by this node as before.
  await until('n1 serves the other partition', async () => {
    const { replicas } = await client.cluster.describe()
    const own = replicas.filter(({ nodeId, topic: name }) => nodeId === 'n1' && name === 'events')
    return own.some(({ groupId }) => groupId !== damaged)
  })
}, 60_000)
