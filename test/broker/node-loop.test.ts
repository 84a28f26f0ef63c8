import { describe, expect, it, vi } from 'vitest'
import {
  CROWDED_GROUPS,
  CROWDED_INTERVAL_MS,
  MOST_LEADERLESS,
  NodeLoop,
  PATIENCE_TICKS,
} from '../../src/broker/node-loop.ts'
import type { PartitionMachine } from '../../src/broker/partition/machine.ts'
import { Replica, type ReplicaHost, type ReplicaLimits } from '../../src/broker/replica.ts'
import { asGroupId } from '../../src/log/types.ts'
import { Raft, defaultRaftConfig, emptyBootstrap } from '../../src/raft/index.ts'
import { asNodeId } from '../../src/raft/types.ts'
import { ManualClock, settle } from '../support/manual-clock.ts'
import { partitionMachine, submit } from './support/appends.ts'
import { FakeStorage } from './support/fake-storage.ts'
import { quietLogger } from './support/quiet-logger.ts'
import { LIMITS, configurationOf } from './support/replica-bench.ts'

interface Hosted {
  readonly replica: Replica
  readonly machine: PartitionMachine
}

class Bench {
  readonly clock = new ManualClock()
  readonly storage = new FakeStorage()
  readonly failures: Error[] = []
  flushes = 0
  onFlush = (): void => undefined
  readonly loop = new NodeLoop({
    clock: this.clock,
    storage: this.storage,
    logger: quietLogger,
    windows: { perReplicaBytes: 4 * 1024 * 1024, perNodeBytes: 64 * 1024 * 1024 },
    flush: () => {
      this.flushes += 1
      this.onFlush()
    },
    onFailure: (error) => this.failures.push(error),
  })

  host(groupId: number, limits: Partial<ReplicaLimits> = {}, voters: readonly string[] = ['n1']): Hosted {
    const machine = partitionMachine(this.clock)
    const bootstrap = emptyBootstrap(configurationOf(...voters))
    const core = new Raft(defaultRaftConfig(asNodeId('n1')), bootstrap, () => 0)
    const host: ReplicaHost = {
      wake: (each) => this.loop.wake(each),
      send: () => undefined,
      leadershipChanged: () => undefined,
      configurationChanged: () => undefined,
      isReachable: () => true,
      sendQuiet: () => undefined,
      readEntries: () => Promise.resolve([]),
      readLowEnd: () => Promise.reject(new Error('none')),
      fail: (error) => this.failures.push(error),
    }
    const { applied, lowEnd } = bootstrap
    const replica = new Replica(
      asGroupId(groupId),
      core,
      machine,
      host,
      { ...LIMITS, ...limits },
      applied,
      lowEnd,
      quietLogger,
    )
    this.loop.add(replica)
    return { replica, machine }
  }
  append({ replica, machine }: Hosted, value = 'v') {
    const waiter = submit(machine, [value])
    replica.commandsQueued()
    return waiter
  }
  /** Ends the commit that is under way. */
  async finish(): Promise<void> {
    this.storage.underWay[0]?.finish()
    await settle()
    this.clock.runDeferred()
  }
  async rest(): Promise<void> {
    this.clock.runDeferred()
    while (this.storage.underWay.length > 0) await this.finish()
  }
  async leading(groupId: number, limits: Partial<ReplicaLimits> = {}): Promise<Hosted> {
    const hosted = this.host(groupId, limits)
    hosted.replica.step({ type: 'campaign' })
    await this.rest()
    expect(hosted.replica.isDeciding).toBe(true)
    return hosted
  }
}

describe('the node’s loop', () => {
  it('shares the memory for the newest entries among the replicas that are awake', async () => {
    const bench = new Bench()
    const all: Hosted[] = []
    for (let groupId = 1; groupId <= 17; groupId++) all.push(await bench.leading(groupId))
    const told = all.map(({ replica }) => vi.spyOn(replica, 'limitWindow'))
    bench.loop.tick()
    for (const each of told) expect(each).toHaveBeenCalledExactlyOnceWith(2 * 1024 * 1024)
    for (const { replica } of all.slice(1)) bench.loop.remove(replica)
    bench.loop.tick()
    expect(told[0]).toHaveBeenLastCalledWith(4 * 1024 * 1024)
  })

  it('tells the quiet ones, too, when they become more', async () => {
    const bench = new Bench()
    const first = await bench.leading(1)
    for (let tick = 0; tick < 100; tick++) bench.loop.tick()
    await bench.rest()
    expect(first.replica.isQuiet).toBe(true)
    const told = vi.spyOn(first.replica, 'limitWindow')
    for (let groupId = 2; groupId <= 17; groupId++) await bench.leading(groupId)
    bench.loop.tick()
    expect(first.replica.isQuiet).toBe(true)
    expect(told).toHaveBeenLastCalledWith(2 * 1024 * 1024)
  })
})

