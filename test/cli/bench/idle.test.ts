import { describe, expect, it } from 'vitest'
import { idleAnswer } from '../../../src/cli/bench/idle-report.ts'
import { idleNode, topicsOf, type IdleReport } from '../../../src/cli/bench/idle.ts'
import { runCli } from '../../../src/cli/program.ts'
import { fakeContext } from '../fakes.ts'

const MIB = 1024 * 1024

describe('the topics of bench idle', () => {
  it('hold exactly as many partitions as were asked for, none more than a topic may have', () => {
    expect(topicsOf(1)).toEqual([{ name: 'idle-0', partitions: 1 }])
    expect(topicsOf(1000).map(({ partitions }) => partitions)).toEqual([1000])
    expect(topicsOf(2500).map(({ partitions }) => partitions)).toEqual([1000, 1000, 500])
    expect(new Set(topicsOf(10_000).map(({ name }) => name)).size).toBe(10)
  })
})

describe('what is said of an idle node', () => {
  it('is what memory grew by, shared out among the groups', () => {
    const node = idleNode('n1', 100 * MIB, { cpuPercentOfCore: 2, rssBytes: 200 * MIB }, {}, 10_000)
    expect(node.rssBytesPerGroup).toBeCloseTo((100 * MIB) / 10_000)
    expect(node.cpuPercentOfCore).toBe(2)
  })

  it('is left out where the system tells nothing', () => {
    expect(idleNode('n1', undefined, undefined, undefined, 10)).toEqual({ nodeId: 'n1' })
    expect(idleNode('n1', undefined, { rssBytes: 5 }, undefined, 10)).toEqual({ nodeId: 'n1', rssBytes: 5 })
  })
})

describe('the report of bench idle', () => {
  const report: IdleReport = {
    benchmark: 'idle',
    settings: { groups: 10_000, settleMs: 30_000, durationMs: 20_000 },
    environment: {
      flotilla: '0',
      node: '20',
      system: 'Linux',
      cpu: 'c',
      cores: 2,
      memoryBytes: 1,
      loadAverage: 0,
      replicationFactor: 3,
      fsync: 'always',
      client: 'the process of the benchmark',
      cluster: { nodes: 3, startedByBenchmark: true },
    },
    createSeconds: 12,
    oneStartSeconds: 3,
    allStartSeconds: 4,
    allLeadSeconds: 9,
    nodes: [idleNode('n1', 100 * MIB, { cpuPercentOfCore: 2.5, rssBytes: 180 * MIB }, undefined, 10_000)],
  }

  it('names settings, each node, and how long starts take', () => {
    const text = idleAnswer(report).table(fakeContext({}).stdout)
    expect(text).toContain('idle: 10,000 groups on 1 node,')
    expect(text).toMatch(/n1 .*2\.50/)
    expect(text).toContain('made in 12.0 s')
    expect(text).toContain('every group is led after 9.00 s')
  })

  it('has a row for each node', () => {
    expect(idleAnswer(report).rows()).toEqual([expect.objectContaining({ nodeId: 'n1', createSeconds: 12 })])
  })
})

describe('wrong use of bench idle', () => {
  it.each([
    ['bench idle --groups 0', 'a whole number from 1 to 10000'],
    ['bench idle --groups 20000', 'a whole number from 1 to 10000'],
    ['bench idle --bootstrap 127.0.0.1:7101', "unknown option '--bootstrap'"],
  ])('%s', async (commandLine, complaint) => {
    const context = fakeContext({})
    expect(await runCli(context, commandLine.split(' '))).toBe(2)
    expect(context.stderr.text).toContain(complaint)
  })
})
