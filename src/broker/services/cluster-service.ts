import {
  serverStreamHandler,
  type CallContext,
  type Cancel,
  type Clock,
  type Handler,
  type Sink,
} from '../../env/index.ts'
import { asGroupId } from '../../log/types.ts'
import { asNodeId } from '../../raft/types.ts'
import { FlotillaError, clusterMethods, murmur2, toRpcError } from '../../wire/index.ts'
import type {
  DescribeClusterResponse,
  LocatePartitionRequest,
  LocatePartitionResponse,
  ReplicaStatusMessage,
  TransferLeadershipRequest,
  TransferLeadershipResponse,
  WatchLayoutResponse,
} from '../../wire/messages.ts'
import { hostsOf } from '../metadata/events.ts'
import { METADATA_GROUP, type Node } from '../node.ts'
import { describeReplicasMethod } from '../peers/peer-methods.ts'
import { FORWARDED } from '../routing/connections.ts'
import type { MetadataCalls } from '../routing/metadata-calls.ts'
import { answering, asRpcError } from './answering.ts'
import type { OpenStreams } from './open-streams.ts'
import { describeReplicas, withLag } from './replica-status.ts'

/** A node that doesn't answer by then is left out of a description. */
const DESCRIBE_MS = 2000

/** flotilla.v1.ClusterService, and the calls between nodes that go with it. */
export class ClusterService {
  readonly #node: Node
  readonly #calls: MetadataCalls
  readonly #clock: Clock
  readonly #clusterName: string
  readonly #transferMs: number
  readonly #streams: OpenStreams
  readonly #watchers = new Set<Sink<WatchLayoutResponse>>()

  constructor(
    node: Node,
    calls: MetadataCalls,
    streams: OpenStreams,
    clock: Clock,
    { clusterName, transferMs }: { readonly clusterName: string; readonly transferMs: number },
  ) {
    this.#transferMs = transferMs
    this.#streams = streams
    this.#node = node
    this.#calls = calls
    this.#clock = clock
    this.#clusterName = clusterName
  }

