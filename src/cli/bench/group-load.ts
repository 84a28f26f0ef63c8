import type { CliContext } from '../context.ts'
import type { BenchCluster } from './bench-cluster.ts'
import type { Payloads } from './payloads.ts'

/** Records to a topic's partitions in turn, at a steady rate, until it is stopped. */
export class SteadyLoad {
  readonly #context: CliContext
  #isOver = false
  readonly #loading: Promise<void>

  constructor(
    context: CliContext,
    cluster: BenchCluster,
    topic: string,
    {
      partitions,
      ratePerSecond,
      payloads,
    }: { partitions: number; ratePerSecond: number; payloads: Payloads },
  ) {
    this.#context = context
    this.#loading = this.#load(cluster, (number) => ({
      dueMs: (number * 1000) / ratePerSecond,
      record: { topic, partition: number % partitions, value: payloads.value(number) },
    }))
  }

  /** Resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#isOver = true
    await this.#loading
  }

  async #load(cluster: BenchCluster, nth: (number: number) => Due): Promise<void> {
    await using producer = cluster.client.producer({ lingerMs: 0 })
    const startMs = this.#context.nowMs()
    for (let number = 0; !this.#isOver; number++) {
      const { dueMs, record } = nth(number)
      const early = startMs + dueMs - this.#context.nowMs()
      if (early > 1) await this.#context.sleep(early)
      const sent = producer.enqueue(record)
      sent.acknowledged.catch(() => undefined)
      await sent.room
    }
  }
}

interface Due {
  readonly dueMs: number
  readonly record: { readonly topic: string; readonly partition: number; readonly value: Uint8Array }
}