describe('the node’s loop when something fails', () => {
  it('stops every replica and answers everybody when the disk fails, and commits nothing more', async () => {
    const bench = new Bench()
    const [a, b] = [await bench.leading(1), await bench.leading(2)]
    const proposed = bench.append(a)
    bench.clock.runDeferred()
    const queued = bench.append(b)
    const commits = bench.storage.commits.length
    bench.storage.underWay[0]!.fail(new Error('ENOSPC'))
    await settle()
    expect(proposed.failure).toBe('STORAGE_FAILED/unknown')
    expect(queued.failure).toBe('NOT_LEADER/none')
    expect(bench.failures.map(({ message }) => message)).toEqual([expect.stringContaining('ENOSPC')])
    bench.append(a)
    await bench.rest()
    expect(bench.storage.commits).toHaveLength(commits)
    expect([a, b].map(({ replica }) => replica.isLeader)).toEqual([false, false])
    await bench.loop.close()
  })

  it('stops every replica and answers everybody when an invariant breaks in a turn', async () => {
    const bench = new Bench()
    const [a, b] = [await bench.leading(1), await bench.leading(2)]
    const proposed = bench.append(a)
    bench.clock.runDeferred()
    bench.onFlush = () => {
      throw new Error('peer-codec broke')
    }
    bench.append(b)
    bench.clock.runDeferred()
    expect(proposed.failure).toBe('INTERNAL/unknown')
    expect(bench.failures.map(({ message }) => message)).toEqual(['peer-codec broke'])
    bench.loop.tick()
    bench.clock.runDeferred()
    expect([a, b].map(({ replica }) => replica.isLeader)).toEqual([false, false])
    expect(bench.failures).toHaveLength(1)
  })

  it('takes no turn after it was closed, and closing waits for the commit under way', async () => {
    const bench = new Bench()
    const hosted = await bench.leading(1)
    bench.append(hosted)
    bench.clock.runDeferred()
    let isClosed = false
    const closing = bench.loop.close().then(() => (isClosed = true))
    await settle()
    expect(isClosed).toBe(false)
    const commits = bench.storage.commits.length
    await bench.finish()
    await closing
    bench.append(hosted)
    bench.clock.runDeferred()
    expect(bench.storage.commits).toHaveLength(commits)
  })
})

describe('the node’s loop', () => {
  it('commits one turn at a time, and what comes up meanwhile shares the next', async () => {
    const bench = new Bench()
    const all = [await bench.leading(1), await bench.leading(2), await bench.leading(3)]
    const before = bench.storage.commits.length
    const first = bench.append(all[0]!)
    bench.clock.runDeferred()
    const later = all.slice(1).map((hosted) => bench.append(hosted))
    bench.clock.runDeferred()
    expect(bench.storage.commits).toHaveLength(before + 1)
    await bench.finish()
    expect(first.result.baseOffset).toBe(0)
    expect(later.every(({ isWaiting }) => isWaiting)).toBe(true)
    expect(bench.storage.commits[before + 1]?.turn.map(({ groupId }) => groupId)).toEqual([2, 3])
    await bench.rest()
    expect(later.map(({ result }) => result.baseOffset)).toEqual([0, 0])
    expect(bench.storage.mostAtOnce).toBe(1)
  })

  it('sends what a turn left for the peers before its disk is done', async () => {
    const bench = new Bench()
    const hosted = await bench.leading(1)
    const before = bench.flushes
    bench.append(hosted)
    bench.clock.runDeferred()
    expect(bench.flushes).toBeGreaterThan(before)
    expect(bench.storage.underWay).toHaveLength(1)
    await bench.rest()
  })

  it('lets a due state ride along in a turn that is written anyway, and cuts the log when that is durable', async () => {
    const bench = new Bench()
    const hosted = await bench.leading(1, { saveStateEntries: 3, compactEntries: 3 })
    for (const value of ['a', 'b', 'c', 'd']) {
      bench.append(hosted, value)
      await bench.rest()
    }
    const turns = bench.storage.commits.map(({ turn }) => turn)
    const saving = turns.filter((turn) => turn.some(({ applied }) => applied !== undefined))
    expect(saving).toHaveLength(1)
    const [entries, state] = saving[0]!
    expect(entries?.entries).toHaveLength(1)
    expect(state?.applied?.index).toBe(3)
    // It stands only on what was durable before this turn.
    expect(state!.applied!.index).toBeLessThan(entries!.entries![0]!.index)
    expect(hosted.replica.lowIndex).toBe(state?.lowEnd?.index)
  })

  it('writes what no core asked for, in its place among the others', async () => {
    const bench = new Bench()
    const hosted = await bench.leading(1)
    let durable = 0
    bench.append(hosted)
    bench.clock.runDeferred()
    bench.loop.write({ groupId: asGroupId(9), destroy: true }, () => (durable += 1))
    bench.clock.runDeferred()
    expect(durable).toBe(0)
    await bench.rest()
    expect(durable).toBe(1)
    expect(bench.storage.commits.at(-1)?.turn).toEqual([{ groupId: 9, destroy: true }])
  })

  it('asks nothing more of a replica that was removed', async () => {
    const bench = new Bench()
    const hosted = await bench.leading(1)
    const commits = bench.storage.commits.length
    bench.append(hosted)
    bench.loop.remove(hosted.replica)
    bench.clock.runDeferred()
    expect(bench.storage.commits).toHaveLength(commits)
    expect(bench.loop.replicas.size).toBe(0)
  })

  it('costs nothing while nothing happens', async () => {
    const bench = new Bench()
    await bench.leading(1)
    const { flushes } = bench
    const commits = bench.storage.commits.length
    for (let tick = 0; tick < 100; tick++) {
      bench.loop.tick()
      bench.clock.runDeferred()
    }
    expect([bench.flushes, bench.storage.commits.length]).toEqual([flushes, commits])
  })
})

