import type { Env } from '../../env/index.ts'
import { FlotillaError, LIMITS, validateProducerId, validateTopicName } from '../../wire/index.ts'
import { onAbort, AbortError } from '../abort.ts'
import { backoffDelayMs } from '../backoff.ts'
import { hexOf } from '../bytes.ts'
import type { Connections } from '../connections.ts'
import type { LayoutWatch } from '../layout-watch.ts'
import type { TopicSource } from '../topic-source.ts'
import type { Acknowledgement, Producer, ProducerOptions, ProducerRecord } from '../types.ts'
import { Delivery } from './delivery.ts'
import { PartitionChooser } from './partition-chooser.ts'
import { FlushGroup, PendingRecord } from './pending-record.ts'
import { prepareRecord } from './record.ts'
import { RoomGate } from './room-gate.ts'

const RANDOM_ID_BYTES = 16
const NO_WAIT = Promise.resolve()

const DEFAULTS = {
  epoch: 0,
  maxBatchBytes: 1024 * 1024,
  maxBatchRecords: 10_000,
  lingerMs: 5,
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
  readonly #unrouted = new Map<string, PendingRecord[]>()
  readonly #release = (bytes: number): void => this.#gate.leave(bytes)
  #groups: FlushGroup[] = [new FlushGroup()]
  #refusal: FlotillaError | undefined
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
    const pending = this.#prepare(record)
    if (!(pending instanceof PendingRecord)) return Promise.reject(pending)
    const { signal } = options
    if (signal?.aborted === true) pending.fail(new AbortError(signal.reason))
    const unlink = onAbort(signal, (error) => pending.fail(error))
    void this.#enter(pending, unlink)
    return pending.acknowledged
  }

  enqueue(record: ProducerRecord): { room: Promise<void>; acknowledged: Promise<Acknowledgement> } {
    const pending = this.#prepare(record)
    if (!(pending instanceof PendingRecord))
      return { room: NO_WAIT, acknowledged: handled(Promise.reject(pending)) }
    return { room: this.#enter(pending, () => {}), acknowledged: handled(pending.acknowledged) }
  }

  async flush(): Promise<void> {
    const groups = this.#groups
    const current = new FlushGroup()
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

  #prepare(record: ProducerRecord): PendingRecord | FlotillaError {
    if (this.#refusal !== undefined) return this.#refusal
    try {
      // One that is known has a good name.
      if (this.#parts.topics.known(record.topic) === undefined) validateTopicName(record.topic)
      const deadlineMs = this.#parts.env.clock.nowMs() + this.#deliveryTimeoutMs
      const group = this.#groups.at(-1)!
      return new PendingRecord(
        record.topic,
        record.partition,
        prepareRecord(record),
        deadlineMs,
        group,
        this.#release,
      )
    } catch (error) {
      if (error instanceof FlotillaError) return error
      throw error
    }
  }

  /** Resolves when there is room for it; `onPlaced` is called when it can no longer be taken back. */
  #enter(pending: PendingRecord, onPlaced: () => void): Promise<void> {
    const inside = (): void => {
      pending.enterRoom()
      this.#route(pending, onPlaced)
    }
    let makeRoom!: () => void
    const entered = this.#gate.enter(pending.prepared.size.framedBytes, () => {
      inside()
      makeRoom()
    })
    if (entered) {
      inside()
      return NO_WAIT
    }
    return new Promise((resolve) => (makeRoom = resolve))
  }

  #route(pending: PendingRecord, onPlaced: () => void): void {
    onPlaced()
    if (pending.isSettled) return
    const waiting = this.#unrouted.get(pending.topic)
    if (waiting !== undefined) waiting.push(pending)
    else if (this.#parts.topics.known(pending.topic) !== undefined) this.#place(pending)
    else {
      this.#unrouted.set(pending.topic, [pending])
      void this.#resolveTopic(pending.topic, pending.deadlineMs)
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
    for (const pending of waiting) {
      if (failure === undefined) this.#place(pending)
      else pending.fail(asFlotillaError(failure))
    }
    if (this.#groups.length > 1) this.#delivery.flush()
  }

  #place(pending: PendingRecord): void {
    if (pending.isSettled) return
    if (this.#refusal !== undefined && this.#closing === undefined) return pending.fail(this.#refusal)
    const topic = this.#parts.topics.known(pending.topic)
    if (topic === undefined) {
      // Deleted since it was asked for.
      return pending.fail(new FlotillaError('UNKNOWN_TOPIC', `topic ${pending.topic} was deleted`))
    }
    try {
      const partition = this.#chooser.choose(topic, pending.partition, pending.prepared.routingKey)
      if (this.#delivery.add(pending, partition)) this.#chooser.batchClosed(topic.name, partition)
    } catch (error) {
      pending.fail(asFlotillaError(error))
    }
  }

  #stop(error: FlotillaError): void {
    this.#refusal = error
    this.#delivery.stop(error)
    for (const waiting of this.#unrouted.values()) for (const pending of waiting) pending.fail(error)
    this.#unrouted.clear()
    this.#gate.open()
  }
}

/** A rejection that nobody listens for stays silent; who does listen gets it. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
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
