import { describe, expect, it } from 'vitest'
import { planDrain } from '../../../src/broker/metadata/decide-membership.ts'
import { Cluster, createTopic, node } from './cluster.ts'

const move = (partition: number, ...replicas: string[]) =>
  ({ type: 'moveReplicas', topic: 't', partition, replicas }) as const
/** By one that knows of every life that it had. */
const enter = (nodeId: string, requestId: string, hostLabel = nodeId, knownLife = 1000) =>
  ({ type: 'enterNode', node: node(nodeId, hostLabel), requestId, knownLife }) as const

function withTopic(): Cluster {
  const cluster = new Cluster()
  cluster.do(createTopic('t', { partitionCount: 2 }))
  cluster.do(enter('n4', 'r4'))
  return cluster
}

const placeOf = (cluster: Cluster, partition = 0) => cluster.state.topics.get('t')!.partitions[partition]!

describe('a node is refused', () => {
  it('to leave while it holds replicas, or is the last', () => {
    const cluster = withTopic()
    const refusal = cluster.refusal({ type: 'removeNode', nodeId: 'n1' })
    expect(refusal?.reason).toBe('NODE_IN_USE')
    expect(refusal?.message).toContain('t/0, t/1')
    const alone = new Cluster([node('n1')])
    expect(alone.refusal({ type: 'removeNode', nodeId: 'n1' })?.reason).toBe('NODE_IN_USE')
    expect(alone.refusal({ type: 'removeNode', nodeId: 'n9' })?.reason).toBe('UNKNOWN_NODE')
  })

  it('to register again after it was removed, unless it comes with nothing', () => {
    const cluster = withTopic()
    cluster.do({ type: 'removeNode', nodeId: 'n4' })
    expect(cluster.refusal({ type: 'registerNode', node: node('n4') })?.reason).toBe('NODE_REMOVED')
    expect(cluster.do(enter('n4', 'again'))).toMatchObject({ result: { type: 'life', life: 2 } })
    expect(cluster.state.removedNodes.has('n4')).toBe(false)
  })

  it('a life where it has had a later one than it knows: a request of an earlier process that comes late takes nothing', () => {
    const cluster = withTopic()
    const first = enter('n4', 'of the process that died', 'n4', 1)
    const second = enter('n4', 'of the one after it', 'n4', 1)
    expect(cluster.do(second)).toMatchObject({ result: { type: 'life', life: 2 } })
    expect(cluster.do(first)).toMatchObject({ type: 'answer', result: { type: 'isLate', life: 2 } })
    // Asked again, the one that was let in gets what it got, and whoever knows better gets a life of its own.
    expect(cluster.do(second)).toMatchObject({ type: 'answer', result: { type: 'life', life: 2 } })
    expect(cluster.do(enter('n4', 'of a third', 'n4', 2))).toMatchObject({ result: { life: 3 } })
  })

  it('by one that has not heard yet that it came again only where it has no later life', () => {
    const cluster = withTopic()
    cluster.do({ type: 'removeNode', nodeId: 'n4' })
    expect([0, 1, 2].map((life) => cluster.state.isRemoved('n4', life))).toEqual([true, true, false])
    expect(cluster.state.isRemoved('n1', 0)).toBe(false)
  })

  it('at the address of another', () => {
    const command = { ...enter('n5', 'r5'), node: { ...node('n5'), address: 'n1:7101' } }
    expect(withTopic().refusal(command)?.reason).toBe('DUPLICATE_NODE_ID')
  })
})

describe('a move is refused', () => {
  it.each([
    [move(0, 'n4', 'n2'), 'INVALID_ARGUMENT'],
    [move(0, 'n4', 'n4', 'n2'), 'INVALID_ARGUMENT'],
    [move(0, 'n9', 'n2', 'n3'), 'UNKNOWN_NODE'],
    [move(9, 'n4', 'n2', 'n3'), 'UNKNOWN_PARTITION'],
    [{ ...move(0, 'n4', 'n2', 'n3'), topic: 'u' }, 'UNKNOWN_TOPIC'],
  ])('%j', (command, reason) => {
    expect(withTopic().refusal(command)?.reason).toBe(reason)
  })

  it('while the partition moves elsewhere', () => {
    const cluster = withTopic()
    cluster.do(enter('n5', 'r5'))
    cluster.do(move(0, 'n4', 'n2', 'n3'))
    expect(cluster.refusal(move(0, 'n5', 'n2', 'n3'))?.reason).toBe('REPLICAS_MOVING')
  })
})

