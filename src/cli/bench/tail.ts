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
import { Load, type LoadResult, type LoadTarget } from './load.ts'
import { during, pass, say } from './narrate.ts'
import { Payloads, stampOf } from './payloads.ts'
import { ResourceWatch, type NodeCost } from './resources.ts'
import { medianIndex } from './runs.ts'
import { answerPatienceMs, BatchedTarget, inFlightBound, timedValues } from './targets.ts'

/** How often those who are still reading are looked at when the load is over. */
const pollMs = 50

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
  /** The lag's p50 in the first half of the window, and in the second: what readers can't keep up with makes it grow. */
  readonly halvesP50Ms: readonly (number | undefined)[]
  /** Acknowledged at any time, but not read by the end; of all readers together. */
  readonly missedRecords: number
  readonly keptUp: boolean
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

/** Less than this is lost to the rounding of a window. */
const leastPartOfRate = 0.99
/** What the lag may grow by from one half of the window to the next, where nothing is wrong but the noise. */
const noiseMs = 50
const noiseFactor = 1.5

/** Whether the records came at the rate, and the readers got all of them with a lag that didn't grow. Pure. */
export function keepsUp(
  { appends, halvesP50Ms, missedRecords }: Pick<TailRun, 'appends' | 'halvesP50Ms' | 'missedRecords'>,
  ratePerSecond: number,
): boolean {
  const [first, second] = halvesP50Ms
  if (first === undefined || second === undefined) return false
  const cameIn = appends.acknowledged >= appends.seconds * ratePerSecond * leastPartOfRate
  const stayedBounded = second <= first * noiseFactor + noiseMs
  return cameIn && stayedBounded && appends.errors === 0 && missedRecords === 0
}

/** What the readers at the tail have seen within the window. */
class TailMeter {
  readonly halves = [new LatencyHistogram(), new LatencyHistogram()]
  /** By reader, from the first record on. */
  readonly seen: number[]
  half = 0
  recordsRead = 0
  maxBehindRecords = 0
  isOpen = false

  constructor(readers: number) {
    this.seen = Array.from({ length: readers }, () => 0)
  }

  see(reader: number, values: readonly (Uint8Array | undefined)[], behind: number, nowMs: number): void {
    this.seen[reader]! += values.length
    if (!this.isOpen) return
    this.recordsRead += values.length
    this.maxBehindRecords = Math.max(this.maxBehindRecords, behind)
    const half = this.halves[this.half]!
    for (const value of values) half.record(nowMs - stampOf(value))
  }

  get lag(): LatencyHistogram {
    const lag = new LatencyHistogram()
    for (const half of this.halves) lag.add(half)
    return lag
  }

  missed(acknowledged: number): number {
    return this.seen.reduce((sum, seen) => sum + Math.max(0, acknowledged - seen), 0)
  }
}

async function tailOnce(
  context: CliContext,
  cluster: BenchCluster,
  topic: string,
  settings: TailSettings,
): Promise<TailRun> {
  const { partitions, ratePerSecond, sizeBytes, warmupMs, durationMs } = settings
  const meter = new TailMeter(settings.readers)
  const ended = new AbortController()
  // The topic is empty: its beginning is its tail.
  const readers = Array.from({ length: settings.readers }, (_, reader) =>
    follow(context, cluster.client, topic, meter, reader, ended.signal),
  )
  const target = new BatchedTarget(cluster.client, topic, partitions, timedValues(new Payloads(sizeBytes)))
  const inFlight = inFlightBound(sizeBytes)
  let acknowledged = 0
  const counted: LoadTarget = {
    append: (number, intendedMs, settled) =>
      target.append(number, intendedMs, (error) => {
        if (error === undefined) acknowledged++
        settled(error)
      }),
  }
  const load = new Load(context, { inFlight, ratePerSecond }, counted)
  const watch = new ResourceWatch(context, cluster.nodes)
  const text = (): string => `${formatCount(meter.recordsRead)} records read`
  load.start()
  try {
    try {
      await pass(context, warmupMs)
      await watch.open()
      load.openWindow()
      meter.isOpen = true
      await during(context, text, pass(context, durationMs / 2))
      meter.half = 1
      await during(context, text, pass(context, durationMs / 2))
      meter.isOpen = false
      load.closeWindow()
    } finally {
      await watch.close()
      await load.stop(answerPatienceMs)
    }
    const deadlineMs = context.nowMs() + answerPatienceMs
    while (meter.missed(acknowledged) > 0 && context.nowMs() < deadlineMs) await pass(context, pollMs)
  } finally {
    await target.close()
    ended.abort()
    await Promise.all(readers)
  }
  const appends = load.result()
  const work = { records: appends.acknowledged, valueBytes: appends.acknowledged * sizeBytes }
  const { recordsRead, maxBehindRecords } = meter
  const halvesP50Ms = meter.halves.map((half) => half.summary()?.p50Ms)
  const missedRecords = meter.missed(acknowledged)
  return {
    appends,
    lag: meter.lag.summary(),
    maxBehindRecords,
    recordsRead,
    halvesP50Ms,
    missedRecords,
    keptUp: keepsUp({ appends, halvesP50Ms, missedRecords }, ratePerSecond),
    ...watch.costs(work),
  }
}

async function follow(
  context: CliContext,
  client: Client,
  topic: string,
  meter: TailMeter,
  number: number,
  ended: AbortSignal,
): Promise<void> {
  const reader = client.reader({ topic, from: 'beginning' })
  ended.addEventListener('abort', () => void reader.close(), { once: true })
  for await (const { records, baseOffset, highWatermark } of reader.batches()) {
    const values = records.map(({ value }) => value)
    meter.see(number, values, highWatermark - baseOffset - records.length, context.nowMs())
  }
}
