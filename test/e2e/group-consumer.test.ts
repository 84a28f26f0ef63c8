import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  FlotillaError,
  type Client,
  type ConsumeOptions,
  type GroupConsumer,
} from '../../src/client/index.ts'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'
import { until } from '../support/until.ts'

let cluster: TestCluster
let client: Client
let sent: number

beforeEach(async () => {
  cluster = await startTestCluster()
  client = await cluster.connect()
  sent = 0
  await client.topics.create('orders', { partitions: 4 })
})

afterEach(() => cluster.close())

async function send(count: number): Promise<void> {
  await using producer = client.producer()
  const numbers = Array.from({ length: count }, () => sent++)
  await Promise.all(
    numbers.map((number) => producer.send({ topic: 'orders', partition: number % 4, value: `${number}` })),
  )
}

interface Running {
  readonly consumer: GroupConsumer
  readonly handled: number[]
  readonly lost: number[]
  readonly ended: Promise<unknown>
}

function run(options: Partial<ConsumeOptions> = {}, from: Client = client): Running {
  const consumer = from.consume({
    group: 'billing',
    topics: ['orders'],
    sessionTimeoutMs: 2000,
    commitIntervalMs: 100,
    ...options,
  })
  const handled: number[] = []
  const lost: number[] = []
  consumer.on('lost', (partitions) => void lost.push(...partitions.map(({ partition }) => partition)))
  const loop = async (): Promise<void> => {
    for await (const { value } of consumer) handled.push(Number(Buffer.from(value ?? [])))
  }
  return { consumer, handled, lost, ended: loop().catch((error: unknown) => error) }
}

const handledBy = (...running: readonly Running[]): number =>
  new Set(running.flatMap(({ handled }) => handled)).size
const owns = ({ consumer }: Running, count: number): Promise<true> =>
  until(`to own ${count}`, () => consumer.assignment().length === count)

