import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import { inspectFolder } from '../../src/log/index.ts'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'
import { readAll, textOf } from '../support/ledger.ts'
import { until } from '../support/until.ts'
import { testEnv } from './storage-env.ts'

let cluster: TestCluster | undefined
afterEach(async () => {
  await cluster?.close()
  cluster = undefined
})

const VALUE_BYTES = 64 * 1024
const COUNT = 120
/** Less of the partition stays in memory than is appended: reading it means reading the disk. */
const WINDOW_BYTES = (COUNT * VALUE_BYTES) / 2
const nodeIds = ['n1', 'n2', 'n3']
const valueOf = (number: number): string => `${number} `.repeat(VALUE_BYTES).slice(0, VALUE_BYTES)

async function append(client: Client, from: number, to: number): Promise<void> {
  const producer = client.producer()
  // A tenth at a time, so that no entry is larger than that.
  for (let begin = from; begin < to; begin += COUNT / 10) {
    const numbers = Array.from({ length: COUNT / 10 }, (_, at) => begin + at)
    await Promise.all(
      numbers.map((number) => producer.send({ topic: 'events', partition: 0, value: valueOf(number) })),
    )
  }
  await producer.close()
}

/** Flips bits in the middle of each of the given tenths of what the node's segment has. */
async function rot(nodeId: string, groupId: number, tenths: readonly number[]): Promise<void> {
  const directory = join(cluster!.dataDirectoryOf(nodeId), 'segments', String(groupId))
  const [name] = (await readdir(directory)).toSorted()
  await using file = await open(join(directory, name!), 'r+')
  const { size } = await file.stat()
  for (const tenth of tenths) {
    const position = Math.floor((size * (tenth + 0.5)) / 10)
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, position)
    buffer[0]! ^= 0x10
    await file.write(buffer, 0, 1, position)
  }
}

async function expectAll(client: Client, nodeId: string, count: number): Promise<void> {
  const read = await readAll(client, 'events', nodeId)
  expect(read.map(({ value }) => textOf(value).split(' ')[0])).toEqual(
    Array.from({ length: count }, (_, number) => String(number)),
  )
  expect(read.every(({ value }, number) => textOf(value) === valueOf(number))).toBe(true)
}

it('bytes that rot on each node, in different places, come back from the others while they run', async () => {
  cluster = await startTestCluster({ limits: { windowBytes: WINDOW_BYTES } })
  const client = await cluster.connect()
  const topic = await client.topics.create('events', { partitions: 1 })
  const { groupId } = topic.partitions[0]!
  await append(client, 0, COUNT)
  for (const nodeId of nodeIds) {
    await until(`${nodeId} has all`, async () => (await readAll(client, 'events', nodeId)).length >= COUNT)
  }
  const lost = { n1: [0, 3], n2: [1], n3: [2] }
  for (const [nodeId, tenths] of Object.entries(lost)) await rot(nodeId, groupId, tenths)
  for (const nodeId of nodeIds) await expectAll(client, nodeId, COUNT)
  for (const nodeId of nodeIds) {
    await cluster.stopNode(nodeId)
    const { groups } = await inspectFolder(testEnv(), cluster.dataDirectoryOf(nodeId))
    expect(groups.flatMap(({ damage }) => damage)).toEqual([])
  }
}, 60_000)

it('a leader whose bytes rot serves a follower that was away all the same', async () => {
  cluster = await startTestCluster()
  const client = await cluster.connect()
  const topic = await client.topics.create('events', { partitions: 1 })
  const { groupId, leaderNodeId: leader } = topic.partitions[0]!
  const away = nodeIds.find((nodeId) => nodeId !== leader)!
  await cluster.stopNode(away)
  await append(client, 0, COUNT)
  await rot(leader!, groupId, [1, 2, 3])
  await cluster.startNode(away)
  await until(`${away} has all`, async () => (await readAll(client, 'events', away)).length >= COUNT)
  await expectAll(client, away, COUNT)
}, 60_000)
