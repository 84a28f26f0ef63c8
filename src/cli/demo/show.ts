import type { Client } from '../../client/types.ts'
import { awaitCluster } from '../cluster-ready.ts'
import { describeExit, type ClusterLauncher } from '../cluster-launcher.ts'
import type { CliContext } from '../context.ts'
import { CommandFailure, describeError } from '../failure.ts'
import { formatCount, formatDuration, listing, plural } from '../format.ts'
import { survival } from '../views.ts'
import type { DemoInput } from './events.ts'
import { takeLeaderDown, type Stage } from './failover.ts'
import { AcknowledgementGaps } from './gaps.ts'
import { isFlawless, Ledger, type AuditResult } from './ledger.ts'
import type { Narration } from './narration.ts'
import { describeFlaws, KeySample, readAndAudit } from './readings.ts'
import { Traffic } from './traffic.ts'

const partitionCount = 3
const replicaCount = 3

/** From the topic to the verdict. Throws where the verdict is bad or a step can't be done. */
export async function runShow(
  context: CliContext,
  client: Client,
  launcher: ClusterLauncher,
  narration: Narration,
  input: DemoInput,
): Promise<{ readonly topic: string }> {
  const topic = topicName(new Date(context.wallMs()))
  await createTopic(client, narration, topic)
  const ledger = new Ledger()
  const gaps = new AcknowledgementGaps()
  await using producer = client.producer()
  const traffic = new Traffic(context, producer, topic, ledger, gaps)
  const stage: Stage = {
    context,
    client,
    launcher,
    narration,
    ledger,
    gaps,
    traffic,
    topic,
    events: input.events,
  }
  await streamIn(stage, input)
  await readBack(stage)
  narration.step('Take a leader down')
  const victim = await takeLeaderDown(stage)
  if (context.interrupted.aborted) return { topic }
  await bringBack(stage, victim)
  await readFromEachNode(stage)
  return { topic }
}

/** A name of its own for every run, so that a second one finds its place in the same data folder. */
function topicName(now: Date): string {
  return `commits-${now.toISOString().replaceAll(/[-:]/g, '').replace('T', '-').slice(0, 15)}`
}

async function createTopic(client: Client, narration: Narration, name: string): Promise<void> {
  const topic = await client.topics.create(name, {
    partitions: partitionCount,
    replicationFactor: replicaCount,
  })
  narration.step(`Topic ${name}`)
  narration.line(
    `${plural(topic.partitions.length, 'partition')}, ${plural(topic.replicationFactor, 'replica')} each: ${survival(topic)}`,
  )
}

async function streamIn(stage: Stage, input: DemoInput): Promise<void> {
  const { context, narration, ledger, traffic } = stage
  narration.step('Stream the input in')
  narration.line(input.description)
  const startMs = context.nowMs()
  await narration.during(
    () => `${formatCount(ledger.acknowledgedCount)} of ${formatCount(input.events.length)} acknowledged`,
    traffic.sendAll(input.events, context.interrupted),
  )
  checkAllAcknowledged(stage)
  const elapsedMs = context.nowMs() - startMs
  const spread = [...ledger.acknowledgedByPartition()]
    .sort(([a], [b]) => a - b)
    .map(([partition, count]) => `${formatCount(count)} in partition ${partition}`)
  narration.line(
    `${plural(ledger.acknowledgedCount, 'event')} acknowledged in ${formatDuration(elapsedMs)}: ${listing(spread)}`,
  )
}

function checkAllAcknowledged({ ledger, traffic }: Stage): void {
  if (traffic.firstError === undefined) return
  const reason = describeError(traffic.firstError)
  throw new CommandFailure(
    `${formatCount(ledger.failedCount)} of ${plural(ledger.sentCount, 'event')} failed, the first: ${reason}`,
    { cause: traffic.firstError },
  )
}

