import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FlotillaError, type Client } from '../../src/client/index.ts'
import { RpcError, type Codec, type Connection, type RpcMethod } from '../../src/env/index.ts'
import { nodeEnv } from '../../src/env/node/index.ts'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'
import {
  encodeRecordSet,
  fromRpcError,
  logMethods,
  type AppendRequest,
  type ErrorReason,
} from '../../src/wire/index.ts'

describe('a request that can’t be served is refused with the value and the rule, and changes nothing', () => {
  let cluster: TestCluster
  let client: Client
  let connection: Connection
  const env = nodeEnv({ level: 'silent' })

  beforeAll(async () => {
    cluster = await startTestCluster()
    client = await cluster.connect()
    connection = env.network.connect(cluster.bootstrap[0] ?? '')
    await client.topics.create('orders', { partitions: 3 })
  })
  afterAll(async () => {
    connection.close()
    await cluster.close()
  })

  async function refusal(work: Promise<unknown>): Promise<FlotillaError> {
    const outcome = await work.then(
      () => undefined,
      (error: unknown) => error,
    )
    if (outcome instanceof RpcError) return fromRpcError(outcome)
    if (outcome instanceof FlotillaError) return outcome
    throw new Error(`not refused: ${String(outcome)}`)
  }

  async function expectRefused(
    work: Promise<unknown>,
    reason: ErrorReason,
    ...words: (string | RegExp)[]
  ): Promise<void> {
    const error = await refusal(work)
    expect(error.reason).toBe(reason)
    for (const word of words) expect(error.message).toMatch(word)
    expect(error.effect).toBe('none')
  }

  const one = encodeRecordSet([
    { key: Buffer.from('k'), value: Buffer.from('v'), headers: [], timestampMs: undefined },
  ])
  const append = (fields: Partial<AppendRequest>): Promise<unknown> =>
    connection.unary(
      logMethods.append,
      {
        topic: 'orders',
        partition: 0,
        routingKey: undefined,
        records: one,
        producer: undefined,
        recordsCrc32: undefined,
        ...fields,
      },
      { deadlineMs: env.clock.nowMs() + 10_000 },
    )
  const record = (fields: { key?: number; value?: number; header?: number }): Uint8Array =>
    encodeRecordSet([
      {
        key: fields.key === undefined ? undefined : new Uint8Array(fields.key),
        value: new Uint8Array(fields.value ?? 1),
        headers: fields.header === undefined ? [] : [{ name: 'h', value: new Uint8Array(fields.header) }],
        timestampMs: undefined,
      },
    ])

  test('unknown topics and partitions', async () => {
    await expectRefused(append({ topic: 'nobody' }), 'UNKNOWN_TOPIC', 'nobody')
    await expectRefused(append({ partition: 3 }), 'UNKNOWN_PARTITION', /\b3\b/, /0 to 2/)
    await expectRefused(client.topics.describe('nobody'), 'UNKNOWN_TOPIC', 'nobody')
    await expectRefused(client.topics.delete('nobody'), 'UNKNOWN_TOPIC', 'nobody')
    await expectRefused(client.cluster.listOffsets('orders', 7), 'UNKNOWN_PARTITION', /\b7\b/)
  })

  test('bad names', async () => {
    for (const name of ['', '.', '..', 'a b', 'ä', 'x'.repeat(250)]) {
      await expectRefused(client.topics.create(name), 'INVALID_NAME')
    }
    await expectRefused(
      append({ producer: { producerId: 'x'.repeat(65), epoch: 0, sequence: 0 } }),
      'INVALID_NAME',
      '64',
    )
    await expectRefused(client.topics.create('orders'), 'TOPIC_EXISTS', 'orders')
  })

  test('records, keys, headers and batches over their limits', async () => {
    await expectRefused(
      append({ records: record({ value: 1024 * 1024 + 1 }) }),
      'RECORD_TOO_LARGE',
      '1048576',
    )
    await expectRefused(append({ records: record({ key: 65_537 }) }), 'KEY_TOO_LARGE', '65537', '65536')
    await expectRefused(append({ records: record({ header: 65_537 }) }), 'HEADERS_TOO_LARGE', '65536')
    const many = Buffer.concat(Array.from({ length: 5 }, () => record({ value: 1024 * 1000 })))
    await expectRefused(append({ records: many }), 'BATCH_TOO_LARGE', '4194304')
    await expectRefused(append({ records: new Uint8Array(0) }), 'EMPTY_BATCH')
    await expectRefused(
      append({ partition: undefined, routingKey: new Uint8Array(65_537) }),
      'KEY_TOO_LARGE',
      '65537',
    )
  })

  test('a wrong checksum', async () => {
    await expectRefused(append({ recordsCrc32: 1 }), 'CHECKSUM_MISMATCH', '0x00000001')
  })

  test('a batch whose keys belong to several partitions', async () => {
    const keys = Array.from({ length: 20 }, (_, number) => Buffer.from(`key ${number}`))
    const records = encodeRecordSet(
      keys.map((key) => ({ key, value: key, headers: [], timestampMs: undefined })),
    )
    await expectRefused(append({ partition: undefined, records }), 'BATCH_SPANS_PARTITIONS', 'orders')
  })

  test('malformed and truncated protobuf', async () => {
    const bytes: Codec<Uint8Array> = { encode: (raw) => raw, decode: (raw) => raw }
    const raw: RpcMethod<Uint8Array, Uint8Array, 'unary'> = {
      ...logMethods.append,
      request: bytes,
      response: bytes,
    }
    const whole = logMethods.append.request.encode({
      topic: 'orders',
      partition: 0,
      routingKey: undefined,
      records: one,
      producer: undefined,
      recordsCrc32: undefined,
    })
    const send = (request: Uint8Array): Promise<unknown> =>
      connection.unary(raw, request, { deadlineMs: env.clock.nowMs() + 10_000 })
    await expectRefused(send(Uint8Array.of(0xff, 0xff, 0xff)), 'MALFORMED_REQUEST')
    await expectRefused(send(whole.subarray(0, whole.length - 1)), 'MALFORMED_REQUEST')
    await expectRefused(append({ records: one.subarray(0, one.length - 1) }), 'MALFORMED_REQUEST')
  })

  test('an offset out of range names the range', async () => {
    const partition = 1
    await append({ partition })
    const { highWatermark } = await client.cluster.listOffsets('orders', partition, {
      consistency: 'linearizable',
    })
    const reader = client.reader({
      topic: 'orders',
      partitions: [partition],
      from: { offset: highWatermark + 5 },
    })
    const error = await refusal(reader[Symbol.asyncIterator]().next())
    expect(error.reason).toBe('OFFSET_OUT_OF_RANGE')
    expect(error.offsetRange).toEqual({ lowOffset: 0, highWatermark })
    await reader.close()
  })

  test('replication factors that can’t be, or that are worth no more than a smaller one', async () => {
    await expectRefused(
      client.topics.create('five', { replicationFactor: 5 }),
      'REPLICATION_FACTOR_TOO_LARGE',
      '5',
      '3 nodes',
    )
    await expectRefused(
      client.topics.create('two', { replicationFactor: 2 }),
      'REPLICATION_FACTOR_EVEN',
      'survives the loss of 0',
      /force/,
    )
    const forced = await client.topics.create('two', { replicationFactor: 2, force: true })
    expect(forced.survivableLosses).toBe(0)
    await expectRefused(
      client.topics.create('many', { partitions: 2000 }),
      'INVALID_ARGUMENT',
      '2000',
      '1024',
    )
    await expectRefused(client.topics.create('none', { partitions: 0 }), 'INVALID_ARGUMENT', '0')
  })

  test('leadership to a node that has no replica', async () => {
    await expectRefused(
      client.cluster.transferLeadership('orders', 0, { to: 'n9' }),
      'UNKNOWN_NODE',
      'n9',
      'n1',
    )
  })

  test('after all of this nothing was left behind', async () => {
    const { highWatermark } = await client.cluster.listOffsets('orders', 0, { consistency: 'linearizable' })
    expect(highWatermark).toBe(0)
    expect((await client.topics.list()).map((topic) => topic.name)).toEqual(['orders', 'two'])
  })
})
