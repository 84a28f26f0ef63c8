import { describe, expect, it } from 'vitest'
import type { GroupReport } from '../../../src/cli/bench/group.ts'
import { groupAnswer } from '../../../src/cli/bench/group-report.ts'
import { noteOwned } from '../../../src/cli/bench/group-take-over.ts'
import { Captured } from '../fakes.ts'

const report: GroupReport = {
  benchmark: 'group',
  settings: {
    sizeBytes: 1024,
    partitions: 16,
    members: 4,
    preloadBytes: 1e6,
    ratePerSecond: 2000,
    runs: 1,
    takeOvers: 2,
    idleGroups: 1000,
  },
  environment: {
    flotilla: '0.0.0',
    node: '20.0.0',
    system: 'Linux 6.1 x64',
    loadAverage: 0,
    client: 'the process of the benchmark',
    cpu: 'A CPU',
    cores: 2,
    memoryBytes: 4e9,
    replicationFactor: 3,
    fsync: 'always',
    cluster: { nodes: 3, startedByBenchmark: true },
  },
  runs: [
    {
      records: 1000,
      recordsPerSecond: 200_000,
      client: { cpuSecondsPerMillionRecords: 2 },
      nodes: [
        { nodeId: 'n1', cpuSecondsPerMillionRecords: 1.5 },
        { nodeId: 'n2', cpuSecondsPerMillionRecords: 2.5 },
      ],
      appendLatency: undefined,
      commitLatency: undefined,
      undisturbed: { partitions: 16, longestMs: 21 },
      moved: { partitions: 3, longestMs: 300 },
      stayed: { partitions: 13, longestMs: 22 },
    },
  ],
  median: 0,
  spread: { recordsPerSecond: { min: 200_000, max: 200_000 } },
  takeOvers: [
    { partitions: 8, takenOverMs: 9900, beyondLeaseMs: -100 },
    { partitions: 8, takenOverMs: 10_250, beyondLeaseMs: 250 },
  ],
  idle: { groups: 1000, nodes: [{ nodeId: 'n1', cpuPercentOfCore: 0.8, rssBytes: 40 * 1024 * 1024 }] },
}

function textOf(changes: Partial<GroupReport>): string {
  const table = groupAnswer({ ...report, ...changes }).table(new Captured())
  return typeof table === 'string' ? table : ''
}

describe('the report of the groups', () => {
  it('shows throughput with its CPU, and gaps beside those before the fifth member', () => {
    expect(textOf({})).toMatch(/1 median +200,000 +2\.00 +2\.50 +4\.00 +- +- +21\.0 +3 +300 +13 +22\.0/)
  })

  it('shows each take-over against the lease', () => {
    expect(textOf({})).toContain(
      "a member's process killed: 8 partitions taken over after 9,900 ms (-100 to the lease); 8 partitions taken over after 10,250 ms (+250 to the lease)",
    )
    expect(textOf({ takeOvers: [] })).not.toContain('killed')
  })

  it('shows what idle groups cost each node, and nothing where that is not told', () => {
    expect(textOf({})).toContain('1,000 idle groups with a member each add: n1 0.80 % of a core, 40 MiB')
    expect(textOf({ idle: undefined })).not.toContain('idle')
  })

  it('shows the idle groups alone where nothing else was measured', () => {
    const text = textOf({ runs: [], takeOvers: [], median: undefined, spread: undefined })
    expect(text).toContain('1,000 idle groups with a member each add: n1 0.80 % of a core, 40 MiB')
    expect(text).not.toContain('RECORDS/S')
  })
})

describe('the member that is killed', () => {
  it('has what it has said to be assigned and not said to be gone', () => {
    const owned = new Set<number>()
    for (const line of [
      'assigned: orders-2/0, orders-2/11',
      'assigned: orders-2/3',
      'revoked: orders-2/0',
      'a warning of Node',
    ])
      noteOwned(owned, line)
    expect([...owned]).toEqual([11, 3])
    noteOwned(owned, 'lost: orders-2/3, orders-2/11 (the group had forgotten it)')
    expect([...owned]).toEqual([])
  })
})
