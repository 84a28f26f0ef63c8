import { afterEach, describe, expect, it } from 'vitest'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'
import { readAll } from '../support/ledger.ts'
import { until } from '../support/until.ts'
import { faultyDisk } from './faulty-disk.ts'
import type { Faults } from './faulty-disk.ts'
import { Traffic, caughtUp, expectAllKept } from './traffic.ts'

const system = (code: string, what: string) => (): never => {
  throw Object.assign(new Error(`${code}: ${what}`), { code })
}

describe('a node in a cluster whose disk', () => {
  let cluster: TestCluster | undefined
  const faults = new Map<string, Faults>()
  afterEach(async () => {
    // What hangs would otherwise hold up the end of the node.
    for (const each of faults.values()) delete each.stall
    await cluster?.close()
    cluster = undefined
    faults.clear()
  })

  async function start() {
    cluster = await startTestCluster({
      limits: { stalledDiskMs: 500 },
      envOf: (nodeId, real) => {
        const own: Faults = {}
        faults.set(nodeId, own)
        return { ...real, disk: faultyDisk(real.disk, own) }
      },
    })
    const running = cluster
    const client = await running.connect()
    await client.topics.create('events', { partitions: 1 })
    const traffic = new Traffic(client, 'events').start()
    await traffic.more(100)
    const leader = async (): Promise<string | undefined> =>
      (await client.topics.describe('events')).partitions[0]?.leaderNodeId
    const first = await until('somebody leads', leader)
    return { running, client, traffic, leader, first }
  }

  const final: readonly (readonly [string, Faults])[] = [
    ['is full', { beforeBatch: system('ENOSPC', 'no space left on device, write') }],
    ['is full for segments', { beforeWrite: system('ENOSPC', 'no space left on device, write') }],
    ['gives EIO at a sync', { beforeSync: system('EIO', 'i/o error, fdatasync') }],
  ]
  for (const [what, fault] of final) {
    it(`${what} gives up what it leads, says why in one line, and comes back with the disk`, async () => {
      const { running, client, traffic, leader, first } = await start()
      const { failed } = running.server(first)!
      Object.assign(faults.get(first)!, fault)
      const error = await failed
      expect(error.message).toMatch(
        /^the disk failed and the node stops: .*(ENOSPC|EIO): .*; look at the disk, then restart the node$/,
      )
      expect(error.message).not.toContain('\n')
      await until('another one leads', async () => {
        const now = await leader()
        return now !== undefined && now !== first
      })
      await traffic.more(100)
      await running.stopNode(first, { handOver: false })
      // startNode gives the node a disk without faults.
      await running.startNode(first)
      await caughtUp(client, 'events', first, 1)
      await traffic.more(50)
      await traffic.stop()
      expect(traffic.failures).toEqual([])
      await expectAllKept(running, client, traffic, 'events')
    }, 60_000)
  }

  it('gives EIO at reads keeps what it has, serves no wrong byte, and goes on when reads work again', async () => {
    const { running, client, traffic, first } = await start()
    let gaveUp = false
    void running.server(first)!.failed.then(() => (gaveUp = true))
    faults.get(first)!.beforeRead = system('EIO', 'i/o error, read')
    await traffic.more(100)
    delete faults.get(first)!.beforeRead
    await traffic.stop()
    expect(gaveUp).toBe(false)
    expect(traffic.failures).toEqual([])
    await expectAllKept(running, client, traffic, 'events')
  }, 60_000)

  it('hangs gives up what it leads after a while, and takes part again when the disk answers', async () => {
    const { running, client, traffic, leader, first } = await start()
    let answer: () => void = () => undefined
    const answered = new Promise<void>((resolve) => (answer = resolve))
    faults.get(first)!.stall = () => answered
    await until('another one leads', async () => {
      const now = await leader()
      return now !== undefined && now !== first
    })
    await traffic.more(100)
    delete faults.get(first)!.stall
    answer()
    await caughtUp(client, 'events', first, 1)
    await traffic.stop()
    expect(traffic.failures).toEqual([])
    await expectAllKept(running, client, traffic, 'events')
    expect((await readAll(client, 'events', first)).length).toBeGreaterThanOrEqual(
      traffic.acknowledged.length,
    )
  }, 60_000)
})
