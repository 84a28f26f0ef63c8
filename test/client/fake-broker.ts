import {
  duplexHandler,
  serverStreamHandler,
  unaryHandler,
  type Handler,
  type Sink,
} from '../../src/env/index.ts'
import {
  clusterMethods,
  FlotillaError,
  hashRanges,
  LIMITS,
  logMethods,
  skimRecordSet,
  timestampOf,
  toErrorMessage,
  topicMethods,
  toRpcError,
  type AppendRequest,
  type AppendResponse,
  type CorrelatedResult,
  type ReadRequest,
  type ReadResponse,
  type RecordBatch,
  type TopicMessage,
  type WatchLayoutResponse,
} from '../../src/wire/index.ts'
import { FakeGroups } from './fake-groups.ts'
import { FakeClock } from './fake-world.ts'
import { FakeNetwork } from './fake-network.ts'

interface Appended extends RecordBatch {
  readonly appended: AppendResponse
}

interface ProducerState {
  epoch: number
  nextSequence: number
  readonly bySequence: Map<number, AppendResponse>
}

class FakePartition {
  readonly batches: Appended[] = []
  readonly producers = new Map<string, ProducerState>()
  leader: string | undefined
  term = 1
  highWatermark = 0
  constructor(leader: string) {
    this.leader = leader
  }
}

/** Every append that reached a node, in order, with what came of it. */
export interface Attempt {
  readonly node: string
  readonly append: AppendRequest
  readonly outcome: 'appended' | 'duplicate' | FlotillaError
}

/**
 * Decides on an append before the broker does: fail it so, append it but lose the answer, lose it altogether, or
 * `undefined`: go on.
 */
export type Interference = (
  append: AppendRequest,
  node: string,
) => FlotillaError | 'append silently' | 'stay silent' | undefined

/** A cluster in memory whose partitions are shared by its nodes: what a client can see of a real one. */
export class FakeBroker {
  readonly clock = new FakeClock()
  readonly network = new FakeNetwork(this.clock)
  readonly attempts: Attempt[] = []
  readonly reads: { readonly node: string; readonly request: ReadRequest }[] = []
  readonly createRequests: string[] = []
  readonly groups = new FakeGroups({
    batches: (topic, partition) => this.partition(topic, partition).batches,
    highWatermark: (topic, partition) => this.partition(topic, partition).highWatermark,
    partitionCount: (topic) => this.#topics.get(topic)?.partitions.length ?? 0,
  })
  interfere: Interference = () => undefined
  /** What a Read says first, in place of records. */
  refuseRead: (request: ReadRequest, node: string) => FlotillaError | undefined = () => undefined
  /** Answers of unary calls are lost so often. */
  loseAnswers = 0
  readonly #nodes = ['n1', 'n2', 'n3']
  readonly #topics = new Map<
    string,
    { readonly message: TopicMessage; readonly partitions: FakePartition[] }
  >()
  readonly #watchers = new Set<Sink<WatchLayoutResponse>>()
  readonly #readers = new Set<() => void>()
  #epoch = 0

