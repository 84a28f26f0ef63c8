/** A world of its own for commands: captured text, a clock that sleeping moves, and a cluster in memory. */
import type { RunningServer } from '../../src/broker/index.ts'
import type {
  Acknowledgement,
  Client,
  ConsumedBatch,
  ConsumedRecord,
  Producer,
  ProducerRecord,
  Reader,
  ReaderOptions,
} from '../../src/client/types.ts'
import type { CliContext, ExitStatus, Output, ServerProcess } from '../../src/cli/context.ts'
import { FlotillaError } from '../../src/wire/errors.ts'
import type { DescribeClusterResponse, TopicMessage } from '../../src/wire/messages.ts'
import { fakeConsumer, fakeGroupCalls } from './fake-groups.ts'

export class Captured implements Output {
  text = ''
  isTTY = false
  colours = false
  columns = Infinity
  closed = false
  write(text: string): boolean {
    this.text += text
    return true
  }
  drained(): Promise<void> {
    return Promise.resolve()
  }
  get lines(): string[] {
    return this.text.split('\n').slice(0, -1)
  }
}

export interface FakeContext extends CliContext {
  readonly stdout: Captured
  readonly stderr: Captured
  interrupt(): void
}

export async function* chunksOf(
  ...parts: (string | Uint8Array)[]
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const part of parts) yield typeof part === 'string' ? Buffer.from(part) : part
}

function notExpected(what: string): never {
  throw new Error(`the test didn't expect ${what}`)
}

export function fakeContext(
  overrides: Partial<CliContext> & { readonly client?: Client; readonly input?: string } = {},
): FakeContext {
  const interruption = new AbortController()
  const clock = new VirtualClock()
  const { client, input = '', ...rest } = overrides
  return {
    stdin: Object.assign(chunksOf(input), { isTTY: false }),
    env: {},
    interrupted: interruption.signal,
    launcher: undefined,
    nowMs: () => clock.nowMs,
    wallMs: () => Date.UTC(2026, 0, 1) + clock.nowMs,
    sleep: (delayMs, signal) => clock.sleep(delayMs, signal),
    refusesConnections: () => Promise.resolve(false),
    connect: () => (client === undefined ? notExpected('connect') : Promise.resolve(client)),
    createLogger: () => notExpected('a logger'),
    startServer: () => notExpected('a server'),
    spawnServer: () => notExpected('a process'),
    spawnMember: () => notExpected('a member'),
    runProgram: () => notExpected('a program'),
    openInput: () => notExpected('a file'),
    readText: () => notExpected('a settings file'),
    ...rest,
    stdout: new Captured(),
    stderr: new Captured(),
    interrupt: () => interruption.abort(),
  }
}

/** Moves on to the next sleeper's time whenever all others have done what they can do. */
class VirtualClock {
  nowMs = 0
  readonly #sleepers = new Set<{ readonly wakeMs: number; readonly wake: () => void }>()
  #running = false

