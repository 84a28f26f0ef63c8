import {
  duplexHandler,
  serverStreamHandler,
  type CallContext,
  type Cancel,
  type Clock,
  type FlowControl,
  type Handler,
  type Receiver,
  type Sink,
} from '../../env/index.ts'
import { asGroupId, type GroupId } from '../../log/types.ts'
import { FlotillaError, logMethods, millisecondsOf } from '../../wire/index.ts'
import type {
  AppendRequest,
  AppendResponse,
  AppendStreamRequest,
  AppendStreamResponse,
  ListOffsetsRequest,
  ListOffsetsResponse,
  ReadRequest,
  ReadResponse,
} from '../../wire/messages.ts'
import type { LocatedPartition } from '../cluster-view.ts'
import type { HostedPartition } from '../hosted-partition.ts'
import type { Node } from '../node.ts'
import { ReadSession, offsetForTime } from '../reading/read-session.ts'
import type { AppendRouter } from '../routing/append-router.ts'
import { FORWARDED } from '../routing/connections.ts'
import type { MetadataCalls } from '../routing/metadata-calls.ts'
import type { Tuning } from '../tuning.ts'
import { answering, asRpcError } from './answering.ts'
import { AppendStreamSession } from './append-stream.ts'
import type { OpenStreams } from './open-streams.ts'

/** A unary call is answered a little before its deadline: an answer that says "unknown" beats none. */
const ANSWER_EARLY_MS = 100

/** flotilla.v1.LogService */
export class LogService {
  readonly #node: Node
  readonly #calls: MetadataCalls
  readonly #router: AppendRouter
  readonly #clock: Clock
  readonly #tuning: Tuning
  readonly #streams: OpenStreams
  readonly #appendStreams = new Set<AppendStreamSession>()

  constructor(
    node: Node,
    calls: MetadataCalls,
    router: AppendRouter,
    streams: OpenStreams,
    clock: Clock,
    tuning: Tuning,
  ) {
    this.#streams = streams
    this.#node = node
    this.#calls = calls
    this.#router = router
    this.#clock = clock
    this.#tuning = tuning
  }

  handlers(): Handler[] {
    return [
      answering(logMethods.append, (request, call) => this.#append(request, call)),
      duplexHandler(logMethods.appendStream, (sink, flow, call) => this.#openAppendStream(sink, flow, call)),
      serverStreamHandler(logMethods.read, (request, sink, call) => {
        this.#read(request, sink, call).catch((error: unknown) => sink.fail(asRpcError(error)))
      }),
      answering(logMethods.listOffsets, (request, call) => this.listOffsets(request, call)),
    ]
  }

  /** Lets each AppendStream end with what it has answered; reads end with their replicas. */
  close(): void {
    for (const session of this.#appendStreams) session.stop()
    this.#appendStreams.clear()
  }

  #openAppendStream(
    sink: Sink<AppendStreamResponse>,
    flow: FlowControl,
    call: CallContext,
  ): Receiver<AppendStreamRequest> {
    let leave: Cancel
    try {
      leave = this.#streams.enter()
    } catch (error) {
      sink.fail(asRpcError(error))
      return { onMessage: () => undefined, onEnd: () => undefined, onClose: () => undefined }
    }
    const session = new AppendStreamSession({
      router: this.#router,
      clock: this.#clock,
      sink,
      flow,
      maxInflightBytes: this.#tuning.maxInflightBytesPerConnection,
      appendTimeoutMs: this.#tuning.appendTimeoutMs,
      forwarded: call.metadata.has(FORWARDED),
      onClosed: (closed) => {
        leave()
        this.#appendStreams.delete(closed)
      },
    })
    this.#appendStreams.add(session)
    return session
  }

  #append(request: AppendRequest, call: CallContext): Promise<AppendResponse> {
    const latest = this.#clock.nowMs() + this.#tuning.appendTimeoutMs
    const deadlineMs = Math.min(latest, (call.deadlineMs ?? latest) - ANSWER_EARLY_MS)
    return new Promise((resolve, reject) => {
      this.#router.append(request, { forwarded: call.metadata.has(FORWARDED), deadlineMs }, (outcome) =>
        outcome instanceof FlotillaError ? reject(outcome) : resolve(outcome),
      )
    })
  }

  // -- reading -------------------------------------------------------------------------------------------------

