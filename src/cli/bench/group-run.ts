import type { GroupConsumer } from '../../client/types.ts'
import type { CliContext } from '../context.ts'
import { formatCount, plural } from '../format.ts'
import type { BenchCluster } from './bench-cluster.ts'
import type { Cost } from './cost.ts'
import { SteadyLoad } from './group-load.ts'
import { LatencyHistogram, type LatencySummary } from './latency.ts'
import { during, pass } from './narrate.ts'
import { Payloads } from './payloads.ts'
import { ResourceWatch, type NodeCost } from './resources.ts'
import { answerPatienceMs, maxInFlightBytes } from './targets.ts'

/** Of one run. */
export interface GroupRunSettings {
  readonly sizeBytes: number
  readonly partitions: number
  readonly members: number
  /** Appended before the group begins. */
  readonly preloadBytes: number
  /** While another member joins. */
  readonly ratePerSecond: number
}

/** The longest time without a record, of all partitions of a kind. */
interface Gaps {
  readonly partitions: number
  readonly longestMs: number
}

export interface GroupRun {
  readonly records: number
  /** From the first record that a member has to the last. */
  readonly recordsPerSecond: number
  /** What that cost, from before the members join. */
  readonly client: Cost
  readonly nodes: readonly NodeCost[]
  readonly appendLatency: LatencySummary | undefined
  readonly commitLatency: LatencySummary | undefined
  /** Of all partitions, in the same load and for as long as one more member takes, before it joins: what the machine does by itself. */
  readonly undisturbed: Gaps
  /** While one more member joins. */
  readonly moved: Gaps
  readonly stayed: Gaps
}

const commits = 200
const settleMs = 2000

/** One run on a topic of its own: what a group of members gives and costs; automatic commits, at least once. */
export class GroupBench {
  readonly #context: CliContext
  readonly #cluster: BenchCluster
  readonly #topic: string
  readonly #settings: GroupRunSettings
  readonly #payloads: Payloads
  readonly #members: { readonly consumer: GroupConsumer; readonly ended: Promise<void> }[] = []
  /** Distinct records, and the end of what each partition has brought: what comes again doesn't count. */
  #seen = 0
  readonly #ends = new Map<number, number>()
  #firstMs = 0
  /** When each partition's last record came, and the longest time between two, since it was last cleared. */
  readonly #lastMs = new Map<number, number>()
  readonly #longestMs = new Map<number, number>()
  readonly #moved = new Set<number>()

  constructor(context: CliContext, cluster: BenchCluster, topic: string, settings: GroupRunSettings) {
    this.#context = context
    this.#cluster = cluster
    this.#topic = topic
    this.#settings = settings
    this.#payloads = new Payloads(settings.sizeBytes)
  }

