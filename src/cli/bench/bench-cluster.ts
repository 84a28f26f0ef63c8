import type { Client } from '../../client/types.ts'
import { awaitCluster, awaitFormed } from '../cluster-ready.ts'
import { ClusterLauncher, describeExit, planCluster } from '../cluster-launcher.ts'
import type { CliContext } from '../context.ts'
import { CommandFailure } from '../failure.ts'
import { findFreePorts } from './free-ports.ts'
import type { LatencySummary } from './latency.ts'
import type { WatchedNode } from './resources.ts'
import { makeScratch, measureSync } from './scratch.ts'

export const replicationFactor = 3
const nodeCount = 3

export interface ClusterChoice {
  /** A cluster that runs already; undefined: one of its own. */
  readonly bootstrap?: string
  /** Where its own cluster keeps its data, in a folder that is removed afterwards. */
  readonly data?: string
}

/** What is known of the cluster, for the report. */
export interface ClusterFacts {
  readonly nodes: number
  readonly startedByBenchmark: boolean
  readonly dataInMemory?: boolean
  /** Of 4 KiB written and synced to the same disk, before the cluster was started. */
  readonly diskSync?: LatencySummary
}

/** The cluster that a benchmark runs against, and a client of it. */
export interface BenchCluster {
  readonly client: Client
  /** HOST:PORT,… */
  readonly bootstrap: string
  readonly facts: ClusterFacts
  readonly nodes: readonly WatchedNode[]
}

/** A cluster whose nodes may be killed. */
export interface OwnCluster extends BenchCluster {
  readonly launcher: ClusterLauncher
  /** With a folder for each node. */
  readonly dataDirectory: string
}

/** Connects to the cluster, or starts one for as long as `run` takes and leaves nothing of it. */
export async function withBenchCluster<T>(
  context: CliContext,
  choice: ClusterChoice,
  run: (cluster: BenchCluster) => Promise<T>,
): Promise<T> {
  if (choice.bootstrap === undefined) return withOwnCluster(context, choice.data, run)
  await using client = await context.connect({ bootstrap: choice.bootstrap })
  const { nodes } = await client.cluster.describe()
  const facts = { nodes: nodes.length, startedByBenchmark: false }
  const watched = nodes.map(({ nodeId }) => ({ nodeId, pid: undefined }))
  return await run({ client, facts, bootstrap: choice.bootstrap, nodes: watched })
}

export async function withOwnCluster<T>(
  context: CliContext,
  data: string | undefined,
  run: (cluster: OwnCluster) => Promise<T>,
): Promise<T> {
  await using scratch = await makeScratch(data)
  if (scratch.isInMemory) {
    context.stderr.write(
      `flotilla: ${scratch.directory} lies in memory, where a sync costs nothing; name a folder on a disk with --data\n`,
    )
  }
  const diskSync = await measureSync(scratch.directory)
  const facts = {
    nodes: nodeCount,
    startedByBenchmark: true,
    dataInMemory: scratch.isInMemory,
    ...(diskSync !== undefined && { diskSync }),
  }
  const plan = planCluster({
    nodes: nodeCount,
    firstPort: await findFreePorts(nodeCount),
    dataDirectory: scratch.directory,
  })
  await using launcher = new ClusterLauncher(context, plan, {
    onLoss: (nodeId, status, lastWords) =>
      context.stderr.write(`flotilla: ${nodeId} ended by itself (${describeExit(status)}): ${lastWords}\n`),
  })
  await launcher.startAll()
  await using client = await context.connect({ bootstrap: plan.bootstrap })
  await awaitFormed(context, client, nodeCount)
  const nodes = plan.nodes.map(({ nodeId }) => ({ nodeId, pid: launcher.pidOf(nodeId) }))
  const dataDirectory = scratch.directory
  return await run({ client, facts, bootstrap: plan.bootstrap, nodes, launcher, dataDirectory })
}

/** A topic for one run, with the address of each partition's leader. It is deleted afterwards, and its data with it. */
export interface BenchTopic {
  readonly name: string
  readonly leaderAddresses: readonly string[]
  /** How many partitions a node leads. */
  readonly leads: ReadonlyMap<string, number>
}

export async function withTopic<T>(
  context: CliContext,
  client: Client,
  partitions: number,
  run: (topic: BenchTopic) => Promise<T>,
): Promise<T> {
  const name = `bench-${context.wallMs().toString(36)}-${Math.round(context.nowMs() * 1000).toString(36)}`
  await client.topics.create(name, { partitions, replicationFactor })
  try {
    return await run(await awaitLeaders(context, client, name, partitions))
  } finally {
    await client.topics.delete(name)
  }
}

async function awaitLeaders(
  context: CliContext,
  client: Client,
  name: string,
  partitions: number,
): Promise<BenchTopic> {
  const { nodes, replicas } = await awaitCluster(
    context,
    client,
    'every partition has a leader',
    (cluster) => {
      const leaders = cluster.replicas.filter(
        ({ topic, role }) => topic === name && role === 'REPLICA_ROLE_LEADER',
      )
      return new Set(leaders.map(({ partition }) => partition)).size === partitions
    },
  )
  const addresses = new Map(nodes.map(({ nodeId, address }) => [nodeId, address]))
  const leaderIds: string[] = []
  for (const { topic, partition, nodeId, role } of replicas) {
    if (topic === name && role === 'REPLICA_ROLE_LEADER') leaderIds[partition] = nodeId
  }
  const leads = new Map<string, number>()
  for (const nodeId of leaderIds) leads.set(nodeId, (leads.get(nodeId) ?? 0) + 1)
  return { name, leads, leaderAddresses: leaderIds.map((nodeId) => addressOf(addresses, nodeId)) }
}

function addressOf(addresses: ReadonlyMap<string, string>, nodeId: string): string {
  const address = addresses.get(nodeId)
  if (address === undefined) throw new CommandFailure(`the cluster doesn't say where node ${nodeId} is`)
  return address
}
