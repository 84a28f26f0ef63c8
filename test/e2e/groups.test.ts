import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'
import type { ConsumeStart } from '../../src/wire/index.ts'
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
})
