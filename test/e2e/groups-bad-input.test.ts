import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import { RpcError, type Connection, type RpcMethod } from '../../src/env/index.ts'
import { nodeEnv } from '../../src/env/node/index.ts'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'
import {
  FlotillaError,
  fromRpcError,
  GROUP_LIMITS,
  groupMethods,
  type ConsumeRequest,
  type ConsumeStart,
  type ErrorReason,
} from '../../src/wire/index.ts'
import { until } from '../support/until.ts'
import { GroupMember, resultsOf } from './support/group-member.ts'

describe('what a consumer group refuses, with the value and the rule', () => {
  let cluster: TestCluster
  let client: Client
  let connection: Connection
  const members: GroupMember[] = []

  beforeAll(async () => {
    cluster = await startTestCluster()
    client = await cluster.connect()
    connection = nodeEnv({ level: 'silent' }).network.connect(cluster.bootstrap[0]!)
    await client.topics.create('orders', { partitions: 2 })
    await client.topics.create('payments', { partitions: 1 })
  })
  afterEach(() => {
    for (const member of members.splice(0)) member.close()
  })
  afterAll(async () => {
    connection.close()
    await cluster.close()
  })

  function member(start: Partial<ConsumeStart> | undefined, node = 'n1'): GroupMember {
    const seconds = (count: number) => ({ seconds: count, nanos: 0 })
    const made = new GroupMember(
      cluster.addressOf(node),
      start === undefined
        ? undefined
        : { group: 'g', topics: ['orders'], sessionTimeout: seconds(1), ...start },
    )
    members.push(made)
    return made
  }

  async function expectEnd(
    ended: GroupMember,
    reason: ErrorReason,
    ...words: (string | RegExp)[]
  ): Promise<void> {
    const error = await ended.untilEnded()
    if (error === 'ok') throw new Error(`it ended well, not as ${reason}`)
    expect([error.reason, error.message]).toEqual([reason, error.message])
    for (const word of words) expect(error.message).toMatch(word)
  }

  async function refusalOf<Q, R>(method: RpcMethod<Q, R, 'unary'>, request: Q): Promise<FlotillaError> {
    const error = await connection.unary(method, request).then(
      () => undefined,
      (failure: unknown) => failure,
    )
    if (error instanceof RpcError) return fromRpcError(error)
    throw new Error('not refused')
  }

  const starts: readonly (readonly [string, Partial<ConsumeStart>, ErrorReason, RegExp])[] = [
    ['an empty name of a group', { group: '' }, 'INVALID_NAME', /"" is no group name/],
    ['a member id with a space', { memberId: 'a b' }, 'INVALID_NAME', /"a b" is no member name/],
    ['an empty topic list', { topics: [] }, 'INVALID_ARGUMENT', /both empty/],
    [
      'topics and partitions at once',
      { partitions: [{ topic: 'orders', partition: 0 }] },
      'INVALID_ARGUMENT',
      /one or the other/,
    ],
    ['a topic that is not there', { topics: ['nowhere'] }, 'UNKNOWN_TOPIC', /"nowhere"/],
    [
      'a partition that is not there',
      { topics: [], partitions: [{ topic: 'orders', partition: 2 }] },
      'UNKNOWN_PARTITION',
      /no partition 2; it has 0 to 1/,
    ],
    [
      'a credit of no records',
      { credit: { records: 0, bytes: 1 } },
      'INVALID_ARGUMENT',
      /credit.records is 0.*1 to 1000000/,
    ],
    ['a credit of no bytes', { credit: { records: 1, bytes: 0 } }, 'INVALID_ARGUMENT', /credit.bytes is 0/],
    ['an absurd credit', { credit: { records: 1_000_001, bytes: 1 } }, 'INVALID_ARGUMENT', /1000001/],
    [
      'too short a session',
      { sessionTimeout: { seconds: 0, nanos: 999_000_000 } },
      'INVALID_ARGUMENT',
      /session_timeout is 999 ms.*1000 to 1800000 ms/,
    ],
    ['too long a session', { sessionTimeout: { seconds: 1801, nanos: 0 } }, 'INVALID_ARGUMENT', /1801000 ms/],
    ['a weight of 0', { weight: 0 }, 'INVALID_ARGUMENT', /weight is 0.*1 to 1000/],
    ['an incarnation without its member', { incarnation: 5 }, 'INVALID_ARGUMENT', /incarnation is 5/],
    [
      'a member that goes on though nobody knows it',
      { memberId: 'ghost', incarnation: 5 },
      'UNKNOWN_MEMBER',
      /"ghost"/,
    ],
    ['messages of no records', { fetch: { maxRecords: 0 } }, 'INVALID_ARGUMENT', /fetch.max_records is 0/],
  ]
  test.each(starts)('%s', async (_what, start, reason, words) => {
    await expectEnd(member({ group: 'refused', ...start }), reason, words)
  })

  test('anything before start, start twice, and a commit before joined', async () => {
    const early = member(undefined)
    early.send({ credit: { records: 1, bytes: 1 } })
    await expectEnd(early, 'INVALID_ARGUMENT', /has to be start/)
    const twice = member({})
    twice.send({ start: { group: 'g', topics: ['orders'] } })
    await expectEnd(twice, 'INVALID_ARGUMENT', /start was sent twice/)
    const hasty = member({})
    hasty.send({ commit: { correlationId: 1, positions: [] } })
    await expectEnd(hasty, 'INVALID_ARGUMENT', /until joined/)
    const empty = member({})
    await empty.untilOwns(2)
    empty.send({} as ConsumeRequest)
    await expectEnd(empty, 'INVALID_ARGUMENT', /none that this version knows/)
  })

  test('credits that add up to an absurd size', async () => {
    const greedy = member({ group: 'greedy', credit: { records: 1_000_000, bytes: 1 } })
    greedy.send({ credit: { records: 1, bytes: 1 } })
    await expectEnd(greedy, 'INVALID_ARGUMENT', /1000001 records/)
  })

  test('a commit beyond the end with the range, backwards, under a wrong epoch, and of a partition that is not owned', async () => {
    await using producer = client.producer()
    for (let at = 0; at < 5; at++) await producer.send({ topic: 'orders', partition: 0, value: `${at}` })
    const owner = member({ group: 'commits', topics: [], partitions: [{ topic: 'orders', partition: 0 }] })
    await owner.untilOwns(1)
    const { epoch } = owner.owned.get('orders/0')!
    const place = { topic: 'orders', partition: 0, epoch }
    expect(resultsOf(await owner.commit([{ ...place, offset: 6 }]))).toEqual(['OFFSET_OUT_OF_RANGE'])
    expect(resultsOf(await owner.commit([{ ...place, offset: 4 }]))).toEqual([4])
    expect(resultsOf(await owner.commit([{ ...place, offset: 3 }]))).toEqual(['COMMIT_BACKWARDS'])
    expect(resultsOf(await owner.commit([{ ...place, offset: 4 }]))).toEqual([4])
    expect(resultsOf(await owner.commit([{ ...place, offset: 5, epoch: epoch - 1 }]))).toEqual([
      'STALE_GROUP_EPOCH',
    ])
    expect(resultsOf(await owner.commit([{ ...place, offset: 5, epoch: epoch + 1 }]))).toEqual([
      'PARTITION_NOT_OWNED',
    ])
    expect(resultsOf(await owner.commit([{ ...place, partition: 1, offset: 0 }]))).toEqual([
      'PARTITION_NOT_OWNED',
    ])
    const positions = [{ ...place, offset: 5 }]
    const beside = { group: 'commits', memberId: owner.memberId, positions }
    const { results } = await connection.unary(groupMethods.commitOffsets, beside)
    expect(resultsOf({ correlationId: 0, results })).toEqual([5])
    expect(await refusalOf(groupMethods.commitOffsets, { ...beside, group: 'nobody' })).toMatchObject({
      reason: 'UNKNOWN_GROUP',
    })
    expect(await refusalOf(groupMethods.commitOffsets, { ...beside, memberId: 'nobody' })).toMatchObject({
      reason: 'UNKNOWN_MEMBER',
    })
  })

  test('a heartbeat of members that are nobody renews nothing, and one of too many is refused', async () => {
    const nobody = { group: 'nobody', memberId: 'nobody', incarnation: 1 }
    expect(await connection.unary(groupMethods.heartbeat, { members: [nobody] })).toEqual({
      notHere: [nobody],
    })
    const limit = GROUP_LIMITS.maxHeartbeatMembers
    const members = Array.from({ length: limit + 1 }, () => nobody)
    expect(await refusalOf(groupMethods.heartbeat, { members })).toMatchObject({
      reason: 'INVALID_ARGUMENT',
      message: `a heartbeat names ${limit + 1} members, the limit is ${limit}`,
    })
  })

  test('a second live member of the same id takes the place, and the elder is told', async () => {
    const elder = member({ group: 'twins', memberId: 'twin' })
    await elder.untilOwns(2)
    const { epoch } = elder.owned.get('orders/0')!
    const younger = member({ group: 'twins', memberId: 'twin' }, 'n2')
    await expectEnd(elder, 'MEMBER_FENCED', /"twin"/, /fenced/)
    expect(elder.lost.length).toBe(2)
    await younger.untilOwns(2)
    expect(younger.owned.get('orders/0')!.epoch).toBeGreaterThan(epoch)
  })

  test('a partition that another member has named for itself', async () => {
    const named = { group: 'claims', topics: [], partitions: [{ topic: 'orders', partition: 1 }] }
    const first = member({ ...named, memberId: 'first' })
    await first.untilOwns(1)
    await expectEnd(member(named), 'PARTITION_CLAIMED', /"first".*partition 1 of "orders"/)
  })

  test('another way to share partitions than the other members have', async () => {
    const first = member({ group: 'ways' })
    await first.untilOwns(2)
    await expectEnd(
      member({ group: 'ways', strategy: 'ASSIGNMENT_STRATEGY_RANGE' }),
      'INVALID_ARGUMENT',
      /range.*balanced/,
    )
  })

  test('a topic that is deleted while it is consumed: its partitions are lost, and with the last topic the stream ends', async () => {
    await client.topics.create('short-lived', { partitions: 1 })
    const both = member({ group: 'deleted', topics: ['short-lived', 'payments'] })
    const one = member({ group: 'deleted-one', topics: ['short-lived'] })
    await both.untilOwns(2)
    await one.untilOwns(1)
    await client.topics.delete('short-lived')
    await expectEnd(one, 'UNKNOWN_TOPIC', /"short-lived" was deleted/)
    await until('the partition is lost', () => both.lost.length === 1)
    expect(both.lost[0]).toMatchObject({
      partition: { topic: 'short-lived' },
      error: { reason: 'UNKNOWN_TOPIC' },
    })
    expect(both.ended).toBeUndefined()
  })

  test('a member that is silent for longer than its session: it is told, and may not commit', async () => {
    const silent = member({ group: 'silent' })
    await silent.untilOwns(2)
    silent.fallSilent()
    await expectEnd(silent, 'UNKNOWN_MEMBER', /its lease ended/)
  })

  test('groups that are not there, and the deletion or reset of one with members, which are named', async () => {
    const group = 'nobody'
    expect(await refusalOf(groupMethods.describeGroup, { group })).toMatchObject({ reason: 'UNKNOWN_GROUP' })
    expect(await refusalOf(groupMethods.deleteGroup, { group })).toMatchObject({ reason: 'UNKNOWN_GROUP' })
    expect(await refusalOf(groupMethods.fetchOffsets, { group })).toMatchObject({ reason: 'UNKNOWN_GROUP' })
    const position = 'START_POSITION_END'
    const reset = { topic: 'orders', position } as const
    expect(await refusalOf(groupMethods.resetGroupOffsets, { group, ...reset })).toMatchObject({
      reason: 'UNKNOWN_GROUP',
    })
    const live = member({ group: 'alive', memberId: 'anna' })
    await live.untilOwns(2)
    for (const refusal of [
      await refusalOf(groupMethods.deleteGroup, { group: 'alive' }),
      await refusalOf(groupMethods.resetGroupOffsets, { group: 'alive', ...reset }),
    ]) {
      expect(refusal.reason).toBe('GROUP_HAS_MEMBERS')
      expect(refusal.message).toContain('anna')
    }
    const refused = (more: object): Promise<FlotillaError> =>
      refusalOf(groupMethods.resetGroupOffsets, { group: 'alive', topic: 'orders', ...more })
    expect(await refused({})).toMatchObject({ reason: 'INVALID_ARGUMENT' })
    expect(await refused({ offset: 1_000_000 })).toMatchObject({ reason: 'OFFSET_OUT_OF_RANGE' })
    expect(await refused({ position, partitions: [7] })).toMatchObject({ reason: 'UNKNOWN_PARTITION' })
    expect(await refused({ position, topic: 'nowhere' })).toMatchObject({ reason: 'UNKNOWN_TOPIC' })
    expect(await refusalOf(groupMethods.listGroups, { pageSize: 1001 })).toMatchObject({
      reason: 'INVALID_ARGUMENT',
    })
  })
})
