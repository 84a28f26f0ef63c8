import { FlotillaError, type Producer } from '../../src/client/index.ts'
import type { SentRecord } from '../checkers/ledger.ts'
import type { SimClient } from '../cluster/client.ts'
import type { Scene } from './scene.ts'
import { TOPIC } from './scene.ts'
import type { Work } from './work.ts'

/** So many records a zombie still sends, and how far apart. */
const ZOMBIE_RECORDS = 10
const ZOMBIE_EVERY_US = 200_000

/** A user's process that appends records of its own keys, counting up, through the production producer. */
export class ProducerActor {
  readonly host: string
  readonly #scene: Scene
  readonly #index: number
  /** Named producers are fenced by their epoch; the others have a random id and raise their epoch themselves. */
  readonly #isNamed: boolean
  #client: SimClient
  #producer: Producer
  #epoch = 0
  /** Of the named ones that it opened. */
  readonly #epochs = new Map<Producer, number>()
  /** Which producer of this actor: part of every record's id. */
  #generation = 0
  #numbers = new Map<string, number>()

  constructor(scene: Scene, index: number) {
    this.#scene = scene
    this.#index = index
    this.#isNamed = index % 2 === 1
    this.host = `c${index + 1}`
    this.#client = scene.client(this.host)
    this.#producer = this.#open()
  }

  get client(): SimClient {
    return this.#client
  }

  #open(): Producer {
    const { deliveryTimeoutMs, maxBatchRecords, lingerMs, maxInFlightBatches } = this.#scene.world.plan.shape
    this.#generation++
    this.#numbers = new Map()
    const producer = this.#client.client.producer({
      deliveryTimeoutMs,
      maxBatchRecords,
      lingerMs,
      maxInFlightBatches,
      ...(this.#isNamed ? { producerId: `named-${this.#index}`, epoch: this.#epoch } : {}),
    })
    if (this.#isNamed) this.#epochs.set(producer, this.#epoch++)
    return producer
  }

  send({ key, count, bytes }: Work): void {
    for (let left = count; left > 0; left--) this.#sendOne(this.#producer, `k${key}`, bytes, undefined)
  }

  /** The caller gives a record up while it waits. */
  sendAndAbort({ key, bytes, amount }: Work): void {
    const abort = new AbortController()
    const { life } = this.#client
    life.after((amount % 20) * 100, () => {
      if (!abort.signal.aborted) abort.abort()
    })
    this.#sendOne(this.#producer, `k${key}`, bytes, abort.signal)
    this.#scene.world.struck('cancel')
  }

  #sendOne(producer: Producer, shortKey: string, bytes: number, signal: AbortSignal | undefined): void {
    const source = `p${this.#index}.${this.#generation}`
    const key = `p${this.#index}${shortKey}`
    const number = (this.#numbers.get(key) ?? 0) + 1
    this.#numbers.set(key, number)
    this.#deliver(producer, source, key, number, bytes, signal)
  }

  #deliver(
    producer: Producer,
    source: string,
    key: string,
    number: number,
    bytes: number,
    signal: AbortSignal | undefined,
  ): void {
    const scene = this.#scene
    const id = `${source}:${key}:${number}`
    const value = `${id} ${'x'.repeat(bytes)}`
    const record = scene.world.ledger.send({ id, key, source, number, value, ...this.#writerOf(producer) })
    const { client } = this
    scene.pending++
    client.onKill(() => scene.pending--, id)
    producer.send({ topic: TOPIC, key, value }, signal === undefined ? {} : { signal }).then(
      ({ partition, offset }) => {
        client.settled(id)
        scene.pending--
        scene.acknowledged(record, partition, offset)
      },
      (error: unknown) => {
        client.settled(id)
        scene.pending--
        scene.failed(record, error)
        if (producer === this.#producer && isOver(error)) this.#renew()
      },
    )
  }

  #writerOf(producer: Producer): { readonly writer?: NonNullable<SentRecord['writer']> } {
    const epoch = this.#epochs.get(producer)
    return epoch === undefined ? {} : { writer: { id: this.host, epoch } }
  }

  /** This producer is fenced or has given up: its user starts the next one. */
  #renew(): void {
    this.#producer = this.#open()
  }

  /** The process is killed with records under way, and started again. */
  crash(): void {
    const { world } = this.#scene
    this.#client.kill(world)
    world.struck('client-crash')
    this.#client = this.#scene.client(this.host)
    this.#producer = this.#open()
  }

  /** Another process takes over; the old one lives on and does not know. */
  becomeZombie(): void {
    if (!this.#isNamed) return
    const zombie = this.#producer
    const source = `p${this.#index}.${this.#generation}`
    const numbers = this.#numbers
    const { life } = this.#client
    this.#producer = this.#open()
    this.#scene.world.struck('zombie')
    let left = ZOMBIE_RECORDS
    const haunt = (): void => {
      if (left-- === 0) return
      const key = `p${this.#index}k${left % 3}`
      const number = (numbers.get(key) ?? 0) + 1
      numbers.set(key, number)
      this.#deliver(zombie, source, key, number, 10, undefined)
      life.after(ZOMBIE_EVERY_US, haunt)
    }
    haunt()
  }

  /** For the end: a record that has to arrive. */
  get producer(): Producer {
    return this.#producer
  }
}

function isOver(error: unknown): boolean {
  return error instanceof FlotillaError && !error.retryable && error.reason !== 'RECORD_TOO_LARGE'
}
