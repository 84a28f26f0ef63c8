/** What appends, reads and failovers have to reach, and whether a run of the suite does. Pure. */
import { formatCount } from '../format.ts'
import type { AppendReport, AppendRun } from './append.ts'
import { formatFigure, highestOf } from './report.ts'
import type { CaseReport, CaseResult, SuiteReport } from './suite.ts'

/** How a figure is written. */
type Unit = 'records/s' | 'keep up' | 'MB/s' | 'ms' | 's' | 'MB' | '%' | 'times'

export interface Mark {
  readonly row: string
  readonly unit: Unit
  readonly better: 'more' | 'less'
  /** One for each figure of the row. */
  readonly first: readonly number[]
  readonly goal: readonly number[]
  /** Whether a case of the suite tells of it. */
  isOf(name: string): boolean
  /** From the reports of those cases, at least one; undefined where they don't tell. */
  measure(reports: readonly CaseReport[]): readonly number[] | undefined
}

export interface MarkRow {
  readonly row: string
  readonly first: string
  readonly goal: string
  readonly measured: string
  readonly met: 'goal' | 'first mark' | 'no' | 'failed' | 'not taken'
}

export const notTaken = 'not taken'
/** A follower that has missed less says nothing of the mark. */
const leastMissedBytes = 5e9

const called = (wanted: string) => (name: string) => name === wanted

/** From the median run of the first append among the reports. */
function ofAppend(pick: (run: AppendRun) => readonly (number | undefined)[]): Mark['measure'] {
  return (reports) => {
    const report = reports.find((each): each is AppendReport => each.benchmark === 'append')
    return known(report && pick(report.runs[report.median]!))
  }
}

/** All of them, or none. */
function known(figures: readonly (number | undefined)[] | undefined): readonly number[] | undefined {
  const all = figures?.flatMap((figure) => figure ?? [])
  return all?.length === figures?.length ? all : undefined
}

export const marks: readonly Mark[] = [
  {
    row: "1 KiB records through the client's batching",
    unit: 'records/s',
    better: 'more',
    first: [100_000],
    goal: [200_000],
    isOf: called('batched-1KiB-p1-f8192'),
    measure: ofAppend(({ recordsPerSecond }) => [recordsPerSecond]),
  },
  {
    row: "100 B records through the client's batching",
    unit: 'records/s',
    better: 'more',
    first: [400_000],
    goal: [1_000_000],
    isOf: called('batched-100B-p1-f16384'),
    measure: ofAppend(({ recordsPerSecond }) => [recordsPerSecond]),
  },
  {
    row: '1 KiB, one request each, 256 in flight',
    unit: 'records/s',
    better: 'more',
    first: [20_000],
    goal: [40_000],
    isOf: called('single-1KiB-p1-f256'),
    measure: ofAppend(({ recordsPerSecond }) => [recordsPerSecond]),
  },
  {
    row: '1 KiB, 1 in flight, p50 / p99',
    unit: 'ms',
    better: 'less',
    first: [0.8, 3],
    goal: [0.5, 1.5],
    isOf: called('single-1KiB-p1-f1'),
    measure: ofAppend(({ latency }) => [latency?.p50Ms, latency?.p99Ms]),
  },
  {
    row: '64 KiB, 32 in flight',
    unit: 'MB/s',
    better: 'more',
    first: [130],
    goal: [310],
    isOf: called('single-64KiB-p1-f32'),
    measure: ofAppend(({ megabytesPerSecond }) => [megabytesPerSecond]),
  },
  {
    row: '256 KiB, 16 in flight',
    unit: 'MB/s',
    better: 'more',
    first: [200],
    goal: [370],
    isOf: called('single-256KiB-p1-f16'),
    measure: ofAppend(({ megabytesPerSecond }) => [megabytesPerSecond]),
  },
  {
    row: 'fixed 10,000 records/s of 1 KiB over 100 partitions: p99 / p99.9',
    unit: 'ms',
    better: 'less',
    first: [20, 50],
    goal: [5, 15],
    isOf: called('rate-10000-1KiB-p100'),
    measure: ofAppend(({ latency }) => [latency?.p99Ms, latency?.p999Ms]),
  },
  {
    row: 'read of old records, 1 KiB in batches, one reader',
    unit: 'MB/s',
    better: 'more',
    first: [300],
    goal: [1000],
    isOf: called('read-old'),
    measure: (reports) => {
      const report = reports.find((each) => each.benchmark === 'read')
      const one = report?.cases.find(({ readers }) => readers === 1)
      return one && [one.runs[one.median]!.megabytesPerSecond]
    },
  },
  {
    row: 'five readers of the tail, records/s in',
    unit: 'keep up',
    better: 'more',
    first: [50_000],
    goal: [100_000],
    isOf: (name) => name.startsWith('tail-'),
    measure: (reports) => {
      const tails = reports.filter((each) => each.benchmark === 'read-tail')
      const kept = tails.filter(({ runs, median }) => runs[median]!.keptUp)
      return [Math.max(0, ...kept.map(({ settings }) => settings.ratePerSecond))]
    },
  },
  {
    row: 'memory of a node under full load',
    unit: 'MB',
    better: 'less',
    first: [250],
    goal: [150],
    isOf: (name) => /^(batched|single)-/.test(name),
    measure: (reports) => {
      const appends = reports.filter((each) => each.benchmark === 'append')
      const nodes = appends.flatMap(({ runs, median }) => runs[median]!.nodes)
      const bytes = highestOf(nodes, ({ peakRssBytes }) => peakRssBytes)
      return bytes === undefined ? undefined : [bytes / 1e6]
    },
  },
  {
    row: 'kill -9 of a leader, longest gap between acknowledgements',
    unit: 's',
    better: 'less',
    first: [1.5],
    goal: [0.5],
    isOf: called('failover'),
    measure: (reports) => {
      const report = reports.find((each) => each.benchmark === 'failover')
      return report && [report.runs[report.median]!.longestGapMs / 1000]
    },
  },
  {
    row: 'throughput while a follower catches up 5 GB',
    unit: '%',
    better: 'more',
    first: [70],
    goal: [90],
    isOf: called('follower'),
    measure: (reports) => {
      const report = reports.find((each) => each.benchmark === 'follower')
      return report && [report.runs[report.median]!.ratio * 100]
    },
  },
  {
    row: 'bytes written to disk per byte appended, per replica, 64 KiB',
    unit: 'times',
    better: 'less',
    first: [1.3],
    goal: [1.05],
    isOf: called('single-64KiB-p1-f32'),
    measure: ofAppend(({ nodes }) => [highestOf(nodes, ({ writtenBytesPerByte }) => writtenBytesPerByte)]),
  },
]

