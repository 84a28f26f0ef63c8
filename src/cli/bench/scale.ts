/** Whether cost stays linear: the same work among ten times as many partitions, records, readers or stored bytes. */
import type { Client } from '../../client/types.ts'
import type { CliContext } from '../context.ts'
import { formatBytes, formatCount, plural } from '../format.ts'
import { benchAppend, type BenchContext } from './append.ts'
import { withBenchCluster, withTopic } from './bench-cluster.ts'
import type { Cost } from './cost.ts'
import type { Environment } from './environment.ts'
import { pass, say } from './narrate.ts'
import { benchRead, preload } from './read.ts'
import { ResourceWatch, type Costs } from './resources.ts'
import { medianIndex } from './runs.ts'

const kibibyte = 1024
/** Each series looks at so many times its smallest amount. */
const steps = [1, 3, 10] as const
const fewestPartitions = 10
/** In flight a partition, so that batches stay as large as they were. */
const inFlightPerPartition = 64
/** Before the smallest amount, or it would bear what V8's compiling costs, and everything larger would seem cheap beside it. */
const warmupMs = 6000
/** What the many records before still cost in the background isn't charged to the few that are measured. */
const settlingMs = 1000
/** That are appended at once during the warm-up. */
const warmupBytes = 8e6
const smallBytes = 100
const largeBytes = 16 * kibibyte

export interface ScalePoint {
  /** Times the smallest amount. */
  readonly times: number
  /** Of what the series grows. */
  readonly amount: number
  /** Client and nodes together: seconds of CPU for a million records. */
  readonly cpuSecondsPerMillionRecords: number
  /** That, over what it is at the smallest amount. */
  readonly ratio: number
}

export interface ScaleSeries {
  readonly name: 'partitions' | 'records' | 'readers' | 'stored bytes'
  /** What is done, for whoever reads the figures. */
  readonly work: string
  readonly points: readonly ScalePoint[]
}

export interface ScaleReport {
  readonly benchmark: 'scale'
  readonly settings: ScaleSettings
  readonly environment: Environment
  readonly series: readonly ScaleSeries[]
}

export interface ScaleSettings {
  /** Of each point; the one in the middle counts. */
  readonly runs: number
  /** The smallest amounts; ten times as much is the largest. */
  readonly records: number
  readonly storedBytes: number
}

export async function benchScale(
  bench: BenchContext,
  data: string | undefined,
  settings: ScaleSettings,
): Promise<ScaleReport> {
  const choice = data === undefined ? {} : { data }
  const partitions = await ofPartitions(bench, choice, settings)
  const readers = await ofReaders(bench, choice, settings)
  const grown = (name: 'records' | 'stored bytes', sizeBytes: number, least: number): Promise<ScaleSeries> =>
    ofGrowingTopic(bench, choice, { name, sizeBytes, least, runs: settings.runs })
  const records = await grown('records', smallBytes, settings.records)
  const stored = await grown('stored bytes', largeBytes, Math.ceil(settings.storedBytes / largeBytes))
  const { environment } = partitions
  return {
    benchmark: 'scale',
    settings,
    environment,
    series: [partitions.series, records, readers, stored],
  }
}

/** CPU of client and nodes for a million records; NaN where a process can't be looked at. */
export function wholeCost({
  client,
  nodes,
}: {
  readonly client: Cost
  readonly nodes: readonly Cost[]
}): number {
  let seconds = 0
  for (const cost of [client, ...nodes]) seconds += cost.cpuSecondsPerMillionRecords ?? NaN
  return seconds
}

/** Puts the middle run of each amount beside that of the smallest amount. Pure. */
export function pointsOf(
  costs: readonly { readonly amount: number; readonly runs: readonly number[] }[],
): ScalePoint[] {
  const medians = costs.map(({ runs }) => runs[medianIndex(runs)]!)
  return costs.map(({ amount }, at) => ({
    times: amount / costs[0]!.amount,
    amount,
    cpuSecondsPerMillionRecords: medians[at]!,
    ratio: medians[at]! / medians[0]!,
  }))
}

