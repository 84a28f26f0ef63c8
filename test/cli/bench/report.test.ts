import { describe, expect, it } from 'vitest'
import type { AppendReport, AppendRun } from '../../../src/cli/bench/append.ts'
import type { FailoverReport } from '../../../src/cli/bench/failover.ts'
import {
  appendAnswer,
  failoverAnswer,
  formatFigure,
  highestOf,
  sumOf,
} from '../../../src/cli/bench/report.ts'
import { suiteAnswer } from '../../../src/cli/bench/suite.ts'
import { Captured } from '../fakes.ts'

const latency = { count: 10, meanMs: 2, p50Ms: 1.5, p95Ms: 3, p99Ms: 12.34, p999Ms: 123.4, maxMs: 1234 }

const environment = {
  flotilla: '1.2.3',
  node: '20.20.0',
  system: 'Linux 6 x64',
  cpu: 'Some CPU',
  cores: 2,
  memoryBytes: 1,
  loadAverage: 0.5,
  replicationFactor: 3,
  fsync: 'always',
  client: 'the process of the benchmark',
  cluster: { nodes: 3, startedByBenchmark: true, dataInMemory: false, diskSync: latency },
} as const

function run(recordsPerSecond: number): AppendRun {
  return {
    seconds: 10,
    acknowledged: recordsPerSecond * 10,
    errors: 0,
    firstError: undefined,
    latency,
    sendDelay: undefined,
    recordsPerSecond,
    megabytesPerSecond: recordsPerSecond / 1000,
    client: { cpuSeconds: 1, cpuSecondsPerMillionRecords: 4.5, cpuSecondsPerGigabyte: 4.4 },
    nodes: [
      {
        nodeId: 'n1',
        leads: 1,
        cpuSecondsPerMillionRecords: 15,
        writtenBytesPerByte: 1.02,
        peakRssBytes: 2 ** 27,
      },
      { nodeId: 'n2', leads: 0 },
    ],
  }
}

function appendReport(runs: readonly AppendRun[]): AppendReport {
  return {
    benchmark: 'append',
    settings: {
      mode: 'single',
      sizeBytes: 1024,
      partitions: 1,
      inFlight: 256,
      durationMs: 10_000,
      warmupMs: 2000,
      runs: runs.length,
    },
    environment,
    runs,
    median: 1,
    spread: { recordsPerSecond: { min: 8000, max: 9000 } },
  }
}

const failoverReport: FailoverReport = {
  benchmark: 'failover',
  settings: {
    sizeBytes: 1024,
    partitions: 1,
    ratePerSecond: 1000,
    killAfterMs: 5000,
    durationMs: 20_000,
    runs: 1,
  },
  environment,
  runs: [
    {
      victim: 'n1',
      usualGapMs: 3.2,
      longestGapMs: 512,
      load: { seconds: 20, acknowledged: 20_000, errors: 2, firstError: 'x', latency, sendDelay: undefined },
      records: {
        sent: 20_002,
        acknowledged: 20_000,
        refused: 1,
        unknown: 1,
        read: 20_000,
        lost: 7,
        doubled: 6,
        misplaced: 1,
        unacknowledged: 0,
        foreign: 3,
      },
    },
  ],
  median: 0,
  spread: { longestGapMs: { min: 512, max: 512 } },
  flawless: false,
}

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
    const text = failoverAnswer(failoverReport).table(output)
    expect(text).toMatch(/^1 median +512 +3\.20 +20,000 +2 +7 +6 +4 /m)
  })

  it('are a line a case in the table of all', () => {
    const report = {
      benchmark: 'all',
      quick: true,
      appends: [appendReport([run(8000), run(8500)])],
      failover: failoverReport,
    } as const
    const text = suiteAnswer(report).table(output)
    expect(text).toMatch(
      /^single +1\.0 KiB +1 +256 +8,500 +8,000–9,000 +8\.50 +0 .* 4\.50 +15\.0 +15\.0 +1\.02 +128 MiB$/m,
    )
    expect(text).toContain('failover: 1,000 records a second')
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
