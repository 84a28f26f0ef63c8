/** Groups in which nothing happens: what they cost, how long they take to make, and how long a start takes with them. */
import type { Client } from '../../client/types.ts'
import { Interrupted } from '../cluster-ready.ts'
import type { CliContext } from '../context.ts'
import { CommandFailure } from '../failure.ts'
import { formatCount, formatDuration } from '../format.ts'
import type { BenchContext } from './append.ts'
import { replicationFactor, withOwnCluster, type OwnCluster } from './bench-cluster.ts'
import { describeEnvironment, type Environment } from './environment.ts'
import { during, pass, say } from './narrate.ts'
import { readProcessUsage, readRssBytes } from './proc.ts'

export interface IdleSettings {
  /** Beside the metadata group. */
  readonly groups: number
  /** After the last group has its leader, and again after a start, before anything is measured. */
  readonly settleMs: number
  /** That the nodes are watched doing nothing. */
  readonly durationMs: number
}

/** What a node does while its groups do nothing. Left out where the system doesn't tell. */
export interface IdleNode {
  readonly nodeId: string
  readonly cpuPercentOfCore?: number
  /** Before there were groups, and at the end of the time that is measured. */
  readonly emptyRssBytes?: number
  readonly rssBytes?: number
  readonly rssBytesPerGroup?: number
  /** The same after all nodes were killed and started again: without what making the groups left behind. */
  readonly restartedCpuPercentOfCore?: number
  readonly restartedRssBytes?: number
  readonly restartedRssBytesPerGroup?: number
}

export interface IdleReport {
  readonly benchmark: 'idle'
  readonly settings: IdleSettings
  readonly environment: Environment
  /** From the first request until every group has a leader. */
  readonly createSeconds: number
  /** One node is killed and started: until it takes calls again. */
  readonly oneStartSeconds: number
  /** All nodes are killed and started at once: until all take calls, and until every group has a leader. */
  readonly allStartSeconds: number
  readonly allLeadSeconds: number
  readonly nodes: readonly IdleNode[]
}

/** The most partitions that a topic may have unless a node's limits say otherwise. */
const partitionsPerTopic = 1000
/** A request waits for a thousand groups to come to be on three nodes. */
const patienceMs = 120_000
const pollMs = 100

export async function benchIdle(
  { context, version }: BenchContext,
  data: string | undefined,
  settings: IdleSettings,
): Promise<IdleReport> {
  return withOwnCluster(context, data, async (cluster) => {
    const environment = describeEnvironment(version, cluster.facts, replicationFactor)
    const { client, launcher } = cluster
    const nodeIds = cluster.nodes.map(({ nodeId }) => nodeId)
    const empty = await rssOf(context, cluster, nodeIds)
    const topics = topicsOf(settings.groups)

    say(context, `making ${formatCount(settings.groups)} groups`)
    const createSeconds = await seconds(context, () => createAll(context, client, topics))
    const first = await watch(context, cluster, nodeIds, settings)

    say(context, 'killing one node and starting it again')
    const one = nodeIds[0]!
    await launcher.kill(one)
    const oneStartSeconds = await seconds(context, () => launcher.start(one))

    say(context, 'killing all nodes and starting them again')
    await Promise.all(nodeIds.map((nodeId) => launcher.kill(nodeId)))
    let allStartSeconds = 0
    const allLeadSeconds = await seconds(context, async () => {
      allStartSeconds = await seconds(context, () => launcher.startAll())
      await awaitLeaders(context, client, topics)
    })
    const second = await watch(context, cluster, nodeIds, settings)
    const nodes = nodeIds.map((nodeId) => {
      const node = { nodeId, ...empty.get(nodeId) }
      return idleNode(node.nodeId, node.rssBytes, first.get(nodeId), second.get(nodeId), settings.groups)
    })
    return {
      benchmark: 'idle',
      settings,
      environment,
      createSeconds,
      oneStartSeconds,
      allStartSeconds,
      allLeadSeconds,
      nodes,
    }
  })
}

interface BenchTopic {
  readonly name: string
  readonly partitions: number
}

/** As few topics as hold so many partitions. */
export function topicsOf(groups: number): BenchTopic[] {
  const count = Math.ceil(groups / partitionsPerTopic)
  return Array.from({ length: count }, (_, at) => ({
    name: `idle-${at}`,
    partitions: Math.min(partitionsPerTopic, groups - at * partitionsPerTopic),
  }))
}

