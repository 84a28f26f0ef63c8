import type { Client } from '../../client/types.ts'
import type { CliContext } from '../context.ts'
import { formatCount, formatDuration, plural } from '../format.ts'
import type { BenchContext } from './append.ts'
import {
  replicationFactor,
  withBenchCluster,
  withTopic,
  type BenchCluster,
  type ClusterChoice,
} from './bench-cluster.ts'
import type { Cost } from './cost.ts'
import { describeEnvironment, type Environment } from './environment.ts'
import { LatencyHistogram, type LatencySummary } from './latency.ts'
import { Load, type LoadResult } from './load.ts'
import { during, pass, say } from './narrate.ts'
import { Payloads, stampOf } from './payloads.ts'
import { ResourceWatch, type NodeCost } from './resources.ts'
import { medianIndex } from './runs.ts'
import { answerPatienceMs, BatchedTarget, inFlightBound, timedValues } from './targets.ts'

export interface TailSettings {
  readonly sizeBytes: number
  readonly partitions: number
  readonly readers: number
  readonly ratePerSecond: number
  readonly durationMs: number
  readonly warmupMs: number
  readonly runs: number
}

export interface TailRun {
  readonly appends: LoadResult
  /** From the time at which a record was meant to leave until a reader had it, of all readers. */
  readonly lag: LatencySummary | undefined
  /** The most committed records that a reader hadn't yet when it took a batch. */
  readonly maxBehindRecords: number
  readonly recordsRead: number
  readonly client: Cost
  readonly nodes: readonly NodeCost[]
}

export interface TailReport {
  readonly benchmark: 'read-tail'
  readonly settings: TailSettings
  readonly environment: Environment
  readonly runs: readonly TailRun[]
  /** Index of the run in the middle, by the lag's p99. */
  readonly median: number
}

export async function benchTail(
  { context, version }: BenchContext,
  choice: ClusterChoice,
  settings: TailSettings,
): Promise<TailReport> {
  return withBenchCluster(context, choice, async (cluster) => {
    const environment = describeEnvironment(version, cluster.facts, replicationFactor)
    const runs: TailRun[] = []
    for (let number = 1; number <= settings.runs; number++) {
      say(
        context,
        `run ${number} of ${settings.runs}: ${plural(settings.readers, 'reader')} at the tail, ` +
          `${formatDuration(settings.warmupMs)} of warm-up, then ${formatDuration(settings.durationMs)}`,
      )
      runs.push(
        await withTopic(context, cluster.client, settings.partitions, ({ name }) =>
          tailOnce(context, cluster, name, settings),
        ),
      )
    }
    const median = medianIndex(runs.map(({ lag }) => lag?.p99Ms ?? Infinity))
    return { benchmark: 'read-tail', settings, environment, runs, median }
  })
}

/** What the readers at the tail have seen within the window. */
class TailMeter {
  readonly lag = new LatencyHistogram()
  recordsRead = 0
  maxBehindRecords = 0
  isOpen = false

  see(values: readonly (Uint8Array | undefined)[], behind: number, nowMs: number): void {
    if (!this.isOpen) return
    this.recordsRead += values.length
    this.maxBehindRecords = Math.max(this.maxBehindRecords, behind)
    for (const value of values) this.lag.record(nowMs - stampOf(value))
  }
}

async function tailOnce(
  context: CliContext,
  cluster: BenchCluster,
  topic: string,
  settings: TailSettings,
): Promise<TailRun> {
  const { partitions, ratePerSecond, sizeBytes, warmupMs, durationMs } = settings
  const meter = new TailMeter()
  const ended = new AbortController()
  // The topic is empty: its beginning is its tail.
  const readers = Array.from({ length: settings.readers }, () =>
    follow(context, cluster.client, topic, meter, ended.signal),
  )
  const target = new BatchedTarget(cluster.client, topic, partitions, timedValues(new Payloads(sizeBytes)))
  const inFlight = inFlightBound(sizeBytes)
  const load = new Load(context, { inFlight, ratePerSecond }, target)
  const watch = new ResourceWatch(context, cluster.nodes)
  load.start()
  try {
    await pass(context, warmupMs)
    await watch.open()
    load.openWindow()
    meter.isOpen = true
    await during(context, () => `${formatCount(meter.recordsRead)} records read`, pass(context, durationMs))
    meter.isOpen = false
    load.closeWindow()
  } finally {
    await watch.close()
    await load.stop(answerPatienceMs)
    await target.close()
    ended.abort()
    await Promise.all(readers)
  }
  const appends = load.result()
  const work = { records: appends.acknowledged, valueBytes: appends.acknowledged * sizeBytes }
  const { recordsRead, maxBehindRecords } = meter
  return { appends, lag: meter.lag.summary(), recordsRead, maxBehindRecords, ...watch.costs(work) }
}

async function follow(
  context: CliContext,
  client: Client,
  topic: string,
  meter: TailMeter,
  ended: AbortSignal,
): Promise<void> {
  const reader = client.reader({ topic, from: 'beginning' })
  ended.addEventListener('abort', () => void reader.close(), { once: true })
  for await (const { records, baseOffset, highWatermark } of reader.batches()) {
    const values = records.map(({ value }) => value)
    meter.see(values, highWatermark - baseOffset - records.length, context.nowMs())
  }
}
