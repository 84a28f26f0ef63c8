import { readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import { nodeEnv } from '../../src/env/node/index.ts'
import { storeName } from '../../src/log/folder.ts'
import { entryKey } from '../../src/log/keys.ts'
import { asGroupId } from '../../src/log/types.ts'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'
import { expectKept, readAll } from '../support/ledger.ts'
import { untilMoved, untilVoters } from '../support/members.ts'
import { Traffic } from '../support/traffic.ts'
import { until } from '../support/until.ts'

async function startWithTraffic(): Promise<{ cluster: TestCluster; client: Client; traffic: Traffic }> {
  const cluster = await startTestCluster()
  const client = await cluster.connect()
  await client.topics.create('lines', { partitions: 2 })
  const traffic = new Traffic(client, 'lines')
  traffic.start()
  await until('lines flow', () => traffic.acknowledged.length > 200)
  return { cluster, client, traffic }
}

/** Every acknowledged line is read from each of these nodes alone. */
async function expectKeptOn(client: Client, traffic: Traffic, nodeIds: readonly string[]): Promise<void> {
  await traffic.stop()
  expect(traffic.failures).toEqual([])
  await untilVoters(client, 'lines', nodeIds)
  for (const nodeId of nodeIds) {
    await until(`${nodeId} has every line`, async () => {
      const read = await readAll(client, 'lines', nodeId)
      return read.length >= traffic.acknowledged.length
    })
    expectKept(traffic.acknowledged, await readAll(client, 'lines', nodeId))
  }
}

describe('who takes part in a cluster under traffic', () => {
  test('a fourth node joins, takes over what the first had, and the first is removed', async () => {
    const { cluster, client, traffic } = await startWithTraffic()
    await using _closing = cluster
    const n4 = await cluster.addNode()
    await expect(client.cluster.removeNode('n1')).rejects.toMatchObject({ reason: 'NODE_IN_USE' })
    await until('n1 is empty', async () => (await client.cluster.drainNode('n1')).remaining === 0, 60_000)
    await untilMoved(client, 'lines')
    const failed = cluster.server('n1')?.failed
    await client.cluster.removeNode('n1')
    expect(await failed).toMatchObject({ reason: 'NODE_REMOVED' })
    await cluster.stopNode('n1')
    await untilVoters(client, '', ['n2', 'n3', n4])
    const before = traffic.acknowledged.length
    await until('lines flow without n1', () => traffic.acknowledged.length > before + 200)
    await expectKeptOn(client, traffic, ['n2', 'n3', n4])
    const { nodes, replicas } = await client.cluster.describe()
    expect(nodes.map(({ nodeId }) => nodeId)).toEqual(['n2', 'n3', n4])
    expect(replicas.filter(({ nodeId }) => nodeId === 'n1')).toEqual([])
  }, 180_000)

  test('a node that lost its disk comes back under a new life and votes again', async () => {
    const { cluster, client, traffic } = await startWithTraffic()
    await using _closing = cluster
    await cluster.stopNode('n2', { handOver: false })
    await cluster.wipeNode('n2')
    const n2 = await cluster.startNode('n2')
    const failure = n2.failed.then((error) => Promise.reject(error))
    await Promise.race([failure, untilVoters(client, 'lines', ['n1', 'n2', 'n3'])])
    await untilVoters(client, '', ['n1', 'n2', 'n3'])
    await cluster.stopNode('n3', { handOver: false })
    const before = traffic.acknowledged.length
    await until('n1 and n2 are a majority', () => traffic.acknowledged.length > before + 200)
    await cluster.startNode('n3')
    await expectKeptOn(client, traffic, ['n1', 'n2', 'n3'])
  }, 180_000)

  test('a node that came back with an empty disk is not let in with its old one any more', async () => {
    const { cluster, client, traffic } = await startWithTraffic()
    await using _closing = cluster
    const directory = cluster.dataDirectoryOf('n2')
    await cluster.stopNode('n2', { handOver: false })
    await rename(directory, `${directory}.old`)
    await cluster.startNode('n2')
    await untilVoters(client, 'lines', ['n1', 'n2', 'n3'])
    await untilVoters(client, '', ['n1', 'n2', 'n3'])
    await cluster.stopNode('n2', { handOver: false })
    await rename(directory, `${directory}.new`)
    await rename(`${directory}.old`, directory)
    const outdated = await cluster.startNode('n2')
    const error = await outdated.failed
    expect(error).toMatchObject({ reason: 'NODE_REMOVED' })
    expect(error.message).toMatch(/n2 has come in with another disk since.*life 0.*life 1/)
    await cluster.stopNode('n2', { handOver: false })
    await rename(directory, `${directory}.outdated`)
    await rename(`${directory}.new`, directory)
    await cluster.startNode('n2')
    await expectKeptOn(client, traffic, ['n1', 'n2', 'n3'])
  }, 180_000)

  test('a damaged replica is put aside and starts anew from the others', async () => {
    const { cluster, client, traffic } = await startWithTraffic()
    await using _closing = cluster
    await cluster.stopNode('n2', { handOver: false })
    await damageGroup(cluster.dataDirectoryOf('n2'), 1)
    const n2 = await cluster.startNode('n2')
    const failure = n2.failed.then((error) => Promise.reject(error))
    await Promise.race([failure, untilVoters(client, 'lines', ['n1', 'n2', 'n3'])])
    expect(await readdir(join(cluster.dataDirectoryOf('n2'), 'quarantine'))).toHaveLength(1)
    await expectKeptOn(client, traffic, ['n1', 'n2', 'n3'])
  }, 180_000)
})

/** Takes an entry out of the middle of a group's log, as no crash does. */
async function damageGroup(directory: string, group: number): Promise<void> {
  const store = await nodeEnv({ level: 'silent' }).disk.openStore(join(directory, storeName))
  const key = entryKey(asGroupId(group), 5)
  await store.batch([{ type: 'del', key }], { sync: true })
  await store.close()
}
