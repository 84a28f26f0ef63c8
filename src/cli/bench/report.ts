/** How reports look to people. JSON is the report itself, NDJSON a row a run. */
import type { Output } from '../context.ts'
import { formatBytes, formatCount, formatDuration, plural } from '../format.ts'
import type { Answer } from '../print.ts'
import { renderTable, type Column } from '../table.ts'
import type { AppendReport, AppendRun, AppendSettings } from './append.ts'
import type { Cost } from './cost.ts'
import type { Environment } from './environment.ts'
import type { FailoverReport, FailoverRun } from './failover.ts'
import type { LatencySummary } from './latency.ts'
import type { ReadReport, ReadRun } from './read.ts'
import type { Spread } from './runs.ts'
import type { TailReport, TailRun } from './tail.ts'

const right = (title: string): Column => ({ title, align: 'right' })
const unknown = '-'

const latencyColumns = ['P50 MS', 'P95 MS', 'P99 MS', 'P99.9 MS', 'MAX MS'].map(right)
const costColumns = ['CPU S/M RECORDS', 'CPU S/GB', 'DISK BYTES/BYTE', 'MEMORY'].map(right)

export function appendAnswer(report: AppendReport): Answer {
  return {
    table: (output) => appendText(output, report),
    json: () => report,
    rows: () => rowsOf(report, report.runs),
  }
}

export function readAnswer(report: ReadReport): Answer {
  return {
    table: (output) => readText(output, report),
    json: () => report,
    rows: () =>
      rowsOf(
        report,
        report.cases.flatMap(({ runs }) => runs),
      ),
  }
}

export function tailAnswer(report: TailReport): Answer {
  return {
    table: (output) => tailText(output, report),
    json: () => report,
    rows: () => rowsOf(report, report.runs),
  }
}

export function failoverAnswer(report: FailoverReport): Answer {
  return {
    table: (output) => failoverText(output, report),
    json: () => report,
    rows: () => rowsOf(report, report.runs),
  }
}

function rowsOf(
  { benchmark, settings, environment }: { benchmark: string; settings: object; environment: Environment },
  runs: readonly object[],
): readonly unknown[] {
  return runs.map((run) => ({ benchmark, settings, environment, ...run }))
}

// -- append ----------------------------------------------------------------------------------------------------

function appendText(output: Output, { settings, environment, runs, median, spread }: AppendReport): string {
  const table = renderTable(
    output,
    [{ title: 'RUN' }, right('RECORDS/S'), right('MB/S'), right('ERRORS'), ...latencyColumns],
    runs.map((run, index) => [
      index === median ? `${index + 1} median` : index + 1,
      formatCount(run.recordsPerSecond),
      formatFigure(run.megabytesPerSecond),
      formatCount(run.errors),
      ...latencyCells(run.latency),
    ]),
  )
  const middle = runs[median]!
  const lines = [
    `append, ${describeAppend(settings)}`,
    `${timing(settings)}; ${conditions(environment)}`,
    ...runs.flatMap(({ firstError }) => (firstError === undefined ? [] : [`error: ${firstError}`])),
  ]
  const { sendDelay } = middle
  const notes = [
    `lowest to highest: ${formatSpread(spread.recordsPerSecond, formatCount)} records/s`,
    ...(sendDelay === undefined
      ? []
      : [
          `of the latency, the client was late itself by p50 ${formatFigure(sendDelay.p50Ms)} ms, p99 ${formatFigure(sendDelay.p99Ms)} ms`,
        ]),
  ]
  return `${lines.join('\n')}\n\n${table}${notes.join('\n')}\n\n${costTable(output, middle)}`
}

export function describeAppend({
  mode,
  sizeBytes,
  partitions,
  inFlight,
  ratePerSecond,
}: AppendSettings): string {
  const how = mode === 'batched' ? "the client's batching" : 'one request a record'
  const pace = ratePerSecond === undefined ? 'as fast as it goes' : `${formatCount(ratePerSecond)} a second`
  return `${how}: values of ${formatBytes(sizeBytes)}, ${plural(partitions, 'partition')}, at most ${formatCount(inFlight)} in flight, ${pace}`
}

