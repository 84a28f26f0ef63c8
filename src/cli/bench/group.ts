import type { Client, GroupConsumer } from '../../client/types.ts'
import type { CliContext } from '../context.ts'
import { formatCount, plural } from '../format.ts'
import type { BenchContext } from './append.ts'
import { replicationFactor, withBenchCluster, withTopic, type ClusterChoice } from './bench-cluster.ts'
import { describeEnvironment, type Environment } from './environment.ts'
import { LatencyHistogram, type LatencySummary } from './latency.ts'
import { during, pass, say } from './narrate.ts'
import { Payloads } from './payloads.ts'
import { medianIndex, spreadOf, type Spread } from './runs.ts'
import { answerPatienceMs, maxInFlightBytes } from './targets.ts'

export interface GroupSettings {
  readonly sizeBytes: number
  readonly partitions: number
  readonly members: number
  /** Appended before the group begins. */
  readonly preloadBytes: number
  /** While another member joins. */
  readonly ratePerSecond: number
  readonly runs: number
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
  readonly appendLatency: LatencySummary | undefined
  readonly commitLatency: LatencySummary | undefined
  /** While one more member joins. */
  readonly moved: Gaps
  readonly stayed: Gaps
}

export interface GroupReport {
  readonly benchmark: 'group'
  readonly settings: GroupSettings
  readonly environment: Environment
  readonly runs: readonly GroupRun[]
  /** Index of the run in the middle, by throughput. */
  readonly median: number
  readonly spread: { readonly recordsPerSecond: Spread }
}

const commits = 200
const settleMs = 2000

/** What a group of members costs and gives; automatic commits, at least once. */
export async function benchGroup(
  { context, version }: BenchContext,
  choice: ClusterChoice,
  settings: GroupSettings,
): Promise<GroupReport> {
  return withBenchCluster(context, choice, async ({ client, facts }) => {
    const environment = describeEnvironment(version, facts, replicationFactor)
    const runs: GroupRun[] = []
    for (let number = 1; number <= settings.runs; number++) {
      say(context, `run ${number} of ${settings.runs}`)
      runs.push(
        await withTopic(context, client, settings.partitions, ({ name }) =>
          new Bench(context, client, name, settings).run(),
        ),
      )
    }
    const rates = runs.map(({ recordsPerSecond }) => recordsPerSecond)
    const spread = { recordsPerSecond: spreadOf(rates) }
    return { benchmark: 'group', settings, environment, runs, median: medianIndex(rates), spread }
  })
}

/** One run on a topic of its own. */
class Bench {
  readonly #context: CliContext
  readonly #client: Client
  readonly #topic: string
  readonly #settings: GroupSettings
  readonly #payloads: Payloads
  readonly #members: { readonly consumer: GroupConsumer; readonly ended: Promise<void> }[] = []
  readonly #seen = new Set<string>()
  #firstMs = 0
  /** When each partition's last record came, and the longest time between two, since it was last cleared. */
  readonly #lastMs = new Map<number, number>()
  readonly #longestMs = new Map<number, number>()
  readonly #moved = new Set<number>()

  constructor(context: CliContext, client: Client, topic: string, settings: GroupSettings) {
    this.#context = context
    this.#client = client
    this.#topic = topic
    this.#settings = settings
    this.#payloads = new Payloads(settings.sizeBytes)
  }

  async run(): Promise<GroupRun> {
    const { sizeBytes, preloadBytes, members } = this.#settings
    const count = Math.ceil(preloadBytes / sizeBytes)
    try {
      await during(this.#context, () => `appending ${plural(count, 'record')}`, this.#append(count))
      for (let at = 0; at < members; at++) this.#join()
      const caughtUp = this.#until(() => this.#seen.size >= count)
      await during(this.#context, () => `${formatCount(this.#seen.size)} records consumed`, caughtUp)
      const recordsPerSecond = count / ((this.#context.nowMs() - this.#firstMs) / 1000)
      const gaps = await this.#anotherJoins()
      return { records: count, recordsPerSecond, ...gaps, ...(await this.#latencies()) }
    } finally {
      for (const { consumer } of this.#members) await consumer.close()
      await Promise.all(this.#members.map(({ ended }) => ended))
    }
  }

  async #append(count: number): Promise<void> {
    await using producer = this.#client.producer({ maxInFlightBytes, deliveryTimeoutMs: answerPatienceMs })
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
    const consumer = this.#client.consume({ group: this.#topic, topics: [this.#topic] })
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
        for (let nth = 0; nth < records.length; nth++) this.#seen.add(`${partition}/${baseOffset + nth}`)
      }
    }
    this.#members.push({ consumer, ended: consume() })
  }

  /** One more member joins while records come at a steady rate. */
  async #anotherJoins(): Promise<Pick<GroupRun, 'moved' | 'stayed'>> {
    const { ratePerSecond, partitions } = this.#settings
    let isOver = false
    const load = async (): Promise<void> => {
      await using producer = this.#client.producer({ lingerMs: 0 })
      const startMs = this.#context.nowMs()
      for (let number = 0; !isOver; number++) {
        const dueMs = startMs + (number * 1000) / ratePerSecond
        const early = dueMs - this.#context.nowMs()
        if (early > 1) await this.#context.sleep(early)
        const value = this.#payloads.value(number)
        const sent = producer.enqueue({ topic: this.#topic, partition: number % partitions, value })
        sent.acknowledged.catch(() => undefined)
        await sent.room
      }
    }
    const loading = load()
    try {
      await pass(this.#context, settleMs)
      this.#moved.clear()
      this.#longestMs.clear()
      this.#join()
      await pass(this.#context, 2 * settleMs)
      const moved = this.#gaps((partition) => this.#moved.has(partition))
      return { moved, stayed: this.#gaps((partition) => !this.#moved.has(partition)) }
    } finally {
      isOver = true
      await loading
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
    const consumer = this.#client.consume({ group, partitions: [place], commit: 'manual' })
    await using producer = this.#client.producer({ lingerMs: 0 })
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
    }
    return { appendLatency: appendLatency.summary(), commitLatency: commitLatency.summary() }
  }

  async #until(holds: () => boolean): Promise<void> {
    while (!holds()) await pass(this.#context, 1)
  }
}
