/** How the table of cases looks: to people here, and on the page docs/performance.md. */
import type { Output } from '../context.ts'
import { formatBytes, formatCount } from '../format.ts'
import type { Answer } from '../print.ts'
import { renderTable, type Column } from '../table.ts'
import type { AppendReport } from './append.ts'
import type { Cost } from './cost.ts'
import type { FailoverReport } from './failover.ts'
import { formatLevel } from './follower-report.ts'
import type { FollowerReport } from './follower.ts'
import { markRows } from './marks.ts'
import type { ReadReport } from './read.ts'
import {
  conditions,
  formatFigure,
  formatMaybe,
  formatMemory,
  formatSpread,
  highestOf,
  sumOf,
} from './report.ts'
import { suiteCases, type CaseKind, type CaseReport, type CaseResult, type SuiteReport } from './suite.ts'
import type { TailReport } from './tail.ts'

export interface SectionRow {
  readonly name: string
  /** Undefined where the suite has no report of the case. */
  readonly cells: readonly string[] | undefined
  readonly error: string | undefined
}

/** The cases of one kind: a table of its own. */
export interface Section {
  /** Of the columns; the first is the case's name. */
  readonly head: readonly string[]
  readonly rows: readonly SectionRow[]
}

export const markHead = ['three nodes and a client on one machine', 'first mark', 'goal', 'measured', 'met']

export function markCells(suite: SuiteReport | undefined): string[][] {
  return markRows(suite).map(({ row, first, goal, measured, met }) => [row, first, goal, measured, met])
}

/** Every case of the suite has a row, whether it was taken or not. */
export function sectionsOf(suite: SuiteReport | undefined): Section[] {
  const results = new Map(suite?.cases.map((result) => [result.name, result]))
  return sectionHeads.map(([kind, head]) => ({
    head,
    rows: suiteCases.filter((each) => each.kind === kind).map(({ name }) => rowOf(name, results.get(name))),
  }))
}

function rowOf(name: string, result: CaseResult | undefined): SectionRow {
  const { report, error } = result ?? {}
  return { name, error, cells: report && cellsOf(report) }
}

const sectionHeads: readonly (readonly [CaseKind, readonly string[]])[] = [
  [
    'append',
    [
      'case',
      'records/s',
      'lowest–highest',
      'MB/s',
      'errors',
      'p50 ms',
      'p99 ms',
      'p99.9 ms',
      'client CPU s/M',
      'busiest node',
      'idlest node',
      'disk bytes per byte',
      'memory',
    ],
  ],
  [
    'rate',
    [
      'at a fixed rate',
      'records/s',
      'errors',
      'p50 ms',
      'p99 ms',
      'p99.9 ms',
      'max ms',
      'client late p99 ms',
      'busiest node, % of a core',
      'idlest node',
      'memory',
    ],
  ],
  [
    'read',
    ['old records', 'MB/s', 'lowest–highest', 'records/s', 'client CPU s/GB', 'nodes CPU s/GB', 'memory'],
  ],
  [
    'tail',
    [
      'five readers of the tail',
      'appended/s',
      'read/s',
      'errors',
      'missed',
      'kept up',
      'lag p50 ms',
      'p99 ms',
      'max ms',
      'client, % of a core',
      'busiest node',
    ],
  ],
  [
    'follower',
    [
      'a follower returns',
      'records/s before',
      'while away',
      'while catching up',
      'ratio',
      'missed',
      'level after s',
      'errors',
    ],
  ],
  [
    'failover',
    ['a leader is killed', 'longest gap ms', 'lowest–highest', 'acknowledged', 'errors', 'lost', 'doubled'],
  ],
]

function cellsOf(report: CaseReport): string[] {
  switch (report.benchmark) {
    case 'append':
      return report.settings.ratePerSecond === undefined ? appendCells(report) : rateCells(report)
    case 'read':
      return readCells(report)
    case 'read-tail':
      return tailCells(report)
    case 'follower':
      return followerCells(report)
    case 'failover':
      return failoverCells(report)
  }
}

function appendCells({ runs, median, spread }: AppendReport): string[] {
  const run = runs[median]!
  const seconds = ordered(run.nodes.map((node) => node.cpuSecondsPerMillionRecords))
  return [
    formatCount(run.recordsPerSecond),
    formatSpread(spread.recordsPerSecond, formatCount),
    formatFigure(run.megabytesPerSecond),
    formatCount(run.errors),
    formatMaybe(run.latency?.p50Ms),
    formatMaybe(run.latency?.p99Ms),
    formatMaybe(run.latency?.p999Ms),
    formatMaybe(run.client.cpuSecondsPerMillionRecords),
    formatMaybe(seconds.at(-1)),
    formatMaybe(seconds[0]),
    formatMaybe(highestOf(run.nodes, (node) => node.writtenBytesPerByte)),
    formatMemory(highestOf(run.nodes, (node) => node.peakRssBytes)),
  ]
}

