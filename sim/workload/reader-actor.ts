import { FlotillaError, type ConsumedBatch, type ReaderOptions } from '../../src/client/index.ts'
import type { SimClient } from '../cluster/client.ts'
import { TOPIC, type Scene } from './scene.ts'
import type { Work } from './work.ts'

const text = new TextDecoder()

/** What one reader of one partition has seen: every offset once, in order. */
export class Sighting {
  readonly #scene: Scene
  readonly #name: string
  readonly #next = new Map<number, number>()

  constructor(scene: Scene, name: string) {
    this.#scene = scene
    this.#name = name
  }

  batch({ partition, baseOffset, records, highWatermark }: ConsumedBatch): void {
    const { world } = this.#scene
    const next = this.#next.get(partition)
    if (next !== undefined && baseOffset !== next) {
      world.report(
        'reader-gap',
        `${this.#name}: partition ${partition}, offset ${baseOffset} where ${next} comes next`,
      )
    }
    const end = baseOffset + records.length
    if (end > highWatermark) {
      world.report(
        'reader-gap',
        `${this.#name}: partition ${partition} up to ${end}, its high watermark is ${highWatermark}`,
      )
    }
    for (const { offset, key, value } of records) {
      world.ledger.read(partition, offset, text.decode(key), text.decode(value), this.#name)
    }
    this.#next.set(partition, end)
  }

  endOf(partition: number): number {
    return this.#next.get(partition) ?? 0
  }
}

/** Users that read: one follows the topic for ever, others come and go. */
export class ReaderActor {
  readonly host = 'reader'
  readonly #scene: Scene
  readonly #client: SimClient
  #readers = 0
  readonly #followed: Sighting

  constructor(scene: Scene) {
    this.#scene = scene
    this.#client = scene.client(this.host)
    this.#followed = new Sighting(scene, 'follower')
  }

  get client(): SimClient {
    return this.#client
  }

  /** How far the one that follows has come. */
  followedTo(partition: number): number {
    return this.#followed.endOf(partition)
  }

  /** Follows all partitions to the end of the run. */
  async follow(): Promise<void> {
    await Promise.all(this.#scene.topic.partitions.map(({ partition }) => this.#followOne(partition)))
  }

  /** Begins anew where it stood after a failure. */
  async #followOne(partition: number): Promise<void> {
    const sighting = this.#followed
    for (;;) {
      await this.#read(sighting, { partitions: [partition], from: { offset: sighting.endOf(partition) } })
      await this.#sleep(100_000)
    }
  }

  /** To a confirmed end, perhaps slowly. It must see all that anybody knew of before it began. */
  async readToEnd({ actor, amount }: Work, pauseUs: number): Promise<void> {
    const partition = this.#scene.partition(actor)
    const floor = this.#scene.world.ledger.knownEnd(partition)
    const sighting = new Sighting(this.#scene, `reader ${++this.#readers}`)
    const from = Math.max(0, floor - (amount % 300))
    const options: ReaderOptions = {
      topic: TOPIC,
      partitions: [partition],
      from: { offset: from },
      untilEnd: true,
      consistency: 'linearizable',
      maxBufferedBytes: pauseUs > 0 ? 1000 : 1_000_000,
    }
    const ended = await this.#read(sighting, options, pauseUs)
    if (!ended) return
    const end = Math.max(from, sighting.endOf(partition))
    if (end < floor) this.#isStale(partition, end, floor)
  }

  async readReplica({ actor, amount }: Work): Promise<void> {
    const nodeId = this.#scene.world.nodes[amount % this.#scene.world.nodes.length]!.id
    const partition = this.#scene.partition(actor)
    const sighting = new Sighting(this.#scene, `reader ${++this.#readers} of ${nodeId}`)
    await this.#read(sighting, { partitions: [partition], untilEnd: true, nodeId, consistency: 'committed' })
  }

  /** Goes away in the middle. */
  async readAndAbort({ actor, amount }: Work): Promise<void> {
    const abort = new AbortController()
    this.#client.life.after((amount % 200) * 1000, () => abort.abort())
    this.#scene.world.struck('cancel')
    const sighting = new Sighting(this.#scene, `reader ${++this.#readers}`)
    await this.#read(sighting, { partitions: [this.#scene.partition(actor)], signal: abort.signal })
  }

  async askForEnd({ actor }: Work): Promise<void> {
    const partition = this.#scene.partition(actor)
    const floor = this.#scene.world.ledger.knownEnd(partition)
    try {
      const { highWatermark } = await this.#client.client.cluster.listOffsets(TOPIC, partition, {
        consistency: 'linearizable',
        timeoutMs: 4000,
      })
      if (highWatermark < floor) this.#isStale(partition, highWatermark, floor)
    } catch (error) {
      this.#scene.failure(error)
    }
  }

  /** True: it came to its end. */
  async #read(sighting: Sighting, options: Omit<ReaderOptions, 'topic'>, pauseUs = 0): Promise<boolean> {
    const reader = this.#client.client.reader({ topic: TOPIC, ...options })
    try {
      for await (const batch of reader.batches()) {
        sighting.batch(batch)
        if (pauseUs > 0) await this.#sleep(pauseUs)
      }
      return true
    } catch (error) {
      if (error instanceof FlotillaError && error.reason === 'INTERNAL') {
        this.#scene.world.report('reader-gap', error.message)
      }
      this.#scene.failure(error)
      return false
    }
  }

  #isStale(partition: number, end: number, floor: number): void {
    this.#scene.world.report(
      'stale-read',
      `partition ${partition} ended at ${end}, and ${floor} was known before the read began`,
    )
  }

  #sleep(delayUs: number): Promise<void> {
    return new Promise((resolve) => this.#client.life.after(delayUs, resolve))
  }
}