  async start(): Promise<void> {
    for (const node of this.#nodes) {
      await this.network.listen({ address: this.addressOf(node), handlers: this.#handlers(node) })
    }
  }

  addressOf(node: string): string {
    return `${node}:7101`
  }
  partition(topic: string, partition = 0): FakePartition {
    return this.#topics.get(topic)!.partitions[partition]!
  }
  /** All records of a partition, in order, as text of their values. */
  values(topic: string, partition = 0, decode: (bytes: Uint8Array) => string[]): string[] {
    return this.partition(topic, partition).batches.flatMap((batch) => batch.records.flatMap(decode))
  }

  addTopic(name: string, partitionCount: number): void {
    const ranges = hashRanges(partitionCount)
    const partitions = ranges.map((_, index) => new FakePartition(this.#nodes[index % 3]!))
    const message: TopicMessage = {
      name,
      topicId: name,
      partitioner: 'PARTITIONER_HASH_RANGE',
      replicationFactor: 3,
      createTime: timestampOf(0),
      survivableLosses: 1,
      partitions: ranges.map((range, partition) => ({
        partition,
        groupId: partition + 1,
        replicaNodeIds: this.#nodes,
        leaderTerm: 1,
        ...range,
      })),
    }
    this.#topics.set(name, { message, partitions })
    this.#tellWatchers()
  }

  /** Makes another node lead; `tell` the layout's watchers or leave it to hints. */
  elect(topic: string, partition: number, leader: string | undefined, tell: boolean): void {
    const state = this.partition(topic, partition)
    state.leader = leader
    state.term++
    if (tell) this.#tellWatchers()
  }

  /** Appends without a producer, as another client would. */
  put(topic: string, partition: number, records: Uint8Array): void {
    this.#commit(this.partition(topic, partition), partition, records)
  }

  #describe(name: string): TopicMessage {
    const { message, partitions } = this.#topics.get(name)!
    return {
      ...message,
      partitions: message.partitions.map((partition, index) => {
        const { leader, term } = partitions[index]!
        return { ...partition, leaderTerm: term, ...(leader === undefined ? {} : { leaderNodeId: leader }) }
      }),
    }
  }

  #snapshot(): WatchLayoutResponse {
    return {
      epoch: ++this.#epoch,
      snapshot: true,
      nodes: this.#nodes.map((nodeId) => ({
        nodeId,
        address: this.addressOf(nodeId),
        hostLabel: '',
        reachable: true,
      })),
      topics: [...this.#topics.keys()].map((name) => this.#describe(name)),
      deletedTopics: [],
    }
  }
  #tellWatchers(): void {
    for (const sink of this.#watchers) sink.send(this.#snapshot())
  }

