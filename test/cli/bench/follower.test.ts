import { describe, expect, it } from 'vitest'
import type { BenchTopic, OwnCluster } from '../../../src/cli/bench/bench-cluster.ts'
import {
  behindOf,
  followOnce,
  isLevel,
  neededBytes,
  type FollowerSettings,
} from '../../../src/cli/bench/follower.ts'
import { ClusterLauncher, planCluster } from '../../../src/cli/cluster-launcher.ts'
import { runCli } from '../../../src/cli/program.ts'
import { FakeCluster, fakeContext, fakeProcesses } from '../fakes.ts'

const settings: FollowerSettings = {
  sizeBytes: 100,
  inFlight: 4,
  missedBytes: 2000,
  warmupMs: 1000,
  beforeMs: 1000,
  patienceMs: 60_000,
  runs: 1,
}

/** Three nodes whose appends are answered at once; `lacking` says what a follower lacks at each look at it. */
async function start(lacking: () => number) {
  const cluster = new FakeCluster()
  const { spawned, spawnServer } = fakeProcesses(cluster)
  const context = fakeContext({ client: cluster.client(), spawnServer })
  const plan = planCluster({ nodes: 3, firstPort: 7101, dataDirectory: '/data' })
  const launcher = new ClusterLauncher(context, plan)
  await launcher.startAll()
  const fake = cluster.client()
  const client = {
    ...fake,
    cluster: {
      ...fake.cluster,
      describe: async () => {
        const described = cluster.describe()
        const replicas = described.replicas.map((replica) =>
          replica.role === 'REPLICA_ROLE_LEADER'
            ? replica
            : { ...replica, highWatermark: replica.highWatermark - lacking() },
        )
        return { ...described, replicas }
      },
    },
  }
  await client.topics.create('t', { partitions: 1 })
  const own: OwnCluster = {
    client,
    bootstrap: plan.bootstrap,
    facts: { nodes: 3, startedByBenchmark: true },
    nodes: [],
    launcher,
    dataDirectory: '/data',
  }
  const topic: BenchTopic = { name: 't', leaderAddresses: [], leads: new Map() }
  return { context, cluster, own, topic, spawned }
}

describe('a follower that returns', () => {
  it('is one that leads nothing, and is away until it has missed what it should', async () => {
    const { context, cluster, own, topic, spawned } = await start(() => 0)
    const run = await followOnce(context, own, topic, settings)
    expect(run.follower).not.toBe(cluster.leader)
    expect(run.missedBytes).toBeGreaterThanOrEqual(settings.missedBytes)
    expect(run.away.acknowledged * settings.sizeBytes).toBe(run.missedBytes)
    // Three at the beginning, and the one again.
    expect(spawned.map(({ args }) => args[args.indexOf('--id') + 1])).toEqual([
      'n1',
      'n2',
      'n3',
      run.follower,
    ])
    expect(spawned.flatMap(({ signals }) => signals)).toEqual(['SIGKILL'])
    expect(run.isLevel).toBe(true)
    expect(own.launcher.runningNodeIds).toHaveLength(3)
  })

  it('is watched until it lacks no more than what is on its way', async () => {
    let lacks = 1_000_000
    const { context, own, topic } = await start(() => (lacks = Math.max(0, lacks - 100_000)))
    const run = await followOnce(context, own, topic, settings)
    expect(run.isLevel).toBe(true)
    expect(run.catchingUp.seconds).toBeGreaterThan(0.5)
    expect(run.ratio).toBeCloseTo(run.catchingUp.recordsPerSecond / run.before.recordsPerSecond)
  })

  it('is given up after a time, and the report says so', async () => {
    const { context, own, topic } = await start(() => 1_000_000)
    const run = await followOnce(context, own, topic, { ...settings, patienceMs: 3000 })
    expect(run).toMatchObject({ isLevel: false, behindRecords: 1_000_000 })
  })

  it('is left down, and nothing else left running, where the user has had enough meanwhile', async () => {
    const { context, own, topic, spawned } = await start(() => 0)
    const run = followOnce(context, own, topic, { ...settings, missedBytes: 1e12 })
    const failure = expect(run).rejects.toThrow('interrupted')
    while (!spawned.some(({ signals }) => signals.includes('SIGKILL')))
      await new Promise((resolve) => setImmediate(resolve))
    context.interrupt()
    await failure
    expect(spawned).toHaveLength(3)
    await own.launcher[Symbol.asyncDispose]()
    expect(spawned.every(({ signals }) => signals.length > 0)).toBe(true)
  })
})

describe('what a follower lacks', () => {
  const phase = { seconds: 10, acknowledged: 100_000, recordsPerSecond: 10_000 }
  it('is level up to half a second of appends', () => {
    expect(isLevel(5000, phase)).toBe(true)
    expect(isLevel(5001, phase)).toBe(false)
    expect(isLevel(Infinity, phase)).toBe(false)
  })

  it('is everything while its node says nothing', async () => {
    const { cluster } = await start(() => 0)
    cluster.down.add('n3')
    expect(behindOf(cluster.describe(), 't', 'n3')).toBe(Infinity)
    expect(behindOf(cluster.describe(), 't', 'n2')).toBe(0)
  })
})

describe('the room on the disk', () => {
  it('is enough for three replicas of what is missed and of what may come while it catches up', () => {
    expect(neededBytes({ ...settings, missedBytes: 5e9 })).toBeGreaterThan(3 * (5e9 + 15e9))
    expect(neededBytes({ ...settings, missedBytes: 5e9 })).toBeLessThan(75e9)
  })
})

describe('wrong use of bench follower', () => {
  it.each([
    ['bench follower --missed 5', 'an amount as 500MB, 5GB or 4GiB'],
    ['bench follower --missed 0GB', 'an amount as 500MB, 5GB or 4GiB'],
    ['bench follower --bootstrap 127.0.0.1:7101', "unknown option '--bootstrap'"],
  ])('%s', async (commandLine, complaint) => {
    const context = fakeContext({})
    expect(await runCli(context, commandLine.split(' '))).toBe(2)
    expect(context.stderr.text).toContain(complaint)
  })
})