  sleep(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted === true) return Promise.resolve()
    return new Promise((resolve) => {
      const sleeper = {
        wakeMs: this.nowMs + delayMs,
        wake: () => {
          this.#sleepers.delete(sleeper)
          signal?.removeEventListener('abort', sleeper.wake)
          resolve()
        },
      }
      signal?.addEventListener('abort', sleeper.wake)
      this.#sleepers.add(sleeper)
      if (!this.#running) void this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.#sleepers.size > 0) {
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
      const [next] = [...this.#sleepers].sort((a, b) => a.wakeMs - b.wakeMs)
      if (next === undefined) break
      this.nowMs = Math.max(this.nowMs, next.wakeMs)
      next.wake()
    }
    this.#running = false
  }
}

interface Stored {
  readonly record: ProducerRecord
  readonly time: Date
}

/** One topic's partitions are arrays; every node has all, but for what `withhold` keeps from it. */
export class FakeCluster {
  readonly nodeIds: readonly string[]
  readonly topics = new Map<string, Stored[][]>()
  readonly down = new Set<string>()
  leader: string
  term = 3
  closed = 0
  /** What a record meets in place of being appended. */
  refuse: (record: ProducerRecord, count: number) => Error | undefined = () => undefined
  /** Whether a node's reader leaves a record out. */
  withhold: (nodeId: string, partition: number, offset: number) => boolean = () => false
  /** Where every partition's replicas move to, and after how many looks they are there. */
  moving: { readonly nodeIds: readonly string[]; describesLeft: number } | undefined
  /** What each call for a drain says that remains. */
  draining: number[] = []
  /** The calls that were made, by name. */
  readonly calls: string[] = []
  #produced = 0

  constructor(nodeIds: readonly string[] = ['n1', 'n2', 'n3']) {
    this.nodeIds = nodeIds
    this.leader = nodeIds[0] ?? 'n1'
  }

  /** The leader's process is gone: the next node leads. */
  lose(nodeId: string): void {
    this.down.add(nodeId)
    if (this.leader !== nodeId) return
    this.leader = this.nodeIds.find((each) => !this.down.has(each)) ?? nodeId
    this.term++
  }

  topic(name: string): TopicMessage {
    const partitions = this.topics.get(name)
    if (partitions === undefined) throw new FlotillaError('UNKNOWN_TOPIC', `there is no topic "${name}"`)
    return {
      name,
      topicId: `id-of-${name}`,
      partitioner: 'PARTITIONER_HASH_RANGE',
      replicationFactor: this.nodeIds.length,
      survivableLosses: Math.floor((this.nodeIds.length - 1) / 2),
      createTime: { seconds: 1_700_000_000, nanos: 0 },
      partitions: partitions.map((_, partition) => ({
        partition,
        groupId: partition + 1,
        replicaNodeIds: this.nodeIds,
        targetNodeIds: this.moving?.nodeIds ?? [],
        leaderNodeId: this.leader,
        leaderTerm: this.term,
        hashFirst: partition * 1000,
        hashLast: partition * 1000 + 999,
      })),
    }
  }

  describe(): DescribeClusterResponse {
    const replicas = [...this.topics].flatMap(([topic, partitions]) =>
      partitions.flatMap((records, partition) =>
        this.nodeIds
          .filter((nodeId) => !this.down.has(nodeId))
          .map((nodeId) => ({
            topic,
            partition,
            groupId: partition + 1,
            nodeId,
            role:
              nodeId === this.leader ? ('REPLICA_ROLE_LEADER' as const) : ('REPLICA_ROLE_FOLLOWER' as const),
            term: this.term,
            lastIndex: records.length + 1,
            commitIndex: records.length + 1,
            appliedIndex: records.length + 1,
            lowOffset: 0,
            highWatermark: records.length,
            lagEntries: 0,
            commitDigest: '1',
          })),
      ),
    )
    return {
      clusterName: 'flotilla',
      clusterId: 'abc',
      nodeId: this.leader,
      nodes: this.nodeIds.map((nodeId, index) => ({
        nodeId,
        address: `127.0.0.1:${7101 + index}`,
        hostLabel: nodeId,
        reachable: !this.down.has(nodeId),
      })),
      replicas,
      metadataLeaderNodeId: this.leader,
    }
  }

  client(): Client {
    const close = async (): Promise<void> => {
      this.closed++
    }
    return {
      topics: {
        create: async (name, options) => {
          this.calls.push(`create ${name} ${JSON.stringify({ ...options, signal: undefined })}`)
          if (this.topics.has(name))
            throw new FlotillaError('TOPIC_EXISTS', `topic "${name}" is there already`)
          this.topics.set(
            name,
            Array.from({ length: options?.partitions ?? 3 }, () => []),
          )
          return this.topic(name)
        },
        describe: async (name) => {
          const topic = this.topic(name)
          if (this.moving !== undefined && --this.moving.describesLeft === 0) this.moving = undefined
          return topic
        },
        list: async () => [...this.topics.keys()].map((name) => this.topic(name)),
        delete: async (name) => {
          this.topic(name)
          this.topics.delete(name)
        },
      },
      cluster: {
        describe: async () => this.describe(),
        transferLeadership: async (topic, partition, options) => {
          this.calls.push(`transfer ${topic}/${partition} to ${options?.to ?? 'any'}`)
          return { leaderNodeId: options?.to ?? 'n2', term: this.term + 1 }
        },
        moveReplicas: async (topic, partition, nodeIds) => {
          this.calls.push(`move ${topic}/${partition} to ${nodeIds.join()}`)
          this.topic(topic)
          this.moving = { nodeIds, describesLeft: 3 }
        },
        drainNode: async (nodeId) => {
          this.calls.push(`drain ${nodeId}`)
          return { remaining: this.draining.shift() ?? 0 }
        },
        removeNode: async (nodeId) => {
          this.calls.push(`remove ${nodeId}`)
        },
        locate: async (topic, key) => {
          const partition =
            this.topic(topic).partitions[partitionOf(key, this.topics.get(topic)?.length ?? 1)]
          if (partition === undefined) throw new Error('no partition')
          return { partition, keyHash: 0xbeef }
        },
        listOffsets: () => notExpected('listOffsets'),
      },
      producer: () => this.#producer(),
      reader: (options) => this.#reader(options),
      groups: fakeGroupCalls(this.calls),
      consume: (options) => fakeConsumer(options, this.#stored(options.topics?.[0] ?? 'orders'), this.calls),
      close,
      [Symbol.asyncDispose]: close,
    }
  }

  /** Every partition's records as one batch. */
  #stored(topic: string): ConsumedBatch[] {
    return (this.topics.get(topic) ?? []).map((stored, partition) => {
      const records = stored.map((each, offset) => consumed(each, topic, partition, offset))
      return { topic, partition, baseOffset: 0, records, highWatermark: records.length }
    })
  }

  #producer(): Producer {
    const underWay = new Set<Promise<unknown>>()
    const enqueue: Producer['enqueue'] = (record) => {
      const acknowledged = this.#append(record)
      const settled = acknowledged.catch(() => undefined)
      underWay.add(settled)
      void settled.then(() => underWay.delete(settled))
      return { room: Promise.resolve(), acknowledged }
    }
    const flush = async (): Promise<void> => {
      await Promise.all(underWay)
    }
    return {
      producerId: 'p',
      enqueue,
      produce: (record, report) => {
        enqueue(record).acknowledged.then(
          (acknowledgement) => report(undefined, acknowledgement),
          (error: unknown) => report(error as FlotillaError, undefined),
        )
        return undefined
      },
      send: (record) => enqueue(record).acknowledged,
      flush,
      close: flush,
      [Symbol.asyncDispose]: flush,
    }
  }

  async #append(record: ProducerRecord): Promise<Acknowledgement> {
    this.#produced++
    const error = this.refuse(record, this.#produced)
    const partitions = this.topics.get(record.topic)
    const partition = record.partition ?? partitionOf(record.key ?? '', partitions?.length ?? 1)
    const records = partitions?.[partition]
    const offset = error === undefined && records !== undefined ? records.length : -1
    const time = new Date(Date.UTC(2026, 0, 1))
    if (offset >= 0) records?.push({ record, time })
    await new Promise((resolve) => setImmediate(resolve))
    if (error !== undefined) throw error
    if (offset < 0) throw new FlotillaError('UNKNOWN_TOPIC', `there is no topic "${record.topic}"`)
    return { topic: record.topic, partition, offset, appendTime: time }
  }

  #reader(options: ReaderOptions): Reader {
    const batches = async function* (this: FakeCluster): AsyncGenerator<ConsumedBatch> {
      const partitions = this.topics.get(options.topic)
      if (partitions === undefined) {
        throw new FlotillaError('UNKNOWN_TOPIC', `there is no topic "${options.topic}"`)
      }
      let left = options.maxRecords ?? Infinity
      for (const [partition, stored] of partitions.entries()) {
        if (options.partitions !== undefined && !options.partitions.includes(partition)) continue
        const from = typeof options.from === 'object' && 'offset' in options.from ? options.from.offset : 0
        const records = stored
          .map((each, offset) => consumed(each, options.topic, partition, offset))
          .slice(from)
          .filter(({ offset }) => !this.withhold(options.nodeId ?? '', partition, offset))
          .slice(0, left)
        left -= records.length
        if (records.length > 0) {
          yield { topic: options.topic, partition, baseOffset: from, records, highWatermark: stored.length }
        }
      }
      if (options.untilEnd === true || left <= 0) return
      await new Promise<void>((resolve) => {
        if (options.signal?.aborted === true) resolve()
        options.signal?.addEventListener('abort', () => resolve())
      })
    }
    const close = (): Promise<void> => Promise.resolve()
    return {
      batches: () => batches.call(this),
      position: () => new Map(),
      close,
      [Symbol.asyncDispose]: close,
      async *[Symbol.asyncIterator]() {
        for await (const batch of this.batches()) yield* batch.records
      },
    }
  }
}

