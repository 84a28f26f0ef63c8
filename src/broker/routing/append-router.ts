import { crc32 } from 'node:zlib'
import type { Clock } from '../../env/index.ts'
import { asGroupId, type GroupId } from '../../log/types.ts'
import { asNodeId, type NodeId } from '../../raft/types.ts'
import {
  FlotillaError,
  firstRecordKey,
  skimRecordSet,
  validateProducerId,
  type RecordLimits,
} from '../../wire/index.ts'
import type { AppendRequest, AppendResponse } from '../../wire/messages.ts'
import type { LocatedPartition } from '../cluster-view.ts'
import type { Node } from '../node.ts'
import type { AppendCommand } from '../partition/machine.ts'
import { ForwardedAppends } from './forwarded-appends.ts'
import type { MetadataCalls } from './metadata-calls.ts'

type Done = (outcome: AppendResponse | FlotillaError) => void

export interface AppendContext {
  /** Passed on by another node: answered here or refused. */
  readonly forwarded: boolean
  readonly deadlineMs: number
}

/** How long a call waits for a partition to get a leader, at most. */
const LEADER_WAIT_MS = 5000
/** Bytes of appends that wait for a leader, of all partitions; more is refused. */
const MAX_LEADERLESS_BYTES = 64 * 1024 * 1024
/** What an append costs in memory beyond its records: an estimate, so that tiny ones are bounded too. */
const APPEND_OVERHEAD_BYTES = 256

/** What the router needs of its node. */
export type RoutingNode = Pick<Node, 'nodeId' | 'view' | 'leaders' | 'connections' | 'hosted' | 'leaderHint'>

/** Takes each append to the leader of its partition: this node's own replica, or another node in one hop. */
export class AppendRouter {
  readonly #node: RoutingNode
  readonly #calls: Pick<MetadataCalls, 'ensureTopic'>
  readonly #clock: Clock
  readonly #limits: RecordLimits
  /** By address: a node that comes back elsewhere is another stream. */
  readonly #forwarded = new Map<string, ForwardedAppends>()
  #rotation = 0
  #leaderlessBytes = 0
  #inFlightBytes = 0
  readonly #maxInFlightBytes: number

  constructor(
    node: RoutingNode,
    calls: Pick<MetadataCalls, 'ensureTopic'>,
    clock: Clock,
    limits: RecordLimits,
    maxInFlightBytes: number,
  ) {
    this.#maxInFlightBytes = maxInFlightBytes
    this.#node = node
    this.#calls = calls
    this.#clock = clock
    this.#limits = limits
  }