/** The rows of the table of marks, from the reports of a suite. */
export function markRows(suite: SuiteReport | undefined): MarkRow[] {
  return marks.map((mark) => {
    const { row, unit, first, goal } = mark
    const found = suite?.cases.filter(({ name }) => mark.isOf(name)) ?? []
    return {
      row,
      first: write(first, unit, String),
      goal: write(goal, unit, String),
      ...outcome(mark, found),
    }
  })
}

function outcome(mark: Mark, found: readonly CaseResult[]): Pick<MarkRow, 'measured' | 'met'> {
  if (found.length === 0) return { measured: notTaken, met: notTaken }
  const reports = found.flatMap(({ report }) => report ?? [])
  if (reports.length === 0) return { measured: 'failed', met: 'failed' }
  const figures = mark.measure(reports)
  if (figures === undefined) return { measured: 'unknown', met: 'no' }
  const notes = [...new Set(reports.flatMap(notesOf))]
  const measured = [write(figures, mark.unit, formatFigure), ...notes.map(({ text }) => text)].join(', ')
  const reaches = (limits: readonly number[]): boolean =>
    figures.every((figure, at) => (mark.better === 'more' ? figure >= limits[at]! : figure <= limits[at]!))
  if (notes.some(({ isFault }) => isFault)) return { measured, met: 'no' }
  return { measured, met: reaches(mark.goal) ? 'goal' : reaches(mark.first) ? 'first mark' : 'no' }
}

interface Note {
  readonly text: string
  /** With it no mark is met, whatever the figure. */
  readonly isFault: boolean
}

/** What a figure can't be quoted without. */
function notesOf(report: CaseReport): Note[] {
  switch (report.benchmark) {
    case 'append':
      return errorsOf(report.runs[report.median]!.errors)
    case 'follower': {
      const run = report.runs[report.median]!
      const text = `${(run.missedBytes / 1e9).toFixed(1)} GB missed`
      const missed = { text, isFault: run.missedBytes < leastMissedBytes }
      const late = run.isLevel ? [] : [{ text: 'it never was level', isFault: true }]
      return [missed, ...late, ...errorsOf(run.load.errors)]
    }
    case 'failover':
      return report.flawless ? [] : [{ text: 'records lost or doubled', isFault: true }]
    case 'read':
    case 'read-tail':
      return []
  }
}

function errorsOf(errors: number): Note[] {
  return errors === 0 ? [] : [{ text: `${formatCount(errors)} failed appends`, isFault: true }]
}

function write(figures: readonly number[], unit: Unit, plain: (figure: number) => string): string {
  const numbers = figures.map((figure) => (figure >= 1000 ? formatCount(figure) : plain(figure)))
  switch (unit) {
    case 'records/s':
      return `${numbers.join(' / ')}/s`
    case 'keep up':
      return figures[0] === 0 ? "don't keep up" : `keep up at ${numbers.join(' / ')}/s`
    case 'times':
      return numbers.join(' / ')
    case 'MB/s':
    case 'ms':
    case 's':
    case 'MB':
    case '%':
      return `${numbers.join(' / ')} ${unit}`
  }
}
