/** The table of cases: `flotilla bench all`. */
import { Interrupted } from '../cluster-ready.ts'
import type { CliContext } from '../context.ts'
import { describeError } from '../failure.ts'
import { formatDuration } from '../format.ts'
import { benchAppend, type AppendReport, type AppendSettings, type BenchContext } from './append.ts'
import { benchFailover, type FailoverReport } from './failover.ts'
import { benchFollower, type FollowerReport } from './follower.ts'
import { say } from './narrate.ts'
import { benchRead, type ReadReport } from './read.ts'
import { benchTail, type TailReport } from './tail.ts'
import { inFlightBound } from './targets.ts'

const kibibyte = 1024

export type CaseReport = AppendReport | ReadReport | TailReport | FollowerReport | FailoverReport

/** What a case is like; cases of one kind share a table. */
export type CaseKind = 'append' | 'rate' | 'read' | 'tail' | 'follower' | 'failover'

export interface SuiteTimes {
  /** One short run of each case. */
  readonly quick: boolean
  /** That the follower misses. */
  readonly missedBytes: number
}

export interface SuiteCase {
  readonly name: string
  readonly kind: CaseKind
  run(bench: BenchContext, data: string | undefined, times: SuiteTimes): Promise<CaseReport>
}

/** What became of a case: a report, or why there is none. */
export interface CaseResult {
  readonly name: string
  /** ISO 8601, when it was begun. The machine's facts are in the report. */
  readonly takenAt: string
  readonly seconds: number
  readonly quick: boolean
  readonly report?: CaseReport
  readonly error?: string
}

export interface SuiteReport {
  readonly benchmark: 'all'
  readonly cases: readonly CaseResult[]
}

// -- the cases ---------------------------------------------------------------------------------------------------

export type AppendCase = Pick<
  AppendSettings,
  'mode' | 'sizeBytes' | 'partitions' | 'inFlight' | 'ratePerSecond'
>

const batchedRecords = 16_384
/** More only makes the queue longer: a few batches on their way keep all nodes busy. */
const batchedBytes = 8 * 1024 * kibibyte

/** Records in flight with the client's batching where nothing else is asked for. */
export function batchedInFlight(sizeBytes: number): number {
  const fitting = Math.max(1, Math.floor(batchedBytes / Math.max(1, sizeBytes)))
  return Math.min(batchedRecords, fitting)
}

const batched = (sizeBytes: number, partitions: number): AppendCase => ({
  mode: 'batched',
  sizeBytes,
  partitions,
  inFlight: batchedInFlight(sizeBytes),
})
const single = (sizeBytes: number, partitions: number, inFlight: number): AppendCase => ({
  mode: 'single',
  sizeBytes,
  partitions,
  inFlight,
})
const paced = (ratePerSecond: number, partitions: number): AppendCase => ({
  mode: 'batched',
  sizeBytes: kibibyte,
  partitions,
  inFlight: inFlightBound(kibibyte),
  ratePerSecond,
})

export const appendCases: readonly AppendCase[] = [
  batched(100, 1),
  batched(kibibyte, 1),
  { ...batched(kibibyte, 1), inFlight: 256 },
  batched(kibibyte, 3),
  batched(kibibyte, 16),
  batched(kibibyte, 100),
  batched(64 * kibibyte, 1),
  batched(256 * kibibyte, 1),
  single(100, 1, 256),
  single(kibibyte, 1, 1),
  single(kibibyte, 1, 256),
  single(kibibyte, 3, 256),
  single(kibibyte, 16, 256),
  single(kibibyte, 100, 256),
  single(64 * kibibyte, 1, 1),
  single(64 * kibibyte, 1, 32),
  single(256 * kibibyte, 1, 1),
  single(256 * kibibyte, 1, 16),
  paced(10_000, 100),
  // A record a second for each: partitions that are used lightly, and never long enough left alone to fall quiet.
  paced(1000, 1000),
]

/** batched-1KiB-p1-f8192: mode, size of a value, partitions, in flight. rate-10000-1KiB-p100: at a fixed rate. */
export function appendName({ mode, sizeBytes, partitions, inFlight, ratePerSecond }: AppendCase): string {
  const size = sizeBytes % kibibyte === 0 ? `${sizeBytes / kibibyte}KiB` : `${sizeBytes}B`
  return ratePerSecond === undefined
    ? `${mode}-${size}-p${partitions}-f${inFlight}`
    : `rate-${ratePerSecond}-${size}-p${partitions}`
}

function appendCase(each: AppendCase): SuiteCase {
  return {
    name: appendName(each),
    kind: each.ratePerSecond === undefined ? 'append' : 'rate',
    run: (bench, data, { quick }) => benchAppend(bench, choiceOf(data), { ...each, ...timesOf(quick) }),
  }
}

function tailCase(ratePerSecond: number): SuiteCase {
  const what = { sizeBytes: kibibyte, partitions: 1, readers: 5, ratePerSecond }
  return {
    name: `tail-${ratePerSecond}`,
    kind: 'tail',
    run: (bench, data, { quick }) => benchTail(bench, choiceOf(data), { ...what, ...timesOf(quick) }),
  }
}

const readCase: SuiteCase = {
  name: 'read-old',
  kind: 'read',
  run: (bench, data, { quick }) =>
    benchRead(bench, choiceOf(data), {
      sizeBytes: kibibyte,
      partitions: 1,
      preloadBytes: quick ? 64e6 : 1e9,
      readers: [1],
      runs: quick ? 1 : 3,
    }),
}

