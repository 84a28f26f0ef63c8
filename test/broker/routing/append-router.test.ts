import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { ClusterView } from '../../../src/broker/cluster-view.ts'
import { HostedPartition } from '../../../src/broker/hosted-partition.ts'
import { LeaderTable } from '../../../src/broker/leaders.ts'
import { unknownTopic } from '../../../src/broker/metadata/decide.ts'
import { AppendRouter } from '../../../src/broker/routing/append-router.ts'
import { NodeConnections } from '../../../src/broker/routing/connections.ts'
import { asGroupId, type GroupId } from '../../../src/log/types.ts'
import { asNodeId, asTerm } from '../../../src/raft/types.ts'
import { FlotillaError } from '../../../src/wire/errors.ts'
import { LIMITS, encodeRecordSet, partitionForKey } from '../../../src/wire/index.ts'
import type { AppendRequest, AppendResponse, AppendStreamRequest } from '../../../src/wire/messages.ts'
import { ManualClock, settle } from '../../support/manual-clock.ts'
import { Cluster, createTopic } from '../metadata/cluster.ts'
import { partitionMachine } from '../support/appends.ts'
import { FakeNetwork } from '../support/fake-network.ts'
import { ReplicaBench } from '../support/replica-bench.ts'
import { Waiter } from '../support/scripted-log.ts'

const [n1, n2, n3] = ['n1', 'n2', 'n3'].map(asNodeId)

const recordsWithKeys = (...keys: readonly (string | undefined)[]): Uint8Array =>
  encodeRecordSet(
    keys.map((key) => ({
      key: key === undefined ? undefined : Buffer.from(key),
      value: Buffer.from('v'),
      headers: [],
      timestampMs: undefined,
    })),
  )

/** Node n1 of a cluster of three with topic "t", whose partitions 0, 1 and 2 are groups 1, 2 and 3. */
class Bench {
  readonly clock = new ManualClock()
  readonly network = new FakeNetwork()
  readonly cluster = new Cluster()
  readonly leaders = new LeaderTable(this.clock)
  readonly view = new ClusterView(
    this.clock,
    this.leaders,
    () => this.cluster.state,
    () => true,
  )
  readonly hosted = new Map<GroupId, { readonly partition: HostedPartition; readonly bench: ReplicaBench }>()
  ensured = (name: string): Promise<void> => Promise.reject(unknownTopic(name))
  readonly router = new AppendRouter(
    {
      nodeId: n1!,
      view: this.view,
      leaders: this.leaders,
      connections: new NodeConnections(this.network),
      hosted: (groupId) => this.hosted.get(groupId)?.partition,
      leaderHint: (groupId) => {
        const known = this.leaders.get(groupId)
        if (known?.leader === undefined) return undefined
        return { nodeId: known.leader, address: this.view.addressOf(known.leader) ?? '', term: known.term }
      },
    },
    { ensureTopic: (name) => this.ensured(name) },
    this.clock,
    LIMITS,
    64 * 1024 * 1024,
  )

  constructor() {
    this.cluster.do(createTopic('t'))
  }
  lead(partition: number): void {
    const machine = partitionMachine(this.clock, partition)
    const bench = new ReplicaBench(machine)
    bench.lead()
    const groupId = asGroupId(partition + 1)
    this.hosted.set(groupId, { bench, partition: new HostedPartition('t', bench.replica, machine) })
    this.leaders.learn(groupId, asTerm(1), n1)
  }
  append(fields: Partial<AppendRequest> = {}, context: { forwarded?: boolean; deadlineMs?: number } = {}) {
    const waiter = new Waiter<AppendResponse>(context.deadlineMs)
    const request: AppendRequest = {
      topic: 't',
      partition: undefined,
      routingKey: undefined,
      records: recordsWithKeys(undefined),
      producer: undefined,
      recordsCrc32: undefined,
      ...fields,
    }
    const { forwarded = false } = context
    this.router.append(request, { forwarded, deadlineMs: waiter.deadlineMs }, waiter.done)
    return waiter
  }
  settle(): void {
    for (const { bench } of this.hosted.values()) bench.settle()
    this.clock.runDeferred()
  }
  /** Appends that were passed on, with the address that they went to. */
  get passedOn(): { readonly address: string; readonly partition: number | undefined }[] {
    return this.network.streams.flatMap(({ address, stream }) =>
      (stream.sent as AppendStreamRequest[]).flatMap(({ appends }) =>
        appends.map(({ append }) => ({ address, partition: append.partition })),
      ),
    )
  }
}

