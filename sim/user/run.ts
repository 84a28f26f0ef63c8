import type { TopicMessage } from '../../src/client/index.ts'
import { SimClient } from '../cluster/client.ts'
import { stackOf } from '../cluster/node.ts'
import type { Observer } from '../cluster/observer.ts'
import { outside as realWorld } from '../cluster/poison.ts'
import { World } from '../cluster/world.ts'
import { Nemesis } from '../faults/nemesis.ts'
import type { FaultCounts } from '../faults/kinds.ts'
import type { Violation } from '../checkers/violation.ts'
import { heal } from '../healing.ts'
import type { Plan } from '../plan.ts'
import { WorkloadProcess } from './process.ts'
import type { Workload } from './workload.ts'

/** A new cluster has to form and take the topics within this. */
const SETUP_MS = 30_000
/** Once the faults are over, all work has to be done within this. */
const LIVENESS_MS = 60_000
/** For the look at the end. */
const AT_END_MS = 60_000

export interface WorkloadResult {
  readonly plan: Plan
  readonly violation: Violation | undefined
  readonly digest: string
  readonly virtualMs: number
  readonly realMs: number
  readonly events: number
  /** Acts that took place outside. */
  readonly acts: number
  readonly kills: number
  readonly faults: FaultCounts
}

/** Runs a workload once, as its plan says. */
export async function runWorkload<Outside>(
  workload: Workload<Outside>,
  plan: Plan,
  observe?: (world: World) => Observer,
): Promise<WorkloadResult> {
  const startMs = realWorld.nowMs()
  const world = new World(plan, undefined, observe)
  const run = new WorkloadRun(world, workload)
  await run.phases()
  const { violations, trace, timeline, faultCounts } = world
  return {
    plan,
    violation: violations[0],
    digest: trace.digest,
    virtualMs: timeline.nowMs,
    realMs: realWorld.nowMs() - startMs,
    events: timeline.events,
    acts: run.acts,
    kills: run.kills,
    faults: faultCounts,
  }
}

class WorkloadRun<Outside> {
  readonly #world: World
  readonly #workload: Workload<Outside>
  readonly #outside: Outside
  readonly #processes: readonly WorkloadProcess<Outside>[]
  acts = 0
  kills = 0

  constructor(world: World, workload: Workload<Outside>) {
    this.#world = world
    this.#workload = workload
    this.#outside = workload.outside()
    const events = {
      outside: this.#outside,
      onActed: () => this.#acted(),
      onKilled: () => {
        this.kills++
        world.struck('client-crash')
      },
    }
    this.#processes = Object.entries(workload.processes).map(
      ([name, process]) => new WorkloadProcess(world, name, process, events),
    )
  }

  async phases(): Promise<void> {
    const world = this.#world
    const topics = await this.#setUp()
    if (topics === undefined) return
    const groups = topics.flatMap(({ partitions }) => partitions)
    for (const topic of topics) world.observer?.created(topic)
    const nemesis = new Nemesis(
      world,
      [0, ...groups.map(({ groupId }) => groupId)],
      this.#processes.map(({ name }) => name),
    )
    for (const process of this.#processes) process.start()
    this.#scheduleKills()
    nemesis.start()
    await world.run(world.plan.durationMs, () => false)
    if (world.violations.length > 0) return
    nemesis.stop()
    heal(world, groups)
    for (const process of this.#processes) {
      process.spare()
      process.start()
    }
    await this.#finish()
  }

  /** Starts the nodes and creates the topics. */
  async #setUp(): Promise<TopicMessage[] | undefined> {
    const world = this.#world
    for (const node of world.nodes) node.start()
    const topics: TopicMessage[] = []
    let isDone = false
    const { client, life } = new SimClient(world, 'setup', 'setup')
    const create = async (): Promise<void> => {
      for (const { name, partitions = 1 } of this.#workload.topics) {
        const replicationFactor = Math.min(3, world.plan.nodes)
        topics.push(await client.topics.create(name, { partitions, replicationFactor, timeoutMs: SETUP_MS }))
      }
      await client.close()
      isDone = true
    }
    life.after(1, () => void create())
    const formed = await world.run(SETUP_MS, () => isDone)
    if (formed) return topics
    if (world.violations.length === 0)
      world.report('progress', 'the cluster did not form and create the topics')
    return undefined
  }

  #scheduleKills(): void {
    const spared = new Set(this.#workload.spared)
    const mortal = this.#processes.filter(({ name }) => !spared.has(name))
    if (mortal.length === 0) return
    for (const { atMs, actor, key, amount } of this.#world.plan.work) {
      const process = mortal[actor % mortal.length]!
      // To the microsecond, so that every gap between two awaits is met.
      const atUs = atMs * 1000 + (amount % 1000)
      this.#world.timeline.after(atUs, () => {
        if (atMs <= this.#world.plan.durationMs) process.kill(1 + (amount % 700), key === 0)
      })
    }
  }

  #acted(): void {
    this.acts++
    this.#demand(() => this.#workload.always?.(this.#outside))
  }

  /** Runs a check of the user's: what it throws is a violation. */
  #demand(check: () => void): void {
    try {
      check()
    } catch (error) {
      this.#broken(error)
    }
  }

  #broken(error: unknown): void {
    this.#world.report('invariant', stackOf(error))
  }

  async #finish(): Promise<void> {
    const world = this.#world
    const done = await world.run(LIVENESS_MS, () => this.#workload.isDone(this.#outside))
    if (world.violations.length > 0) return
    if (!done) {
      world.report('progress', `${LIVENESS_MS} ms after all was healed the workload is not done`)
      return
    }
    const { atEnd } = this.#workload
    if (atEnd === undefined) return
    let looked = false
    const { client, life } = new SimClient(world, 'atEnd', 'atEnd')
    const look = async (): Promise<void> => {
      try {
        await atEnd(this.#outside, client)
      } catch (error) {
        this.#broken(error)
      }
      looked = true
    }
    life.after(1, () => void look())
    const ended = await world.run(AT_END_MS, () => looked)
    if (!ended && world.violations.length === 0)
      world.report('progress', `atEnd was not through after ${AT_END_MS} ms`)
  }
}