describe('commits for many groups', () => {
  /** So many groups with an append each, in a commit that has just ended. */
  async function crowded(groups: number) {
    const bench = new Bench()
    const all: Hosted[] = []
    for (let groupId = 1; groupId <= groups; groupId++) all.push(await bench.leading(groupId))
    bench.clock.advance(CROWDED_INTERVAL_MS)
    const waiters = all.map((hosted) => bench.append(hosted))
    bench.clock.runDeferred()
    await bench.finish()
    expect(waiters.map(({ result }) => result.baseOffset)).toEqual(all.map(() => 0))
    return { bench, all, commits: bench.storage.commits.length }
  }

  it('begin a while after each other, and what comes up until then shares the next', async () => {
    const { bench, all, commits } = await crowded(CROWDED_GROUPS)
    const first = bench.append(all[0]!)
    bench.clock.runDeferred()
    bench.clock.advance(CROWDED_INTERVAL_MS - 1)
    const second = bench.append(all[1]!)
    bench.clock.runDeferred()
    expect(bench.storage.commits).toHaveLength(commits)
    bench.clock.advance(1)
    expect(bench.storage.commits.at(-1)?.turn.map(({ groupId }) => groupId)).toEqual([1, 2])
    await bench.rest()
    expect([first, second].map(({ result }) => result.baseOffset)).toEqual([1, 1])
    // That one was for two groups: the next need not wait.
    const third = bench.append(all[2]!)
    await bench.rest()
    expect(third.result.baseOffset).toBe(1)
  })

  it('follow each other at once where they are for fewer', async () => {
    const { bench, all } = await crowded(CROWDED_GROUPS - 1)
    const next = bench.append(all[0]!)
    await bench.rest()
    expect(next.result.baseOffset).toBe(1)
    expect(bench.clock.timerCount).toBe(0)
  })

  it('do not begin any more in a loop that was closed meanwhile', async () => {
    const { bench, all, commits } = await crowded(CROWDED_GROUPS)
    bench.append(all[0]!)
    bench.clock.runDeferred()
    expect(bench.clock.timerCount).toBe(1)
    await bench.loop.close()
    expect(bench.clock.timerCount).toBe(0)
    bench.clock.advance(CROWDED_INTERVAL_MS)
    expect(bench.storage.commits).toHaveLength(commits)
  })
})

describe('replicas that are hosted all at once', () => {
  const twice = Array.from({ length: 2 * MOST_LEADERLESS }, (_, at) => at + 1)

  it('look for a leader a bounded number at a time, and the next as soon as those have one', async () => {
    const bench = new Bench()
    const hosted = twice.map((groupId) => bench.host(groupId))
    expect(bench.loop.awakeCount).toBe(0)
    bench.loop.tick()
    expect(bench.loop.awakeCount).toBe(MOST_LEADERLESS)
    for (const { replica } of hosted.slice(0, MOST_LEADERLESS)) replica.step({ type: 'campaign' })
    await bench.rest()
    bench.loop.tick()
    expect(bench.loop.awakeCount).toBe(2 * MOST_LEADERLESS)
    expect(bench.failures).toEqual([])
  })

  it('do not wait for ever for others that find none', () => {
    const bench = new Bench()
    // Of two members that aren't there nobody gets a majority.
    for (const groupId of twice) bench.host(groupId, {}, ['n1', 'n2', 'n3'])
    for (let tick = 0; tick <= PATIENCE_TICKS; tick += 1) bench.loop.tick()
    expect(bench.loop.awakeCount).toBe(MOST_LEADERLESS)
    bench.loop.tick()
    expect(bench.loop.awakeCount).toBe(2 * MOST_LEADERLESS)
  })

  it('are ticked at once where there is something to do in them', () => {
    const bench = new Bench()
    const hosted = twice.map((groupId) => bench.host(groupId))
    bench.append(hosted.at(-1)!)
    expect(bench.loop.awakeCount).toBe(1)
  })
})
