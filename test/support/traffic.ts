import type { Client } from '../../src/client/index.ts'
import type { Acknowledged } from './ledger.ts'

/** Sends keyed records, each value a count of its key, until stopped; remembers what was acknowledged. */
export class Traffic {
  readonly acknowledged: Acknowledged[] = []
  readonly failures: unknown[] = []
  readonly #client: Client
  readonly #topic: string
  readonly #counts = new Map<string, number>()
  readonly #acknowledgedAtMs: number[] = []
  #running: Promise<void> | undefined
  #stopped = false

  readonly #pauseMs: number

  /** Ten records, then a pause, and so on. */
  constructor(client: Client, topic: string, pauseMs = 2) {
    this.#pauseMs = pauseMs
    this.#client = client
    this.#topic = topic
  }

  start(): void {
    this.#running = this.#run()
  }

  /** The longest time between two acknowledgements. */
  get longestGapMs(): number {
    return Math.max(
      0,
      ...this.#acknowledgedAtMs.map((at, place) => at - (this.#acknowledgedAtMs[place - 1] ?? at)),
    )
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #run(): Promise<void> {
    await using producer = this.#client.producer()
    for (let turn = 0; !this.#stopped; turn++) {
      const key = `key ${turn % 17}`
      const count = this.#counts.get(key) ?? 0
      this.#counts.set(key, count + 1)
      const value = String(count)
      const { room, acknowledged } = producer.enqueue({ topic: this.#topic, key, value })
      acknowledged.then(
        ({ partition, offset }) => {
          this.acknowledged.push({ partition, offset, key, value })
          this.#acknowledgedAtMs.push(performance.now())
        },
        (error: unknown) => this.failures.push(error),
      )
      await room
      if (turn % 10 === 9) await new Promise((resolve) => setTimeout(resolve, this.#pauseMs))
    }
  }
}
