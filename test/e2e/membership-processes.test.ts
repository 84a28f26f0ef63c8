import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connect, type Client } from '../../src/client/index.ts'
import { freePorts } from '../../src/testing/index.ts'
import { expectKept, readAll } from '../support/ledger.ts'
import { untilMoved, untilVoters } from '../support/members.ts'
import { Processes } from '../support/processes.ts'
import { Traffic } from '../support/traffic.ts'
import { until } from '../support/until.ts'

let processes: Processes
let client: Client

beforeAll(async () => {
  processes = new Processes(await mkdtemp(join(tmpdir(), 'flotilla-members-')), await freePorts(4))
  for (const nodeId of ['n1', 'n2', 'n3']) processes.start(nodeId)
  client = connect({ bootstrap: processes.addresses, timeoutMs: 60_000 })
}, 60_000)
afterAll(async () => {
  await client.close()
  await processes.close()
})

/** Hands the leadership of every partition on, again and again, until stopped. */
async function moveLeadership(isStopped: () => boolean): Promise<number> {
  let moved = 0
  while (!isStopped()) {
    for (const partition of [0, 1]) {
      const told = await client.cluster.transferLeadership('lines', partition).catch(() => undefined)
      if (told !== undefined) moved += 1
    }
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  return moved
}

test('a fourth process joins, the first leaves, another loses its disk, leadership moves: no line is lost', async () => {
  await client.topics.create('lines', { partitions: 2 })
  const traffic = new Traffic(client, 'lines', 30)
  traffic.start()
  let isStopped = false
  const moving = moveLeadership(() => isStopped)
  const flow = async (what: string): Promise<void> => {
    const before = traffic.acknowledged.length
    await until(`lines flow ${what}`, () => traffic.acknowledged.length > before + 200, 60_000)
  }
  await flow('on three nodes')

  processes.start('n4')
  const knows4 = async (): Promise<boolean> =>
    (await client.cluster.describe()).nodes.some(({ nodeId, reachable }) => nodeId === 'n4' && reachable)
  await until('n4 is in the cluster', knows4, 60_000)
  const { partitions } = await client.topics.describe('lines')
  for (const { partition, replicaNodeIds } of partitions) {
    const nodeIds = replicaNodeIds.map((nodeId) => (nodeId === 'n1' ? 'n4' : nodeId))
    await client.cluster.moveReplicas('lines', partition, nodeIds)
  }
  await untilMoved(client, 'lines')
  await untilVoters(client, 'lines', ['n2', 'n3', 'n4'])
  await flow('on n2, n3, n4')

  await until('n1 is empty', async () => (await client.cluster.drainNode('n1')).remaining === 0, 60_000)
  const ended = processes.ended('n1')
  await client.cluster.removeNode('n1')
  // It was told to go, and says so.
  expect(await ended).toBe(1)
  await untilVoters(client, '', ['n2', 'n3', 'n4'])

  await processes.end('n3', 'SIGKILL')
  await rm(processes.dataDirectoryOf('n3'), { recursive: true })
  processes.start('n3')
  await untilVoters(client, 'lines', ['n2', 'n3', 'n4'])
  await processes.end('n2', 'SIGKILL')
  await flow('on n3, which came back with nothing, and n4')
  processes.start('n2')
  await untilVoters(client, 'lines', ['n2', 'n3', 'n4'])

  isStopped = true
  expect(await moving).toBeGreaterThan(3)
  await traffic.stop()
  expect(traffic.failures).toEqual([])
  for (const nodeId of ['n2', 'n3', 'n4']) {
    await until(`${nodeId} has every line`, async () => {
      return (await readAll(client, 'lines', nodeId)).length >= traffic.acknowledged.length
    })
    expectKept(traffic.acknowledged, await readAll(client, 'lines', nodeId))
  }
}, 300_000)