async function createAll(context: CliContext, client: Client, topics: readonly BenchTopic[]): Promise<void> {
  let made = 0
  const text = (): string => `${formatCount(made)} groups`
  const work = async (): Promise<void> => {
    for (const { name, partitions } of topics) {
      if (context.interrupted.aborted) throw new Interrupted()
      await client.topics.create(name, { partitions, replicationFactor, timeoutMs: patienceMs })
      made += partitions
    }
  }
  await during(context, text, work())
  await awaitLeaders(context, client, topics)
}

/** By topic, for all at once may be more than one message holds. */
async function awaitLeaders(
  context: CliContext,
  client: Client,
  topics: readonly BenchTopic[],
): Promise<void> {
  const deadlineMs = context.nowMs() + patienceMs
  for (const { name } of topics) {
    while (!(await allLed(client, name))) {
      if (context.nowMs() >= deadlineMs)
        throw new CommandFailure(
          `waited ${formatDuration(patienceMs)} in vain for leaders of all partitions of ${name}`,
        )
      await pass(context, pollMs)
    }
  }
}

async function allLed(client: Client, name: string): Promise<boolean> {
  const { partitions } = await client.topics.describe(name, { timeoutMs: patienceMs })
  return partitions.every(({ leaderNodeId }) => leaderNodeId !== undefined)
}

interface Idle {
  readonly cpuPercentOfCore?: number
  readonly rssBytes?: number
}

/** Lets the nodes settle, then watches them doing nothing. */
async function watch(
  context: CliContext,
  { launcher }: OwnCluster,
  nodeIds: readonly string[],
  { settleMs, durationMs }: IdleSettings,
): Promise<Map<string, Idle>> {
  await during(context, () => 'settling', pass(context, settleMs))
  const usage = (): Promise<Awaited<ReturnType<typeof readProcessUsage>>[]> =>
    Promise.all(nodeIds.map(async (nodeId) => readProcessUsage(context, launcher.pidOf(nodeId) ?? 0)))
  const before = await usage()
  const beganMs = context.nowMs()
  await during(context, () => 'watching idle nodes', pass(context, durationMs))
  const after = await usage()
  const passedSeconds = (context.nowMs() - beganMs) / 1000
  return new Map(
    nodeIds.map((nodeId, at) => {
      const [from, to] = [before[at], after[at]]
      const rssBytes = to?.rssBytes
      if (from === undefined || to === undefined) return [nodeId, {}]
      const cpuPercentOfCore = ((to.cpuSeconds - from.cpuSeconds) / passedSeconds) * 100
      return [nodeId, { cpuPercentOfCore, ...(rssBytes !== undefined && { rssBytes }) }]
    }),
  )
}

async function rssOf(
  context: CliContext,
  { launcher }: OwnCluster,
  nodeIds: readonly string[],
): Promise<Map<string, { readonly rssBytes: number }>> {
  const all = new Map<string, { readonly rssBytes: number }>()
  for (const nodeId of nodeIds) {
    const rssBytes = await readRssBytes(context, launcher.pidOf(nodeId) ?? 0)
    if (rssBytes !== undefined) all.set(nodeId, { rssBytes })
  }
  return all
}

/** Puts together what was seen of a node. Pure. */
export function idleNode(
  nodeId: string,
  emptyRssBytes: number | undefined,
  first: Idle | undefined,
  second: Idle | undefined,
  groups: number,
): IdleNode {
  const perGroup = (rssBytes: number | undefined): number | undefined =>
    rssBytes === undefined || emptyRssBytes === undefined ? undefined : (rssBytes - emptyRssBytes) / groups
  const firstPerGroup = perGroup(first?.rssBytes)
  const secondPerGroup = perGroup(second?.rssBytes)
  return {
    nodeId,
    ...(first?.cpuPercentOfCore !== undefined && { cpuPercentOfCore: first.cpuPercentOfCore }),
    ...(emptyRssBytes !== undefined && { emptyRssBytes }),
    ...(first?.rssBytes !== undefined && { rssBytes: first.rssBytes }),
    ...(firstPerGroup !== undefined && { rssBytesPerGroup: firstPerGroup }),
    ...(second?.cpuPercentOfCore !== undefined && { restartedCpuPercentOfCore: second.cpuPercentOfCore }),
    ...(second?.rssBytes !== undefined && { restartedRssBytes: second.rssBytes }),
    ...(secondPerGroup !== undefined && { restartedRssBytesPerGroup: secondPerGroup }),
  }
}

async function seconds(context: CliContext, work: () => Promise<unknown>): Promise<number> {
  const beganMs = context.nowMs()
  await work()
  return (context.nowMs() - beganMs) / 1000
}
