/** The heart of the show: a leader dies while events go in. */
import type { Client } from '../../client/types.ts'
import { awaitCluster } from '../cluster-ready.ts'
import type { ClusterLauncher } from '../cluster-launcher.ts'
import type { CliContext } from '../context.ts'
import { CommandFailure } from '../failure.ts'
import { formatCount, formatDuration, plural } from '../format.ts'
import type { DemoEvent } from './events.ts'
import { AcknowledgementGaps } from './gaps.ts'
import type { Ledger } from './ledger.ts'
import type { Narration } from './narration.ts'
import { roundRobin, type Traffic } from './traffic.ts'

export interface Stage {
  readonly context: CliContext
  readonly client: Client
  readonly launcher: ClusterLauncher
  readonly narration: Narration
  readonly ledger: Ledger
  readonly gaps: AcknowledgementGaps
  readonly traffic: Traffic
  readonly topic: string
  readonly events: readonly DemoEvent[]
}

const ratePerSecond = 200
const beforeMs = 1500
const afterMs = 2000
const electionPatienceMs = 30_000

/** Returns the node that was taken down; it is still down. */
export async function takeLeaderDown(stage: Stage): Promise<string> {
  const { context, narration, ledger, events, traffic } = stage
  const partition = busiestPartition(ledger)
  narration.line(
    `the input is all in; from here on it is streamed again, round after round, as new events, ${ratePerSecond} a second`,
  )
  const ended = new AbortController()
  const stop = AbortSignal.any([ended.signal, context.interrupted])
  const placed = ledger.partitionsByKey()
  const next = roundRobin(
    events,
    events.filter(({ key }) => placed.get(key) === partition),
  )
  const appending = traffic.sendAtRate(next, ratePerSecond, stop)
  try {
    const victim = await narration.during(
      () => `${formatCount(ledger.acknowledgedCount)} acknowledged`,
      watchFailover(stage, partition),
    )
    return victim
  } finally {
    ended.abort()
    await narration.during(() => 'waiting for the last acknowledgements', appending)
  }
}

async function watchFailover(stage: Stage, partition: number): Promise<string> {
  const { context, client, launcher, narration, ledger, gaps, topic } = stage
  const { interrupted } = context
  gaps.restart()
  await context.sleep(beforeMs, interrupted)
  const usualGapMs = gaps.longestMs(partition)
  const led = (await client.topics.describe(topic)).partitions.find((each) => each.partition === partition)
  const victim = led?.leaderNodeId
  if (led === undefined || victim === undefined) {
    throw new CommandFailure(`${topic}/${partition} has no leader to take down`)
  }
  gaps.restart()
  const acknowledgedBefore = ledger.acknowledgedCount
  const killedMs = context.nowMs()
  const { pid } = await launcher.kill(victim)
  narration.line(
    `${victim} led partition ${partition} in term ${led.leaderTerm}; ${narration.paint('red', `SIGKILL to its process ${pid}`)}`,
  )
  const successor = await awaitSuccessor(stage, partition, victim)
  narration.line(
    `${narration.paint('green', `${successor.nodeId} leads partition ${partition} in term ${successor.term}`)}, ` +
      `known ${formatDuration(context.nowMs() - killedMs)} after the kill`,
  )
  await awaitAcknowledgement(stage, partition, acknowledgedBefore)
  await context.sleep(afterMs, interrupted)
  const gapMs = gaps.longestMs(partition)
  narration.line(
    `time without a leader, as the producer saw it: ${narration.paint('bold', gapMs === undefined ? 'none' : formatDuration(gapMs))}` +
      ' (longest wait between two acknowledgements of the partition' +
      `${usualGapMs === undefined ? '' : `; before the kill it was ${formatDuration(usualGapMs)}`})`,
  )
  narration.line(
    `${plural(ledger.acknowledgedCount - acknowledgedBefore, 'event')} acknowledged since the kill, ${formatCount(ledger.failedCount)} failed`,
  )
  return victim
}

async function awaitSuccessor(
  stage: Stage,
  partition: number,
  victim: string,
): Promise<{ readonly nodeId: string; readonly term: number }> {
  const cluster = await awaitCluster(
    stage.context,
    stage.client,
    `partition ${partition} has a new leader`,
    ({ replicas }) => replicas.some((replica) => leads(replica, stage.topic, partition, victim)),
    electionPatienceMs,
  )
  const leaders = cluster.replicas.filter((replica) => leads(replica, stage.topic, partition, victim))
  const newest = leaders.reduce((a, b) => (b.term > a.term ? b : a))
  return { nodeId: newest.nodeId, term: newest.term }
}

function leads(
  replica: {
    readonly topic: string
    readonly partition: number
    readonly nodeId: string
    readonly role: string
  },
  topic: string,
  partition: number,
  victim: string,
): boolean {
  return (
    replica.topic === topic &&
    replica.partition === partition &&
    replica.nodeId !== victim &&
    replica.role === 'REPLICA_ROLE_LEADER'
  )
}

/** A gap is over with the first acknowledgement after it. */
async function awaitAcknowledgement(
  { context, ledger, gaps }: Stage,
  partition: number,
  before: number,
): Promise<void> {
  const deadlineMs = context.nowMs() + electionPatienceMs
  while (!context.interrupted.aborted && context.nowMs() < deadlineMs) {
    if (ledger.acknowledgedCount > before && gaps.longestMs(partition) !== undefined) return
    await context.sleep(20, context.interrupted)
  }
}

function busiestPartition(ledger: Ledger): number {
  let busiest = 0
  let most = -1
  for (const [partition, count] of ledger.acknowledgedByPartition()) {
    if (count > most) [busiest, most] = [partition, count]
  }
  return busiest
}
