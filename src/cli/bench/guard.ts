/** Whether appends have become much slower than what they stand on: `flotilla bench guard`. */
import { appendOnce, type AppendSettings, type BenchContext } from './append.ts'
import { replicationFactor, withOwnCluster, withTopic, type OwnCluster } from './bench-cluster.ts'
import { describeEnvironment, type Environment } from './environment.ts'
import { say } from './narrate.ts'
import { rawStoreRate, rawStreamRate, type RawTimes } from './raw-floors.ts'
import { formatFigure } from './report.ts'
import { makeScratch } from './scratch.ts'

const kibibyte = 1024
const mebibyte = 1024 * kibibyte

export interface GuardCase {
  readonly name: string
  readonly append: Pick<AppendSettings, 'mode' | 'sizeBytes' | 'inFlight'>
  /** The raw stream's messages, and how many records are as many bytes. */
  readonly stream: { readonly messageBytes: number; readonly records: number; readonly inFlight: number }
  /** The raw store's batches: values of a record's size. */
  readonly store: { readonly records: number }
  /** Below this, something is grossly wrong. docs/performance.md says how it was chosen. */
  readonly leastRatio: number
}

export const guardCases: readonly GuardCase[] = [
  {
    name: 'batched, 1 KiB',
    append: { mode: 'batched', sizeBytes: kibibyte, inFlight: 4096 },
    stream: { messageBytes: mebibyte, records: 1024, inFlight: 4 },
    store: { records: 1024 },
    leastRatio: 0.15,
  },
  {
    name: 'single, 1 KiB',
    append: { mode: 'single', sizeBytes: kibibyte, inFlight: 256 },
    stream: { messageBytes: kibibyte, records: 1, inFlight: 256 },
    store: { records: 128 },
    leastRatio: 0.1,
  },
  {
    name: 'single, 64 KiB',
    append: { mode: 'single', sizeBytes: 64 * kibibyte, inFlight: 32 },
    stream: { messageBytes: 64 * kibibyte, records: 1, inFlight: 32 },
    store: { records: 16 },
    leastRatio: 0.15,
  },
]

/** Records a second. */
export interface GuardRates {
  readonly stream: number
  readonly store: number
  readonly append: number
}

export interface GuardAttempt extends GuardRates {
  readonly ratio: number
  readonly errors: number
}

export interface GuardResult {
  readonly name: string
  readonly leastRatio: number
  readonly attempts: readonly GuardAttempt[]
  readonly passed: boolean
}

export interface GuardReport {
  readonly benchmark: 'guard'
  readonly environment: Environment
  readonly results: readonly GuardResult[]
  readonly passed: boolean
}

/** The rate of who did both raw things to each record, one after the other. Pure. */
export function floorOf({ stream, store }: Pick<GuardRates, 'stream' | 'store'>): number {
  return stream > 0 && store > 0 ? 1 / (1 / stream + 1 / store) : 0
}

/** Pure. A raw thing that did nothing says nothing of appends: such an attempt doesn't count as a good one. */
export function attemptOf(rates: GuardRates, errors: number): GuardAttempt {
  const floor = floorOf(rates)
  return { ...rates, ratio: floor === 0 ? 0 : rates.append / floor, errors }
}

/** An append that failed is no question of speed. Pure. */
export function isGood({ ratio, errors }: GuardAttempt, leastRatio: number): boolean {
  return errors === 0 && ratio >= leastRatio
}

/** A machine may be busy elsewhere for a moment, so one good attempt of so many is enough. */
export const mostAttempts = 3

const rawTimes: RawTimes = { warmupMs: 500, durationMs: 1000 }
const appendTimes = { warmupMs: 2000, durationMs: 3000, runs: 1, partitions: 1 }

export async function benchGuard(bench: BenchContext, data: string | undefined): Promise<GuardReport> {
  const { context, version } = bench
  await using scratch = await makeScratch(data)
  return await withOwnCluster(context, data, async (cluster) => {
    const results: GuardResult[] = []
    for (const each of guardCases) {
      const attempts: GuardAttempt[] = []
      while (
        attempts.length < mostAttempts &&
        !attempts.some((attempt) => isGood(attempt, each.leastRatio))
      ) {
        const attempt = await attemptCase(bench, cluster, scratch.directory, each)
        say(context, `${each.name}: ${formatFigure(attempt.ratio)} of what is below it`)
        attempts.push(attempt)
      }
      const passed = attempts.some((attempt) => isGood(attempt, each.leastRatio))
      results.push({ name: each.name, leastRatio: each.leastRatio, attempts, passed })
    }
    const environment = describeEnvironment(version, cluster.facts, replicationFactor)
    return { benchmark: 'guard', environment, results, passed: results.every(({ passed }) => passed) }
  })
}

/** The raw things before and after the appends: the machine may change meanwhile. */
async function attemptCase(
  bench: BenchContext,
  cluster: OwnCluster,
  directory: string,
  each: GuardCase,
): Promise<GuardAttempt> {
  const { context } = bench
  const { stream, store, append } = each
  const streamRate = async (): Promise<number> =>
    stream.records * (await rawStreamRate(context, stream.messageBytes, stream.inFlight, rawTimes))
  const storeRate = async (): Promise<number> =>
    store.records * (await rawStoreRate(context, directory, append.sizeBytes, store.records, rawTimes))
  const before = { stream: await streamRate(), store: await storeRate() }
  const run = await withTopic(context, cluster.client, appendTimes.partitions, (topic) =>
    appendOnce(bench, cluster, { ...append, ...appendTimes }, topic),
  )
  const after = { stream: await streamRate(), store: await storeRate() }
  return attemptOf(
    {
      stream: (before.stream + after.stream) / 2,
      store: (before.store + after.store) / 2,
      append: run.recordsPerSecond,
    },
    run.errors,
  )
}
