import { RpcError, type Connection, type Sink } from '../../src/env/index.ts'
import {
  decodeRecordSet,
  errorOf,
  fromRpcError,
  groupMethods,
  type ConsumeRecords,
  type ConsumeRequest,
  type ConsumeResponse,
  type TopicPartition,
} from '../../src/wire/index.ts'
import type { SimClient } from '../cluster/client.ts'
import type { RandomStream } from '../core/random.ts'
import { TOPIC, type Scene } from './scene.ts'

export const GROUP = 'billing'
const HEARTBEAT_US = 400_000
const RETRY_US = 100_000
/** A stream on which nothing comes for so long is given up: nobody may be at the other end. */
const DEAF_US = 8_000_000
const CREDIT = { records: 200, bytes: 1_000_000 }
const text = new TextDecoder()

interface Held {
  readonly epoch: number
  /** The next offset to handle. */
  position: number
  committed: number
}

/** A member as a bare stub is one, in a process of its own. What it can't know to be its own any more it goes on with: a zombie. */
export class GroupMemberProcess {
  readonly client: SimClient
  readonly #scene: Scene
  readonly #random: RandomStream
  readonly #staticId: string | undefined
  readonly #onFenced: (member: GroupMemberProcess) => void
  readonly #held = new Map<number, Held>()
  #memberId: string | undefined
  #incarnation: number | undefined
  #connection: Connection | undefined
  #sink: Sink<ConsumeRequest> | undefined
  #queue: ConsumeRecords[] = []
  #isHandling = false
  #correlationId = 0
  readonly #committing = new Map<number, readonly { partition: number; epoch: number; offset: number }[]>()
  #heardUs = 0
  #stream = 0
  #isLeaving = false
  /** On the stream of now. */
  #isJoined = false

  constructor(
    scene: Scene,
    client: SimClient,
    random: RandomStream,
    staticId: string | undefined,
    onFenced: (member: GroupMemberProcess) => void,
  ) {
    this.#onFenced = onFenced
    this.#scene = scene
    this.client = client
    this.#random = random
    this.#staticId = staticId
  }

  get isRunning(): boolean {
    return this.client.life.isAlive && !this.#isLeaving
  }