  async run(): Promise<GroupRun> {
    const { sizeBytes, preloadBytes, members } = this.#settings
    const count = Math.ceil(preloadBytes / sizeBytes)
    try {
      await during(this.#context, () => `appending ${plural(count, 'record')}`, this.#append(count))
      const watch = new ResourceWatch(this.#context, this.#cluster.nodes)
      await watch.open()
      for (let at = 0; at < members; at++) this.#join()
      const caughtUp = this.#until(() => this.#seen >= count)
      await during(this.#context, () => `${formatCount(this.#seen)} records consumed`, caughtUp)
      const recordsPerSecond = count / ((this.#context.nowMs() - this.#firstMs) / 1000)
      await watch.close()
      const costs = watch.costs({ records: count, valueBytes: count * sizeBytes })
      const gaps = await this.#anotherJoins()
      return { records: count, recordsPerSecond, ...costs, ...gaps, ...(await this.#latencies()) }
    } finally {
      for (const { consumer } of this.#members) await consumer.close()
      await Promise.all(this.#members.map(({ ended }) => ended))
      if (this.#members.length > 0) await this.#cluster.client.groups.delete(this.#topic)
    }
  }

  async #append(count: number): Promise<void> {
    await using producer = this.#cluster.client.producer({
      maxInFlightBytes,
      deliveryTimeoutMs: answerPatienceMs,
    })
    let failure: unknown
    for (let number = 0; number < count && failure === undefined; number++) {
      if (this.#context.interrupted.aborted) break
      const record = { topic: this.#topic, partition: number % this.#settings.partitions }
      const sent = producer.enqueue({ ...record, value: this.#payloads.value(number) })
      sent.acknowledged.catch((error: unknown) => (failure ??= error))
      await sent.room
    }
    await producer.flush()
    await pass(this.#context, 0)
    if (failure !== undefined) throw failure
  }

  #join(): void {
    const consumer = this.#cluster.client.consume({ group: this.#topic, topics: [this.#topic] })
    consumer.on('revoked', (partitions) => {
      for (const { partition } of partitions) this.#moved.add(partition)
    })
    const consume = async (): Promise<void> => {
      for await (const { partition, baseOffset, records } of consumer.batches()) {
        const nowMs = this.#context.nowMs()
        if (this.#firstMs === 0) this.#firstMs = nowMs
        const gapMs = nowMs - (this.#lastMs.get(partition) ?? nowMs)
        this.#lastMs.set(partition, nowMs)
        this.#longestMs.set(partition, Math.max(gapMs, this.#longestMs.get(partition) ?? 0))
        const before = this.#ends.get(partition) ?? 0
        const end = Math.max(before, baseOffset + records.length)
        this.#seen += end - before
        this.#ends.set(partition, end)
      }
    }
    this.#members.push({ consumer, ended: consume() })
  }

  /** One more member joins while records come at a steady rate. */
  async #anotherJoins(): Promise<Pick<GroupRun, 'undisturbed' | 'moved' | 'stayed'>> {
    const load = new SteadyLoad(this.#context, this.#cluster, this.#topic, {
      ...this.#settings,
      payloads: this.#payloads,
    })
    try {
      await pass(this.#context, settleMs)
      this.#longestMs.clear()
      await pass(this.#context, 2 * settleMs)
      const undisturbed = this.#gaps(() => true)
      this.#moved.clear()
      this.#longestMs.clear()
      this.#join()
      await pass(this.#context, 2 * settleMs)
      const moved = this.#gaps((partition) => this.#moved.has(partition))
      return { undisturbed, moved, stayed: this.#gaps((partition) => !this.#moved.has(partition)) }
    } finally {
      await load.stop()
    }
  }

  #gaps(counts: (partition: number) => boolean): Gaps {
    const some = [...this.#longestMs].filter(([partition]) => counts(partition))
    return { partitions: some.length, longestMs: Math.max(0, ...some.map(([, ms]) => ms)) }
  }

  /** Appends and commits in turn, one at a time, by a member of a group of its own. */
  async #latencies(): Promise<Pick<GroupRun, 'appendLatency' | 'commitLatency'>> {
    const place = { topic: this.#topic, partition: 0 }
    const group = `${this.#topic}-commits`
    const consumer = this.#cluster.client.consume({ group, partitions: [place], commit: 'manual' })
    await using producer = this.#cluster.client.producer({ lingerMs: 0 })
    let end = 0
    const consume = async (): Promise<void> => {
      for await (const { baseOffset, records } of consumer.batches()) end = baseOffset + records.length
    }
    const consuming = consume()
    const [appendLatency, commitLatency] = [new LatencyHistogram(), new LatencyHistogram()]
    try {
      for (let turn = 0; turn < commits; turn++) {
        const startMs = this.#context.nowMs()
        const { offset } = await producer.send({ ...place, value: this.#payloads.value(turn) })
        appendLatency.record(this.#context.nowMs() - startMs)
        await this.#until(() => end > offset)
        const commitMs = this.#context.nowMs()
        await consumer.commit([{ ...place, offset: offset + 1 }])
        commitLatency.record(this.#context.nowMs() - commitMs)
      }
    } finally {
      await consumer.close()
      await consuming
      await this.#cluster.client.groups.delete(group)
    }
    return { appendLatency: appendLatency.summary(), commitLatency: commitLatency.summary() }
  }

  async #until(holds: () => boolean): Promise<void> {
    while (!holds()) await pass(this.#context, 1)
  }
}
