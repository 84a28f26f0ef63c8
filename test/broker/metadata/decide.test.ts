import { describe, expect, it } from 'vitest'
import { survivableLosses } from '../../../src/broker/metadata/decide.ts'
import { Cluster, LIMITS, createTopic, deleteTopic, node } from './cluster.ts'

describe('a topic that is refused', () => {
  const refusals: readonly [what: string, Parameters<typeof createTopic>, reason: string, named: string][] = [
    ['an empty name', [''], 'INVALID_NAME', '""'],
    ['a name with a slash', ['a/b'], 'INVALID_NAME', 'a/b'],
    ['the name ..', ['..'], 'INVALID_NAME', '".."'],
    ['a name of 250 characters', ['x'.repeat(250)], 'INVALID_NAME', '249'],
    ['no partitions', ['t', { partitionCount: 0 }], 'INVALID_ARGUMENT', 'partition_count is 0'],
    [
      'a negative number of partitions',
      ['t', { partitionCount: -1 }],
      'INVALID_ARGUMENT',
      'partition_count is -1',
    ],
    ['too many partitions', ['t', { partitionCount: 17 }], 'INVALID_ARGUMENT', '1 to 16'],
    ['a fraction of a partition', ['t', { partitionCount: 1.5 }], 'INVALID_ARGUMENT', '1.5'],
    ['no replicas', ['t', { replicationFactor: 0 }], 'INVALID_ARGUMENT', 'replication_factor is 0'],
    [
      'more replicas than nodes',
      ['t', { replicationFactor: 5 }],
      'REPLICATION_FACTOR_TOO_LARGE',
      'has 3 nodes',
    ],
    [
      'more replicas than nodes, by force',
      ['t', { replicationFactor: 4, force: true }],
      'REPLICATION_FACTOR_TOO_LARGE',
      'is 4',
    ],
    [
      'an even number of replicas',
      ['t', { replicationFactor: 2 }],
      'REPLICATION_FACTOR_EVEN',
      'survives the loss of 0',
    ],
  ]
  it.each(refusals)('for %s', (_what, [name, fields], reason, named) => {
    const cluster = new Cluster()
    const before = Buffer.from(cluster.state.encode()).toString()
    const error = cluster.refusal(createTopic(name, fields))
    expect(error?.reason).toBe(reason)
    expect(error?.effect).toBe('none')
    expect(error?.message).toContain(named)
    expect(Buffer.from(cluster.state.encode()).toString()).toBe(before)
  })

  it('for a name that is taken', () => {
    const cluster = new Cluster()
    cluster.do(createTopic('t'))
    expect(cluster.refusal(createTopic('t', {}, 'other'))?.reason).toBe('TOPIC_EXISTS')
  })

  it('for one topic too many, and names the limit', () => {
    const cluster = new Cluster()
    cluster.limits = { ...LIMITS, maxTopics: 1 }
    cluster.do(createTopic('t'))
    const error = cluster.refusal(createTopic('u'))
    expect([error?.reason, error?.message]).toEqual([
      'LIMIT_EXCEEDED',
      expect.stringContaining('the limit is 1'),
    ])
  })

  it('for more replicas than the nodes may host', () => {
    const cluster = new Cluster()
    cluster.limits = { ...LIMITS, maxReplicasPerNode: 5 }
    expect(cluster.refusal(createTopic('t', { partitionCount: 6 }))?.reason).toBe('LIMIT_EXCEEDED')
    expect(cluster.refusal(createTopic('t', { partitionCount: 5 }))).toBeUndefined()
  })

  it('until enough of the nodes that the cluster starts with have joined', () => {
    const cluster = new Cluster([node('n1'), node('n2')])
    const error = cluster.refusal(createTopic('t'))
    expect([error?.reason, error?.retryable]).toEqual(['NO_QUORUM', true])
    expect(error?.message).toContain("only 2 of the cluster's 3 nodes")
  })

  it('for a node with an impossible name', () => {
    expect(new Cluster().refusal({ type: 'registerNode', node: node('a b') })?.reason).toBe('INVALID_NAME')
  })

  it('for deletion, where there is none', () => {
    const error = new Cluster().refusal(deleteTopic('nowhere'))
    expect([error?.reason, error?.message]).toEqual(['UNKNOWN_TOPIC', expect.stringContaining('"nowhere"')])
  })
})