describe('consumers of a group on three real nodes', () => {
  test('share a topic; one that leaves gives what it has to the other, and nothing is handled twice', async () => {
    await send(100)
    const one = run()
    await owns(one, 4)
    await one.consumer.caughtUp()
    const two = run()
    await owns(two, 2)
    await owns(one, 2)
    await send(100)
    await until('200 records', () => handledBy(one, two) === 200)
    await one.consumer.close()
    await owns(two, 4)
    await send(100)
    await until('300 records', () => handledBy(one, two) === 300)
    expect(one.handled.length + two.handled.length).toBe(300)
    expect([...one.lost, ...two.lost]).toEqual([])
    await two.consumer.close()
    expect(await Promise.all([one.ended, two.ended])).toEqual([undefined, undefined])
  })

  test('keep getting records of what they keep while a rebalance waits for somebody to let go', async () => {
    const one = run()
    await owns(one, 4)
    const log: string[] = []
    let letGo: () => void = () => undefined
    const moved: number[] = []
    one.consumer.on('revoked', async (partitions) => {
      moved.push(...partitions.map(({ partition }) => partition))
      log.push('revoked')
      await new Promise<void>((resolve) => (letGo = resolve))
      log.push('let go')
    })
    const two = run()
    two.consumer.on('assigned', () => void log.push('assigned'))
    await until('two partitions to be revoked', () => moved.length === 2)
    const isKept = (number: number): boolean => !moved.includes(number % 4)
    // The rebalance can't come any further until `letGo` is called: what is handled now, is handled in the midst of it.
    for (let round = 1; round <= 5; round++) {
      await send(8)
      await until('what stays', () => one.handled.filter(isKept).length === round * 4)
    }
    expect(one.handled.every(isKept)).toBe(true)
    expect(two.handled).toEqual([])
    expect(log).toEqual(['revoked'])
    letGo()
    await until('what moved', () => two.handled.length === 20)
    // Each of the two may be told by itself.
    expect([...new Set(log)]).toEqual(['revoked', 'let go', 'assigned'])
    expect(one.consumer.assignment().map(({ partition }) => partition)).toSatisfy((kept: number[]) =>
      kept.every(isKept),
    )
    expect(one.lost).toEqual([])
    await Promise.all([one.consumer.close(), two.consumer.close()])
  })

  test('go on through the loss of nodes without losing their places', async () => {
    await send(50)
    const one = run({ sessionTimeoutMs: 10_000 })
    const two = run({ sessionTimeoutMs: 10_000 })
    await owns(one, 2)
    await owns(two, 2)
    const ids = [one.consumer.memberId, two.consumer.memberId]
    for (const node of ['n1', 'n2', 'n3']) {
      await cluster.stopNode(node, { handOver: false })
      await send(50)
      await cluster.startNode(node)
    }
    await until('200 records', () => handledBy(one, two) === 200)
    expect([one.consumer.memberId, two.consumer.memberId]).toEqual(ids)
    expect([...one.lost, ...two.lost]).toEqual([])
    await Promise.all([one.consumer.close(), two.consumer.close()])
  })

  test('take over from one that is silent, from where it had committed', async () => {
    await send(40)
    const silent = run({ maxHandlingMs: 300, sessionTimeoutMs: 1000 })
    await until('40 records', () => handledBy(silent) === 40)
    // Its handler hangs from here on.
    const stuck: number[] = []
    const hanging = await cluster.connect()
    const hung = hanging.consume({
      group: 'billing',
      topics: ['orders'],
      maxHandlingMs: 300,
      sessionTimeoutMs: 1000,
    })
    hung.on('stuck', (_partitions, forMs) => void stuck.push(forMs))
    let letGo = (): void => {}
    const hangs = new Promise<void>((resolve) => (letGo = resolve))
    const loop = (async () => {
      for await (const _record of hung) await hangs
    })()
    await until('its share', () => hung.assignment().length === 2)
    await send(40)
    await until('what the other had in hand', () => handledBy(silent) === 80)
    expect(stuck.length).toBe(1)
    letGo()
    await silent.consumer.close()
    await until('all of it', () => hung.assignment().length === 4)
    await hung.close()
    await loop
    await hanging.close()
  })

  test('of which two have one id: the elder is fenced; one that comes back in time moves nothing', async () => {
    await send(20)
    const elder = run({ memberId: 'fixed', sessionTimeoutMs: 10_000 })
    const other = run({ sessionTimeoutMs: 10_000 })
    await owns(elder, 2)
    await owns(other, 2)
    await elder.consumer.close()
    const again = run({ memberId: 'fixed', sessionTimeoutMs: 10_000 })
    await owns(again, 2)
    const younger = run({ memberId: 'fixed', sessionTimeoutMs: 10_000 })
    expect(await again.ended).toMatchObject({ reason: 'MEMBER_FENCED' })
    await owns(younger, 2)
    await owns(other, 2)
    expect(other.lost).toEqual([])
    await Promise.all([younger.consumer.close(), other.consumer.close()])
  })

  test('hand out nothing of what is paused, take other topics while they run, and commit by hand', async () => {
    await client.topics.create('refunds', { partitions: 1 })
    await send(40)
    const running = run({ commit: 'manual', maxWaitingRecords: 5 })
    running.consumer.on('assigned', (partitions) =>
      running.consumer.pause(partitions.filter(({ partition }) => partition === 3)),
    )
    await until('three quarters', () => running.handled.length === 30)
    await running.consumer.commit()
    running.consumer.resume([{ topic: 'orders', partition: 3 }])
    await until('the rest', () => running.handled.length === 40)
    await running.consumer.subscribe({ topics: ['refunds'] })
    await until('the other topic', () => {
      const owned = running.consumer.assignment().map(({ topic }) => topic)
      return owned.length === 1 && owned[0] === 'refunds'
    })
    await expect(running.consumer.commit([{ topic: 'orders', partition: 0, offset: 1 }])).rejects.toThrow(
      'the member does not own it',
    )
    await running.consumer.close()
    const next = run()
    await until('what was not committed', () => next.handled.length === 10)
    await next.consumer.close()
  })

  test('that can not begin say why', async () => {
    const failure = async (options: Partial<ConsumeOptions>): Promise<FlotillaError> =>
      (await run(options).ended) as FlotillaError
    expect(await failure({ topics: ['nope'] })).toMatchObject({ reason: 'UNKNOWN_TOPIC' })
    const claims = run({ topics: [], partitions: [{ topic: 'orders', partition: 0 }] })
    await owns(claims, 1)
    expect(await failure({ topics: [], partitions: [{ topic: 'orders', partition: 0 }] })).toMatchObject({
      reason: 'PARTITION_CLAIMED',
    })
    await client.topics.delete('orders')
    expect(await claims.ended).toMatchObject({ reason: 'UNKNOWN_TOPIC' })
    expect(claims.lost).toEqual([0])
  })

  test('are seen by who looks after them: listed, described, reset, and forgotten', async () => {
    const at = (partition: number, offset: number) => ({ topic: 'orders', partition, toOffset: offset })
    const refused = async (call: Promise<unknown>): Promise<string> =>
      (await call.then(
        () => new FlotillaError('INTERNAL', 'it was not refused'),
        (error: unknown) => error as FlotillaError,
      ))!.reason
    expect(await refused(client.groups.describe('nope'))).toBe('UNKNOWN_GROUP')
    expect(await refused(client.groups.reset('nope', { topic: 'orders', to: 'end' }))).toBe('UNKNOWN_GROUP')
    await send(40)
    const one = run({ memberId: 'fixed' })
    await until('all', () => one.handled.length === 40)
    await one.consumer.commit()
    expect(await client.groups.list()).toEqual([
      { name: 'billing', memberCount: 1, topics: ['orders'], assignment: 'balanced' },
    ])
    const { members, partitions } = await client.groups.describe('billing')
    expect(members).toMatchObject([{ memberId: 'fixed', isStatic: true, sessionTimeoutMs: 2000 }])
    expect(partitions).toMatchObject(
      Array.from({ length: 4 }, () => ({ state: 'active', owner: 'fixed', committedOffset: 10, lag: 0 })),
    )
    expect(partitions[0]?.commitTime).toBeInstanceOf(Date)
    expect(
      await client.groups.fetchOffsets('billing', { partitions: [{ topic: 'orders', partition: 2 }] }),
    ).toMatchObject([{ partition: 2, committedOffset: 10, highWatermark: 10, error: undefined }])
    expect(await refused(client.groups.delete('billing'))).toBe('GROUP_HAS_MEMBERS')
    const back = { topic: 'orders', to: { offset: 7 }, partitions: [1] } as const
    expect(await refused(client.groups.reset('billing', back))).toBe('GROUP_HAS_MEMBERS')
    expect(await client.groups.reset('billing', { ...back, dryRun: true })).toMatchObject([at(1, 7)])
    expect(await client.groups.reset('billing', { ...back, force: true })).toMatchObject([at(1, 7)])
    await until('what was set back', () => one.handled.length === 43)
    expect(one.lost).toEqual([1])
    await one.consumer.close()
    await until(
      'its lease to end',
      async () => (await client.groups.describe('billing')).members.length === 0,
    )
    expect(await client.groups.reset('billing', { topic: 'orders', to: 'beginning' })).toMatchObject(
      [0, 1, 2, 3].map((partition) => at(partition, 0)),
    )
    await client.groups.delete('billing')
    expect(await client.groups.list()).toEqual([])
  })
})