function rateCells({ runs, median }: AppendReport): string[] {
  const run = runs[median]!
  const percents = ordered(run.nodes.map((node) => percentOfCore(node, run.seconds)))
  return [
    formatCount(run.recordsPerSecond),
    formatCount(run.errors),
    formatMaybe(run.latency?.p50Ms),
    formatMaybe(run.latency?.p99Ms),
    formatMaybe(run.latency?.p999Ms),
    formatMaybe(run.latency?.maxMs),
    formatMaybe(run.sendDelay?.p99Ms),
    formatMaybe(percents.at(-1)),
    formatMaybe(percents[0]),
    formatMemory(highestOf(run.nodes, (node) => node.peakRssBytes)),
  ]
}

function percentOfCore({ cpuSeconds }: Cost, seconds: number): number | undefined {
  return cpuSeconds === undefined ? undefined : (cpuSeconds / seconds) * 100
}

function ordered(figures: readonly (number | undefined)[]): number[] {
  return figures.flatMap((figure) => figure ?? []).toSorted((a, b) => a - b)
}

function readCells({ cases }: ReadReport): string[] {
  const { runs, median, spread } = cases[0]!
  const run = runs[median]!
  return [
    formatFigure(run.megabytesPerSecond),
    formatSpread(spread.megabytesPerSecond, formatFigure),
    formatCount(run.recordsPerSecond),
    formatMaybe(run.client.cpuSecondsPerGigabyte),
    formatMaybe(sumOf(run.nodes, (node) => node.cpuSecondsPerGigabyte)),
    formatMemory(highestOf(run.nodes, (node) => node.peakRssBytes)),
  ]
}

function tailCells({ runs, median }: TailReport): string[] {
  const { appends, lag, recordsRead, missedRecords, keptUp, client, nodes } = runs[median]!
  const { seconds } = appends
  return [
    formatCount(appends.acknowledged / seconds),
    formatCount(recordsRead / seconds),
    formatCount(appends.errors),
    formatCount(missedRecords),
    keptUp ? 'yes' : 'no',
    formatMaybe(lag?.p50Ms),
    formatMaybe(lag?.p99Ms),
    formatMaybe(lag?.maxMs),
    formatMaybe(percentOfCore(client, seconds)),
    formatMaybe(highestOf(nodes, (node) => percentOfCore(node, seconds))),
  ]
}

function followerCells({ runs, median }: FollowerReport): string[] {
  const run = runs[median]!
  return [
    ...[run.before, run.away, run.catchingUp].map((phase) => formatCount(phase.recordsPerSecond)),
    run.ratio.toFixed(2),
    formatBytes(run.missedBytes),
    formatLevel(run),
    formatCount(run.load.errors),
  ]
}

function failoverCells({ runs, median, spread }: FailoverReport): string[] {
  const run = runs[median]!
  const sum = (pick: (each: typeof run) => number): string =>
    formatCount(runs.reduce((total, each) => total + pick(each), 0))
  return [
    formatCount(run.longestGapMs),
    formatSpread(spread.longestGapMs, formatCount),
    sum(({ records }) => records.acknowledged),
    sum(({ load }) => load.errors),
    sum(({ records }) => records.lost),
    sum(({ records }) => records.doubled),
  ]
}

/** The machine, how long was measured, and when; undefined where there is no report. */
export function suiteConditions({ cases }: SuiteReport): string | undefined {
  const environment = cases.find(({ report }) => report !== undefined)?.report?.environment
  if (environment === undefined) return undefined
  const times = cases.map(({ takenAt }) => takenAt).toSorted()
  const [from, to] = [times[0]!, times.at(-1)!].map((time) => time.slice(0, 16).replace('T', ' '))
  const when = from === to ? `taken ${from}` : `taken from ${from} to ${to}`
  const short = cases.filter(({ quick }) => quick).length
  const quick =
    short === 0 ? '' : `; ${short === cases.length ? 'all' : short} of the cases are --quick, one short run`
  return `${conditions(environment)}; ${when} UTC${quick}`
}

// -- for people --------------------------------------------------------------------------------------------------

export function suiteAnswer(report: SuiteReport): Answer {
  return {
    table: (output) => suiteText(output, report),
    json: () => report,
    rows: () => report.cases,
  }
}

function suiteText(output: Output, suite: SuiteReport): string {
  const tables = [
    tableOf(output, markHead, markCells(suite)),
    ...sectionsOf(suite).flatMap(({ head, rows }) => {
      const taken = rows.flatMap(({ name, cells, error }) => {
        if (cells !== undefined) return [[name, ...cells]]
        return error === undefined ? [] : [[name, 'failed', ...head.slice(2).map(() => '-')]]
      })
      return taken.length === 0 ? [] : [tableOf(output, head, taken)]
    }),
  ]
  const failures = suite.cases.flatMap(({ name, error }) =>
    error === undefined ? [] : [`failed: ${name}: ${error}\n`],
  )
  return (
    `marks, then the median run of each case; ${suiteConditions(suite) ?? 'no case has a report'}\n` +
    'CPU s/M: seconds of CPU for a million records; disk bytes and memory: of the node that has the most\n\n' +
    [...tables, ...(failures.length === 0 ? [] : [failures.join('')])].join('\n')
  )
}

function tableOf(output: Output, head: readonly string[], rows: readonly (readonly string[])[]): string {
  const columns = head.map((title, at): Column => ({
    title: title.toUpperCase(),
    align: at === 0 ? 'left' : 'right',
  }))
  return renderTable(output, columns, rows)
}