describe('a topic that is created', () => {
  it('has its partitions on dense group ids that are never used again', () => {
    const cluster = new Cluster()
    cluster.do(createTopic('a'))
    cluster.do(deleteTopic('a'))
    cluster.do(createTopic('a', {}, 'second life'))
    expect(cluster.state.topics.get('a')?.partitions.map(({ groupId }) => groupId)).toEqual([4, 5, 6])
    expect(cluster.state.deletedGroupIds.encode()).toEqual([[1, 3]])
    expect(cluster.state.nextGroupId).toBe(7)
  })

  it('shares the space of hashes out without a gap', () => {
    const cluster = new Cluster()
    cluster.do(createTopic('a', { partitionCount: 7 }))
    let next = 0
    for (const { hashFirst, hashLast } of cluster.state.topics.get('a')!.partitions) {
      expect(hashFirst).toBe(next)
      next = hashLast + 1
    }
    expect(next).toBe(2 ** 32)
  })

  it('may have an even factor by force, and has three replicas by default where there are three nodes', () => {
    const cluster = new Cluster()
    expect(cluster.refusal(createTopic('even', { replicationFactor: 2, force: true }))).toBeUndefined()
    const request = { name: 'plain', partitionCount: 1 }
    cluster.do({ type: 'createTopic', request, topicId: 'x' })
    expect(cluster.state.topics.get('plain')?.replicationFactor).toBe(3)
    const small = new Cluster([node('n1'), node('n2')])
    small.limits = { ...LIMITS, memberCount: 2 }
    small.do({ type: 'createTopic', request, topicId: 'x' })
    expect(small.state.topics.get('plain')?.replicationFactor).toBe(1)
  })

  it('is only described where it shall be validated', () => {
    const cluster = new Cluster()
    const decision = cluster.do(createTopic('t', { validateOnly: true, requestId: 'r' }))
    expect(decision).toMatchObject({ type: 'answer', result: { type: 'topic', topic: { name: 't' } } })
    expect(cluster.state.topics.size).toBe(0)
  })

  it('survives the loss of fewer than half of its replicas', () => {
    expect([1, 2, 3, 4, 5].map(survivableLosses)).toEqual([0, 0, 1, 1, 2])
  })
})

describe('a retry with the same request id', () => {
  it('of a creation is answered with the topic that it made', () => {
    const cluster = new Cluster()
    cluster.do(createTopic('t', { requestId: 'r' }, 'first'))
    const retry = cluster.do(createTopic('t', { requestId: 'r' }, 'second'))
    expect(retry).toMatchObject({ type: 'answer', result: { topic: { topicId: 'first' } } })
  })

  it('of a creation is refused where the topic is another one by now', () => {
    const cluster = new Cluster()
    cluster.do(createTopic('t', { requestId: 'r' }, 'first'))
    cluster.do(deleteTopic('t'))
    cluster.do(createTopic('t', {}, 'of somebody else'))
    expect(cluster.refusal(createTopic('t', { requestId: 'r' }, 'again'))?.reason).toBe('TOPIC_EXISTS')
  })

  it('of a deletion is answered, and never deletes a topic that was created since', () => {
    const cluster = new Cluster()
    cluster.do(createTopic('t'))
    cluster.do(deleteTopic('t', 'd'))
    expect(cluster.do(deleteTopic('t', 'd')).type).toBe('answer')
    cluster.do(createTopic('t', {}, 'new'))
    expect(cluster.do(deleteTopic('t', 'd')).type).toBe('answer')
    expect(cluster.state.topics.get('t')?.topicId).toBe('new')
  })

  it('is known after a restart; the empty id is nobody’s', () => {
    const cluster = new Cluster()
    cluster.do(createTopic('t', { requestId: 'r' }, 'first'))
    const restarted = new Cluster()
    restarted.state = cluster.state.clone()
    expect(restarted.decide(createTopic('t', { requestId: 'r' }, 'second')).type).toBe('answer')
    cluster.do(deleteTopic('t'))
    expect(cluster.refusal(deleteTopic('t'))?.reason).toBe('UNKNOWN_TOPIC')
  })
})

describe('nodes', () => {
  it('are entered once, and again where their address or host has changed', () => {
    const cluster = new Cluster()
    expect(cluster.do({ type: 'registerNode', node: node('n1') }).type).toBe('answer')
    expect(cluster.do({ type: 'registerNode', node: node('n1', 'rack-2') }).type).toBe('event')
    expect(cluster.state.nodes.get('n1')?.hostLabel).toBe('rack-2')
  })

  it('create their cluster once', () => {
    const cluster = new Cluster()
    expect(cluster.do({ type: 'createCluster', clusterId: 'c2' }).type).toBe('answer')
    expect(cluster.state.clusterId).toBe('c1')
  })
})