describe('a move', () => {
  it('ends when the leader reports the target that it was given, and no other', () => {
    const cluster = withTopic()
    cluster.do(move(0, 'n4', 'n2', 'n3'))
    expect(placeOf(cluster)).toMatchObject({ target: ['n4', 'n2', 'n3'], moves: 1, lives: { n4: 1 } })
    const { groupId } = placeOf(cluster)
    const report = { type: 'replicasMoved', groupId, replicas: ['n2', 'n3', 'n4'] } as const
    expect(cluster.do({ ...report, moves: 0 }).type).toBe('answer')
    expect(cluster.do({ ...report, moves: 1, replicas: ['n1', 'n2', 'n3'] }).type).toBe('answer')
    expect(cluster.do({ ...report, moves: 1 }).type).toBe('event')
    expect(placeOf(cluster)).toMatchObject({ replicas: ['n4', 'n2', 'n3'], moves: 1 })
    expect(placeOf(cluster).target).toBeUndefined()
    expect(cluster.do({ ...report, moves: 1 }).type).toBe('answer')
  })

  it('is called off by naming where the replicas are', () => {
    const cluster = withTopic()
    const { replicas, groupId } = placeOf(cluster)
    cluster.do(move(0, 'n4', 'n2', 'n3'))
    cluster.do(move(0, ...replicas))
    expect(placeOf(cluster)).toMatchObject({ target: replicas, moves: 2 })
    // What the leader reports of the first target is late now.
    const late = cluster.do({ type: 'replicasMoved', groupId, moves: 1, replicas: ['n4', 'n2', 'n3'] })
    expect(late.type).toBe('answer')
  })

  it('gives each node that comes back to a partition a life that it never had there', () => {
    const cluster = withTopic()
    const { groupId } = placeOf(cluster)
    const there = (moves: number, ...replicas: string[]): void => {
      cluster.do(move(0, ...replicas))
      cluster.do({ type: 'replicasMoved', groupId, moves, replicas })
    }
    there(1, 'n4', 'n2', 'n3')
    there(2, 'n1', 'n2', 'n3')
    there(3, 'n4', 'n2', 'n3')
    expect(placeOf(cluster).lives).toEqual({ n1: 1, n4: 2 })
  })
})

describe('a node that comes with nothing', () => {
  it('has a new life in all its groups, the same for the same request', () => {
    const cluster = withTopic()
    expect(cluster.do(enter('n1', 'a'))).toMatchObject({ type: 'event', result: { life: 1 } })
    expect(cluster.do(enter('n1', 'a'))).toMatchObject({ type: 'answer', result: { life: 1 } })
    expect(placeOf(cluster, 1).lives).toEqual({ n1: 1 })
    expect(cluster.do(enter('n1', 'b'))).toMatchObject({ result: { life: 2 } })
    expect(cluster.state.metadataLives.get('n1')).toBe(2)
  })
})

describe('a drain', () => {
  it('takes a host without a replica of the partition before the node with the fewest', () => {
    const cluster = new Cluster([node('n1', 'a'), node('n2', 'b'), node('n3', 'c')])
    cluster.do(createTopic('t', { partitionCount: 2 }))
    cluster.do(enter('n4', 'r4', 'b'))
    cluster.do(enter('n5', 'r5', 'd'))
    const { moves, moving } = planDrain(cluster.state, 'n1', () => true)
    expect(moving).toBe(0)
    expect(moves).toHaveLength(2)
    for (const { replicas } of moves) expect(replicas.toSorted()).toEqual(['n2', 'n3', 'n5'])
  })

  it('goes to nodes that are there, as far as there are some', () => {
    const cluster = withTopic()
    cluster.do(enter('n5', 'r5'))
    const without = (...gone: string[]) => planDrain(cluster.state, 'n1', (nodeId) => !gone.includes(nodeId))
    const newcomers = (plan: ReturnType<typeof without>) =>
      new Set(plan.moves.flatMap(({ replicas }) => replicas.filter((id) => id === 'n4' || id === 'n5')))
    expect(newcomers(without('n4'))).toEqual(new Set(['n5']))
    expect(newcomers(without('n5'))).toEqual(new Set(['n4']))
    expect(newcomers(without('n4', 'n5')).size).toBeGreaterThan(0)
  })

  it('counts what is moving already, and is refused without a node to take the replicas', () => {
    const cluster = withTopic()
    cluster.do(move(0, 'n4', 'n2', 'n3'))
    const plan = planDrain(cluster.state, 'n1', () => true)
    expect([plan.moving, plan.moves.length]).toEqual([1, 1])
    const small = new Cluster()
    small.do(createTopic('t'))
    expect(() => planDrain(small.state, 'n1', () => true)).toThrow('add a node first')
  })
})
