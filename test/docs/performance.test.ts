import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { format } from 'prettier'
import { describe, expect, it } from 'vitest'
import { notTaken } from '../../src/cli/bench/marks.ts'
import type { ScaleReport } from '../../src/cli/bench/scale.ts'
import {
  markCells,
  markHead,
  sectionsOf,
  suiteConditions,
  type Section,
  type SectionRow,
} from '../../src/cli/bench/suite-report.ts'
import { suiteCases, type SuiteReport } from '../../src/cli/bench/suite.ts'
import { scaleSvg } from '../../bench/plot-scale.ts'
import { read, root } from './pages.ts'

const page = 'docs/performance.md'
const source = 'docs/performance.json'
const isScaleMeasured = existsSync(join(root, 'docs/scale.json'))

/** The texts between `<!-- NAME -->` and `<!-- end of NAME -->`. */
const blocks: readonly (readonly [string, (suite: SuiteReport | undefined) => string])[] = [
  ['marks', marksOf],
  ['figures', figuresOf],
  ['scale', scaleOf],
]

const blockOf = (name: string): RegExp => new RegExp(`(<!-- ${name} -->\n)[^]*(<!-- end of ${name} -->\n)`)

function filled(text: string, suite: SuiteReport | undefined): string {
  let result = text
  for (const [name, write] of blocks) {
    result = result.replace(
      blockOf(name),
      (_all, begin: string, end: string) => `${begin}\n${write(suite)}\n\n${end}`,
    )
  }
  return result
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map((_, column) => (column === 0 ? '---' : '---:')), ...rows]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

function marksOf(suite: SuiteReport | undefined): string {
  return tableOf(markHead, markCells(suite))
}

function figuresOf(suite: SuiteReport | undefined): string {
  const said = suite && suiteConditions(suite)
  const tables = sectionsOf(suite).map(({ head, rows }: Section) =>
    tableOf(
      head,
      rows.map((row) => rowOf(row, head)),
    ),
  )
  return [...(said === undefined ? [] : [`${said}.`]), ...tables].join('\n\n')
}

function rowOf({ name, cells, error }: SectionRow, head: readonly string[]): readonly string[] {
  const without = error === undefined ? notTaken : 'failed'
  return [name, ...(cells ?? head.slice(1).map(() => without))]
}

function scaleOf(): string {
  return isScaleMeasured
    ? '![What a record costs among ten times as many partitions, records, readers and stored bytes](scale.svg)'
    : 'Not taken yet: there is no docs/scale.json.'
}

describe('the page on performance', () => {
  it('shows what was measured (npx vitest run test/docs/performance.test.ts -u writes it anew)', async () => {
    const suite = existsSync(join(root, source)) ? (JSON.parse(read(source)) as SuiteReport) : undefined
    const text = read(page)
    for (const [name] of blocks) expect(text).toMatch(blockOf(name))
    const formatted = await format(filled(text, suite), { parser: 'markdown', printWidth: 110 })
    await expect(formatted).toMatchFileSnapshot(join(root, page))
  })

  it('links to what is there', () => {
    const targets = [...read(page).matchAll(/\]\(([^)#\s]+)/g)].map(([, target = '']) => target)
    expect(targets.filter((target) => !existsSync(join(root, 'docs', target)))).toEqual([])
  })

  it('marks every cell of a case that was not measured', () => {
    const cells = sectionsOf(undefined).flatMap(({ head, rows }) => rows.map(() => head.length - 1))
    expect(cells).toHaveLength(suiteCases.length)
    expect(figuresOf(undefined).split(notTaken).length - 1).toBe(cells.reduce((sum, count) => sum + count, 0))
    const rowsOfMarks = markCells(undefined)
    expect(rowsOfMarks.map((row) => row.slice(3))).toEqual(rowsOfMarks.map(() => [notTaken, notTaken]))
  })

  it('tells a case that failed from one that was not taken', () => {
    const name = 'read-old'
    const failed = { name, takenAt: '2026-01-01T00:00:00.000Z', seconds: 1, quick: false, error: 'no disk' }
    const text = figuresOf({ benchmark: 'all', cases: [failed] })
    expect(text).toMatch(/^\| read-old( \| failed)+ \|$/m)
    expect(text).toMatch(/^\| failover( \| not taken)+ \|$/m)
  })
})

describe('the plot of what a record costs as things grow', () => {
  it('shows the figures of docs/scale.json (npx tsx bench/plot-scale.ts draws it anew)', () => {
    expect(existsSync(join(root, 'docs/scale.svg'))).toBe(isScaleMeasured)
    if (isScaleMeasured)
      expect(read('docs/scale.svg')).toBe(scaleSvg(JSON.parse(read('docs/scale.json')) as ScaleReport))
  })

  it('differs where a figure does', () => {
    const report = (ratio: number): Parameters<typeof scaleSvg>[0] => ({
      series: [
        { name: 'records', points: [1, 3, 10].map((times) => ({ times, amount: times * 2000, ratio })) },
      ],
    })
    expect(scaleSvg(report(1.1))).toContain('1.10')
    expect(scaleSvg(report(1.1))).toContain('20,000')
    expect(scaleSvg(report(1.1))).not.toBe(scaleSvg(report(1.15)))
  })
})
