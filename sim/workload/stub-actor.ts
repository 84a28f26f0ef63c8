import { crc32 } from 'node:zlib'
import { RpcError, type Connection } from '../../src/env/index.ts'
import {
  encodeRecordSet,
  fromRpcError,
  logMethods,
  type AppendResponse,
  type FlotillaError,
} from '../../src/wire/index.ts'
import type { SentRecord } from '../checkers/ledger.ts'
import type { SimClient } from '../cluster/client.ts'
import { TOPIC, type Scene } from './scene.ts'
import type { Work } from './work.ts'

const CALL_MS = 3000
const MOST_ATTEMPTS = 12
const PAUSE_US = 150_000

/** What a batch was sent with, and where it is. */
interface AcknowledgedBatch extends Batch {
  readonly epoch: number
  readonly sequence: number
}

interface Batch {
  readonly records: readonly SentRecord[]
  readonly encoded: Uint8Array
}

interface Identity {
  readonly producerId: string
  /** The newest. */
  acknowledged: AcknowledgedBatch | undefined
  epoch: number
  sequence: number
  busy: boolean
}

/** A user without our client: unary calls of a bare stub, to whatever node. */
export class StubActor {
  readonly host = 'stub'
  readonly #scene: Scene
  readonly #client: SimClient
  readonly #connections: readonly Connection[]
  readonly #identities = new Map<number, Identity>()
  #number = 0

  constructor(scene: Scene) {
    this.#scene = scene
    this.#client = scene.client(this.host)
    this.#connections = scene.world.nodes.map(({ address }) => this.#client.env.network.connect(address))
  }

  get client(): SimClient {
    return this.#client
  }

  /** Without an identity, once: at most once is all that can be asked. */
  async appendPlain(work: Work): Promise<void> {
    const batch = this.#batch(work, 'plain')
    this.#scene.pending++
    const outcome = await this.#append(this.#connection(work.actor), work, batch, undefined)
    this.#scene.pending--
    this.#settle(batch, outcome)
  }

  /**
   * With an identity: to two nodes at once, again and again until it is known what became of it. Or the newest that was
   * acknowledged, long after, as by a way that held it back, or a user who doesn't know how far he came.
   */
  async appendTwice(work: Work): Promise<void> {
    const identity = this.#identity(this.#scene.partition(work.key))
    if (identity.busy) return
    identity.busy = true
    this.#scene.pending++
    this.#scene.world.struck('duplicate')
    if (work.amount % 3 === 0) await this.#sendAgain(work.key, work.actor)
    else await this.#deliver(work, identity)
    this.#scene.pending--
    identity.busy = false
  }

  /** True: a leader has said where the newest acknowledged batch of its identity is, or there was none. */
  async remembers(partition: number, node: number): Promise<boolean> {
    return this.#sendAgain(partition, node)
  }

