/** A follower that was away while much was appended: what appends lose while it catches up, and how long that takes. */
import { statfs } from 'node:fs/promises'
import type { DescribeClusterResponse } from '../../wire/messages.ts'
import { awaitCluster } from '../cluster-ready.ts'
import type { CliContext } from '../context.ts'
import { CommandFailure } from '../failure.ts'
import { formatBytes, formatCount, formatDuration } from '../format.ts'
import type { BenchContext } from './append.ts'
import {
  replicationFactor,
  withOwnCluster,
  withTopic,
  type BenchTopic,
  type OwnCluster,
} from './bench-cluster.ts'
import { describeEnvironment, type Environment } from './environment.ts'
import { Load, type LoadResult } from './load.ts'
import { during, pass, say } from './narrate.ts'
import { Payloads } from './payloads.ts'
import { medianIndex, spreadOf, type Spread } from './runs.ts'
import { answerPatienceMs, BatchedTarget, plainValues } from './targets.ts'

export interface FollowerSettings {
  readonly sizeBytes: number
  readonly inFlight: number
  /** Of values, that are appended while the follower is away. */
  readonly missedBytes: number
  readonly warmupMs: number
  /** That all replicas take part, before the follower goes. */
  readonly beforeMs: number
  /** The longest that the follower is away, and the longest that it is given to catch up. */
  readonly patienceMs: number
  readonly runs: number
}

/** A stretch of one load. */
export interface Phase {
  readonly seconds: number
  readonly acknowledged: number
  readonly recordsPerSecond: number
}

export interface FollowerRun {
  readonly follower: string
  readonly before: Phase
  readonly away: Phase
  /** From the start of the follower's process until it was level, or until there was no more time or room. */
  readonly catchingUp: Phase
  /** Appends while it catches up, over those before. */
  readonly ratio: number
  /** From the start of its process until the node takes calls. */
  readonly startSeconds: number
  readonly isLevel: boolean
  /** Records that it hadn't yet at the end; left out where it didn't say. */
  readonly behindRecords?: number
  readonly missedBytes: number
  /** Of the whole load, from the warm-up to the end. */
  readonly load: LoadResult
}

export interface FollowerReport {
  readonly benchmark: 'follower'
  readonly settings: FollowerSettings
  readonly environment: Environment
  readonly runs: readonly FollowerRun[]
  /** Index of the run in the middle, by the ratio. */
  readonly median: number
  readonly spread: { readonly ratio: Spread }
}

/** While the follower catches up, at most so much is appended, by what it missed: the disk has an end. */
const mostAppendedTimes = 3
/** As much is always appended, so that there is time for the process to start. */
const leastRoomBytes = 1e9
/** A disk isn't filled to its last byte. */
const spareBytes = 2e9
/** Appends are seldom quicker than this; it only bounds what the time before the pause may need of the disk. */
const quickBytesPerMs = 150_000
const pollMs = 200
/** A follower is level when it lacks no more than what comes in such a time: under load it is never quite even. */
const levelMs = 500

export async function benchFollower(
  { context, version }: BenchContext,
  data: string | undefined,
  settings: FollowerSettings,
): Promise<FollowerReport> {
  return withOwnCluster(context, data, async (cluster) => {
    await ensureRoom(cluster.dataDirectory, settings)
    const environment = describeEnvironment(version, cluster.facts, replicationFactor)
    const runs: FollowerRun[] = []
    for (let number = 1; number <= settings.runs; number++) {
      const run = await withTopic(context, cluster.client, 1, (topic) =>
        followOnce(context, cluster, topic, settings),
      )
      say(
        context,
        `run ${number} of ${settings.runs}: ${Math.round(run.ratio * 100)} % while ${run.follower} catches up`,
      )
      runs.push(run)
    }
    const ratios = runs.map(({ ratio }) => ratio)
    return {
      benchmark: 'follower',
      settings,
      environment,
      runs,
      median: medianIndex(ratios),
      spread: { ratio: spreadOf(ratios) },
    }
  })
}

/** What the disk has to have room for: each node's replica of all that may be appended in a run. Pure. */
export function neededBytes({ missedBytes, warmupMs, beforeMs }: FollowerSettings): number {
  const beforeBytes = Math.min((warmupMs + beforeMs) * quickBytesPerMs, missedBytes)
  return replicationFactor * (beforeBytes + missedBytes + mostWhileCatchingUp(missedBytes)) + spareBytes
}

function mostWhileCatchingUp(missedBytes: number): number {
  return Math.max(missedBytes * mostAppendedTimes, leastRoomBytes)
}

async function ensureRoom(directory: string, settings: FollowerSettings): Promise<void> {
  const { bavail, bsize } = await statfs(directory)
  const needed = neededBytes(settings)
  if (bavail * bsize >= needed) return
  throw new CommandFailure(
    `the disk of ${directory} has ${formatBytes(bavail * bsize)} free, and this may need ${formatBytes(needed)}; ` +
      'choose a lower --missed, or another disk with --data',
  )
}