async function readBack(stage: Stage): Promise<void> {
  const { context, client, narration, ledger, topic } = stage
  narration.step('Read it back')
  const sample = new KeySample()
  const result = await readAndAudit(client, topic, ledger, {
    signal: context.interrupted,
    onRead: (batch) => sample.take(batch),
  })
  if (context.interrupted.aborted) return
  narration.line(
    `${plural(result.read, 'event')} of ${plural(result.keys, 'key')} read: ${describeFlaws(result)}`,
  )
  if (!isFlawless(result)) {
    throw new CommandFailure(`what was read is not what was acknowledged: ${describeFlaws(result)}`)
  }
  for (const line of sample.lines(3)) narration.line(line)
  narration.line(narration.paint('green', "every key's events are in the order in which they were sent"))
}

async function bringBack(stage: Stage, victim: string): Promise<void> {
  const { context, client, launcher, narration, ledger, topic } = stage
  narration.step(`Bring ${victim} back`)
  const startMs = context.nowMs()
  await narration.during(() => `${victim} starts`, launcher.start(victim))
  narration.line(`${victim} takes calls again after ${formatDuration(context.nowMs() - startMs)}`)
  const nodeIds = launcher.plan.nodes.map(({ nodeId }) => nodeId)
  await narration.during(
    () => `${victim} catches up`,
    awaitCluster(context, client, `${victim} has caught up`, ({ replicas }) =>
      nodeIds.every((nodeId) =>
        [...ledger.ends].every(([partition, end]) =>
          replicas.some(
            (replica) =>
              replica.topic === topic &&
              replica.partition === partition &&
              replica.nodeId === nodeId &&
              replica.highWatermark >= end &&
              replica.unavailableReason === undefined,
          ),
        ),
      ),
    ),
  )
  narration.line(`it has all that it missed after ${formatDuration(context.nowMs() - startMs)}`)
}

async function readFromEachNode(stage: Stage): Promise<void> {
  const { context, client, launcher, narration, ledger, topic } = stage
  narration.step('Read every event from each node alone')
  const results: [nodeId: string, result: AuditResult][] = []
  for (const { nodeId } of launcher.plan.nodes) {
    let read = 0
    const result = await narration.during(
      () => `${nodeId}: ${formatCount(read)} read`,
      readAndAudit(client, topic, ledger, {
        nodeId,
        signal: context.interrupted,
        onRead: ({ records }) => (read += records.length),
      }),
    )
    if (context.interrupted.aborted) return
    results.push([nodeId, result])
    const unacknowledged =
      result.unacknowledged > 0
        ? `; ${formatCount(result.unacknowledged)} more whose outcome was unknown are there`
        : ''
    narration.line(
      `${nodeId}: ${formatCount(result.found)} of ${formatCount(ledger.acknowledgedCount)} acknowledged events${unacknowledged}: ${describeFlaws(result)}`,
    )
  }
  verdict(stage, results)
}

function verdict({ narration, ledger }: Stage, results: readonly [string, AuditResult][]): void {
  const sum = (pick: (result: AuditResult) => number): string =>
    formatCount(results.reduce((total, [, result]) => total + pick(result), 0))
  const nodes = listing(results.map(([nodeId]) => nodeId))
  const counts = `${sum((r) => r.lost)} lost, ${sum((r) => r.twice)} twice, ${sum((r) => r.outOfOrder)} out of order`
  const acknowledged = formatCount(ledger.acknowledgedCount)
  if (results.every(([, result]) => isFlawless(result))) {
    narration.title('')
    narration.title(
      narration.paint(
        'green',
        `${acknowledged} acknowledged, ${acknowledged} read back from each of ${nodes}; ${counts}`,
      ),
    )
    return
  }
  const flaws = results
    .filter(([, result]) => !isFlawless(result))
    .map(([nodeId, result]) => `${nodeId}: ${describeFlaws(result)}`)
  throw new CommandFailure(
    `${acknowledged} acknowledged, but not all is well; ${counts}\n  ${flaws.join('\n  ')}`,
  )
}

export function lossLine(
  nodeId: string,
  status: Parameters<typeof describeExit>[0],
  lastWords: string,
): string {
  return `${nodeId} ended by itself (${describeExit(status)}): ${lastWords}`
}
