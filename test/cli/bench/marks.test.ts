import { describe, expect, it } from 'vitest'
import { markRows, marks } from '../../../src/cli/bench/marks.ts'
import { suiteCases, type CaseResult } from '../../../src/cli/bench/suite.ts'
import {
  appendReport,
  appendRun,
  failedCase,
  failoverReport,
  followerReport,
  latency,
  readReport,
  tailReport,
  takenCase,
} from './reports.ts'

/** The one row that these cases tell of, or the one that begins with `start`. */
function rowOf(start: string, ...cases: CaseResult[]) {
  const rows = markRows({ benchmark: 'all', cases }).filter(({ row }) => row.startsWith(start))
  expect(rows).toHaveLength(1)
  return rows[0]!
}

const single = (recordsPerSecond: number, errors = 0): CaseResult =>
  takenCase('single-1KiB-p1-f256', appendReport([appendRun(recordsPerSecond, { errors })]))

describe('a mark', () => {
  it('is met as far as the figure reaches', () => {
    const row = '1 KiB, one request each'
    expect(rowOf(row, single(19_999)).met).toBe('no')
    expect(rowOf(row, single(20_000))).toMatchObject({ measured: '20,000/s', met: 'first mark' })
    expect(rowOf(row, single(40_000)).met).toBe('goal')
  })

  it('of two figures needs both', () => {
    const one = (p50Ms: number, p99Ms: number): CaseResult =>
      takenCase('single-1KiB-p1-f1', appendReport([appendRun(1, { latency: { ...latency, p50Ms, p99Ms } })]))
    const row = '1 KiB, 1 in flight'
    expect(rowOf(row, one(0.5, 1.5))).toMatchObject({ measured: '0.50 / 1.50 ms', met: 'goal' })
    expect(rowOf(row, one(0.5, 1.6)).met).toBe('first mark')
    expect(rowOf(row, one(0.5, 3.1)).met).toBe('no')
    expect(rowOf(row, one(0.9, 1)).met).toBe('no')
  })

  it('is read from the median run', () => {
    const runs = [appendRun(50_000), appendRun(21_000), appendRun(10_000)]
    const taken = takenCase('single-1KiB-p1-f256', appendReport(runs, 1))
    expect(rowOf('1 KiB, one request each', taken).measured).toBe('21,000/s')
  })

  it('is not met by appends that failed, however many were quick', () => {
    expect(rowOf('1 KiB, one request each', single(50_000, 12))).toMatchObject({
      measured: '50,000/s, 12 failed appends',
      met: 'no',
    })
  })

  it('says where its case was not taken, where it failed, and where the system told nothing', () => {
    const row = '1 KiB, one request each'
    expect(rowOf(row)).toMatchObject({ measured: 'not taken', met: 'not taken' })
    expect(rowOf(row, failedCase('single-1KiB-p1-f256', 'x'))).toMatchObject({ met: 'failed' })
    const untold = takenCase('single-64KiB-p1-f32', appendReport([appendRun(1, { nodes: [] })]))
    expect(rowOf('bytes written to disk', untold)).toMatchObject({ measured: 'unknown', met: 'no' })
  })

  it('has its limits in the unit of its figure', () => {
    expect(markRows(undefined).map(({ first, goal }) => `${first}, ${goal}`)).toEqual([
      '100,000/s, 200,000/s',
      '400,000/s, 1,000,000/s',
      '20,000/s, 40,000/s',
      '0.8 / 3 ms, 0.5 / 1.5 ms',
      '130 MB/s, 310 MB/s',
      '200 MB/s, 370 MB/s',
      '20 / 50 ms, 5 / 15 ms',
      '300 MB/s, 1,000 MB/s',
      'keep up at 50,000/s, keep up at 100,000/s',
      '250 MB, 150 MB',
      '1.5 s, 0.5 s',
      '70 %, 90 %',
      '1.3, 1.05',
    ])
  })

  it('is told by a case that the suite has', () => {
    for (const mark of marks) {
      expect(
        suiteCases.filter(({ name }) => mark.isOf(name)),
        mark.row,
      ).not.toEqual([])
    }
  })
})

describe('the mark of memory', () => {
  it('is the highest of any node in any case that appends as fast as it goes', () => {
    const using = (name: string, peakRssBytes: number): CaseResult =>
      takenCase(name, appendReport([appendRun(1, { nodes: [{ nodeId: 'n1', leads: 0, peakRssBytes }] })]))
    const cases = [using('single-1KiB-p1-f1', 120e6), using('batched-1KiB-p16-f8192', 260e6)]
    expect(rowOf('memory', ...cases)).toMatchObject({ measured: '260 MB', met: 'no' })
    expect(rowOf('memory', cases[0]!, using('rate-1000-1KiB-p1000', 999e6)).met).toBe('goal')
  })
})

describe('the mark of readers at the tail', () => {
  const row = 'five readers of the tail'
  it('is the highest rate at which they keep up', () => {
    const [slow, fast] = [50_000, 100_000].map((rate) => takenCase(`tail-${rate}`, tailReport(rate, true)))
    const tooFast = takenCase('tail-100000', tailReport(100_000, false))
    expect(rowOf(row, slow!, fast!)).toMatchObject({ measured: 'keep up at 100,000/s', met: 'goal' })
    expect(rowOf(row, slow!, tooFast)).toMatchObject({ measured: 'keep up at 50,000/s', met: 'first mark' })
    expect(rowOf(row, tooFast)).toMatchObject({ measured: "don't keep up", met: 'no' })
  })
})

describe('the marks of a node that goes away', () => {
  it('say how much a follower missed, and hold only where that was enough and it became level', () => {
    const row = 'throughput while a follower'
    const taken = (report = followerReport()): CaseResult => takenCase('follower', report)
    expect(rowOf(row, taken())).toMatchObject({ measured: '85.0 %, 5.0 GB missed', met: 'first mark' })
    expect(rowOf(row, taken(followerReport({ ratio: 0.95, isLevel: false })))).toMatchObject({
      measured: '95.0 %, 5.0 GB missed, it never was level',
      met: 'no',
    })
    expect(rowOf(row, taken(followerReport({ ratio: 0.95, missedBytes: 1e9 })))).toMatchObject({
      measured: '95.0 %, 1.0 GB missed',
      met: 'no',
    })
  })

  it('are in seconds for a leader, and hold only where nothing was lost', () => {
    const row = 'kill -9 of a leader'
    const taken = (lost: number): CaseResult => takenCase('failover', failoverReport(512, lost))
    expect(rowOf(row, taken(0))).toMatchObject({ measured: '0.51 s', met: 'first mark' })
    expect(rowOf(row, taken(1))).toMatchObject({ measured: '0.51 s, records lost or doubled', met: 'no' })
  })
})

it('the mark of old records is that of one reader', () => {
  expect(rowOf('read of old records', takenCase('read-old', readReport(450)))).toMatchObject({
    measured: '450 MB/s',
    met: 'first mark',
  })
})