describe('an append that is refused', () => {
  const big = (bytes: number): Buffer => Buffer.alloc(bytes, 120)
  const record = { key: undefined, value: undefined, headers: [], timestampMs: undefined }
  const refusals: readonly [what: string, Partial<AppendRequest>, reason: string][] = [
    ['has no records', { records: new Uint8Array(0) }, 'EMPTY_BATCH'],
    ['is no record set', { records: Buffer.from([0x0a, 0x05, 0x01]) }, 'MALFORMED_REQUEST'],
    ['has another checksum', { recordsCrc32: 1 }, 'CHECKSUM_MISMATCH'],
    [
      'has too large a record',
      { records: encodeRecordSet([{ ...record, value: big(LIMITS.maxRecordBytes + 1) }]) },
      'RECORD_TOO_LARGE',
    ],
    [
      'has too large a key',
      { records: encodeRecordSet([{ ...record, key: big(LIMITS.maxKeyBytes + 1) }]) },
      'KEY_TOO_LARGE',
    ],
    ['has too large a routing key', { routingKey: big(LIMITS.maxKeyBytes + 1) }, 'KEY_TOO_LARGE'],
    [
      'has too large headers',
      {
        records: encodeRecordSet([
          { ...record, headers: [{ name: 'h', value: big(LIMITS.maxHeadersBytes) }] },
        ]),
      },
      'HEADERS_TOO_LARGE',
    ],
    ['has too large a batch', { records: big(LIMITS.maxBatchBytes + 1) }, 'BATCH_TOO_LARGE'],
    ['names a partition that is not there', { partition: 3 }, 'UNKNOWN_PARTITION'],
    ['has an empty producer id', { producer: { producerId: '', epoch: 0, sequence: 0 } }, 'INVALID_NAME'],
    [
      'has keys of several partitions',
      { records: recordsWithKeys('a', 'b', 'c', 'd', 'e', 'f') },
      'BATCH_SPANS_PARTITIONS',
    ],
  ]
  it.each(refusals)('%s', (_what, fields, reason) => {
    const bench = new Bench()
    for (const partition of [0, 1, 2]) bench.lead(partition)
    const waiter = bench.append(fields)
    expect(waiter.failure).toBe(`${reason}/none`)
    bench.settle()
    expect([...bench.hosted.values()].map(({ partition }) => partition.machine.highWatermark)).toEqual([
      0, 0, 0,
    ])
  })

  it('goes to a topic that nobody knows', async () => {
    const waiter = new Bench().append({ topic: 'u' })
    await settle()
    expect(waiter.failure).toBe('UNKNOWN_TOPIC/none')
  })

  it('was passed on to a node that does not lead: it names who does and goes no further', () => {
    const bench = new Bench()
    bench.leaders.learn(asGroupId(1), asTerm(4), n2)
    const waiter = bench.append({ partition: 0 }, { forwarded: true })
    expect(waiter.failure).toBe('NOT_LEADER/none')
    expect((waiter.outcomes[0] as FlotillaError).leader).toEqual({
      nodeId: 'n2',
      address: 'n2:7101',
      term: 4,
    })
    bench.settle()
    expect(bench.passedOn).toEqual([])
  })

  it('waited five seconds for a leader and got none', async () => {
    const bench = new Bench()
    const waiter = bench.append({ partition: 0 })
    bench.clock.advance(4999)
    await settle()
    expect(waiter.isWaiting).toBe(true)
    bench.clock.advance(1)
    await settle()
    expect(waiter.failure).toBe('NO_LEADER/none')
    expect((waiter.outcomes[0] as FlotillaError).message).toContain('partition 0 of "t"')
    expect(bench.clock.timerCount).toBe(0)
  })

  it('would be one too many to wait for a leader', async () => {
    const bench = new Bench()
    const records = encodeRecordSet(
      [0, 1, 2].map(() => ({ ...record, value: big(LIMITS.maxRecordBytes - 16) })),
    )
    const waiters = Array.from({ length: 22 }, () => bench.append({ partition: 0, records }))
    expect(waiters.map(({ failure }) => failure).filter((failure) => failure !== undefined)).toEqual([
      'THROTTLED/none',
    ])
    bench.clock.advance(5000)
    await settle()
    expect(waiters.every(({ outcomes }) => outcomes.length === 1)).toBe(true)
    expect(bench.append({ partition: 0, records }).isWaiting).toBe(true)
  })
})

