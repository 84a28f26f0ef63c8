import { afterEach, describe, expect, it } from 'vitest'
import { nodeDisk } from '../../src/env/node/disk.ts'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'
import { bytesOf, emptySnapshot, entriesAfter, flat } from './entries.ts'
import { PowerCutDisk } from './power-cut-disk.ts'
import { allEntries, group, openLog, temporaryFolder, testEnv } from './storage-env.ts'
import { Traffic, caughtUp, expectAllKept } from './traffic.ts'

const nothing = (): number => 0

describe('a power cut', () => {
  it('leaves every turn that was acknowledged, and of the one under way all or nothing', async () => {
    const folder = await temporaryFolder()
    const entries = entriesAfter(
      emptySnapshot,
      Array.from({ length: 60 }, (_, i) => ({ payload: [bytesOf(i % 3 === 0 ? 500 : 20, i)] })),
    )
    let acknowledged = 0
    let random = 7
    for (let round = 0; round < 12; round++) {
      const disk = new PowerCutDisk(nodeDisk(), folder)
      const log = await openLog(testEnv(disk), folder)
      if (round === 0) await log.commit([{ groupId: group, create: emptySnapshot }])
      const found = (await allEntries(log, group)).map(flat)
      expect(found.length).toBeGreaterThanOrEqual(acknowledged)
      expect(found).toEqual(entries.slice(0, found.length).map(flat))
      expect(log.lastMark(group).index).toBe(found.length)
      // Three turns; the power goes before, while or after the last one of them is written.
      for (let turn = 0; turn < 3; turn++) {
        const from = log.lastMark(group).index
        const added = entries.slice(from, from + 2)
        if (added.length === 0) break
        const hardState = { term: added.at(-1)!.term, votedFor: undefined, commit: emptySnapshot.index }
        const commit = log.commit([{ groupId: group, entries: added, hardState }])
        if (turn === 2) {
          for (let wait = 0; wait < round; wait++) await new Promise((resolve) => setImmediate(resolve))
          disk.cut()
        }
        await commit.then(() => (acknowledged = added.at(-1)!.index)).catch(() => undefined)
      }
      await log.close().catch(() => undefined)
      await disk.materialise((count) => (random = (random * 31 + 5) % 1009) % (count + 1))
    }
    expect(acknowledged).toBeGreaterThan(40)
  })
})

describe('a cluster whose nodes lose power', () => {
  let cluster: TestCluster | undefined
  const disks = new Map<string, PowerCutDisk>()
  afterEach(async () => {
    await cluster?.close()
    cluster = undefined
  })

  async function start(): Promise<TestCluster> {
    cluster = await startTestCluster({
      envOf: (nodeId, real) => {
        const disk = new PowerCutDisk(real.disk, nodeId)
        disks.set(nodeId, disk)
        return { ...real, disk }
      },
    })
    return cluster
  }

  /** All of them at the same moment; each comes back with what it had synced and nothing else. */
  async function cutPower(running: TestCluster, nodeIds: readonly string[]): Promise<void> {
    for (const nodeId of nodeIds) disks.get(nodeId)!.cut()
    await Promise.all(
      nodeIds.map(async (nodeId) => {
        await running.stopNode(nodeId, { handOver: false }).catch(() => undefined)
        await disks.get(nodeId)!.materialise(nothing)
      }),
    )
  }

  /** Resolves when nothing more is acknowledged; what was under way may still be told. */
  async function silence(traffic: Traffic): Promise<void> {
    for (let before = -1; before !== traffic.acknowledged.length;) {
      before = traffic.acknowledged.length
      await new Promise((resolve) => setTimeout(resolve, 600))
    }
  }

  it('goes on without a minority, stops without a majority, and keeps all that it acknowledged', async () => {
    const running = await start()
    const client = await running.connect()
    await client.topics.create('events', { partitions: 2 })
    const traffic = new Traffic(client, 'events').start()
    await traffic.more(100)
    for (const nodeIds of [['n1'], ['n2', 'n3'], ['n1', 'n2', 'n3']]) {
      await cutPower(running, nodeIds)
      if (nodeIds.length === 1) await traffic.more(100)
      else await silence(traffic)
      await Promise.all(nodeIds.map((nodeId) => running.startNode(nodeId)))
      await running.ready()
      for (const nodeId of nodeIds) await caughtUp(client, 'events', nodeId, 2)
      await traffic.more(100)
    }
    await traffic.stop()
    expect(traffic.failures).toEqual([])
    await expectAllKept(running, client, traffic, 'events')
  }, 180_000)
})