  async #sendAgain(key: number, node: number): Promise<boolean> {
    const { producerId, acknowledged: batch } = this.#identity(this.#scene.partition(key))
    if (batch === undefined) return true
    const { epoch, sequence } = batch
    const outcome = await this.#append(this.#connection(node), { key }, batch, {
      producerId,
      epoch,
      sequence,
    })
    if (!('reason' in outcome)) {
      // The same offsets, or the ledger says so.
      this.#settle(batch, outcome)
      return true
    }
    this.#scene.failure(outcome)
    if (outcome.reason === 'UNKNOWN_PRODUCER' || outcome.reason === 'OUT_OF_ORDER_SEQUENCE') {
      const what = `${producerId}, epoch ${epoch}, sequence ${sequence}`
      this.#scene.world.report('producer-forgotten', `${what} was acknowledged, and now: ${outcome.message}`)
    }
    // A later epoch of which the stub never heard that it was appended.
    return outcome.reason === 'PRODUCER_FENCED'
  }

  async #deliver(work: Work, identity: Identity): Promise<void> {
    const batch = this.#batch(work, identity.producerId)
    const { producerId, epoch, sequence } = identity
    const producer = { producerId, epoch, sequence }
    let isDoubtful = false
    let last: FlotillaError | undefined
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      const outcomes = await Promise.all(
        [0, 1].map((nth) =>
          this.#append(this.#connection(work.actor + attempt + nth), work, batch, producer),
        ),
      )
      const appended = outcomes.filter((outcome) => !('reason' in outcome))
      for (const outcome of appended) this.#settle(batch, outcome)
      if (appended.length > 0) {
        identity.acknowledged = { ...batch, epoch, sequence }
        identity.sequence++
        return
      }
      const errors = outcomes.filter((outcome) => 'reason' in outcome)
      last = errors.find(({ effect }) => effect !== 'none') ?? errors[0]
      if (errors.some(({ effect }) => effect === 'unknown')) isDoubtful = true
      // The number of an earlier batch that was given up is missing, or somebody forgot us.
      if (errors.some(({ retryable, effect }) => !retryable && effect !== 'unknown')) break
      await new Promise<void>((resolve) => this.#client.life.after(PAUSE_US, resolve))
    }
    for (const record of batch.records) {
      this.#scene.failure(last)
      this.#scene.world.ledger.fail(
        record,
        last?.effect === 'done' ? 'done' : isDoubtful ? 'unknown' : 'none',
      )
    }
    if (!isDoubtful && last?.effect !== 'done' && last?.retryable === true) return
    identity.epoch++
    identity.sequence = 0
  }

  #identity(partition: number): Identity {
    let identity = this.#identities.get(partition)
    if (identity === undefined) {
      identity = {
        producerId: `stub-${partition}`,
        acknowledged: undefined,
        epoch: 0,
        sequence: 0,
        busy: false,
      }
      this.#identities.set(partition, identity)
    }
    return identity
  }

  #batch({ count, bytes, key }: Work, source: string): Batch {
    const records: SentRecord[] = []
    for (let left = count; left > 0; left--) {
      const number = ++this.#number
      const id = `${source}:${number}`
      const name = `stub${this.#scene.partition(key)}`
      const value = `${id} ${'y'.repeat(bytes)}`
      // Without an identity nothing keeps an order between batches.
      const from = source === 'plain' ? id : source
      records.push(this.#scene.world.ledger.send({ id, key: name, source: from, number, value }))
    }
    const encoded = encodeRecordSet(
      records.map(({ key: name, value }) => ({
        key: Buffer.from(name),
        value: Buffer.from(value),
        headers: [],
        timestampMs: undefined,
      })),
    )
    return { records, encoded }
  }

  async #append(
    connection: Connection,
    { key }: Pick<Work, 'key'>,
    batch: Pick<Batch, 'encoded'>,
    producer: { readonly producerId: string; readonly epoch: number; readonly sequence: number } | undefined,
  ): Promise<AppendResponse | FlotillaError> {
    const request = {
      topic: TOPIC,
      partition: this.#scene.partition(key),
      routingKey: undefined,
      records: batch.encoded,
      producer,
      recordsCrc32: crc32(batch.encoded),
    }
    const deadlineMs = this.#client.env.clock.nowMs() + CALL_MS
    try {
      return await connection.unary(logMethods.append, request, { deadlineMs })
    } catch (error) {
      if (!(error instanceof RpcError)) throw error
      return fromRpcError(error)
    }
  }

  #settle(batch: Pick<Batch, 'records'>, outcome: AppendResponse | FlotillaError): void {
    if ('reason' in outcome) {
      for (const record of batch.records) this.#scene.failed(record, outcome)
      return
    }
    batch.records.forEach((record, at) =>
      this.#scene.acknowledged(record, outcome.partition, outcome.baseOffset + at),
    )
  }

  #connection(node: number): Connection {
    return this.#connections[node % this.#connections.length]!
  }
}
