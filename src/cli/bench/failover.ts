import type { Client } from '../../client/types.ts'
import { FlotillaError } from '../../wire/index.ts'
import { awaitCluster } from '../cluster-ready.ts'
import type { CliContext } from '../context.ts'
import { AcknowledgementGaps } from '../demo/gaps.ts'
import { CommandFailure } from '../failure.ts'
import { formatCount, formatDuration } from '../format.ts'
import type { BenchContext } from './append.ts'
import { replicationFactor, withOwnCluster, withTopic, type OwnCluster } from './bench-cluster.ts'
import { describeEnvironment, type Environment } from './environment.ts'
import { Load, type LoadResult, type LoadTarget } from './load.ts'
import { during, pass, say } from './narrate.ts'
import { Payloads, stampOf } from './payloads.ts'
import { medianIndex, spreadOf, type Spread } from './runs.ts'
import { isFlawless, SequenceLedger, type LedgerResult } from './sequence-ledger.ts'
import { answerPatienceMs, inFlightBound, maxInFlightBytes } from './targets.ts'

export interface FailoverSettings {
  readonly sizeBytes: number
  readonly partitions: number
  readonly ratePerSecond: number
  /** From the first record until the leader of partition 0 is killed. */
  readonly killAfterMs: number
  readonly durationMs: number
  readonly runs: number
}

export interface FailoverRun {
  readonly victim: string
  /** The longest time between two acknowledgements of a partition, before the kill and from it on. */
  readonly usualGapMs: number
  readonly longestGapMs: number
  readonly load: LoadResult
  readonly records: LedgerResult
}

export interface FailoverReport {
  readonly benchmark: 'failover'
  readonly settings: FailoverSettings
  readonly environment: Environment
  readonly runs: readonly FailoverRun[]
  /** Index of the run in the middle, by the longest gap. */
  readonly median: number
  readonly spread: { readonly longestGapMs: Spread }
  /** Everything that was acknowledged was read once, and nothing else, in every run. */
  readonly flawless: boolean
}

export async function benchFailover(
  { context, version }: BenchContext,
  data: string | undefined,
  settings: FailoverSettings,
): Promise<FailoverReport> {
  return withOwnCluster(context, data, async (cluster) => {
    const environment = describeEnvironment(version, cluster.facts, replicationFactor)
    const runs: FailoverRun[] = []
    for (let number = 1; number <= settings.runs; number++) {
      say(
        context,
        `run ${number} of ${settings.runs}: ${formatCount(settings.ratePerSecond)} records a second for ` +
          `${formatDuration(settings.durationMs)}, the leader is killed after ${formatDuration(settings.killAfterMs)}`,
      )
      const run = await withTopic(context, cluster.client, settings.partitions, (topic) =>
        failOnce(context, cluster, topic.name, settings),
      )
      say(
        context,
        `run ${number} of ${settings.runs}: ${formatDuration(run.longestGapMs)} without an acknowledgement`,
      )
      runs.push(run)
    }
    const gaps = runs.map(({ longestGapMs }) => longestGapMs)
    return {
      benchmark: 'failover',
      settings,
      environment,
      runs,
      median: medianIndex(gaps),
      spread: { longestGapMs: spreadOf(gaps) },
      flawless: runs.every(({ records }) => isFlawless(records)),
    }
  })
}

async function failOnce(
  context: CliContext,
  cluster: OwnCluster,
  topic: string,
  settings: FailoverSettings,
): Promise<FailoverRun> {
  const { client, launcher } = cluster
  const { partitions, ratePerSecond, sizeBytes, killAfterMs, durationMs } = settings
  const ledger = new SequenceLedger()
  const gaps = new AcknowledgementGaps()
  const longest = (): number =>
    Math.max(0, ...Array.from({ length: partitions }, (_, partition) => gaps.longestMs(partition) ?? 0))
  const target = new LedgerTarget(context, client, topic, settings, ledger, gaps)
  const load = new Load(context, { inFlight: inFlightBound(sizeBytes), ratePerSecond }, target)
  const text = (): string => `${formatCount(ledger.acknowledgedCount)} records acknowledged`
  let victim: string
  let usualGapMs: number
  load.start()
  load.openWindow()
  try {
    await during(context, text, pass(context, killAfterMs))
    usualGapMs = longest()
    gaps.restart()
    victim = await leaderOf(client, topic)
    await launcher.kill(victim)
    await during(context, text, pass(context, durationMs - killAfterMs))
    load.closeWindow()
  } finally {
    await load.stop(answerPatienceMs)
    await target.close()
  }
  // A partition that acknowledged nothing since has its gap still open.
  for (let partition = 0; partition < partitions; partition++) {
    if (gaps.longestMs(partition) === undefined) gaps.acknowledged(partition, context.nowMs())
  }
  const longestGapMs = longest()
  say(context, `reading ${formatCount(ledger.acknowledgedCount)} records back, and starting ${victim} again`)
  await readBack(context, client, topic, ledger)
  await launcher.start(victim)
  await awaitCluster(context, client, `${victim} is back`, ({ nodes }) =>
    nodes.every(({ reachable }) => reachable),
  )
  return { victim, usualGapMs, longestGapMs, load: load.result(), records: ledger.result() }
}

/** Appends numbered records with the client's producer, and notes what becomes of each. */
class LedgerTarget implements LoadTarget {
  readonly #clock: Pick<CliContext, 'nowMs'>
  readonly #producer
  readonly #topic: string
  readonly #partitions: number
  readonly #payloads: Payloads
  readonly #ledger: SequenceLedger
  readonly #gaps: AcknowledgementGaps

  constructor(
    clock: Pick<CliContext, 'nowMs'>,
    client: Client,
    topic: string,
    { partitions, sizeBytes }: FailoverSettings,
    ledger: SequenceLedger,
    gaps: AcknowledgementGaps,
  ) {
    this.#clock = clock
    this.#producer = client.producer({ maxInFlightBytes, deliveryTimeoutMs: answerPatienceMs })
    this.#topic = topic
    this.#partitions = partitions
    this.#payloads = new Payloads(sizeBytes)
    this.#ledger = ledger
    this.#gaps = gaps
  }

  append(number: number, _intendedMs: number, settled: (error: unknown) => void): void {
    const sequence = this.#ledger.send()
    const { acknowledged } = this.#producer.enqueue({
      topic: this.#topic,
      partition: number % this.#partitions,
      value: this.#payloads.stamped(number, sequence),
    })
    acknowledged.then(
      ({ partition, offset }) => {
        this.#ledger.acknowledge(sequence, partition, offset)
        this.#gaps.acknowledged(partition, this.#clock.nowMs())
        settled(undefined)
      },
      (error: unknown) => {
        this.#ledger.fail(sequence, !(error instanceof FlotillaError) || error.mayHaveTakenEffect)
        settled(error)
      },
    )
  }

  close(): Promise<void> {
    return this.#producer.close()
  }
}

async function leaderOf(client: Client, topic: string): Promise<string> {
  const { partitions } = await client.topics.describe(topic)
  const leader = partitions.find(({ partition }) => partition === 0)?.leaderNodeId
  if (leader === undefined) throw new CommandFailure(`partition 0 of ${topic} has no leader to kill`)
  return leader
}

async function readBack(
  context: CliContext,
  client: Client,
  topic: string,
  ledger: SequenceLedger,
): Promise<void> {
  await using reader = client.reader({
    topic,
    from: 'beginning',
    untilEnd: true,
    signal: context.interrupted,
  })
  for await (const { records } of reader.batches()) {
    for (const { partition, offset, value } of records) ledger.see(stampOf(value), partition, offset)
  }
}
