import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { placeReplicas } from '../../../src/broker/metadata/placement.ts'
import { Cluster, createTopic, node } from './cluster.ts'

const countsOf = (nodes: readonly { nodeId: string }[], chosen: readonly string[]): number[] =>
  nodes.map(({ nodeId }) => chosen.filter((each) => each === nodeId).length)
const spreadOf = (counts: readonly number[]): number => Math.max(...counts) - Math.min(...counts)

const setting = fc
  .record({
    nodeCount: fc.integer({ min: 1, max: 9 }),
    partitionCount: fc.integer({ min: 1, max: 24 }),
    factor: fc.integer({ min: 1, max: 5 }),
    hosts: fc.integer({ min: 1, max: 9 }),
  })
  .map(({ nodeCount, factor, ...rest }) => ({ ...rest, nodeCount, factor: Math.min(factor, nodeCount) }))

describe('the placement of a new topic', () => {
  it('puts the replicas of a partition on different nodes', () => {
    fc.assert(
      fc.property(setting, ({ nodeCount, partitionCount, factor, hosts }) => {
        const nodes = Array.from({ length: nodeCount }, (_, at) => node(`n${at}`, `h${at % hosts}`))
        for (const replicas of placeReplicas(nodes, [], partitionCount, factor)) {
          expect(new Set(replicas).size).toBe(factor)
        }
      }),
    )
  })

  it('puts them on as many hosts as there are', () => {
    fc.assert(
      fc.property(setting, ({ nodeCount, partitionCount, factor, hosts }) => {
        const nodes = Array.from({ length: nodeCount }, (_, at) => node(`n${at}`, `h${at % hosts}`))
        const hostOf = new Map(nodes.map(({ nodeId, hostLabel }) => [nodeId, hostLabel]))
        for (const replicas of placeReplicas(nodes, [], partitionCount, factor)) {
          const used = new Set(replicas.map((id) => hostOf.get(id))).size
          expect(used).toBe(Math.min(factor, new Set(hostOf.values()).size))
        }
      }),
    )
  })

  it('gives each node as many replicas as the next, give or take one', () => {
    fc.assert(
      fc.property(setting, ({ nodeCount, partitionCount, factor }) => {
        const nodes = Array.from({ length: nodeCount }, (_, at) => node(`n${at}`))
        expect(
          spreadOf(countsOf(nodes, placeReplicas(nodes, [], partitionCount, factor).flat())),
        ).toBeLessThanOrEqual(1)
      }),
    )
  })

  it('spreads the preferred leaders: exactly where every node has every partition, else nearly', () => {
    fc.assert(
      fc.property(setting, ({ nodeCount, partitionCount, factor }) => {
        const nodes = Array.from({ length: nodeCount }, (_, at) => node(`n${at}`))
        const leaders = placeReplicas(nodes, [], partitionCount, factor).map(([first]) => first!)
        expect(spreadOf(countsOf(nodes, leaders))).toBeLessThanOrEqual(factor === nodeCount ? 1 : 2)
      }),
    )
  })

  it('is the same for the same cluster, in whatever order its nodes came', () => {
    fc.assert(
      fc.property(setting, fc.nat({ max: 8 }), ({ nodeCount, partitionCount, factor, hosts }, turn) => {
        const nodes = Array.from({ length: nodeCount }, (_, at) => node(`n${at}`, `h${at % hosts}`))
        const turned = [...nodes.slice(turn), ...nodes.slice(0, turn)]
        expect(placeReplicas(turned, [], partitionCount, factor)).toEqual(
          placeReplicas(nodes, [], partitionCount, factor),
        )
      }),
    )
  })

  it('counts what the topics before it have placed', () => {
    const cluster = new Cluster()
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) {
      cluster.do(createTopic(name, { partitionCount: 1, replicationFactor: 1 }))
    }
    const chosen = [...cluster.state.topics.values()].flatMap(({ partitions }) =>
      partitions.map(({ replicas }) => replicas[0]!),
    )
    expect(countsOf([...cluster.state.nodes.values()], chosen)).toEqual([2, 2, 2])
  })

  it('gives a node that is new its share', () => {
    const cluster = new Cluster([node('n1'), node('n2')])
    cluster.do(createTopic('a', { partitionCount: 6, replicationFactor: 1 }))
    cluster.do({ type: 'registerNode', node: node('n3') })
    cluster.do(createTopic('b', { partitionCount: 3, replicationFactor: 1 }))
    expect(cluster.state.topics.get('b')?.partitions.map(({ replicas }) => replicas[0])).toEqual([
      'n3',
      'n3',
      'n3',
    ])
  })
})