  handlers(): Handler[] {
    return [
      answering(clusterMethods.describeCluster, (_request, call) => this.#describe(call)),
      serverStreamHandler(clusterMethods.watchLayout, (_request, sink, call) => this.#watch(sink, call)),
      answering(clusterMethods.locatePartition, (request, call) => this.#locate(request, call)),
      answering(clusterMethods.transferLeadership, (request, call) => this.#transfer(request, call)),
      answering(describeReplicasMethod, () => Promise.resolve({ replicas: describeReplicas(this.#node) })),
    ]
  }

  /** Ends the watchers' streams; they go on at another node. */
  close(): void {
    for (const sink of this.#watchers) {
      sink.fail(toRpcError(new FlotillaError('SHUTTING_DOWN', `node ${this.#node.nodeId} is stopping`)))
    }
    this.#watchers.clear()
  }

  #watch(sink: Sink<WatchLayoutResponse>, call: CallContext): void {
    let leave: Cancel
    try {
      leave = this.#streams.enter()
    } catch (error) {
      sink.fail(asRpcError(error))
      return
    }
    this.#watchers.add(sink)
    // Changes are small and rare; a watcher that takes none of them loses its stream to the keepalive.
    const stop = this.#node.view.watch((change) => sink.send(change))
    call.signal.addEventListener('abort', () => {
      stop()
      leave()
      this.#watchers.delete(sink)
    })
  }

  async #describe(call: CallContext): Promise<DescribeClusterResponse> {
    // Without a majority it answers all the same: this is what one looks at then.
    const deadlineMs = Math.min(this.#calls.deadlineOf(call), this.#clock.nowMs() + DESCRIBE_MS)
    const others = this.#node.view
      .nodeMessages()
      .filter((node) => node.reachable && node.nodeId !== this.#node.nodeId)
    const answers = await Promise.all(
      others.map(async ({ address }): Promise<readonly ReplicaStatusMessage[]> => {
        try {
          return (await this.#node.connections.to(address).unary(describeReplicasMethod, {}, { deadlineMs }))
            .replicas
        } catch {
          // It is shown as a node without replicas; whether it is reachable stands beside it.
          return []
        }
      }),
    )
    const leader = this.#node.leaders.get(METADATA_GROUP)?.leader
    return {
      clusterName: this.#clusterName,
      clusterId: this.#node.view.state.clusterId,
      nodeId: this.#node.nodeId,
      nodes: this.#node.view.nodeMessages(),
      replicas: withLag([...describeReplicas(this.#node), ...answers.flat()]),
      ...(leader === undefined ? {} : { metadataLeaderNodeId: leader }),
    }
  }

  async #locate(request: LocatePartitionRequest, call: CallContext): Promise<LocatePartitionResponse> {
    await this.#calls.ensureTopic(request.topic, this.#calls.deadlineOf(call))
    const topic = this.#node.view.topic(request.topic)
    const place = this.#node.view.partitionForKey(topic, request.key)
    return { partition: this.#node.view.partitionMessage(place), keyHash: murmur2(request.key) >>> 0 }
  }

  async #transfer(
    request: TransferLeadershipRequest,
    call: CallContext,
  ): Promise<TransferLeadershipResponse> {
    const deadlineMs = this.#calls.deadlineOf(call)
    await this.#calls.ensureTopic(request.topic, deadlineMs)
    const { place } = this.#node.view.partition(request.topic, request.partition)
    const name = `partition ${request.partition} of "${request.topic}"`
    const target = request.targetNodeId
    if (target !== undefined && !hostsOf(place).includes(target)) {
      throw new FlotillaError(
        'UNKNOWN_NODE',
        `${name} has no replica on node ${target}; it has some on ${place.replicas.join(', ')}`,
      )
    }
    const groupId = asGroupId(place.groupId)
    const hosted = this.#node.hosted(groupId)
    const leader = await this.#node.leaders.waitFor(groupId, deadlineMs, call.signal)
    if (leader === undefined) throw new FlotillaError('NO_LEADER', `${name} has no leader`)
    if (leader === target) return { leaderNodeId: leader, term: this.#node.leaders.get(groupId)?.term ?? 0 }
    if (leader !== this.#node.nodeId || hosted === undefined) {
      if (call.metadata.has(FORWARDED))
        throw new FlotillaError('NOT_LEADER', `node ${this.#node.nodeId} does not lead ${name}`)
      const address = this.#node.addressOf(leader)
      if (address === undefined)
        throw new FlotillaError('NO_LEADER', `the address of node ${leader} isn't known`)
      return this.#node.connections.to(address).unary(clusterMethods.transferLeadership, request, {
        deadlineMs,
        signal: call.signal,
        metadata: { [FORWARDED]: '1' },
      })
    }
    if (place.replicas.length === 1) {
      throw new FlotillaError('INVALID_ARGUMENT', `${name} has one replica, so nobody else can lead it`)
    }
    hosted.replica.step({ type: 'transfer', to: target === undefined ? undefined : asNodeId(target) })
    const untilMs = Math.min(deadlineMs, this.#clock.nowMs() + this.#transferMs)
    const next = await this.#node.leaders.waitFor(groupId, untilMs, call.signal, this.#node.nodeId)
    if (next !== undefined) return { leaderNodeId: next, term: this.#node.leaders.get(groupId)?.term ?? 0 }
    const nobody = target === undefined ? 'nobody took' : `node ${target} did not take`
    const now = hosted.replica.isLeader ? `node ${leader} leads it still` : 'nobody is known to lead it yet'
    // Not retried by the client: while somebody else shall lead nothing is appended.
    throw new FlotillaError(
      'UNKNOWN_OUTCOME',
      `${nobody} over ${name} in time, and ${now}; flotilla cluster describe shows which replicas are reachable and how far they lag`,
      { retryable: false },
    )
  }
}
