import type { TopicMessage } from '../src/client/index.ts'
import type { Violation } from './checkers/violation.ts'
import { SimClient } from './cluster/client.ts'
import type { Observer } from './cluster/observer.ts'
import { outside } from './cluster/poison.ts'
import { World, type Dress } from './cluster/world.ts'
import type { FaultCounts } from './faults/kinds.ts'
import { Nemesis } from './faults/nemesis.ts'
import { heal } from './healing.ts'
import { drawPlan, type Plan, type PlanOptions } from './plan.ts'
import { Scene, TOPIC } from './workload/scene.ts'
import { Verification } from './workload/verification.ts'
import { Workload } from './workload/workload.ts'

/** A new cluster has to form within this. */
const SETUP_MS = 30_000
/** Once healed, all has to go on and every replica to be read within this. */
const LIVENESS_MS = 60_000

export interface RunOptions {
  /** Tests put broken parts between the world and the brokers here. */
  readonly dress?: Dress
  /** Watches the run; it goes the same way without. */
  readonly observe?: (world: World) => Observer
}

export interface RunResult {
  readonly plan: Plan
  readonly violation: Violation | undefined
  /** Of everything that happened. */
  readonly digest: string
  readonly checkpoints: readonly number[]
  readonly virtualMs: number
  readonly realMs: number
  readonly events: number
  readonly acknowledged: number
  readonly recordsRead: number
  readonly elections: number
  readonly faults: FaultCounts
  readonly counts: ReadonlyMap<string, number>
  /** The newest things that happened, for whoever has to understand a failure. */
  readonly notes: readonly string[]
}

export function runSeed(seed: number, options: PlanOptions & RunOptions = {}): Promise<RunResult> {
  return runPlan(drawPlan(seed, options), options)
}

/** Runs one plan: a cluster forms, faults strike while clients work, all but a minority is healed, everything is read. */
export async function runPlan(plan: Plan, options: RunOptions = {}): Promise<RunResult> {
  const startMs = outside.nowMs()
  const world = new World(plan, options.dress, options.observe)
  await runPhases(world)
  return {
    plan,
    violation: world.violations[0],
    digest: world.trace.digest,
    checkpoints: world.trace.checkpoints,
    virtualMs: world.timeline.nowMs,
    realMs: outside.nowMs() - startMs,
    events: world.timeline.events,
    acknowledged: world.ledger.acknowledged,
    recordsRead: world.ledger.recordsRead,
    elections: world.replicas.elections,
    faults: world.faultCounts,
    counts: countsOf(world),
    notes: world.notes,
  }
}

function countsOf({ counts, groups, plan }: World): ReadonlyMap<string, number> {
  if (plan.members === 0) return counts
  const { handled, handledAgain, commits } = groups
  return new Map([
    ...counts,
    ['group handled', handled],
    ['group handled again', handledAgain],
    ['group commits', commits],
  ])
}

async function runPhases(world: World): Promise<void> {
  const topic = await setUp(world)
  if (topic === undefined) return
  world.observer?.created(topic)
  const scene = new Scene(world, topic)
  const workload = new Workload(scene)
  const groups = [0, ...topic.partitions.map(({ groupId }) => groupId)]
  const nemesis = new Nemesis(world, groups, workload.hosts)
  workload.start()
  nemesis.start()
  await world.run(world.plan.durationMs, () => false)
  if (world.violations.length > 0) return
  nemesis.stop()
  await converge(world, scene, workload)
}

/** Starts the nodes and creates the topic. */
async function setUp(world: World): Promise<TopicMessage | undefined> {
  const { plan } = world
  for (const node of world.nodes) node.start()
  let topic: TopicMessage | undefined
  const { client, life } = new SimClient(world, 'setup', 'setup')
  const create = async (): Promise<void> => {
    topic = await client.topics.create(TOPIC, {
      partitions: plan.partitions,
      replicationFactor: Math.min(3, plan.nodes),
      timeoutMs: SETUP_MS,
    })
    await client.close()
  }
  life.after(1, () => void create())
  const formed = await world.run(SETUP_MS, () => topic !== undefined)
  if (!formed && world.violations.length === 0)
    world.report('progress', 'the cluster did not form and create a topic')
  return topic
}

/** Heals a random majority, leaves the others dead, and demands that everything goes on. */
async function converge(world: World, scene: Scene, workload: Workload): Promise<void> {
  heal(world, scene.topic.partitions)
  const living = world.nodes.filter(({ isRetired, isOutside }) => !isRetired && !isOutside)
  workload.group.ensureOne()
  const verification = new Verification(scene, living, workload)
  verification.start()
  while (!verification.isDone) {
    const { stage } = verification
    const goesOn = await world.run(LIVENESS_MS, () => verification.isDone || verification.stage > stage)
    if (world.violations.length > 0) return
    if (goesOn) continue
    world.report(
      'progress',
      `${LIVENESS_MS} ms after all was healed the auditor waits for ${verification.waitingFor}`,
    )
    return
  }
  world.ledger.finish()
}
