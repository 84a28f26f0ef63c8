import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'
import { RpcError } from '../../src/env/index.ts'
import {
  encodeRecordSet,
  fromRpcError,
  groupMethods,
  logMethods,
  type ConsumeStart,
} from '../../src/wire/index.ts'
import { until } from '../support/until.ts'
import { GroupMember, resultsOf } from './support/group-member.ts'

let cluster: TestCluster
let client: Client
const members: GroupMember[] = []

beforeEach(async () => {
  cluster = await startTestCluster()
  client = await cluster.connect()
  await client.topics.create('orders', { partitions: 4 })
})

afterEach(async () => {
  for (const member of members.splice(0)) member.close()
  await cluster.close()
})

function member(nodeId: string, start: Partial<ConsumeStart> = {}): GroupMember {
  const made = new GroupMember(cluster.addressOf(nodeId), {
    group: 'billing',
    topics: ['orders'],
    sessionTimeout: { seconds: 1, nanos: 0 },
    ...start,
  })
  members.push(made)
  return made
}

async function send(from: number, count: number): Promise<void> {
  await using producer = client.producer()
  const numbers = Array.from({ length: count }, (_, nth) => from + nth)
  await Promise.all(
    numbers.map((number) => producer.send({ topic: 'orders', partition: number % 4, value: `${number}` })),
  )
}

const valuesOf = (...some: readonly GroupMember[]): number[] =>
  some.flatMap(({ handled }) => handled.map(({ value }) => Number(value))).toSorted((a, b) => a - b)
const numbers = (count: number): number[] => Array.from({ length: count }, (_, nth) => nth)