/** The follower's process is killed and started again; however this ends, the cluster's launcher leaves none behind. */
export async function followOnce(
  context: CliContext,
  cluster: OwnCluster,
  topic: BenchTopic,
  settings: FollowerSettings,
): Promise<FollowerRun> {
  const { client, launcher } = cluster
  const { sizeBytes, inFlight, missedBytes, warmupMs, beforeMs, patienceMs } = settings
  const target = new BatchedTarget(client, topic.name, 1, plainValues(new Payloads(sizeBytes)))
  const load = new Load(context, { inFlight, ratePerSecond: undefined }, target)
  const mark = (): Mark => ({ atMs: context.nowMs(), acknowledged: load.acknowledgedInWindow })
  const text = (): string => `${formatCount(load.acknowledgedInWindow)} records acknowledged`
  load.openWindow()
  load.start()
  try {
    say(context, `appending for ${formatDuration(warmupMs + beforeMs)} with all nodes`)
    await pass(context, warmupMs)
    const begun = mark()
    await during(context, text, pass(context, beforeMs))
    const follower = await chooseFollower(client, topic.name)
    const gone = mark()
    say(context, `${follower} is killed, until ${formatBytes(missedBytes)} were appended without it`)
    await launcher.kill(follower)
    const missedRecords = Math.ceil(missedBytes / sizeBytes)
    const enough = (): boolean => load.acknowledgedInWindow - gone.acknowledged >= missedRecords
    if (!(await during(context, text, until(context, patienceMs, enough)))) {
      throw new CommandFailure(
        `in ${formatDuration(patienceMs)} less than ${formatBytes(missedBytes)} were appended`,
      )
    }
    const returning = mark()
    say(context, `${follower} is started again, and catches up while the load goes on`)
    const before = phaseOf(begun, gone)
    const away = phaseOf(gone, returning)
    await launcher.start(follower)
    const startSeconds = (context.nowMs() - returning.atMs) / 1000
    let behindRecords = Infinity
    const isOver = async (): Promise<boolean> => {
      behindRecords = await behind(context, client, topic.name, follower)
      const appendedBytes = (load.acknowledgedInWindow - returning.acknowledged) * sizeBytes
      return isLevel(behindRecords, before) || appendedBytes >= mostWhileCatchingUp(missedBytes)
    }
    await during(context, text, until(context, patienceMs, isOver))
    const catchingUp = phaseOf(returning, mark())
    load.closeWindow()
    await load.stop(answerPatienceMs)
    return {
      follower,
      before,
      away,
      catchingUp,
      ratio: catchingUp.recordsPerSecond / before.recordsPerSecond,
      startSeconds,
      isLevel: isLevel(behindRecords, before),
      ...(Number.isFinite(behindRecords) && { behindRecords }),
      missedBytes: away.acknowledged * sizeBytes,
      load: load.result(),
    }
  } finally {
    await load.stop(answerPatienceMs)
    await target.close()
  }
}

interface Mark {
  readonly atMs: number
  readonly acknowledged: number
}

function phaseOf(from: Mark, to: Mark): Phase {
  const seconds = (to.atMs - from.atMs) / 1000
  const acknowledged = to.acknowledged - from.acknowledged
  return { seconds, acknowledged, recordsPerSecond: acknowledged / seconds }
}

/** Whether what a follower lacks is no more than what is always on its way. Pure. */
export function isLevel(behindRecords: number, { recordsPerSecond }: Phase): boolean {
  return behindRecords <= (recordsPerSecond * levelMs) / 1000
}

type Describing = OwnCluster['client']

/** A node that leads neither the partition nor the metadata: its going is no failover. */
async function chooseFollower(client: Describing, topic: string): Promise<string> {
  const { replicas, metadataLeaderNodeId } = await client.cluster.describe()
  const followers = replicas
    .filter((replica) => replica.topic === topic && replica.role === 'REPLICA_ROLE_FOLLOWER')
    .map(({ nodeId }) => nodeId)
  const follower = followers.find((nodeId) => nodeId !== metadataLeaderNodeId) ?? followers[0]
  if (follower === undefined) throw new CommandFailure(`partition 0 of ${topic} has no follower to stop`)
  return follower
}

/** Records that the leader has committed and the follower doesn't know to be; all where one of them says nothing. */
export function behindOf({ replicas }: DescribeClusterResponse, topic: string, follower: string): number {
  const ours = replicas.filter((replica) => replica.topic === topic)
  const leader = ours.find(({ role }) => role === 'REPLICA_ROLE_LEADER')
  const own = ours.find(({ nodeId }) => nodeId === follower)
  if (leader === undefined || own === undefined) return Infinity
  return Math.max(0, leader.highWatermark - own.highWatermark)
}

async function behind(
  context: CliContext,
  client: Describing,
  topic: string,
  follower: string,
): Promise<number> {
  const cluster = await awaitCluster(context, client, 'the cluster is described', () => true)
  return behindOf(cluster, topic, follower)
}

/** False where the time is over first. */
async function until(
  context: CliContext,
  patienceMs: number,
  condition: () => boolean | Promise<boolean>,
): Promise<boolean> {
  const deadlineMs = context.nowMs() + patienceMs
  while (!(await condition())) {
    if (context.nowMs() >= deadlineMs) return false
    await pass(context, pollMs)
  }
  return true
}
