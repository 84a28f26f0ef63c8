import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connect, type Client } from '../../src/client/index.ts'
import { freePorts } from '../../src/testing/index.ts'
import { expectKept, readAll, textOf, type Acknowledged } from '../support/ledger.ts'
import { Processes } from '../support/processes.ts'
import { until } from '../support/until.ts'

describe('three server processes', () => {
  let processes: Processes
  let client: Client

  beforeAll(async () => {
    processes = new Processes(await mkdtemp(join(tmpdir(), 'flotilla-processes-')), await freePorts(3))
    for (const nodeId of processes.nodeIds) processes.start(nodeId)
    client = connect({ bootstrap: processes.addresses, timeoutMs: 60_000 })
  }, 60_000)
  afterAll(async () => {
    await client.close()
    await processes.close()
  })

  async function caughtUp(nodeId: string): Promise<void> {
    await until(
      `${nodeId} has caught up`,
      async () => {
        const { replicas } = await client.cluster.describe()
        const own = replicas.filter((replica) => replica.nodeId === nodeId && replica.topic === 'lines')
        return own.length === 3 && own.every((replica) => replica.lagEntries < 20)
      },
      60_000,
    )
  }

  test('lose no acknowledged line when each in turn is killed with SIGKILL and started again', async () => {
    await client.topics.create('lines', { partitions: 3 })
    const acknowledged: Acknowledged[] = []
    const failures: string[] = []
    let stop = false
    const counts = new Map<string, number>()
    const sending = (async () => {
      await using producer = client.producer()
      for (let line = 0; !stop; line++) {
        const key = `key ${line % 23}`
        const count = counts.get(key) ?? 0
        counts.set(key, count + 1)
        const sent = producer.enqueue({ topic: 'lines', key, value: String(count) })
        sent.acknowledged.then(
          ({ partition, offset }) => acknowledged.push({ partition, offset, key, value: String(count) }),
          (error: unknown) => failures.push(String(error)),
        )
        await sent.room
        if (line % 20 === 19) await new Promise((resolve) => setTimeout(resolve, 5))
      }
    })()
    for (const nodeId of processes.nodeIds) {
      const before = acknowledged.length
      await until('lines flow', () => acknowledged.length > before + 300)
      await processes.end(nodeId, 'SIGKILL')
      const without = acknowledged.length
      await until(`lines flow without ${nodeId}`, () => acknowledged.length > without + 300)
      processes.start(nodeId)
      await caughtUp(nodeId)
    }
    stop = true
    await sending
    expect(failures).toEqual([])
    expectKept(acknowledged, await readAll(client, 'lines'))
    await until('all replicas hold the same log', async () => {
      const { replicas } = await client.cluster.describe()
      const digests = new Set(
        replicas
          .filter(({ topic }) => topic === 'lines')
          .map((replica) => `${replica.partition} ${replica.commitDigest}`),
      )
      return digests.size === 3
    })
    for (const nodeId of processes.nodeIds) {
      const read = await readAll(client, 'lines', nodeId)
      expect(read.length).toBeGreaterThanOrEqual(acknowledged.length)
      expectKept(acknowledged, read)
    }
  }, 180_000)

  test('end with code 0 on SIGTERM, and hold everything when all start again', async () => {
    await using producer = client.producer()
    await producer.send({ topic: 'lines', partition: 0, key: 'last', value: '0' })
    const codes = await Promise.all(processes.nodeIds.map((nodeId) => processes.end(nodeId, 'SIGTERM')))
    expect(codes).toEqual([0, 0, 0])
    for (const nodeId of processes.nodeIds) processes.start(nodeId)
    for (const nodeId of processes.nodeIds) await caughtUp(nodeId)
    const read = await readAll(client, 'lines')
    expect(read.filter((record) => textOf(record.key) === 'last')).toHaveLength(1)
  }, 120_000)
})