  start(): void {
    this.client.life.after(1, () => this.#open())
    this.#beat()
  }

  leave(): void {
    this.#isLeaving = true
    this.#commit([...this.#held.keys()])
    this.#sink?.send({ leave: {} })
  }

  // -- the stream ----------------------------------------------------------------------------------------------

  #open(): void {
    if (this.#isLeaving) return
    const { world } = this.#scene
    const stream = ++this.#stream
    this.#isJoined = false
    this.#heardUs = world.timeline.nowUs
    this.#connection?.close()
    this.#connection = this.client.env.network.connect(this.#random.pick(world.nodes).address)
    this.#queue = []
    this.#committing.clear()
    const sink: Sink<ConsumeRequest> = this.#connection.duplex(groupMethods.consume, {
      onMessage: (message) => {
        if (stream === this.#stream) this.#told(message)
      },
      onEnd: () => undefined,
      onClose: (error) => {
        if (stream === this.#stream) this.#closed(error)
      },
    })
    this.#sink = sink
    const memberId = this.#memberId ?? this.#staticId
    sink.send({
      start: {
        group: GROUP,
        topics: [TOPIC],
        sessionTimeout: { seconds: 2, nanos: 0 },
        revokeTimeout: { seconds: 2, nanos: 0 },
        credit: CREDIT,
        // Small ones, so that what waits for a member reaches its bound.
        fetch: { maxBytes: this.#random.pick([200, 2000, 1_000_000]) },
        ...(memberId === undefined ? {} : { memberId }),
        ...(this.#incarnation === undefined ? {} : { incarnation: this.#incarnation }),
      },
    })
  }

  #closed(error: RpcError | undefined): void {
    if (this.#isLeaving) return
    if (error !== undefined) {
      const failure = fromRpcError(error)
      this.#scene.failure(failure)
      // The younger one goes on in its place.
      if (failure.reason === 'MEMBER_FENCED') {
        this.#isLeaving = true
        this.#onFenced(this)
      }
      // Another member from here on: nothing that it held is its own.
      if (
        failure.reason === 'UNKNOWN_MEMBER' ||
        failure.reason === 'MEMBER_FENCED' ||
        failure.reason === 'INVALID_ARGUMENT'
      ) {
        void this.#commitLate()
        this.#memberId = undefined
        this.#incarnation = undefined
        this.#held.clear()
      }
    }
    if (!this.#isLeaving) this.client.life.after(RETRY_US, () => this.#open())
  }

  #beat(): void {
    this.client.life.after(HEARTBEAT_US, () => {
      this.#sink?.send({ heartbeat: {} })
      // A commit whose answer was lost with its stream is not the last word.
      if (this.#random.chance(150)) this.#commit([...this.#held.keys()])
      if (!this.#isLeaving && this.#scene.world.timeline.nowUs - this.#heardUs > DEAF_US) this.#open()
      this.#beat()
    })
  }

  get #name(): string {
    return `${this.#memberId}/${this.#incarnation}`
  }

  #told(message: ConsumeResponse): void {
    const { groups } = this.#scene.world
    this.#heardUs = this.#scene.world.timeline.nowUs
    const { joined, assigned, records, committed, revoked, lost } = message
    if (joined !== undefined) {
      this.#isJoined = true
      this.#memberId = joined.memberId
      this.#incarnation = joined.incarnation
    }
    for (const { partition, epoch, startOffset, committedOffset } of assigned?.partitions ?? []) {
      groups.assigned(partition, epoch, this.#name, startOffset, committedOffset)
      const held = this.#held.get(partition)
      if (held?.epoch === epoch) continue
      const start = { epoch, position: startOffset, committed: startOffset }
      this.#held.set(partition, start)
    }
    if (records !== undefined) {
      this.#queue.push(records)
      this.#handleNext()
    }
    if (committed !== undefined) this.#wasCommitted(committed.correlationId, committed.results)
    if (revoked !== undefined) this.#revoke(revoked.partitions)
    for (const { partition } of lost?.partitions ?? []) this.#held.delete(partition)
  }

  // -- handling ------------------------------------------------------------------------------------------------

  /** One message after the other, each as slow as a handler may be. */
  #handleNext(): void {
    if (this.#isHandling) return
    const records = this.#queue.shift()
    if (records === undefined) return
    this.#isHandling = true
    const slowUs = this.#scene.isHealed
      ? this.#random.between(10, 100)
      : this.#random.chance(20)
        ? 3_000_000
        : this.#random.between(100, 20_000)
    this.client.life.after(slowUs, () => {
      this.#isHandling = false
      this.#handle(records)
      this.#handleNext()
    })
  }

  #handle({ partition, epoch, batches }: ConsumeRecords): void {
    const { world } = this.#scene
    const held = this.#held.get(partition)
    let count = 0
    let bytes = 0
    for (const batch of batches) {
      count += batch.recordCount
      for (const chunk of batch.records) bytes += chunk.byteLength
      if (held?.epoch !== epoch) continue
      decodeRecordSet(Buffer.concat(batch.records)).forEach(({ key, value }, nth) => {
        const offset = batch.baseOffset + nth
        // A new stream begins where the last commit was; what was handled since is known here.
        if (offset < held.position) return
        if (offset > held.position)
          world.report(
            'reader-gap',
            `${this.#name}: partition ${partition}, offset ${offset} where ${held.position} comes next`,
          )
        world.ledger.read(partition, offset, text.decode(key), text.decode(value), this.#name)
        world.groups.handles(partition, epoch, offset, this.#name)
        held.position = offset + 1
      })
    }
    if (count > 0) this.#sink?.send({ credit: { records: count, bytes: Math.max(1, bytes) } })
    // Commits go one after the other: with thousands of small messages to catch up with, one for each would take minutes.
    if (this.#scene.isHealed && this.#queue.length > 0) return
    // Now and then late, so that a crash or a pause finds something to repeat.
    if (this.#random.chance(700)) this.#commit([partition])
    else this.client.life.after(this.#random.between(100_000, 4_000_000), () => this.#commit([partition]))
  }

  #commit(partitions: readonly number[]): void {
    const positions = partitions.flatMap((partition) => {
      const held = this.#held.get(partition)
      if (held === undefined || held.position === held.committed) return []
      return [{ topic: TOPIC, partition, epoch: held.epoch, offset: held.position }]
    })
    if (positions.length === 0 || this.#sink === undefined || !this.#isJoined) return
    const correlationId = ++this.#correlationId
    this.#committing.set(correlationId, positions)
    this.#sink.send({ commit: { correlationId, positions } })
  }

  /** What a member may try that has lost its place: it knows its epochs still. */
  async #commitLate(): Promise<void> {
    const memberId = this.#memberId
    const held = [...this.#held]
    if (memberId === undefined || held.length === 0 || this.#connection === undefined) return
    const positions = held.map(([partition, { epoch, position }]) => ({
      topic: TOPIC,
      partition,
      epoch,
      offset: position,
    }))
    const deadlineMs = this.client.env.clock.nowMs() + 3000
    try {
      const { results } = await this.#connection.unary(
        groupMethods.commitOffsets,
        { group: GROUP, memberId, positions },
        { deadlineMs },
      )
      positions.forEach(({ partition, epoch, offset }, at) => {
        if ((results[at]?.error ?? undefined) === undefined)
          this.#scene.world.groups.committed(partition, epoch, offset)
      })
    } catch (error) {
      this.#scene.failure(error instanceof RpcError ? fromRpcError(error) : error)
    }
  }

  #wasCommitted(correlationId: number, results: NonNullable<ConsumeResponse['committed']>['results']): void {
    const positions = this.#committing.get(correlationId)
    this.#committing.delete(correlationId)
    positions?.forEach(({ partition, epoch, offset }, at) => {
      const error = results[at]?.error ?? undefined
      if (error !== undefined) {
        this.#scene.failure(errorOf(error))
        return
      }
      this.#scene.world.groups.committed(partition, epoch, offset)
      const held = this.#held.get(partition)
      if (held?.epoch === epoch) held.committed = Math.max(held.committed, offset)
    })
  }

  /** Commits what is done, then gives back; sometimes too late, or never. */
  #revoke(partitions: readonly TopicPartition[]): void {
    if (this.#random.chance(50)) return
    const numbers = partitions.map(({ partition }) => partition)
    this.#commit(numbers)
    const lateUs = this.#random.chance(100) ? 3_000_000 : this.#random.between(0, 300_000)
    this.client.life.after(lateUs, () => {
      if (this.#isJoined) this.#sink?.send({ release: { partitions } })
      for (const partition of numbers) this.#held.delete(partition)
    })
  }
}
