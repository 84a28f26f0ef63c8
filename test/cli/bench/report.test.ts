import { describe, expect, it } from 'vitest'
import {
  appendAnswer,
  failoverAnswer,
  formatFigure,
  highestOf,
  sumOf,
} from '../../../src/cli/bench/report.ts'
import { Captured } from '../fakes.ts'
import { appendReport, appendRun as run, environment, failoverReport } from './reports.ts'

const output = new Captured()

describe('reports', () => {
  it('shows errors, and what caused the first', () => {
    const failed = { ...run(8000), errors: 12, firstError: 'no leader' }
    const text = appendAnswer(appendReport([failed, run(8500)])).table(output)
    expect(text).toContain('error: no leader')
    expect(text).toMatch(/^1 +8,000 +8\.00 +12 +1\.50 +3\.00 +12\.3 +123 +1,234$/m)
  })

  it('states how the figures were taken', () => {
    const text = appendAnswer(appendReport([run(8000), run(8500), run(9000)])).table(output)
    expect(text).toContain('one request a record: values of 1.0 KiB, 1 partition, at most 256 in flight')
    expect(text).toContain('3 runs of 10.0 s after 2.0 s of warm-up')
    expect(text).toContain(
      'replication factor 3, fsync always; 3 nodes and the client on one machine, 2 cores',
    )
    expect(text).toContain('flotilla 1.2.3, Node 20.20.0')
    expect(text).toContain('lowest to highest: 8,000–9,000 records/s')
  })

  it('shouts where the data lies in memory', () => {
    const cluster = { ...environment.cluster, dataInMemory: true }
    const report = { ...appendReport([run(1), run(2)]), environment: { ...environment, cluster } }
    expect(appendAnswer(report).table(output)).toContain('THE DATA LIES IN MEMORY')
  })

  it('marks the median, and leaves out what is not known', () => {
    const text = appendAnswer(appendReport([run(8000), run(8500)])).table(output)
    expect(text).toMatch(/^2 median +8,500 /m)
    expect(text).toMatch(/^n1 +1 +15\.0 +- +1\.02 +128 MiB$/m)
    expect(text).toMatch(/^n2 +0 +- +- +- +-$/m)
  })

  it('are one row a run in NDJSON, each with its settings', () => {
    const rows = appendAnswer(appendReport([run(8000), run(8500)])).rows()
    expect(rows).toHaveLength(2)
    expect(rows[1]).toMatchObject({
      benchmark: 'append',
      settings: { sizeBytes: 1024 },
      environment: { cores: 2 },
      recordsPerSecond: 8500,
    })
  })

  it('name what was lost and doubled', () => {
    const text = failoverAnswer(failoverReport(512, 7)).table(output)
    expect(text).toMatch(/^1 median +512 +3\.20 +20,000 +2 +7 +6 +4 /m)
  })
})

describe('figures', () => {
  it('have about three digits', () => {
    expect([0, 0.0534, 0.534, 5.34, 53.4, 534.4, 5344].map(formatFigure)).toEqual([
      '0.00',
      '0.053',
      '0.53',
      '5.34',
      '53.4',
      '534',
      '5,344',
    ])
  })

  it('of several processes are unknown where one is, and so is the highest of nothing', () => {
    expect(sumOf([1, undefined], (value) => value)).toBeUndefined()
    expect(sumOf([], (value: number) => value)).toBeUndefined()
    expect(sumOf([1, 2], (value) => value)).toBe(3)
    expect(highestOf([undefined], (value) => value)).toBeUndefined()
    expect(highestOf([1, 3, undefined], (value) => value)).toBe(3)
  })
})