type Choice = { readonly data?: string }

async function ofPartitions(
  bench: BenchContext,
  choice: Choice,
  { runs }: ScaleSettings,
): Promise<{ readonly series: ScaleSeries; readonly environment: Environment }> {
  const costs: { amount: number; runs: number[] }[] = []
  let environment: Environment | undefined
  for (const times of steps) {
    const partitions = fewestPartitions * times
    say(bench.context, `appending to ${plural(partitions, 'partition')}`)
    const report = await benchAppend(bench, choice, {
      mode: 'batched',
      sizeBytes: kibibyte,
      partitions,
      inFlight: inFlightPerPartition * partitions,
      durationMs: 6000,
      warmupMs,
      runs,
    })
    environment ??= report.environment
    costs.push({ amount: partitions, runs: report.runs.map(wholeCost) })
  }
  const work = `appends of 1 KiB, batched, ${inFlightPerPartition} in flight a partition`
  return { series: { name: 'partitions', work, points: pointsOf(costs) }, environment: environment! }
}

async function ofReaders(bench: BenchContext, choice: Choice, { runs }: ScaleSettings): Promise<ScaleSeries> {
  const report = await benchRead(bench, choice, {
    sizeBytes: kibibyte,
    partitions: 3,
    preloadBytes: 64e6,
    // The most of them come first of all, as a warm-up.
    readers: [steps[2], ...steps],
    runs,
  })
  const costs = report.cases
    .slice(1)
    .map((each) => ({ amount: each.readers, runs: each.runs.map(wholeCost) }))
  return {
    name: 'readers',
    work: 'old records of 1 KiB, each reader reads all 64 MB of them',
    points: pointsOf(costs),
  }
}

/** Appends to one topic until it has ten times `least` records, and looks at the cost of appending at 1, 3 and 10 times. */
async function ofGrowingTopic(
  { context }: BenchContext,
  choice: Choice,
  plan: {
    readonly name: 'records' | 'stored bytes'
    readonly sizeBytes: number
    readonly least: number
    readonly runs: number
  },
): Promise<ScaleSeries> {
  const { name, sizeBytes, least, runs } = plan
  const measured = Math.ceil(least / 4)
  return withBenchCluster(context, choice, async (cluster) => {
    await warmUp(context, cluster.client, sizeBytes)
    return withTopic(context, cluster.client, 3, async (topic) => {
      const append = (count: number): Promise<void> =>
        preload(context, cluster.client, topic.name, { sizeBytes, partitions: 3, count })
      const costs: { amount: number; runs: number[] }[] = []
      let stored = 0
      for (const times of steps) {
        await append(Math.max(0, least * times - stored))
        stored = Math.max(stored, least * times)
        const seconds: number[] = []
        for (let number = 1; number <= runs; number++) {
          const watch = new ResourceWatch(context, cluster.nodes)
          await pass(context, settlingMs)
          await watch.open()
          await append(measured)
          await watch.close()
          const spent: Costs = watch.costs({ records: measured, valueBytes: measured * sizeBytes })
          seconds.push(wholeCost(spent))
          stored += measured
        }
        costs.push({ amount: name === 'records' ? least * times : least * times * sizeBytes, runs: seconds })
      }
      const held = name === 'records' ? 'records' : 'bytes'
      const work = `appends of ${formatBytes(sizeBytes)}, batched, ${formatCount(measured)} at a time, to a topic that holds so many ${held}`
      return { name, work, points: pointsOf(costs) }
    })
  })
}

/** Appends to a topic that nobody looks at. */
async function warmUp(context: CliContext, client: Client, sizeBytes: number): Promise<void> {
  const count = Math.ceil(warmupBytes / sizeBytes)
  await withTopic(context, client, 3, async ({ name }) => {
    const endMs = context.nowMs() + warmupMs
    while (context.nowMs() < endMs) await preload(context, client, name, { sizeBytes, partitions: 3, count })
  })
}