describe('an append', () => {
  it('is decided here where this node leads the partition', () => {
    const bench = new Bench()
    bench.lead(1)
    const records = recordsWithKeys('a', 'a')
    const waiter = bench.append({ partition: 1, records, recordsCrc32: crc32(records) })
    bench.settle()
    expect(waiter.result).toMatchObject({ partition: 1, baseOffset: 0, recordCount: 2 })
  })

  it('goes where its routing key belongs, else where its record key does', () => {
    const bench = new Bench()
    for (const partition of [0, 1, 2]) bench.lead(partition)
    const topic = bench.view.topic('t')
    const owner = (key: string): number => partitionForKey(topic, Buffer.from(key))
    for (const key of ['a', 'b', 'c', 'd']) {
      const byRecord = bench.append({ records: recordsWithKeys(key, key) })
      const byRouting = bench.append({
        records: recordsWithKeys('x', 'y', 'z'),
        routingKey: Buffer.from(key),
      })
      bench.settle()
      expect([byRecord.result.partition, byRouting.result.partition]).toEqual([owner(key), owner(key)])
    }
  })

  it('without a key stays here where this node leads something, and else goes to each in turn', () => {
    const bench = new Bench()
    for (const partition of [1, 2, 3]) bench.leaders.learn(asGroupId(partition), asTerm(1), n2)
    for (let count = 0; count < 6; count++) bench.append()
    bench.settle()
    expect(bench.passedOn.map(({ partition }) => partition)).toEqual([0, 1, 2, 0, 1, 2])
    bench.lead(2)
    const waiter = bench.append()
    bench.settle()
    expect(waiter.result.partition).toBe(2)
  })

  it('is passed on to the leader in one hop, with its partition fixed', () => {
    const bench = new Bench()
    bench.leaders.learn(asGroupId(1), asTerm(1), n2)
    bench.leaders.learn(asGroupId(2), asTerm(1), n3)
    bench.append({ partition: 0 })
    bench.append({ partition: 1 })
    bench.settle()
    expect(bench.passedOn).toEqual([
      { address: 'n2:7101', partition: 0 },
      { address: 'n3:7101', partition: 1 },
    ])
  })

  it('goes on where a leader turns up, here or elsewhere', async () => {
    const bench = new Bench()
    const [here, elsewhere] = [bench.append({ partition: 0 }), bench.append({ partition: 1 })]
    bench.lead(0)
    bench.leaders.learn(asGroupId(2), asTerm(1), n3)
    await settle()
    bench.settle()
    expect(here.result.partition).toBe(0)
    expect(bench.passedOn).toEqual([{ address: 'n3:7101', partition: 1 }])
    expect(elsewhere.isWaiting).toBe(true)
  })

  it('follows a node that has come back under another address', () => {
    const bench = new Bench()
    bench.leaders.learn(asGroupId(1), asTerm(1), n2)
    bench.append({ partition: 0 })
    bench.settle()
    bench.cluster.do({
      type: 'registerNode',
      node: { nodeId: 'n2', address: 'elsewhere:1', hostLabel: 'n2' },
    })
    bench.append({ partition: 0 })
    bench.settle()
    expect(bench.passedOn.map(({ address }) => address)).toEqual(['n2:7101', 'elsewhere:1'])
  })

  it('waits until this node has heard of a topic that another has just created', async () => {
    const bench = new Bench()
    bench.ensured = (name) => {
      bench.cluster.do(createTopic(name))
      return Promise.resolve()
    }
    const waiter = bench.append({ topic: 'new', partition: 0 })
    await settle()
    expect(waiter.isWaiting).toBe(true)
    bench.leaders.learn(asGroupId(4), asTerm(1), n2)
    await settle()
    bench.settle()
    expect(bench.passedOn).toEqual([{ address: 'n2:7101', partition: 0 }])
  })
})