describe('a consumer group on three nodes', () => {
  test('one member is sent everything, commits it, and the next one goes on from there', async () => {
    await send(0, 100)
    const first = member('n1')
    await first.untilOwns(4)
    await until('100 records', () => first.handled.length === 100)
    expect(resultsOf(await first.commit())).toEqual([25, 25, 25, 25])
    await first.end()
    await send(100, 20)
    const second = member('n2')
    await until('20 records', () => second.handled.length === 20)
    expect(valuesOf(first, second)).toEqual(numbers(120))
  })

  test('members are renewed together by one call, those of other nodes are not, and whoever is silent goes', async () => {
    const [anna, bert] = [member('n1'), member('n1')]
    const carl = member('n2')
    await until('three have joined', () => [anna, bert, carl].every(({ memberId }) => memberId !== ''))
    for (const each of [anna, bert, carl]) each.fallSilent()
    const all = [anna, bert, carl].map(({ memberId, incarnation }) => ({
      group: 'billing',
      memberId,
      incarnation,
    }))
    const beat = setInterval(() => void anna.connection.unary(groupMethods.heartbeat, { members: all }), 100)
    try {
      const { notHere } = await anna.connection.unary(groupMethods.heartbeat, { members: all })
      expect(notHere).toEqual(all.slice(2))
      expect(await carl.untilEnded()).toMatchObject({ reason: 'UNKNOWN_MEMBER' })
      const { members: left } = await client.groups.describe('billing')
      expect(left.map(({ memberId }) => memberId).toSorted()).toEqual(
        [anna.memberId, bert.memberId].toSorted(),
      )
    } finally {
      clearInterval(beat)
    }
    for (const each of [anna, bert])
      expect(await each.untilEnded()).toMatchObject({ reason: 'UNKNOWN_MEMBER' })
  })

  test('a member that goes on at another node keeps its place when its first stream is reset', async () => {
    const first = member('n1')
    await first.untilOwns(4)
    const { memberId, incarnation } = first
    const second = member('n2', { memberId, incarnation })
    await second.untilOwns(4)
    await first.cut()
    // One that ends its stream has left when that is over, and began later.
    const other = member('n1', { group: 'others' })
    await other.untilOwns(4)
    await other.end()
    const { members: left } = await client.groups.describe('billing')
    expect(left.map((each) => each.memberId)).toEqual([memberId])
    expect(resultsOf(await second.commit())).toEqual([0, 0, 0, 0])
  })

  test('a second member gets half, what stays is not revoked, and nothing is handled twice or never', async () => {
    await send(0, 100)
    const first = member('n1')
    await first.untilOwns(4)
    const second = member('n3')
    await first.untilOwns(2)
    await second.untilOwns(2)
    expect(first.revoked.length).toBe(2)
    await send(100, 100)
    await until('200 records', () => first.handled.length + second.handled.length >= 200)
    expect(valuesOf(first, second)).toEqual(numbers(200))
    expect(first.lost).toEqual([])
  })

  test('a killed member loses its partitions with its lease, and the other goes on where it had committed', async () => {
    await send(0, 40)
    const first = member('n1')
    const second = member('n2')
    await first.untilOwns(2)
    await second.untilOwns(2)
    await until('40 records', () => first.handled.length + second.handled.length >= 40)
    await first.commit()
    first.close()
    await send(40, 40)
    await second.untilOwns(4)
    await until('all records', () => new Set(valuesOf(first, second)).size === 80)
  })

  test('a static member comes back within its lease: it gets the same partitions, and the other is not disturbed', async () => {
    const anna = member('n1', { memberId: 'anna', sessionTimeout: { seconds: 20, nanos: 0 } })
    const bert = member('n2')
    await anna.untilOwns(2)
    await bert.untilOwns(2)
    const [hers, his] = [[...anna.owned.keys()].toSorted(), new Map(bert.owned)]
    anna.close()
    const again = member('n3', { memberId: 'anna', sessionTimeout: { seconds: 20, nanos: 0 } })
    await again.untilOwns(2)
    expect([...again.owned.keys()].toSorted()).toEqual(hers)
    expect(bert.owned).toEqual(his)
    expect([bert.revoked, bert.lost]).toEqual([[], []])
  })

  test('a stream that broke goes on at another node under the same epochs', async () => {
    await send(0, 8)
    const first = member('n1')
    await first.untilOwns(4)
    await until('8 records', () => first.handled.length === 8)
    await first.commit()
    first.close()
    const again = member('n2', { memberId: first.memberId, incarnation: first.incarnation })
    await again.untilOwns(4)
    const epochsOf = ({ owned }: GroupMember): [string, number][] =>
      [...owned].map(([key, { epoch }]) => [key, epoch])
    expect(new Map(epochsOf(again))).toEqual(new Map(epochsOf(first)))
    await send(8, 4)
    await until('the other 4', () => again.handled.length === 4)
  })

  test('the loss of the coordinator costs no rebalance', async () => {
    await send(0, 40)
    const { metadataLeaderNodeId: coordinator } = await client.cluster.describe()
    const [a, b] = cluster.nodeIds.filter((nodeId) => nodeId !== coordinator)
    const first = member(a!, { sessionTimeout: { seconds: 5, nanos: 0 } })
    const second = member(b!, { sessionTimeout: { seconds: 5, nanos: 0 } })
    await first.untilOwns(2)
    await second.untilOwns(2)
    const told = (): number[] => [first, second].map(({ revoked, lost }) => revoked.length + lost.length)
    const before = told()
    await cluster.stopNode(coordinator!, { handOver: false })
    await until('another coordinator', async () => {
      const { metadataLeaderNodeId: next } = await client.cluster.describe()
      return next !== undefined && next !== coordinator
    })
    await send(40, 40)
    await until('all records', () => new Set(valuesOf(first, second)).size === 80)
    await until('the commits', async () => resultsOf(await first.commit()).every((result) => result === 20))
    expect(told()).toEqual(before)
  })

  test('a member that does not give back what is revoked loses it when its time is over, and can not commit it', async () => {
    const slow = member('n1', { revokeTimeout: { seconds: 0, nanos: 300_000_000 } })
    await slow.untilOwns(4)
    slow.releases = false
    const held = new Map(slow.owned)
    const second = member('n2')
    await second.untilOwns(2)
    await until('it is told', () => slow.lost.length === 2)
    const [{ partition }] = slow.lost as [(typeof slow.lost)[number]]
    const { epoch } = held.get(`orders/${partition.partition}`)!
    const result = resultsOf(await slow.commit([{ ...partition, epoch, offset: 0 }]))
    expect(['STALE_GROUP_EPOCH', 'PARTITION_NOT_OWNED']).toContain(result[0])
  })

  test('credits are kept to the record, and more may be granted at any time', async () => {
    await send(0, 40)
    const poor = member('n1', { credit: { records: 7, bytes: 1_000_000 } })
    await until('7 records', () => poor.handled.length >= 7)
    await poor.commit([])
    expect(poor.handled.length).toBe(7)
    poor.send({ credit: { records: 1, bytes: 1_000_000 } })
    await until('one more', () => poor.handled.length === 8)
    poor.send({ credit: { records: 100, bytes: 1_000_000 } })
    await until('all', () => valuesOf(poor).length === 40)
    expect(valuesOf(poor)).toEqual(numbers(40))
  })

  test('other topics while it runs, a pause of one partition, and caught up', async () => {
    await client.topics.create('payments', { partitions: 1 })
    const one = member('n1')
    await one.untilOwns(4)
    await until(
      'caught up with all',
      () => one.messages.filter(({ caughtUp }) => caughtUp !== undefined).length === 4,
    )
    one.send({ pause: { partitions: [{ topic: 'orders', partition: 0 }] } })
    one.send({ subscribe: { topics: ['orders', 'payments'] } })
    await one.untilOwns(5)
    await send(0, 4)
    await until('three of four', () => one.handled.length === 3)
    expect(new Set(one.handled.map(({ partition }) => partition))).toEqual(new Set([1, 2, 3]))
    one.send({ resume: { partitions: [{ topic: 'orders', partition: 0 }] } })
    await until('the fourth', () => one.handled.length === 4)
    one.send({ subscribe: { topics: ['payments'] } })
    await one.untilOwns(1)
  })

  test('is listed, described, reset and deleted', async () => {
    await send(0, 40)
    const one = member('n1', { memberId: 'anna' })
    await until('all', () => one.handled.length === 40)
    await one.commit()
    const connection = one.connection
    const { groups } = await connection.unary(groupMethods.listGroups, {})
    expect(groups).toMatchObject([{ group: 'billing', memberCount: 1, topics: ['orders'] }])
    const described = await connection.unary(groupMethods.describeGroup, { group: 'billing' })
    expect(described.members).toMatchObject([{ memberId: 'anna', isStatic: true, topics: ['orders'] }])
    expect(described.partitions).toMatchObject(
      numbers(4).map((partition) => ({
        partition,
        state: 'GROUP_PARTITION_STATE_ACTIVE',
        ownerMemberId: 'anna',
        committedOffset: 10,
        lag: 0,
      })),
    )
    const back = {
      group: 'billing',
      topic: 'orders',
      position: 'START_POSITION_BEGINNING',
      partitions: [1],
    } as const
    const dry = await connection.unary(groupMethods.resetGroupOffsets, { ...back, dryRun: true })
    expect(dry.offsets).toEqual([{ topic: 'orders', partition: 1, fromOffset: 10, toOffset: 0 }])
    await connection.unary(groupMethods.resetGroupOffsets, { ...back, force: true })
    await until('partition 1 once more', () => one.handled.length === 50)
    expect(one.lost.map(({ partition }) => partition)).toEqual([{ topic: 'orders', partition: 1 }])
    one.send({ leave: {} })
    expect(await one.untilEnded()).toBe('ok')
    await send(40, 4)
    const after = await connection.unary(groupMethods.describeGroup, { group: 'billing' })
    expect(after.partitions.map(({ state }) => state)).toEqual(
      numbers(4).map(() => 'GROUP_PARTITION_STATE_UNOWNED'),
    )
    await connection.unary(groupMethods.resetGroupOffsets, { group: 'billing', topic: 'orders', offset: 5 })
    const { offsets } = await connection.unary(groupMethods.fetchOffsets, { group: 'billing' })
    expect(offsets.map(({ committedOffset }) => committedOffset)).toEqual([5, 5, 5, 5])
    await connection.unary(groupMethods.deleteGroup, { group: 'billing' })
    const next = member('n2')
    await until('all from the beginning', () => next.handled.length === 44)
  })

  test('records and the offset that they come from go in together, once, however often they are sent', async () => {
    await send(0, 4)
    const one = member('n1')
    await until('4 records', () => one.handled.length === 4)
    const { epoch } = one.owned.get('orders/2')!
    const records = encodeRecordSet([
      { key: undefined, value: Buffer.from('4'), headers: [], timestampMs: undefined },
    ])
    const append = (offset: number): Promise<unknown> =>
      one.connection
        .unary(logMethods.append, {
          topic: 'orders',
          partition: 2,
          routingKey: undefined,
          records,
          producer: undefined,
          recordsCrc32: undefined,
          groupCommit: { group: 'billing', memberId: one.memberId, epoch, offset },
        })
        .catch((error: unknown) => (error instanceof RpcError ? fromRpcError(error).reason : error))
    expect(await append(9)).toBe('OFFSET_OUT_OF_RANGE')
    expect(await append(1)).toMatchObject({ partition: 2, baseOffset: 1 })
    expect(await append(1)).toBe('COMMIT_BACKWARDS')
    const { offsets } = await one.connection.unary(groupMethods.fetchOffsets, {
      group: 'billing',
      partitions: [{ topic: 'orders', partition: 2 }],
    })
    expect(offsets).toMatchObject([{ committedOffset: 1, highWatermark: 2 }])
  })

  test('more than waits for a member at once is sent in order, from a leader here and elsewhere', async () => {
    await using producer = client.producer()
    const value = 'x'.repeat(8000)
    const sent = numbers(2000).map((number) =>
      producer.send({ topic: 'orders', partition: number % 2, value }),
    )
    await Promise.all(sent)
    for (const nodeId of cluster.nodeIds) {
      const one = member(nodeId, { group: `of-${nodeId}` })
      await until('2000 records', () => one.handled.length >= 2000, 30_000)
      for (const partition of [0, 1]) {
        const offsets = one.handled.filter((each) => each.partition === partition).map(({ offset }) => offset)
        expect(offsets).toEqual(numbers(1000))
      }
      one.close()
    }
  })
})