  /** Calls `done` exactly once, perhaps before it returns. */
  append(request: AppendRequest, context: AppendContext, answer: Done): void {
    const bytes = request.records.byteLength
    if (this.#inFlightBytes > 0 && this.#inFlightBytes + bytes > this.#maxInFlightBytes) {
      answer(
        new FlotillaError(
          'THROTTLED',
          `${this.#inFlightBytes} bytes of appends are under way on this node, ${bytes} more would pass the limit of ${this.#maxInFlightBytes}`,
          { retryDelayMs: 200 },
        ),
      )
      return
    }
    this.#inFlightBytes += bytes
    const done: Done = (outcome) => {
      this.#inFlightBytes -= bytes
      answer(outcome)
    }
    if (this.#node.view.state.topics.has(request.topic)) {
      this.#route(request, context, done)
      return
    }
    // This node may not have heard of a topic that was just created through another.
    this.#calls.ensureTopic(request.topic, context.deadlineMs).then(
      () => this.#route(request, context, done),
      (error: unknown) => done(asFlotillaError(error)),
    )
  }

  #route(request: AppendRequest, context: AppendContext, done: Done): void {
    let located: LocatedPartition
    let recordCount: number
    try {
      recordCount = this.#check(request)
      located = this.#locate(request)
    } catch (error) {
      done(asFlotillaError(error))
      return
    }
    const groupId = asGroupId(located.place.groupId)
    if (this.#submitHere(groupId, request, recordCount, context, done)) return
    const leader = this.#node.leaders.get(groupId)?.leader
    if (context.forwarded) done(this.#notLeader(located, leader))
    else if (leader !== undefined && leader !== this.#node.nodeId)
      this.#forward(located, leader, request, context, done)
    else this.#waitForLeader(located, request, recordCount, context, done)
  }

  #check(request: AppendRequest): number {
    if (request.producer !== undefined) validateProducerId(request.producer.producerId)
    if (request.groupCommit !== undefined && request.partition === undefined) {
      throw new FlotillaError(
        'INVALID_ARGUMENT',
        `partition is unset, but group_commit of "${request.groupCommit.group}" is for one partition and has to name it`,
      )
    }
    if (request.recordsCrc32 !== undefined) {
      const found = crc32(request.records)
      if (found !== request.recordsCrc32) {
        throw new FlotillaError(
          'CHECKSUM_MISMATCH',
          `the ${request.records.byteLength} bytes of records have CRC-32 ${hex(found)}, but ${hex(request.recordsCrc32)} was sent with them`,
        )
      }
    }
    return skimRecordSet(request.records, this.#limits).recordCount
  }

  #locate(request: AppendRequest): LocatedPartition {
    const { view } = this.#node
    if (request.partition !== undefined) return view.partition(request.topic, request.partition)
    const topic = view.topic(request.topic)
    if (request.routingKey !== undefined) {
      if (request.routingKey.byteLength > this.#limits.maxKeyBytes) {
        throw new FlotillaError(
          'KEY_TOO_LARGE',
          `the routing key has ${request.routingKey.byteLength} bytes, the limit is ${this.#limits.maxKeyBytes}`,
        )
      }
      return { topic, place: view.partitionForKey(topic, request.routingKey) }
    }
    const key = firstRecordKey(request.records)
    if (key === undefined) return this.#anyPartition(request.topic)
    const place = view.partitionForKey(topic, key)
    skimRecordSet(request.records, this.#limits, (start, end) => {
      if (start < 0) return
      const other = view.partitionForKey(topic, request.records.subarray(start, end))
      if (other.partition === place.partition) return
      throw new FlotillaError(
        'BATCH_SPANS_PARTITIONS',
        `the batch holds keys of partitions ${place.partition} and ${other.partition} of "${topic.name}"; a batch goes to one partition`,
      )
    })
    return { topic, place }
  }

  /** Without a key: a partition that is led here, as that saves a hop; else each in turn. */
  #anyPartition(topicName: string): LocatedPartition {
    const topic = this.#node.view.topic(topicName)
    const ledHere = topic.partitions.filter(
      ({ groupId }) => this.#node.hosted(asGroupId(groupId))?.replica.isLeader === true,
    )
    const choice = ledHere.length > 0 ? ledHere : topic.partitions
    const place = choice[this.#rotation++ % choice.length]
    if (place === undefined) throw new FlotillaError('INTERNAL', `topic "${topicName}" has no partitions`)
    return { topic, place }
  }

  #submitHere(
    groupId: GroupId,
    request: AppendRequest,
    recordCount: number,
    context: AppendContext,
    done: Done,
  ): boolean {
    const hosted = this.#node.hosted(groupId)
    if (hosted === undefined || !hosted.replica.isLeader) return false
    const { records, recordsCrc32, producer } = request
    const reply = { deadlineMs: context.deadlineMs, done }
    const commit = commitOf(request)
    hosted.machine.submit({ records, recordCount, recordsCrc32, producer, commit, reply })
    hosted.replica.commandsQueued()
    return true
  }

  #forward(
    { place }: LocatedPartition,
    leader: NodeId,
    request: AppendRequest,
    context: AppendContext,
    done: Done,
  ): void {
    const address = this.#node.view.addressOf(leader)
    if (address === undefined) {
      done(
        new FlotillaError(
          'NO_LEADER',
          `the address of node ${leader}, which leads the partition, isn't known yet`,
        ),
      )
      return
    }
    let forwarded = this.#forwarded.get(address)
    if (forwarded === undefined) {
      forwarded = new ForwardedAppends(this.#node.connections.to(address), this.#clock)
      this.#forwarded.set(address, forwarded)
    }
    // The partition is decided here: the next node must not choose another.
    forwarded.append({ ...request, partition: place.partition }, context.deadlineMs, done)
  }

  #waitForLeader(
    located: LocatedPartition,
    request: AppendRequest,
    recordCount: number,
    context: AppendContext,
    done: Done,
  ): void {
    const bytes = request.records.byteLength + APPEND_OVERHEAD_BYTES
    if (this.#leaderlessBytes > 0 && this.#leaderlessBytes + bytes > MAX_LEADERLESS_BYTES) {
      const text = `${this.#leaderlessBytes} bytes wait for a leader already, the limit is ${MAX_LEADERLESS_BYTES}`
      done(new FlotillaError('THROTTLED', text, { retryDelayMs: 500 }))
      return
    }
    this.#leaderlessBytes += bytes
    const groupId = asGroupId(located.place.groupId)
    const deadlineMs = Math.min(context.deadlineMs, this.#clock.nowMs() + LEADER_WAIT_MS)
    void this.#node.leaders.waitFor(groupId, deadlineMs).then((leader) => {
      this.#leaderlessBytes -= bytes
      if (this.#submitHere(groupId, request, recordCount, context, done)) return
      if (leader === undefined || leader === this.#node.nodeId) done(this.#noLeader(located))
      else this.#forward(located, leader, request, context, done)
    })
  }

  #notLeader({ topic, place }: LocatedPartition, leader: NodeId | undefined): FlotillaError {
    const text = `node ${this.#node.nodeId} does not lead partition ${place.partition} of "${topic.name}"`
    const hint = this.#node.leaderHint(asGroupId(place.groupId))
    const message = leader === undefined ? text : `${text}; node ${leader} does`
    return new FlotillaError('NOT_LEADER', message, hint === undefined ? {} : { leader: hint })
  }

  #noLeader({ topic, place }: LocatedPartition): FlotillaError {
    return new FlotillaError(
      'NO_LEADER',
      `partition ${place.partition} of "${topic.name}" has no leader; its replicas are on ${place.replicas.map(asNodeId).join(', ')}`,
    )
  }
}

function commitOf({ groupCommit }: AppendRequest): AppendCommand['commit'] {
  if (groupCommit === undefined) return undefined
  const { group, memberId: owner, epoch, offset } = groupCommit
  return { type: 'commit', group, owner, epoch, offset }
}

function asFlotillaError(error: unknown): FlotillaError {
  return error instanceof FlotillaError
    ? error
    : new FlotillaError('INTERNAL', String(error), { cause: error })
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16).padStart(8, '0')}`
}
