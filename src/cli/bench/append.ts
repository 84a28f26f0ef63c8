import type { Network } from '../../env/index.ts'
import type { CliContext } from '../context.ts'
import { formatCount, formatDuration } from '../format.ts'
import {
  replicationFactor,
  withBenchCluster,
  withTopic,
  type BenchCluster,
  type BenchTopic,
  type ClusterChoice,
} from './bench-cluster.ts'
import type { Cost } from './cost.ts'
import { describeEnvironment, type Environment } from './environment.ts'
import { Load, type LoadResult } from './load.ts'
import { during, pass, say } from './narrate.ts'
import { Payloads } from './payloads.ts'
import { ResourceWatch, type NodeCost } from './resources.ts'
import { medianIndex, spreadOf, type Spread } from './runs.ts'
import { answerPatienceMs, BatchedTarget, plainValues, SingleTarget, type AppendTarget } from './targets.ts'

/** A closed loop warms up with so many in flight: V8 compiles what runs often, and a few hundred records aren't. */
const warmUpInFlight = 64
/** Between the warm-up and what is measured, so that what was in flight is answered. */
const settlingMs = 500
/** An open loop is in step where no more than what is due in such a time has no answer yet. */
const inStepMs = 100

export interface AppendSettings {
  /** The client's producer with its batching, or one request a record. */
  readonly mode: 'batched' | 'single'
  /** Of each record's value; there is no key. */
  readonly sizeBytes: number
  readonly partitions: number
  readonly inFlight: number
  /** Records a second of an open loop; left out in a closed one. */
  readonly ratePerSecond?: number
  readonly durationMs: number
  readonly warmupMs: number
  readonly runs: number
}

export interface AppendRun extends LoadResult {
  readonly recordsPerSecond: number
  /** 10⁶ bytes of values. */
  readonly megabytesPerSecond: number
  readonly client: Cost
  readonly nodes: readonly (NodeCost & { readonly leads: number })[]
}

export interface AppendReport {
  readonly benchmark: 'append'
  readonly settings: AppendSettings
  readonly environment: Environment
  readonly runs: readonly AppendRun[]
  /** Index of the run in the middle: by throughput, or in an open loop by p99. */
  readonly median: number
  readonly spread: { readonly recordsPerSecond: Spread; readonly p99Ms?: Spread }
}

/** What the commands share: the world, and what they need of it beyond. */
export interface BenchContext {
  readonly context: CliContext
  readonly version: string
  readonly network: () => Promise<Network>
}

export async function benchAppend(
  bench: BenchContext,
  choice: ClusterChoice,
  settings: AppendSettings,
): Promise<AppendReport> {
  const { context, version } = bench
  return withBenchCluster(context, choice, async (cluster) => {
    const environment = describeEnvironment(version, cluster.facts, replicationFactor)
    const runs: AppendRun[] = []
    for (let number = 1; number <= settings.runs; number++) {
      say(context, `run ${number} of ${settings.runs}: ${describeTime(settings)}`)
      const run = await withTopic(context, cluster.client, settings.partitions, (topic) =>
        appendOnce(bench, cluster, settings, topic),
      )
      say(
        context,
        `run ${number} of ${settings.runs}: ${formatCount(run.recordsPerSecond)} records/s, ${formatCount(run.errors)} errors`,
      )
      runs.push(run)
    }
    return reportOf(settings, environment, runs)
  })
}

function reportOf(
  settings: AppendSettings,
  environment: Environment,
  runs: readonly AppendRun[],
): AppendReport {
  const rates = runs.map(({ recordsPerSecond }) => recordsPerSecond)
  const tails = runs.flatMap(({ latency }) => latency?.p99Ms ?? [])
  const decisive =
    settings.ratePerSecond === undefined ? rates : runs.map(({ latency }) => latency?.p99Ms ?? Infinity)
  return {
    benchmark: 'append',
    settings,
    environment,
    runs,
    median: medianIndex(decisive),
    spread: {
      recordsPerSecond: spreadOf(rates),
      ...(tails.length > 0 && { p99Ms: spreadOf(tails) }),
    },
  }
}

export async function appendOnce(
  bench: BenchContext,
  cluster: BenchCluster,
  settings: AppendSettings,
  topic: BenchTopic,
): Promise<AppendRun> {
  const { context } = bench
  const target = await targetOf(bench, cluster, settings, topic)
  try {
    const { inFlight, ratePerSecond, warmupMs, durationMs, sizeBytes } = settings
    const warmupInFlight = ratePerSecond === undefined ? Math.max(inFlight, warmUpInFlight) : inFlight
    const load = new Load(context, { inFlight, warmupInFlight, ratePerSecond }, target)
    const watch = new ResourceWatch(context, cluster.nodes)
    load.start()
    try {
      await pass(context, warmupMs)
      load.endWarmup()
      await pass(context, Math.min(settlingMs, warmupMs))
      if (ratePerSecond !== undefined) await comeIntoStep(context, load, ratePerSecond, warmupMs)
      await watch.open()
      load.openWindow()
      const text = (): string => `${formatCount(load.acknowledgedInWindow)} records acknowledged`
      await during(context, text, pass(context, durationMs))
      load.closeWindow()
    } finally {
      await watch.close()
      await load.stop(answerPatienceMs)
    }
    const result = load.result()
    const work = { records: result.acknowledged, valueBytes: result.acknowledged * sizeBytes }
    const { client, nodes } = watch.costs(work)
    return {
      ...result,
      recordsPerSecond: work.records / result.seconds,
      megabytesPerSecond: work.valueBytes / result.seconds / 1e6,
      client,
      nodes: nodes.map((node) => ({ ...node, leads: topic.leads.get(node.nodeId) ?? 0 })),
    }
  } finally {
    await target.close()
  }
}

/** Lets an open loop catch up what a cluster that was cold left undone, for up to `patienceMs`: the rest is measured. */
export async function comeIntoStep(
  context: CliContext,
  load: Pick<Load, 'overdue'>,
  ratePerSecond: number,
  patienceMs: number,
): Promise<void> {
  const deadlineMs = context.nowMs() + patienceMs
  const mostOverdue = (ratePerSecond * inStepMs) / 1000
  while (load.overdue > mostOverdue && context.nowMs() < deadlineMs) await pass(context, inStepMs / 2)
}

async function targetOf(
  { network }: BenchContext,
  { client }: BenchCluster,
  { mode, sizeBytes, partitions }: AppendSettings,
  topic: BenchTopic,
): Promise<AppendTarget> {
  const values = plainValues(new Payloads(sizeBytes))
  switch (mode) {
    case 'batched':
      return new BatchedTarget(client, topic.name, partitions, values)
    case 'single':
      return new SingleTarget(await network(), topic.name, topic.leaderAddresses, values)
  }
}

function describeTime({ warmupMs, durationMs }: AppendSettings): string {
  return `${formatDuration(warmupMs)} of warm-up, then ${formatDuration(durationMs)}`
}
