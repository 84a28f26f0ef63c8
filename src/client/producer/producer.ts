import type { Env } from '../../env/index.ts'
import {
  FlotillaError,
  LIMITS,
  validateProducerId,
  validateTopicName,
  type TopicMessage,
} from '../../wire/index.ts'
import { onAbort, AbortError } from '../abort.ts'
import { backoffDelayMs } from '../backoff.ts'
import { hexOf } from '../bytes.ts'
import type { Connections } from '../connections.ts'
import type { LayoutWatch } from '../layout-watch.ts'
import type { TopicSource } from '../topic-source.ts'
import type { Acknowledgement, DeliveryReport, Producer, ProducerOptions, ProducerRecord } from '../types.ts'
import { Delivery } from './delivery.ts'
import { PartitionChooser } from './partition-chooser.ts'
import { FlushGroup, PendingRecord, type Settling } from './pending-record.ts'
import { prepareRecord, type PreparedRecord } from './record.ts'
import { RoomGate } from './room-gate.ts'

const RANDOM_ID_BYTES = 16
const NO_WAIT = Promise.resolve()

const DEFAULTS = {
  epoch: 0,
  maxBatchBytes: 1024 * 1024,
  maxBatchRecords: 10_000,
  lingerMs: 20,
  maxInFlightBytes: 32 * 1024 * 1024,
  maxInFlightBatches: 5,
  deliveryTimeoutMs: 120_000,
} as const

export interface ProducerParts {
  readonly env: Pick<Env, 'clock' | 'random'>
  readonly connections: Connections
  readonly watch: LayoutWatch
  readonly topics: TopicSource
  readonly onClosed: () => void
}

/** Throws INVALID_ARGUMENT or INVALID_NAME on options out of their range. */
export class FlotillaProducer implements Producer {
  readonly producerId: string
  readonly #parts: ProducerParts
  readonly #deliveryTimeoutMs: number
  readonly #delivery: Delivery
  readonly #gate: RoomGate
  readonly #chooser: PartitionChooser
  /** Records whose topic is being asked for, in order. */
  readonly #unrouted = new Map<string, Entering[]>()
  readonly #settling: Settling
  #groups: FlushGroup[]
  #refusal: FlotillaError | undefined
  /** When this turn of the event loop began, as far as it matters here; undefined where nobody has asked in it. */
  #turnMs: number | undefined
  #closing: Promise<void> | undefined

