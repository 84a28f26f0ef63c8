/** Reports of the suite's kinds with figures that a test chooses. */
import type { AppendReport, AppendRun } from '../../../src/cli/bench/append.ts'
import type { FailoverReport } from '../../../src/cli/bench/failover.ts'
import type { FollowerReport, FollowerRun } from '../../../src/cli/bench/follower.ts'
import type { LoadResult } from '../../../src/cli/bench/load.ts'
import type { ReadReport } from '../../../src/cli/bench/read.ts'
import type { CaseReport, CaseResult } from '../../../src/cli/bench/suite.ts'
import type { TailReport } from '../../../src/cli/bench/tail.ts'

export const latency = {
  count: 10,
  meanMs: 2,
  p50Ms: 1.5,
  p95Ms: 3,
  p99Ms: 12.34,
  p999Ms: 123.4,
  maxMs: 1234,
}

export const environment = {
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

export const loadResult: LoadResult = {
  seconds: 10,
  acknowledged: 500_000,
  errors: 0,
  firstError: undefined,
  latency,
  sendDelay: undefined,
}

export function appendRun(recordsPerSecond: number, changes: Partial<AppendRun> = {}): AppendRun {
  return {
    ...loadResult,
    acknowledged: recordsPerSecond * 10,
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
    ...changes,
  }
}

export function appendReport(
  runs: readonly AppendRun[],
  median = Math.min(1, runs.length - 1),
): AppendReport {
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
    median,
    spread: { recordsPerSecond: { min: 8000, max: 9000 } },
  }
}

export function readReport(megabytesPerSecond: number): ReadReport {
  const run = {
    readers: 1,
    seconds: 1,
    records: 1000,
    recordsPerSecond: 1000,
    megabytesPerSecond,
    client: {},
    nodes: [],
  }
  const spread = { megabytesPerSecond: { min: megabytesPerSecond, max: megabytesPerSecond } }
  return {
    benchmark: 'read',
    settings: { sizeBytes: 1024, partitions: 1, preloadBytes: 1e9, readers: [1], runs: 1 },
    environment,
    cases: [{ readers: 1, runs: [run], median: 0, spread }],
  }
}

export function tailReport(ratePerSecond: number, keptUp: boolean): TailReport {
  return {
    benchmark: 'read-tail',
    settings: {
      sizeBytes: 1024,
      partitions: 1,
      readers: 5,
      ratePerSecond,
      durationMs: 10_000,
      warmupMs: 6000,
      runs: 1,
    },
    environment,
    runs: [
      {
        appends: loadResult,
        lag: latency,
        maxBehindRecords: 10,
        recordsRead: 2_500_000,
        halvesP50Ms: [1, keptUp ? 1 : 1000],
        missedRecords: 0,
        keptUp,
        client: { cpuSeconds: 8.5 },
        nodes: [
          { nodeId: 'n1', cpuSeconds: 1 },
          { nodeId: 'n2', cpuSeconds: 4 },
        ],
      },
    ],
    median: 0,
  }
}

export function followerReport(changes: Partial<FollowerRun> = {}): FollowerReport {
  const phase = { seconds: 10, acknowledged: 100_000, recordsPerSecond: 10_000 }
  const run: FollowerRun = {
    follower: 'n2',
    before: phase,
    away: phase,
    catchingUp: phase,
    ratio: 0.85,
    startSeconds: 1.5,
    isLevel: true,
    behindRecords: 100,
    missedBytes: 5e9,
    load: loadResult,
    ...changes,
  }
  return {
    benchmark: 'follower',
    settings: {
      sizeBytes: 1024,
      inFlight: 4096,
      missedBytes: 5e9,
      warmupMs: 6000,
      beforeMs: 10_000,
      patienceMs: 600_000,
      runs: 1,
    },
    environment,
    runs: [run],
    median: 0,
    spread: { ratio: { min: run.ratio, max: run.ratio } },
  }
}

export function failoverReport(longestGapMs: number, lost: number): FailoverReport {
  return {
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
        longestGapMs,
        load: {
          seconds: 20,
          acknowledged: 20_000,
          errors: 2,
          firstError: 'x',
          latency,
          sendDelay: undefined,
        },
        records: {
          sent: 20_002,
          acknowledged: 20_000,
          refused: 1,
          unknown: 1,
          read: 20_000,
          lost,
          doubled: 6,
          misplaced: 1,
          unacknowledged: 0,
          foreign: 3,
        },
      },
    ],
    median: 0,
    spread: { longestGapMs: { min: longestGapMs, max: longestGapMs } },
    flawless: lost === 0,
  }
}

const taken = { takenAt: '2026-01-02T03:04:05.000Z', seconds: 40, quick: false }

export function takenCase(name: string, report: CaseReport): CaseResult {
  return { ...taken, name, report }
}

export function failedCase(name: string, error: string): CaseResult {
  return { ...taken, name, error }
}