/** Any rule will do that gives a key one partition. */
export function partitionOf(key: string | Uint8Array, partitions: number): number {
  return Buffer.from(key).reduce((sum, byte) => sum + byte, 0) % partitions
}

function consumed(
  { record, time }: Stored,
  topic: string,
  partition: number,
  offset: number,
): ConsumedRecord {
  const bytes = (value: string | Uint8Array | undefined): Uint8Array | undefined =>
    value === undefined ? undefined : Buffer.from(value)
  const headers = Array.isArray(record.headers) ? (record.headers as { name: string; value: string }[]) : []
  return {
    topic,
    partition,
    offset,
    timestamp: record.timestamp ?? time,
    appendTime: time,
    key: bytes(record.key),
    value: bytes(record.value),
    headers: headers.map(({ name, value }) => ({ name, value: Buffer.from(value) })),
  }
}

/** Node processes that obey at once, and take the fake cluster's nodes up and down with them. */
export function fakeProcesses(cluster: FakeCluster) {
  const spawned: { readonly args: readonly string[]; readonly signals: string[] }[] = []
  const spawnServer = (args: readonly string[]): ServerProcess => {
    const nodeId = args[args.indexOf('--id') + 1] ?? ''
    const signals: string[] = []
    spawned.push({ args, signals })
    cluster.down.delete(nodeId)
    let exit: (status: ExitStatus) => void = () => undefined
    const exited = new Promise<ExitStatus>((resolve) => (exit = resolve))
    return {
      pid: 1000 + spawned.length,
      ready: Promise.resolve(),
      exited,
      kill: (signal) => {
        signals.push(signal)
        cluster.lose(nodeId)
        exit(signal === 'SIGKILL' ? { code: null, signal } : { code: 0, signal: null })
      },
    }
  }
  return { spawned, spawnServer }
}

export interface FakeServer extends RunningServer {
  readonly closes: (boolean | undefined)[]
  fail(error: Error): void
}

export function fakeServer(nodeId: string): FakeServer {
  let fail: (error: Error) => void = () => undefined
  const failed = new Promise<Error>((resolve) => (fail = resolve))
  const closes: (boolean | undefined)[] = []
  return {
    nodeId,
    address: '127.0.0.1:7101',
    load: () => ({ replicas: 1, awakeReplicas: 1 }),
    ready: Promise.resolve(),
    failed,
    fail,
    closes,
    close: async (options) => void closes.push(options?.handOver),
  }
}
