import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { format } from 'prettier'
import { describe, expect, it } from 'vitest'
import type { AppendReport } from '../../src/cli/bench/append.ts'
import {
  conditions,
  formatFigure,
  formatMaybe,
  formatMemory,
  formatSpread,
  highestOf,
} from '../../src/cli/bench/report.ts'
import { allCases, describeCase, type SuiteReport } from '../../src/cli/bench/suite.ts'
import type { ScaleReport } from '../../src/cli/bench/scale.ts'
import { formatCount } from '../../src/cli/format.ts'
import { scaleSvg } from '../../bench/plot-scale.ts'
import { read, root } from './pages.ts'

const page = 'docs/performance.md'
const source = 'docs/performance.json'
const block = /(<!-- figures -->\n)[^]*(<!-- end of figures -->\n)/

const notTaken = 'not taken'

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map((_, column) => (column === 0 ? '---' : '---:')), ...rows]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

const appendHead = [
  'case',
  'records/s',
  'lowest–highest',
  'MB/s',
  'errors',
  'p50 ms',
  'p99 ms',
  'p99.9 ms',
  'CPU s per million records: client',
  'leader, or busiest node',
  'idlest node',
  'disk bytes per byte',
  'memory',
]

function appendRow(name: string, report: AppendReport | undefined): string[] {
  if (report === undefined) return [name, ...appendHead.slice(1).map(() => notTaken)]
  const run = report.runs[report.median]!
  const seconds = run.nodes
    .flatMap(({ cpuSecondsPerMillionRecords }) => cpuSecondsPerMillionRecords ?? [])
    .toSorted((a, b) => a - b)
  return [
    name,
    formatCount(run.recordsPerSecond),
    formatSpread(report.spread.recordsPerSecond, formatCount),
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

const failoverHead = [
  'failover',
  'longest gap ms',
  'lowest–highest',
  'acknowledged',
  'errors',
  'lost',
  'doubled',
]

function failoverRow(report: SuiteReport['failover'] | undefined): string[] {
  const name = '1.0 KiB, 1,000 records a second'
  if (report === undefined) return [name, ...failoverHead.slice(1).map(() => notTaken)]
  const run = report.runs[report.median]!
  const sum = (pick: (each: typeof run) => number): string =>
    formatCount(report.runs.reduce((total, each) => total + pick(each), 0))
  return [
    name,
    formatCount(run.longestGapMs),
    formatSpread(report.spread.longestGapMs, formatCount),
    sum(({ records }) => records.acknowledged),
    sum(({ load }) => load.errors),
    sum(({ records }) => records.lost),
    sum(({ records }) => records.doubled),
  ]
}

function figuresOf(suite: SuiteReport | undefined): string {
  const reports = new Map(suite?.appends.map((report) => [describeCase(report.settings), report]))
  const names = allCases.map(describeCase)
  const said = suite?.appends[0] === undefined ? '' : `\n${conditions(suite.appends[0].environment)}.\n`
  return [
    said,
    tableOf(
      appendHead,
      names.map((name) => appendRow(name, reports.get(name))),
    ),
    '',
    tableOf(failoverHead, [failoverRow(suite?.failover)]),
    '',
  ].join('\n')
}

describe('the page on performance', () => {
  it('shows what was measured (npx vitest run test/docs/performance.test.ts -u writes it anew)', async () => {
    const suite = existsSync(join(root, source)) ? (JSON.parse(read(source)) as SuiteReport) : undefined
    const text = read(page)
    expect(text).toMatch(block)
    const filled = text.replace(
      block,
      (_all, begin: string, end: string) => `${begin}${figuresOf(suite)}\n${end}`,
    )
    const formatted = await format(filled, { parser: 'markdown', printWidth: 110 })
    await expect(formatted).toMatchFileSnapshot(join(root, page))
  })

  it('links to what is there', () => {
    const targets = [...read(page).matchAll(/\]\(([^)#\s]+)/g)].map(([, target = '']) => target)
    expect(targets.filter((target) => !existsSync(join(root, 'docs', target)))).toEqual([])
  })

  it('marks every cell of a case that was not measured', () => {
    const row = appendRow('x', undefined)
    expect(row.filter((cell) => cell === notTaken)).toHaveLength(appendHead.length - 1)
    expect(figuresOf(undefined).split(notTaken).length - 1).toBe(
      allCases.length * (appendHead.length - 1) + failoverHead.length - 1,
    )
  })
})

describe('the plot of what a record costs as things grow', () => {
  const measured = existsSync(join(root, 'docs/scale.json'))

  it('shows the figures of docs/scale.json (npx tsx bench/plot-scale.ts draws it anew)', () => {
    expect(existsSync(join(root, 'docs/scale.svg'))).toBe(measured)
    expect(read(page).includes('(scale.svg)')).toBe(measured)
    if (measured)
      expect(read('docs/scale.svg')).toBe(scaleSvg(JSON.parse(read('docs/scale.json')) as ScaleReport))
  })

  it('differs where a figure does', () => {
    const report = (ratio: number): Parameters<typeof scaleSvg>[0] => ({
      series: [{ name: 'records', points: [1, 3, 10].map((times) => ({ times, ratio })) }],
    })
    expect(scaleSvg(report(1.1))).toContain('1.10')
    expect(scaleSvg(report(1.1))).not.toBe(scaleSvg(report(1.15)))
  })
})