  constructor(parts: ProducerParts, options: ProducerOptions) {
    const { env, connections, watch } = parts
    const settings = { ...DEFAULTS, ...options }
    checkOptions(settings)
    this.producerId = options.producerId ?? hexOf(env.random.bytes(RANDOM_ID_BYTES))
    validateProducerId(this.producerId)
    this.#parts = parts
    this.#deliveryTimeoutMs = settings.deliveryTimeoutMs
    this.#gate = new RoomGate(settings.maxInFlightBytes)
    this.#chooser = new PartitionChooser((bound) => env.random.below(bound))
    this.#settling = {
      release: (bytes) => this.#gate.leave(bytes),
      reportFailed: (thrown) =>
        env.clock.defer(() => {
          throw thrown
        }),
    }
    this.#groups = [new FlushGroup(this.#settling)]
    const deliveryOptions = {
      ...settings,
      producerId: this.producerId,
      mayRaiseEpoch: options.producerId === undefined,
      retryDelayMs: (failures: number, serverDelayMs: number | undefined) =>
        backoffDelayMs(failures, env.random, serverDelayMs),
    }
    this.#delivery = new Delivery(env, connections, watch, deliveryOptions, {
      onFatal: (error) => this.#stop(error),
      onSilence: (topic, address) => parts.topics.refresh(topic, address),
      onBatchSent: (topic, partition) => this.#chooser.batchClosed(topic, partition),
    })
  }

  send(record: ProducerRecord, options: { readonly signal?: AbortSignal } = {}): Promise<Acknowledgement> {
    const prepared = this.#prepare(record)
    return new Promise((resolve, reject) => {
      void this.#take(prepared, reportTo(resolve, reject), { signal: options.signal, reject })
    })
  }

  enqueue(record: ProducerRecord): { room: Promise<void>; acknowledged: Promise<Acknowledgement> } {
    const prepared = this.#prepare(record)
    let room: Promise<void> | undefined
    const acknowledged = new Promise<Acknowledgement>((resolve, reject) => {
      room = this.#take(prepared, reportTo(resolve, reject))
    })
    // A rejection that nobody listens for stays silent; who does listen gets it.
    acknowledged.catch(() => {})
    return { room: room ?? NO_WAIT, acknowledged }
  }

  produce(record: ProducerRecord, report: DeliveryReport): Promise<void> | undefined {
    return this.#take(this.#prepare(record), report)
  }

  async flush(): Promise<void> {
    const groups = this.#groups
    const current = new FlushGroup(this.#settling)
    this.#groups = [...groups, current]
    this.#delivery.flush()
    await Promise.all(groups.map((group) => group.settled()))
    this.#groups = this.#groups.filter((group) => !groups.includes(group))
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    const closed = new FlotillaError(
      'INVALID_ARGUMENT',
      'the producer is closed; make another one to send more',
    )
    this.#refusal ??= closed
    await this.flush()
    this.#delivery.stop(closed)
    this.#parts.onClosed()
  }

  /** Resolves when there is room for it, and is undefined where there is some. */
  #take(
    prepared: PreparedRecord | FlotillaError,
    report: DeliveryReport,
    abort?: Abort,
  ): Promise<void> | undefined {
    const isRefused = prepared instanceof FlotillaError
    const framedBytes = isRefused ? 0 : prepared.framedBytes
    const group = this.#groups[this.#groups.length - 1]!
    const pending = new PendingRecord(framedBytes, group, report)
    if (isRefused) {
      this.#failLater(pending, prepared)
      return undefined
    }
    if (abort?.signal?.aborted === true) {
      pending.abandon()
      abort.reject(new AbortError(abort.signal.reason))
      return undefined
    }
    if (!this.#gate.enter(framedBytes)) return this.#waitForRoom(pending, prepared, abort)
    pending.enterRoom()
    this.#route(pending, prepared, this.#nowMs())
    return undefined
  }

  /** To look at the clock for each of the records that are handed over in one turn would cost a twentieth of all. */
  #nowMs(): number {
    if (this.#turnMs !== undefined) return this.#turnMs
    const { clock } = this.#parts.env
    clock.defer(() => (this.#turnMs = undefined))
    return (this.#turnMs = clock.nowMs())
  }

  #prepare(record: ProducerRecord): PreparedRecord | FlotillaError {
    if (this.#refusal !== undefined) return this.#refusal
    try {
      // One that is known has a good name.
      if (this.#parts.topics.known(record.topic) === undefined) validateTopicName(record.topic)
      return prepareRecord(record, this.#nowMs() + this.#deliveryTimeoutMs)
    } catch (error) {
      if (error instanceof FlotillaError) return error
      throw error
    }
  }

  #waitForRoom(pending: PendingRecord, prepared: PreparedRecord, abort: Abort | undefined): Promise<void> {
    // Once it is inside it can no longer be taken back.
    const unlink = onAbort(abort?.signal, (error) => {
      if (pending.abandon()) abort?.reject(error)
    })
    return new Promise((resolve) => {
      this.#gate.wait(prepared.framedBytes, () => {
        unlink()
        pending.enterRoom()
        this.#route(pending, prepared, this.#parts.env.clock.nowMs())
        resolve()
      })
    })
  }

  #route(pending: PendingRecord, prepared: PreparedRecord, nowMs: number): void {
    if (pending.isSettled) return
    const { topic, deadlineMs } = prepared
    const waiting = this.#unrouted.size === 0 ? undefined : this.#unrouted.get(topic)
    const known = this.#parts.topics.known(topic)
    if (waiting !== undefined) waiting.push({ pending, prepared })
    else if (known !== undefined) this.#place(pending, prepared, known, nowMs)
    else {
      this.#unrouted.set(topic, [{ pending, prepared }])
      void this.#resolveTopic(topic, deadlineMs)
    }
  }

  async #resolveTopic(topic: string, deadlineMs: number): Promise<void> {
    const { topics, env } = this.#parts
    let failure: unknown
    try {
      await topics.resolve(topic, env.clock.nowMs(), deadlineMs)
    } catch (error) {
      failure = error
    }
    const waiting = this.#unrouted.get(topic) ?? []
    this.#unrouted.delete(topic)
    const nowMs = env.clock.nowMs()
    for (const { pending, prepared } of waiting) {
      if (failure === undefined) this.#place(pending, prepared, topics.known(topic), nowMs)
      else pending.fail(asFlotillaError(failure))
    }
    if (this.#groups.length > 1) this.#delivery.flush()
  }

  #place(
    pending: PendingRecord,
    prepared: PreparedRecord,
    topic: TopicMessage | undefined,
    nowMs: number,
  ): void {
    if (pending.isSettled) return
    if (this.#refusal !== undefined && this.#closing === undefined) {
      this.#failLater(pending, this.#refusal)
      return
    }
    if (topic === undefined) {
      // Deleted since it was asked for.
      this.#failLater(pending, new FlotillaError('UNKNOWN_TOPIC', `topic ${prepared.topic} was deleted`))
      return
    }
    try {
      const partition = this.#chooser.choose(topic, prepared.partition, prepared.routingKey)
      if (this.#delivery.add(pending, prepared, partition, nowMs)) {
        this.#chooser.batchClosed(topic.name, partition)
      }
    } catch (error) {
      this.#failLater(pending, asFlotillaError(error))
    }
  }

  /** Not while the caller is still handing the record over. */
  #failLater(pending: PendingRecord, error: FlotillaError): void {
    this.#parts.env.clock.defer(() => pending.fail(error))
  }

  #stop(error: FlotillaError): void {
    this.#refusal = error
    this.#delivery.stop(error)
    for (const waiting of this.#unrouted.values()) for (const { pending } of waiting) pending.fail(error)
    this.#unrouted.clear()
    this.#gate.open()
  }
}

