import type { Client } from '../../client/types.ts'
import type { CliContext } from '../context.ts'
import { formatBytes, formatCount, plural } from '../format.ts'
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
import { during, pass, say } from './narrate.ts'
import { Payloads } from './payloads.ts'
import { ResourceWatch, type NodeCost } from './resources.ts'
import { medianIndex, spreadOf, type Spread } from './runs.ts'
import { answerPatienceMs, maxInFlightBytes } from './targets.ts'

export interface ReadSettings {
  readonly sizeBytes: number
  readonly partitions: number
  /** Old records: appended before anybody reads. */
  readonly preloadBytes: number
  /** Each count of readers is measured; each reader reads everything. */
  readonly readers: readonly number[]
  readonly runs: number
}

export interface ReadRun {
  readonly readers: number
  readonly seconds: number
  /** Of all readers together. */
  readonly records: number
  readonly recordsPerSecond: number
  readonly megabytesPerSecond: number
  readonly client: Cost
  readonly nodes: readonly NodeCost[]
}

export interface ReadReport {
  readonly benchmark: 'read'
  readonly settings: ReadSettings
  readonly environment: Environment
  readonly cases: readonly {
    readonly readers: number
    readonly runs: readonly ReadRun[]
    /** Index of the run in the middle, by throughput. */
    readonly median: number
    readonly spread: { readonly megabytesPerSecond: Spread }
  }[]
}

export async function benchRead(
  { context, version }: BenchContext,
  choice: ClusterChoice,
  settings: ReadSettings,
): Promise<ReadReport> {
  return withBenchCluster(context, choice, async (cluster) => {
    const environment = describeEnvironment(version, cluster.facts, replicationFactor)
    return withTopic(context, cluster.client, settings.partitions, async ({ name }) => {
      const count = Math.ceil(settings.preloadBytes / settings.sizeBytes)
      await preload(context, cluster.client, name, { ...settings, count })
      const cases: ReadReport['cases'][number][] = []
      for (const readers of settings.readers) {
        const runs: ReadRun[] = []
        for (let number = 1; number <= settings.runs; number++) {
          say(context, `${plural(readers, 'reader')}, run ${number} of ${settings.runs}`)
          runs.push(await readAll(context, cluster, name, readers))
        }
        const rates = runs.map(({ megabytesPerSecond }) => megabytesPerSecond)
        const spread = { megabytesPerSecond: spreadOf(rates) }
        cases.push({ readers, runs, median: medianIndex(rates), spread })
      }
      return { benchmark: 'read', settings, environment, cases }
    })
  })
}

/** Appends `count` records as fast as it goes, and waits until all are acknowledged. */
export async function preload(
  context: CliContext,
  client: Client,
  topic: string,
  {
    sizeBytes,
    partitions,
    count,
  }: { readonly sizeBytes: number; readonly partitions: number; readonly count: number },
): Promise<void> {
  say(context, `appending ${plural(count, 'record')}, ${formatBytes(count * sizeBytes)} in all`)
  const payloads = new Payloads(sizeBytes)
  await using producer = client.producer({ maxInFlightBytes, deliveryTimeoutMs: answerPatienceMs })
  let acknowledged = 0
  let failure: unknown
  const append = async (): Promise<void> => {
    for (let number = 0; number < count && failure === undefined; number++) {
      if (context.interrupted.aborted) break
      const record = { topic, partition: number % partitions, value: payloads.value(number) }
      const sent = producer.enqueue(record)
      sent.acknowledged.then(
        () => acknowledged++,
        (error: unknown) => (failure ??= error),
      )
      await sent.room
    }
    await producer.flush()
  }
  await during(context, () => `${formatCount(acknowledged)} records acknowledged`, append())
  await pass(context, 0)
  if (failure !== undefined) throw failure
}

async function readAll(
  context: CliContext,
  cluster: BenchCluster,
  topic: string,
  readers: number,
): Promise<ReadRun> {
  let records = 0
  let valueBytes = 0
  const readOne = async (): Promise<void> => {
    await using reader = cluster.client.reader({
      topic,
      from: 'beginning',
      untilEnd: true,
      signal: context.interrupted,
    })
    for await (const batch of reader.batches()) {
      records += batch.records.length
      for (const { value } of batch.records) valueBytes += value?.length ?? 0
    }
  }
  const watch = new ResourceWatch(context, cluster.nodes)
  await watch.open()
  const startMs = context.nowMs()
  try {
    const all = Promise.all(Array.from({ length: readers }, readOne))
    await during(context, () => `${formatCount(records)} records read`, all)
  } finally {
    await watch.close()
  }
  const seconds = (context.nowMs() - startMs) / 1000
  return {
    readers,
    seconds,
    records,
    recordsPerSecond: records / seconds,
    megabytesPerSecond: valueBytes / seconds / 1e6,
    ...watch.costs({ records, valueBytes }),
  }
}
