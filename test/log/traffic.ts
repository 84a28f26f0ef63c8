import type { Client } from '../../src/client/index.ts'
import type { TestCluster } from '../../src/testing/index.ts'
import { expectKept, readAll, type Acknowledged } from '../support/ledger.ts'
import { until } from '../support/until.ts'

/** Sends keyed records, small and large ones, until stopped, and remembers what was acknowledged. */
export class Traffic {
  readonly acknowledged: Acknowledged[] = []
  readonly failures: string[] = []
  readonly #client: Client
  readonly #topic: string
  readonly #counts = new Map<string, number>()
  #running: Promise<void> | undefined
  #stopped = false

  constructor(client: Client, topic: string) {
    this.#client = client
    this.#topic = topic
  }

  start(): this {
    this.#running = this.#run()
    return this
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  /** Resolves when so many more were acknowledged. */
  async more(count: number): Promise<void> {
    const before = this.acknowledged.length
    await until(
      `${count} more records are acknowledged`,
      () => this.acknowledged.length >= before + count,
      40_000,
    )
  }

  async #run(): Promise<void> {
    await using producer = this.#client.producer()
    for (let turn = 0; !this.#stopped; turn++) {
      const key = `key ${turn % 17}`
      const count = this.#counts.get(key) ?? 0
      this.#counts.set(key, count + 1)
      const value = String(count)
      // Every seventh goes to a segment.
      const headers = turn % 7 === 0 ? [{ name: 'bulk', value: 'x'.repeat(6000) }] : []
      const { room, acknowledged } = producer.enqueue({ topic: this.#topic, key, value, headers })
      acknowledged.then(
        ({ partition, offset }) => this.acknowledged.push({ partition, offset, key, value }),
        (error: unknown) => this.failures.push(String(error)),
      )
      await room
      if (turn % 10 === 9) await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
}

export async function caughtUp(
  client: Client,
  topic: string,
  nodeId: string,
  partitions: number,
): Promise<void> {
  await until(
    `${nodeId} is back`,
    async () => {
      const { replicas } = await client.cluster.describe()
      const own = replicas.filter((replica) => replica.nodeId === nodeId && replica.topic === topic)
      return own.length === partitions && own.every((replica) => replica.lagEntries < 50)
    },
    40_000,
  )
}

/** Everything acknowledged is there, on every node alike. */
export async function expectAllKept(
  cluster: TestCluster,
  client: Client,
  traffic: Traffic,
  topic: string,
): Promise<void> {
  await until(
    'all replicas hold the same log',
    async () => {
      const { replicas } = await client.cluster.describe()
      const ours = replicas.filter((replica) => replica.topic === topic)
      const states = new Set(
        ours.map(
          ({ partition, highWatermark, commitDigest }) => `${partition} ${highWatermark} ${commitDigest}`,
        ),
      )
      return ours.length > 0 && states.size === new Set(ours.map(({ partition }) => partition)).size
    },
    40_000,
  )
  expectKept(traffic.acknowledged, await readAll(client, topic))
  for (const nodeId of cluster.nodeIds) expectKept(traffic.acknowledged, await readAll(client, topic, nodeId))
}
