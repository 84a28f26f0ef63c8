import { describe, expect, it } from 'vitest'
import { ClusterView } from '../../src/broker/cluster-view.ts'
import type { MetadataCommand } from '../../src/broker/metadata/decide.ts'
import { LeaderTable } from '../../src/broker/leaders.ts'
import { asGroupId } from '../../src/log/types.ts'
import { asNodeId, asTerm } from '../../src/raft/types.ts'
import { FlotillaError } from '../../src/wire/errors.ts'
import type { WatchLayoutResponse } from '../../src/wire/messages.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { Cluster, createTopic, deleteTopic, node } from './metadata/cluster.ts'

class Bench {
  readonly clock = new ManualClock()
  readonly leaders = new LeaderTable(this.clock)
  readonly cluster = new Cluster()
  readonly unreachable = new Set<string>()
  readonly view = new ClusterView(
    this.clock,
    this.leaders,
    () => this.cluster.state,
    (id) => !this.unreachable.has(id),
  )
  do(command: MetadataCommand): void {
    const decision = this.cluster.do(command)
    if (decision.type === 'event') this.view.metadataChanged(decision.event)
  }
  watch() {
    const told: WatchLayoutResponse[] = []
    const cancel = this.view.watch((change) => told.push(change))
    return { told, cancel }
  }
}

const reasonOf = (ask: () => unknown): string => {
  try {
    ask()
    return 'nothing'
  } catch (error) {
    if (error instanceof FlotillaError) return `${error.reason}: ${error.message}`
    throw error
  }
}

describe('asking for what is not there', () => {
  it('names the topic, or the partitions that there are', () => {
    const { cluster, view } = new Bench()
    cluster.do(createTopic('t', { partitionCount: 2 }))
    expect(reasonOf(() => view.topic('u'))).toBe('UNKNOWN_TOPIC: no topic has the name "u"')
    for (const partition of [2, -1, 0.5]) {
      expect(reasonOf(() => view.partition('t', partition))).toContain('UNKNOWN_PARTITION')
    }
    expect(reasonOf(() => view.partition('t', 2))).toContain('it has 0 to 1')
  })
})

describe('watching the layout', () => {
  it('begins with all of it and goes on with what has changed, once a turn', () => {
    const bench = new Bench()
    bench.do(createTopic('a'))
    bench.clock.runDeferred()
    const { told } = bench.watch()
    expect(told).toMatchObject([
      { snapshot: true, nodes: [{ nodeId: 'n1' }, { nodeId: 'n2' }, { nodeId: 'n3' }] },
    ])
    expect(told[0]!.topics.map(({ name }) => name)).toEqual(['a'])

    bench.do(createTopic('b', { partitionCount: 1 }))
    bench.leaders.learn(asGroupId(4), asTerm(1), asNodeId('n2'))
    bench.do(deleteTopic('a'))
    expect(told).toHaveLength(1)
    bench.clock.runDeferred()
    expect(told).toHaveLength(2)
    expect(told[1]).toMatchObject({ snapshot: false, nodes: [], deletedTopics: ['a'] })
    expect(told[1]!.topics).toMatchObject([
      { name: 'b', partitions: [{ leaderNodeId: 'n2', leaderTerm: 1 }] },
    ])
    expect(told[1]!.epoch).toBeGreaterThan(told[0]!.epoch)
  })

  it('shows a topic that was deleted and created again as it is now', () => {
    const bench = new Bench()
    bench.do(createTopic('a', {}, 'first'))
    bench.clock.runDeferred()
    const { told } = bench.watch()
    bench.do(deleteTopic('a'))
    bench.do(createTopic('a', {}, 'second'))
    bench.clock.runDeferred()
    expect(told[1]).toMatchObject({ deletedTopics: [], topics: [{ topicId: 'second' }] })
    expect(bench.view.placeOfGroup(asGroupId(1))).toBeUndefined()
    expect(bench.view.placeOfGroup(asGroupId(4))).toEqual({ topic: 'a', partition: 0 })
  })

  it('tells of nodes that register or cannot be reached', () => {
    const bench = new Bench()
    const { told } = bench.watch()
    bench.unreachable.add('n2')
    bench.view.nodesChanged()
    bench.do({ type: 'registerNode', node: node('n4') })
    bench.clock.runDeferred()
    expect(told[1]!.nodes.map(({ nodeId, reachable }) => [nodeId, reachable])).toEqual([
      ['n1', true],
      ['n2', false],
      ['n3', true],
      ['n4', true],
    ])
    expect(told[1]!.topics).toEqual([])
  })

  it('tells all of it again when the whole state was replaced', () => {
    const bench = new Bench()
    bench.do(createTopic('a'))
    const { told } = bench.watch()
    bench.view.metadataChanged(undefined)
    bench.clock.runDeferred()
    expect(told.map(({ snapshot }) => snapshot)).toEqual([true, true])
    expect(bench.view.placeOfGroup(asGroupId(3))).toEqual({ topic: 'a', partition: 2 })
  })

  it('says nothing where nothing has changed, and nothing after it was cancelled', () => {
    const bench = new Bench()
    const { told, cancel } = bench.watch()
    bench.leaders.learn(asGroupId(99), asTerm(1), asNodeId('n1'))
    bench.clock.runDeferred()
    expect(told).toHaveLength(1)
    cancel()
    bench.do(createTopic('a'))
    bench.clock.runDeferred()
    expect(told).toHaveLength(1)
  })

  it('adds up: snapshot and changes give a late watcher’s snapshot', () => {
    const bench = new Bench()
    const { told } = bench.watch()
    const commands = [
      createTopic('a'),
      createTopic('b'),
      deleteTopic('a'),
      createTopic('c'),
      createTopic('a', {}, 'new'),
    ]
    for (const [place, command] of commands.entries()) {
      bench.do(command)
      bench.leaders.learn(asGroupId(1 + place), asTerm(1), asNodeId('n1'))
      if (place % 2 === 0) bench.clock.runDeferred()
    }
    bench.clock.runDeferred()
    const topics = new Map(told.flatMap((change) => change.topics).map((topic) => [topic.name, topic]))
    const [late] = bench.watch().told
    expect([...topics.values()].sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual(
      [...late!.topics].sort((a, b) => (a.name < b.name ? -1 : 1)),
    )
  })
})
