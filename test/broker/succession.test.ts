import { describe, expect, it } from 'vitest'
import type { Replica } from '../../src/broker/replica.ts'
import { MOST_STANDING, Succession } from '../../src/broker/succession.ts'
import { asGroupId, type GroupId } from '../../src/log/types.ts'
import { asNodeId, type Input, type NodeId } from '../../src/raft/types.ts'

const n1 = asNodeId('n1')
const n2 = asNodeId('n2')
const n3 = asNodeId('n3')

/** What Succession sees of a replica. */
class FakeReplica {
  readonly groupId: GroupId
  readonly steps: Input['type'][] = []
  leader: NodeId | undefined
  isQuiet = true
  wakes = 0

  constructor(groupId: number, leader: NodeId | undefined) {
    this.groupId = asGroupId(groupId)
    this.leader = leader
  }
  get isLeader(): boolean {
    return this.leader === n2
  }
  status() {
    return { leader: this.leader, configuration: { voters: [n1, n2, n3], votersOutgoing: [], learners: [] } }
  }
  wakeUp(): void {
    this.wakes += 1
  }
  step(input: Input): void {
    this.steps.push(input.type)
    if (input.type === 'forgetLeader') this.leader = undefined
  }
}

/** The succession of node n2 over these replicas, with these nodes out of reach. */
function successionOver(replicas: readonly FakeReplica[], lost: Set<NodeId>): Succession {
  const byGroup = new Map(replicas.map((replica) => [replica.groupId, replica as unknown as Replica]))
  return new Succession(n2, byGroup, (node) => !lost.has(node))
}

describe('after the loss of a node', () => {
  it('nothing happens where the node led nothing and nobody quiet follows', () => {
    const replica = new FakeReplica(1, n3)
    successionOver([replica], new Set([n1])).nodeLost(n1)
    expect(replica.wakes).toBe(0)
  })

  it('a follower that is alone first in line forgets the leader and stands at the next tick', () => {
    const replica = new FakeReplica(1, n1)
    const succession = successionOver([replica], new Set([n1]))
    succession.nodeLost(n1)
    expect(replica.steps).toEqual(['forgetLeader'])
    succession.tick()
    expect(replica.steps).toEqual(['forgetLeader', 'campaign'])
  })

  it('the second in line gives the first time to win', () => {
    const replica = new FakeReplica(1, n3)
    const succession = successionOver([replica], new Set([n3]))
    succession.nodeLost(n3)
    succession.tick()
    succession.tick()
    expect(replica.steps).toEqual(['forgetLeader'])
    replica.leader = n1
    for (let tick = 0; tick < 20; tick++) succession.tick()
    expect(replica.steps).toEqual(['forgetLeader'])
  })

  it('the second in line stands when the first doesn’t win', () => {
    const replica = new FakeReplica(1, n3)
    const succession = successionOver([replica], new Set([n3]))
    succession.nodeLost(n3)
    for (let tick = 0; tick < 3; tick++) succession.tick()
    expect(replica.steps).toEqual(['forgetLeader', 'campaign'])
  })

  it('a quiet leader that lost a follower wakes and keeps its office', () => {
    const replica = new FakeReplica(1, n2)
    successionOver([replica], new Set([n3])).nodeLost(n3)
    expect(replica.wakes).toBe(1)
    expect(replica.steps).toEqual([])
  })

  it('thousands of groups wake in lots of 200 a tick', () => {
    const replicas = Array.from({ length: 500 }, (_, number) => new FakeReplica(number + 1, n1))
    const succession = successionOver(replicas, new Set([n1]))
    const woken = (): number => replicas.filter(({ wakes }) => wakes > 0).length
    succession.nodeLost(n1)
    expect(woken()).toBe(200)
    succession.tick()
    expect(woken()).toBe(400)
    succession.tick()
    expect(woken()).toBe(500)
  })
})

describe('a new group', () => {
  it('has its preferred leader stand a few times, and no more once somebody leads', () => {
    const replica = new FakeReplica(1, undefined)
    const succession = successionOver([replica], new Set())
    succession.stand(replica.groupId)
    for (let tick = 0; tick < 5; tick++) succession.tick()
    expect(replica.steps).toEqual(['campaign', 'campaign'])
    replica.leader = n2
    for (let tick = 0; tick < 20; tick++) succession.tick()
    expect(replica.steps).toEqual(['campaign', 'campaign'])
  })
})

describe('many new groups whose preferred leader this node is', () => {
  it('stand a bounded number at a time, and the next when those have a leader', () => {
    const replicas = Array.from({ length: 3 * MOST_STANDING }, (_, at) => new FakeReplica(at + 1, undefined))
    const succession = successionOver(replicas, new Set())
    for (const { groupId } of replicas) succession.stand(groupId)
    const stood = (): number => replicas.filter(({ steps }) => steps.includes('campaign')).length
    for (let tick = 0; tick < 3; tick += 1) succession.tick()
    expect(stood()).toBe(MOST_STANDING)
    for (const replica of replicas.slice(0, MOST_STANDING)) replica.leader = n2
    for (let tick = 0; tick < 3; tick += 1) succession.tick()
    expect(stood()).toBe(2 * MOST_STANDING)
  })
})
