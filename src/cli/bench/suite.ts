/** The table of cases: `flotilla bench all`. */
import type { Output } from '../context.ts'
import { formatBytes, formatCount, plural } from '../format.ts'
import type { Answer } from '../print.ts'
import { renderTable, type Column } from '../table.ts'
import {
  benchAppend,
  type AppendReport,
  type AppendRun,
  type AppendSettings,
  type BenchContext,
} from './append.ts'
import { benchFailover, type FailoverReport } from './failover.ts'
import { say } from './narrate.ts'
import {
  conditions,
  failoverAnswer,
  formatFigure,
  formatMaybe,
  formatMemory,
  formatSpread,
  highestOf,
  latencyCells,
} from './report.ts'

const kibibyte = 1024

export type AppendCase = Pick<AppendSettings, 'mode' | 'sizeBytes' | 'partitions' | 'inFlight'>

const batchedRecords = 4096
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

/** The cases that the others are variations of. */
export const quickCases: readonly AppendCase[] = [
  batched(kibibyte, 1),
  batched(kibibyte, 16),
  single(kibibyte, 1, 256),
  single(kibibyte, 1, 1),
  single(64 * kibibyte, 1, 32),
  single(256 * kibibyte, 1, 8),
]

export const allCases: readonly AppendCase[] = [
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
  single(256 * kibibyte, 1, 8),
]

export interface SuiteReport {
  readonly benchmark: 'all'
  readonly quick: boolean
  readonly appends: readonly AppendReport[]
  readonly failover: FailoverReport
}

/** About a minute where `quick`, about twelve where not. Each case has a cluster of its own. */
export async function benchAll(
  bench: BenchContext,
  data: string | undefined,
  quick: boolean,
): Promise<SuiteReport> {
  const { context } = bench
  const cases = quick ? quickCases : allCases
  const choice = data === undefined ? {} : { data }
  const times = quick
    ? { runs: 1, warmupMs: 1000, durationMs: 4000 }
    : { runs: 3, warmupMs: 2000, durationMs: 10_000 }
  const appends: AppendReport[] = []
  for (const [index, each] of cases.entries()) {
    say(context, `case ${index + 1} of ${cases.length + 1}: ${describeCase(each)}`)
    appends.push(await benchAppend(bench, choice, { ...each, ...times }))
  }
  say(context, `case ${cases.length + 1} of ${cases.length + 1}: failover`)
  const failover = await benchFailover(bench, data, {
    sizeBytes: kibibyte,
    partitions: 1,
    ratePerSecond: 1000,
    killAfterMs: quick ? 2000 : 5000,
    durationMs: quick ? 8000 : 20_000,
    runs: quick ? 1 : 3,
  })
  return { benchmark: 'all', quick, appends, failover }
}

export function describeCase({ mode, sizeBytes, partitions, inFlight }: AppendCase): string {
  return `${mode}, ${formatBytes(sizeBytes)}, ${plural(partitions, 'partition')}, ${formatCount(inFlight)} in flight`
}

export function suiteAnswer(report: SuiteReport): Answer {
  return {
    table: (output) => suiteText(output, report),
    json: () => report,
    rows: () => [...report.appends, report.failover],
  }
}

const right = (title: string): Column => ({ title, align: 'right' })

function suiteText(output: Output, { appends, failover }: SuiteReport): string {
  const table = renderTable(
    output,
    [
      { title: 'MODE' },
      ...['SIZE', 'PARTITIONS', 'IN FLIGHT', 'RECORDS/S', 'LOW–HIGH', 'MB/S', 'ERRORS'].map(right),
      ...['P50 MS', 'P95', 'P99', 'P99.9', 'MAX'].map(right),
      ...['CLIENT CPU S/M', 'BUSIEST NODE', 'IDLEST', 'DISK BYTES/BYTE', 'MEMORY'].map(right),
    ],
    appends.map(suiteRow),
  )
  const first = appends[0]
  return (
    `append: the median run of each case; ${first === undefined ? '' : conditions(first.environment)}\n` +
    'CPU S/M: seconds of CPU for a million records; disk bytes and memory: of the node that has the most\n\n' +
    `${table}\n${failoverAnswer(failover).table(output)}`
  )
}

function suiteRow({ settings, runs, median, spread }: AppendReport): (string | number)[] {
  const { mode, sizeBytes, partitions, inFlight } = settings
  const run: AppendRun = runs[median]!
  const nodeSeconds = run.nodes
    .flatMap(({ cpuSecondsPerMillionRecords: seconds }) => seconds ?? [])
    .sort((a, b) => a - b)
  return [
    mode,
    formatBytes(sizeBytes),
    partitions,
    formatCount(inFlight),
    formatCount(run.recordsPerSecond),
    formatSpread(spread.recordsPerSecond, formatCount),
    formatFigure(run.megabytesPerSecond),
    formatCount(run.errors),
    ...latencyCells(run.latency),
    formatMaybe(run.client.cpuSecondsPerMillionRecords),
    formatMaybe(nodeSeconds.at(-1)),
    formatMaybe(nodeSeconds[0]),
    formatMaybe(highestOf(run.nodes, (node) => node.writtenBytesPerByte)),
    formatMemory(highestOf(run.nodes, (node) => node.peakRssBytes)),
  ]
}