  #handlers(node: string): Handler[] {
    return [
      serverStreamHandler(clusterMethods.watchLayout, (_request, sink, { signal }) => {
        this.#watchers.add(sink)
        signal.addEventListener('abort', () => this.#watchers.delete(sink))
        sink.send(this.#snapshot())
      }),
      unaryHandler(topicMethods.getTopic, async ({ name }) => {
        await this.#maybeLose()
        if (this.#topics.has(name)) return { topic: this.#describe(name) }
        throw toRpcError(new FlotillaError('UNKNOWN_TOPIC', `no topic is named ${name}`))
      }),
      unaryHandler(topicMethods.createTopic, async ({ name, partitionCount, requestId = '' }) => {
        const again = this.createRequests.includes(requestId)
        this.createRequests.push(requestId)
        if (this.#topics.has(name) && !again)
          throw toRpcError(new FlotillaError('TOPIC_EXISTS', `${name} exists`))
        if (!again) this.addTopic(name, partitionCount)
        await this.#maybeLose()
        return { topic: this.#describe(name) }
      }),
      unaryHandler(topicMethods.listTopics, async ({ pageToken = '' }) => {
        const names = [...this.#topics.keys()].sort()
        const at = pageToken === '' ? 0 : Number(pageToken)
        const nextPageToken = at + 2 < names.length ? String(at + 2) : ''
        return { topics: names.slice(at, at + 2).map((name) => this.#describe(name)), nextPageToken }
      }),
      unaryHandler(clusterMethods.transferLeadership, async ({ topic, partition, targetNodeId }) => {
        this.elect(topic, partition, targetNodeId ?? 'n2', true)
        await this.#maybeLose()
        return {
          leaderNodeId: this.partition(topic, partition).leader!,
          term: this.partition(topic, partition).term,
        }
      }),
      duplexHandler(logMethods.appendStream, (sink) => ({
        onMessage: ({ appends }) => {
          const results: CorrelatedResult[] = []
          for (const { correlationId, append } of appends) {
            const outcome = this.#append(append, node)
            if (outcome === undefined) continue
            results.push(
              outcome instanceof FlotillaError
                ? { correlationId, error: toErrorMessage(outcome) }
                : { correlationId, appended: outcome },
            )
          }
          if (results.length > 0) sink.send({ results })
        },
        onEnd: () => sink.end(),
        onClose: () => {},
      })),
      serverStreamHandler(logMethods.read, (request, sink, { signal }) => {
        this.reads.push({ node, request })
        const refusal = this.refuseRead(request, node)
        if (refusal !== undefined) return sink.fail(toRpcError(refusal))
        this.#serve(request, sink, signal)
      }),
      this.groups.handler(node),
    ]
  }

  #maybeLose(): Promise<void> {
    if (this.loseAnswers === 0) return Promise.resolve()
    this.loseAnswers--
    for (const node of this.#nodes) this.network.cut(this.addressOf(node))
    return new Promise(() => {})
  }

  #append(append: AppendRequest, node: string): AppendResponse | FlotillaError | undefined {
    const interference = this.interfere(append, node)
    if (interference === 'stay silent') return undefined
    const outcome = interference instanceof FlotillaError ? interference : this.#decide(append, node)
    const kind = outcome instanceof FlotillaError ? outcome : outcome.duplicate ? 'duplicate' : 'appended'
    this.attempts.push({ node, append, outcome: kind })
    return interference === 'append silently' ? undefined : outcome
  }

  #decide(append: AppendRequest, node: string): AppendResponse | FlotillaError {
    const partition = this.partition(append.topic, append.partition)
    const { leader, term } = partition
    if (leader === undefined) return new FlotillaError('NO_LEADER', 'nobody leads')
    if (leader !== node) {
      const hint = { nodeId: leader, address: this.addressOf(leader), term }
      return new FlotillaError('NOT_LEADER', `${node} does not lead`, { leader: hint })
    }
    const { producerId, epoch, sequence } = append.producer!
    let state = partition.producers.get(producerId)
    if (state === undefined || epoch > state.epoch) {
      state = { epoch, nextSequence: 0, bySequence: new Map() }
      partition.producers.set(producerId, state)
    }
    if (epoch < state.epoch)
      return new FlotillaError('PRODUCER_FENCED', `epoch ${state.epoch} has taken over`)
    const known = state.bySequence.get(sequence)
    if (known !== undefined) return { ...known, duplicate: true }
    if (sequence !== state.nextSequence) {
      return new FlotillaError(
        'OUT_OF_ORDER_SEQUENCE',
        `${sequence} came where ${state.nextSequence} comes next`,
      )
    }
    state.nextSequence++
    const appended = this.#commit(partition, append.partition!, append.records)
    state.bySequence.set(sequence, appended)
    return appended
  }

  #commit(state: FakePartition, partition: number, records: Uint8Array): AppendResponse {
    const { recordCount } = skimRecordSet(records, LIMITS)
    const baseOffset = state.highWatermark
    const appendTimeMs = this.clock.wallMs()
    const appended = { partition, baseOffset, recordCount, appendTimeMs, duplicate: false }
    state.batches.push({ baseOffset, recordCount, appendTimeMs, records: [records], appended })
    state.highWatermark += recordCount
    for (const wake of this.#readers) wake()
    this.groups.pump()
    return appended
  }

  #serve(request: ReadRequest, sink: Sink<ReadResponse>, signal: AbortSignal): void {
    const state = this.partition(request.topic, request.partition)
    const end = request.endOffset ?? (request.untilEnd ? state.highWatermark : Infinity)
    let next = this.#startOf(state, request)
    const message = (batches: readonly RecordBatch[]): ReadResponse => ({
      batches,
      nextOffset: next,
      highWatermark: state.highWatermark,
      lowOffset: 0,
    })
    const pump = (): void => {
      for (const batch of state.batches) {
        if (batch.baseOffset + batch.recordCount <= next || batch.baseOffset >= end) continue
        next = batch.baseOffset + batch.recordCount
        sink.send(message([batch]))
      }
      if (next >= end) sink.end()
    }
    if (next > state.highWatermark) {
      const offsetRange = { lowOffset: 0, highWatermark: state.highWatermark }
      sink.fail(
        toRpcError(new FlotillaError('OFFSET_OUT_OF_RANGE', `${next} is out of range`, { offsetRange })),
      )
      return
    }
    sink.send(message([]))
    pump()
    this.#readers.add(pump)
    signal.addEventListener('abort', () => this.#readers.delete(pump))
  }

  #startOf(state: FakePartition, { start }: ReadRequest): number {
    switch (start.type) {
      case 'offset':
        return start.offset
      case 'beginning':
        return 0
      case 'end':
        return state.highWatermark
      case 'time':
        return (
          state.batches.find((batch) => batch.appendTimeMs >= start.timeMs)?.baseOffset ?? state.highWatermark
        )
    }
  }
}
