import { describe, expect, it } from 'vitest'
import { candidatesOf, EMPTY_LAYOUT, withHint, withTopic, withWatched } from '../../src/client/layout.ts'
import type { TopicMessage, WatchLayoutResponse } from '../../src/wire/index.ts'

function topicOf(leader: string | undefined, term: number, topicId = 't1'): TopicMessage {
  return {
    name: 'orders',
    topicId,
    partitioner: 'PARTITIONER_HASH_RANGE',
    replicationFactor: 2,
    createTime: null,
    survivableLosses: 0,
    partitions: [
      {
        partition: 0,
        groupId: 1,
        replicaNodeIds: ['n1', 'n2'],
        leaderTerm: term,
        hashFirst: 0,
        hashLast: 0xffff_ffff,
        ...(leader === undefined ? {} : { leaderNodeId: leader }),
      },
    ],
  }
}
const messageOf = (message: Partial<WatchLayoutResponse>): WatchLayoutResponse => ({
  epoch: 1,
  snapshot: true,
  nodes: [],
  topics: [],
  deletedTopics: [],
  ...message,
})
const nodes = ['n1', 'n2', 'n3'].map((nodeId) => ({
  nodeId,
  address: `${nodeId}:1`,
  hostLabel: '',
  reachable: true,
}))
const base = withWatched(EMPTY_LAYOUT, messageOf({ nodes, topics: [topicOf('n1', 3)] }))

describe('the layout', () => {
  it('names the leader first, then the replicas, then the others', () => {
    expect(
      candidatesOf(withHint(base, 'orders', 0, { nodeId: 'n2', address: '', term: 4 }), 'orders', 0),
    ).toEqual(['n2:1', 'n1:1', 'n3:1'])
    expect(candidatesOf(base, 'unknown', 0)).toEqual(['n1:1', 'n2:1', 'n3:1'])
  })
  it('believes no hint and no node of an older term', () => {
    const older = withHint(base, 'orders', 0, { nodeId: 'n2', address: 'n2:1', term: 2 })
    expect(candidatesOf(older, 'orders', 0)[0]).toBe('n1:1')
    const watched = withWatched(base, messageOf({ nodes, topics: [topicOf('n2', 2)] }))
    expect(candidatesOf(watched, 'orders', 0)[0]).toBe('n1:1')
    expect(candidatesOf(withTopic(base, topicOf('n2', 4)), 'orders', 0)[0]).toBe('n2:1')
  })
  it('begins anew with a topic of the same name that is another', () => {
    expect(candidatesOf(withTopic(base, topicOf('n2', 1, 't2')), 'orders', 0)[0]).toBe('n2:1')
  })
  it('takes changes one by one, and forgets what is deleted or not in a snapshot', () => {
    const moved = { nodeId: 'n1', address: 'moved:1', hostLabel: '', reachable: true }
    const changed = withWatched(base, messageOf({ snapshot: false, nodes: [moved] }))
    expect(candidatesOf(changed, 'orders', 0)).toEqual(['moved:1', 'n2:1', 'n3:1'])
    expect(withWatched(base, messageOf({ snapshot: false, deletedTopics: ['orders'] })).topics.size).toBe(0)
    expect(withWatched(base, messageOf({ nodes })).topics.size).toBe(0)
  })
  it('learns the address of a leader that it did not know', () => {
    const hinted = withHint(EMPTY_LAYOUT, 'orders', 0, { nodeId: 'n9', address: 'n9:1', term: 1 })
    expect(hinted.addresses.get('n9')).toBe('n9:1')
  })
})