const followerCase: SuiteCase = {
  name: 'follower',
  kind: 'follower',
  run: (bench, data, { quick, missedBytes }) =>
    benchFollower(bench, data, {
      sizeBytes: kibibyte,
      inFlight: batchedInFlight(kibibyte),
      missedBytes,
      warmupMs: timesOf(quick).warmupMs,
      beforeMs: timesOf(quick).durationMs,
      patienceMs: followerPatienceMs,
      runs: 1,
    }),
}

const failoverCase: SuiteCase = {
  name: 'failover',
  kind: 'failover',
  run: (bench, data, { quick }) =>
    benchFailover(bench, data, {
      sizeBytes: kibibyte,
      partitions: 1,
      ratePerSecond: 1000,
      killAfterMs: quick ? 2000 : 6000,
      durationMs: quick ? 6000 : 20_000,
      runs: quick ? 1 : 3,
    }),
}

/** The longest that a follower is away, and the longest that it is given to catch up. */
export const followerPatienceMs = 600_000

/** Those of one kind follow each other, as in the tables. Each has a cluster of its own. */
export const suiteCases: readonly SuiteCase[] = [
  ...appendCases.map(appendCase),
  readCase,
  tailCase(50_000),
  tailCase(100_000),
  followerCase,
  failoverCase,
]

/** The cases that the others are variations of. */
const quickNames = [
  batched(kibibyte, 1),
  single(kibibyte, 1, 256),
  single(kibibyte, 1, 1),
  single(64 * kibibyte, 1, 32),
].map(appendName)

export const quickCases: readonly SuiteCase[] = suiteCases.filter(
  ({ name }) => quickNames.includes(name) || name === failoverCase.name,
)

function timesOf(quick: boolean): Pick<AppendSettings, 'runs' | 'warmupMs' | 'durationMs'> {
  return quick
    ? { runs: 1, warmupMs: 6000, durationMs: 3000 }
    : { runs: 3, warmupMs: 6000, durationMs: 10_000 }
}

function choiceOf(data: string | undefined): { readonly data?: string } {
  return data === undefined ? {} : { data }
}

/** The cases with these names; `single-*` names all that begin so. What names none comes second. Pure. */
export function chooseCases(names: readonly string[]): {
  readonly cases: readonly SuiteCase[]
  readonly unknown: readonly string[]
} {
  const matches = (pattern: string, name: string): boolean =>
    pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
  return {
    cases: suiteCases.filter(({ name }) => names.some((pattern) => matches(pattern, name))),
    unknown: names.filter((pattern) => !suiteCases.some(({ name }) => matches(pattern, name))),
  }
}

// -- taking them -------------------------------------------------------------------------------------------------

/** Takes one case after the other; one that fails is told, and the next is taken. `onTaken` gets each result. */
export async function takeCases(
  bench: BenchContext,
  cases: readonly SuiteCase[],
  data: string | undefined,
  times: SuiteTimes,
  onTaken: (result: CaseResult) => Promise<void>,
): Promise<void> {
  const { context } = bench
  const startMs = context.nowMs()
  for (const [index, each] of cases.entries()) {
    const elapsed = formatDuration(context.nowMs() - startMs)
    say(context, `case ${index + 1} of ${cases.length}: ${each.name}, ${elapsed} since the start`)
    const result = await take(bench, each, data, times)
    if (result.error !== undefined) say(context, `flotilla: ${each.name} failed: ${result.error}`)
    await onTaken(result)
  }
  say(context, `all cases taken in ${formatDuration(context.nowMs() - startMs)}`)
}

async function take(
  bench: BenchContext,
  each: SuiteCase,
  data: string | undefined,
  times: SuiteTimes,
): Promise<CaseResult> {
  const { context } = bench
  const startMs = context.nowMs()
  const takenAt = isoTime(context)
  const facts = (): Pick<CaseResult, 'name' | 'takenAt' | 'seconds' | 'quick'> => ({
    name: each.name,
    takenAt,
    seconds: (context.nowMs() - startMs) / 1000,
    quick: times.quick,
  })
  try {
    const report = await each.run(bench, data, times)
    return { ...facts(), report }
  } catch (error) {
    // Who has had enough of the whole isn't served with the next case.
    if (error instanceof Interrupted || context.interrupted.aborted) throw error
    return { ...facts(), error: describeError(error) }
  }
}

function isoTime(context: Pick<CliContext, 'wallMs'>): string {
  return new Date(context.wallMs()).toISOString()
}

/** Puts a result in the place of an earlier one of the same case, in the order of the suite. Pure. */
export function withResult(suite: SuiteReport, result: CaseResult): SuiteReport {
  const place = (name: string): number => suiteCases.findIndex((each) => each.name === name)
  const others = suite.cases.filter(({ name }) => name !== result.name)
  const cases = [...others, result].toSorted((a, b) => place(a.name) - place(b.name))
  return { benchmark: 'all', cases }
}

/** Why a run isn't a success: cases that failed, and records that were lost or doubled. Pure. */
export function faultsOf(results: readonly CaseResult[]): string[] {
  return results.flatMap(({ name, report, error }) => {
    if (error !== undefined) return [`${name} failed`]
    const isFlawed = report?.benchmark === 'failover' && !report.flawless
    return isFlawed ? [`${name}: what was read back is not what was acknowledged`] : []
  })
}