function costTable(output: Output, { client, nodes }: AppendRun): string {
  return renderTable(
    output,
    [{ title: 'PROCESS' }, right('LEADS'), ...costColumns],
    [
      ['client', unknown, ...costCells(client)],
      ...nodes.map((node) => [node.nodeId, node.leads, ...costCells(node)]),
    ],
  )
}

// -- read ------------------------------------------------------------------------------------------------------

function readText(output: Output, { settings, environment, cases }: ReadReport): string {
  const { sizeBytes, partitions, preloadBytes, runs } = settings
  const table = renderTable(
    output,
    [
      right('READERS'),
      right('RECORDS/S'),
      right('MB/S'),
      right('MB/S, LOW–HIGH'),
      right('CLIENT CPU S/GB'),
      right('NODES CPU S/GB'),
      right('MEMORY'),
    ],
    cases.map(({ readers, runs: all, median, spread }) => {
      const run: ReadRun = all[median]!
      return [
        readers,
        formatCount(run.recordsPerSecond),
        formatFigure(run.megabytesPerSecond),
        formatSpread(spread.megabytesPerSecond, formatFigure),
        formatMaybe(run.client.cpuSecondsPerGigabyte),
        formatMaybe(sumOf(run.nodes, (node) => node.cpuSecondsPerGigabyte)),
        formatMemory(highestOf(run.nodes, (node) => node.peakRssBytes)),
      ]
    }),
  )
  return (
    `read old records: ${formatBytes(preloadBytes)} in values of ${formatBytes(sizeBytes)}, ${plural(partitions, 'partition')}; each reader reads all\n` +
    `the median of ${plural(runs, 'run')}; ${conditions(environment)}\n\n${table}`
  )
}

function tailText(output: Output, { settings, environment, runs, median }: TailReport): string {
  const { sizeBytes, partitions, readers, ratePerSecond } = settings
  const table = renderTable(
    output,
    [
      { title: 'RUN' },
      ...['APPENDED/S', 'READ/S', 'ERRORS', 'MISSED', 'KEPT UP', 'BEHIND', ...lagTitles].map(right),
    ],
    runs.map((run: TailRun, index) => [
      index === median ? `${index + 1} median` : index + 1,
      formatCount(run.appends.acknowledged / run.appends.seconds),
      formatCount(run.recordsRead / run.appends.seconds),
      formatCount(run.appends.errors),
      formatCount(run.missedRecords),
      run.keptUp ? 'yes' : 'no',
      formatCount(run.maxBehindRecords),
      ...latencyCells(run.lag),
      formatMaybe(run.appends.latency?.p50Ms),
      formatMaybe(run.appends.latency?.p99Ms),
    ]),
  )
  return (
    `read at the tail: ${plural(readers, 'reader')}, ${formatCount(ratePerSecond)} records a second with values of ${formatBytes(sizeBytes)}, ${plural(partitions, 'partition')}\n` +
    `${timing(settings)}; ${conditions(environment)}\n\n${table}` +
    'lag: from the time at which a record was meant to leave until a reader had it; behind: the most committed records that a reader hadn’t yet\n' +
    'kept up: the records came at the rate, the readers got all of them, and their lag didn’t grow from the first half to the second\n'
  )
}

const lagTitles = ['LAG P50 MS', 'P95 MS', 'P99 MS', 'P99.9 MS', 'MAX MS', 'ACK P50 MS', 'P99 MS']

// -- failover --------------------------------------------------------------------------------------------------