/** A record whose topic is being asked for. */
interface Entering {
  readonly pending: PendingRecord
  readonly prepared: PreparedRecord
}

/** Ends the wait for room. */
interface Abort {
  readonly signal: AbortSignal | undefined
  readonly reject: (error: AbortError) => void
}

function reportTo(
  resolve: (acknowledgement: Acknowledgement) => void,
  reject: (error: FlotillaError) => void,
): DeliveryReport {
  return (error, acknowledgement) => {
    if (acknowledgement !== undefined) resolve(acknowledgement)
    else if (error !== undefined) reject(error)
  }
}

function asFlotillaError(error: unknown): FlotillaError {
  if (error instanceof FlotillaError) return error
  return new FlotillaError('INTERNAL', `the client failed: ${String(error)}`, {
    cause: error,
    effect: 'none',
  })
}

function checkOptions(options: typeof DEFAULTS | Required<Omit<ProducerOptions, 'producerId'>>): void {
  const check = (name: keyof typeof DEFAULTS, least: number, most: number): void => {
    const value = options[name]
    if (Number.isFinite(value) && value >= least && value <= most) return
    throw new FlotillaError('INVALID_ARGUMENT', `${name} is ${value}; it has to be ${least} to ${most}`)
  }
  check('epoch', 0, 0xffff_ffff)
  check('maxBatchBytes', 1, LIMITS.maxBatchBytes)
  check('maxBatchRecords', 1, LIMITS.maxBatchRecords)
  check('lingerMs', 0, 60_000)
  check('maxInFlightBytes', 1, Number.MAX_SAFE_INTEGER)
  check('maxInFlightBatches', 1, 5)
  check('deliveryTimeoutMs', 1, 86_400_000)
}