  async #read(request: ReadRequest, sink: Sink<ReadResponse>, call: CallContext): Promise<void> {
    checkRead(request)
    const leave = this.#streams.enter()
    call.signal.addEventListener('abort', leave)
    try {
      await this.#startRead(request, sink, call, leave)
    } catch (error) {
      leave()
      throw error
    }
  }

  async #startRead(
    request: ReadRequest,
    sink: Sink<ReadResponse>,
    call: CallContext,
    leave: Cancel,
  ): Promise<void> {
    const deadlineMs = this.#calls.deadlineOf(call)
    await this.#calls.ensureTopic(request.topic, deadlineMs)
    const located = this.#node.view.partition(request.topic, request.partition)
    const linearizable = request.consistency === 'linearizable'
    const hosted = this.#replicaFor(located, linearizable)
    if (hosted === undefined) {
      await this.#proxyRead(located, request, sink, call, linearizable, leave)
      return
    }
    if (linearizable) await hosted.replica.confirmLeadership(deadlineMs)
    const session = new ReadSession(hosted, this.#node.storage, this.#clock, request, sink, leave)
    call.signal.addEventListener('abort', () => session.close())
    if (call.signal.aborted) session.close()
    await session.start()
  }

  /** This node's replica, where it may answer. */
  #replicaFor({ place }: LocatedPartition, needsLeader: boolean): HostedPartition | undefined {
    const hosted = this.#node.hosted(asGroupId(place.groupId))
    return hosted !== undefined && (!needsLeader || hosted.replica.isLeader) ? hosted : undefined
  }

  /** Where to pass a read on: the leader, or for committed records any other replica that can be reached. */
  async #targetOf(located: LocatedPartition, call: CallContext, needsLeader: boolean): Promise<string> {
    const { place, topic } = located
    const name = `partition ${place.partition} of "${topic.name}"`
    const groupId: GroupId = asGroupId(place.groupId)
    if (call.metadata.has(FORWARDED)) {
      const hint = this.#node.leaderHint(groupId)
      throw new FlotillaError(
        'NOT_LEADER',
        `node ${this.#node.nodeId} can't serve this read of ${name}`,
        hint === undefined ? {} : { leader: hint },
      )
    }
    const waitUntil = Math.min(this.#calls.deadlineOf(call), this.#clock.nowMs() + 5000)
    const others = place.replicas.filter((id) => id !== this.#node.nodeId)
    const reachable = others.find((id) =>
      this.#node.view.nodeMessages().some((node) => node.nodeId === id && node.reachable),
    )
    const leader = this.#node.leaders.get(groupId)?.leader
    const target =
      leader !== undefined && leader !== this.#node.nodeId
        ? leader
        : needsLeader || reachable === undefined
          ? await this.#node.leaders.waitFor(groupId, waitUntil, call.signal)
          : reachable
    const address =
      target === undefined || target === this.#node.nodeId ? undefined : this.#node.view.addressOf(target)
    if (address === undefined) throw new FlotillaError('NO_LEADER', `no node that can serve ${name} is known`)
    return address
  }

  async #proxyRead(
    located: LocatedPartition,
    request: ReadRequest,
    sink: Sink<ReadResponse>,
    call: CallContext,
    needsLeader: boolean,
    leave: Cancel,
  ): Promise<void> {
    const address = await this.#targetOf(located, call, needsLeader)
    const stream = this.#node.connections.to(address).serverStream(
      logMethods.read,
      request,
      {
        onMessage: (message) => {
          if (!sink.send(message)) stream.pause()
        },
        onEnd: () => undefined,
        onClose: (error) => {
          leave()
          if (error === undefined) sink.end()
          else sink.fail(error)
        },
      },
      { metadata: { [FORWARDED]: '1' } },
    )
    sink.onDrain(() => stream.resume())
    call.signal.addEventListener('abort', () => stream.cancel())
    if (call.signal.aborted) stream.cancel()
  }

  /** Also for others that need an offset for a time. */
  async listOffsets(request: ListOffsetsRequest, call: CallContext): Promise<ListOffsetsResponse> {
    const deadlineMs = this.#calls.deadlineOf(call)
    await this.#calls.ensureTopic(request.topic, deadlineMs)
    const located = this.#node.view.partition(request.topic, request.partition)
    const linearizable = request.consistency === 'READ_CONSISTENCY_LINEARIZABLE'
    const hosted = this.#replicaFor(located, linearizable)
    if (hosted === undefined) {
      const address = await this.#targetOf(located, call, linearizable)
      return this.#node.connections.to(address).unary(logMethods.listOffsets, request, {
        deadlineMs,
        signal: call.signal,
        metadata: { [FORWARDED]: '1' },
      })
    }
    if (linearizable) await hosted.replica.confirmLeadership(deadlineMs)
    const time = request.time ?? undefined
    const offsetFor =
      time === undefined ? undefined : await offsetForTime(hosted, this.#node.storage, millisecondsOf(time))
    return {
      lowOffset: hosted.machine.lowOffset,
      highWatermark: hosted.machine.highWatermark,
      ...(offsetFor === undefined ? {} : { offsetForTime: offsetFor }),
    }
  }
}

function checkRead(request: ReadRequest): void {
  const { maxRecords, maxMessageBytes, endOffset, start } = request
  if (maxRecords !== undefined && maxRecords < 1) throw invalid('max_records', maxRecords, 'at least 1')
  if (maxMessageBytes !== undefined && maxMessageBytes < 1)
    throw invalid('max_message_bytes', maxMessageBytes, 'at least 1')
  if (endOffset !== undefined && endOffset < 0) throw invalid('end_offset', endOffset, 'at least 0')
  if (start.type === 'offset' && !Number.isSafeInteger(start.offset)) {
    throw invalid('offset', start.offset, 'a whole number')
  }
}

function invalid(field: string, value: number, rule: string): FlotillaError {
  return new FlotillaError('INVALID_ARGUMENT', `${field} is ${value}, but has to be ${rule}`)
}