function failoverText(output: Output, { settings, environment, runs, median }: FailoverReport): string {
  const { sizeBytes, partitions, ratePerSecond, killAfterMs, durationMs } = settings
  const table = renderTable(
    output,
    [
      { title: 'RUN' },
      right('LONGEST GAP MS'),
      right('BEFORE THE KILL MS'),
      right('ACKNOWLEDGED'),
      right('ERRORS'),
      right('LOST'),
      right('DOUBLED'),
      right('OTHER FAULTS'),
      right('P50 MS'),
      right('P99 MS'),
      right('MAX MS'),
    ],
    runs.map((run: FailoverRun, index) => [
      index === median ? `${index + 1} median` : index + 1,
      formatCount(run.longestGapMs),
      formatFigure(run.usualGapMs),
      formatCount(run.records.acknowledged),
      formatCount(run.load.errors),
      formatCount(run.records.lost),
      formatCount(run.records.doubled),
      formatCount(run.records.misplaced + run.records.foreign),
      formatMaybe(run.load.latency?.p50Ms),
      formatMaybe(run.load.latency?.p99Ms),
      formatMaybe(run.load.latency?.maxMs),
    ]),
  )
  return (
    `failover: ${formatCount(ratePerSecond)} records a second with values of ${formatBytes(sizeBytes)}, ${plural(partitions, 'partition')}; ` +
    `the leader gets SIGKILL after ${formatDuration(killAfterMs)} of ${formatDuration(durationMs)}\n` +
    `${conditions(environment)}\n\n${table}` +
    'gap: between two acknowledgements of a partition, as the client saw them; lost and doubled by reading all back\n'
  )
}

// -- parts -----------------------------------------------------------------------------------------------------

function timing(settings: { readonly runs: number; readonly durationMs: number; readonly warmupMs: number }) {
  const { runs, durationMs, warmupMs } = settings
  return `${plural(runs, 'run')} of ${formatDuration(durationMs)} after ${formatDuration(warmupMs)} of warm-up`
}

export function conditions(environment: Environment): string {
  const { flotilla, node, cpu, cores, replicationFactor, fsync, cluster } = environment
  const where = cluster.startedByBenchmark
    ? `${plural(cluster.nodes, 'node')} and the client on one machine`
    : `${plural(cluster.nodes, 'node')} elsewhere or here, the client here`
  const disk =
    cluster.diskSync === undefined
      ? ''
      : `; its disk syncs 4 KiB in ${formatFigure(cluster.diskSync.p50Ms)} ms (p99 ${formatFigure(cluster.diskSync.p99Ms)} ms)`
  const memory = cluster.dataInMemory === true ? '; THE DATA LIES IN MEMORY, NOT ON A DISK' : ''
  return (
    `replication factor ${replicationFactor}, fsync ${fsync}; ${where}, ${plural(cores, 'core')} (${cpu})${disk}${memory}; ` +
    `flotilla ${flotilla}, Node ${node}`
  )
}

export function latencyCells(latency: LatencySummary | undefined): string[] {
  if (latency === undefined) return latencyColumns.map(() => unknown)
  const { p50Ms, p95Ms, p99Ms, p999Ms, maxMs } = latency
  return [p50Ms, p95Ms, p99Ms, p999Ms, maxMs].map(formatFigure)
}

function costCells(cost: Cost): string[] {
  return [
    formatMaybe(cost.cpuSecondsPerMillionRecords),
    formatMaybe(cost.cpuSecondsPerGigabyte),
    formatMaybe(cost.writtenBytesPerByte),
    formatMemory(cost.peakRssBytes),
  ]
}

/** Three figures or so: 0.053, 1.23, 12.3, 123, 1,234. */
export function formatFigure(value: number): string {
  if (value >= 100) return formatCount(value)
  if (value >= 10) return value.toFixed(1)
  return value.toFixed(value >= 0.1 || value === 0 ? 2 : 3)
}

export function formatMaybe(value: number | undefined): string {
  return value === undefined ? unknown : formatFigure(value)
}

export function formatMemory(bytes: number | undefined): string {
  return bytes === undefined ? unknown : formatBytes(bytes)
}

export function formatSpread({ min, max }: Spread, format: (value: number) => string): string {
  return `${format(min)}–${format(max)}`
}

/** Undefined where any is. */
export function sumOf<T>(all: readonly T[], pick: (one: T) => number | undefined): number | undefined {
  let sum = 0
  for (const one of all) {
    const value = pick(one)
    if (value === undefined) return undefined
    sum += value
  }
  return all.length === 0 ? undefined : sum
}

export function highestOf<T>(all: readonly T[], pick: (one: T) => number | undefined): number | undefined {
  let highest: number | undefined
  for (const one of all) {
    const value = pick(one)
    if (value !== undefined && (highest === undefined || value > highest)) highest = value
  }
  return highest
}
