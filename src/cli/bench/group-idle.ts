/** Consumer groups in which nothing happens, each with a member: what they cost the nodes. */
import type { Client, GroupConsumer } from '../../client/types.ts'
import type { CliContext } from '../context.ts'
import { formatCount, plural } from '../format.ts'
import { withTopic, type BenchCluster } from './bench-cluster.ts'
import { during, pass, say } from './narrate.ts'
import { readProcessUsage } from './proc.ts'

export interface IdleGroupNode {
  readonly nodeId: string
  /** Beyond what the node does without the groups. */
  readonly cpuPercentOfCore: number
  readonly rssBytes: number
}

export interface IdleGroups {
  readonly groups: number
  readonly nodes: readonly IdleGroupNode[]
}

/** Nodes give memory back in two steps after ten seconds of idleness each, and the first ten may have begun busy. */
const settleMs = 35_000
/** Long enough that one collection of garbage more or less, 0.1 s, doesn't matter. */
const watchMs = 60_000
/** That many join at once. */
const joinsAtOnce = 20

interface Idle {
  readonly cpuPercentOfCore: number
  readonly rssBytes: number
}

/** Undefined where the system tells nothing of the nodes' processes. */
export async function benchIdleGroups(
  context: CliContext,
  cluster: BenchCluster,
  { idleGroups }: { readonly idleGroups: number },
): Promise<IdleGroups | undefined> {
  return withTopic(context, cluster.client, 1, async ({ name }) => {
    say(context, `${plural(idleGroups, 'group')} with a member each`)
    const before = await watch(context, cluster)
    const members: Member[] = []
    try {
      const join = joinAll(context, cluster.client, name, idleGroups, members)
      await during(context, () => `${formatCount(members.length)} groups`, join)
      const after = await watch(context, cluster)
      const nodes = [...after].flatMap(([nodeId, { cpuPercentOfCore, rssBytes }]) => {
        const empty = before.get(nodeId)
        if (empty === undefined) return []
        return {
          nodeId,
          cpuPercentOfCore: cpuPercentOfCore - empty.cpuPercentOfCore,
          rssBytes: rssBytes - empty.rssBytes,
        }
      })
      return nodes.length === 0 ? undefined : { groups: idleGroups, nodes }
    } finally {
      await Promise.all(members.map(({ consumer }) => consumer.close()))
      await Promise.all(members.map(({ ended }) => ended))
      for (const { group } of members) await cluster.client.groups.delete(group)
    }
  })
}

interface Member {
  readonly group: string
  readonly consumer: GroupConsumer
  readonly ended: Promise<void>
}

async function joinAll(
  context: CliContext,
  client: Client,
  topic: string,
  count: number,
  members: Member[],
): Promise<void> {
  const join = async (number: number): Promise<void> => {
    const group = `${topic}-${number}`
    const consumer = client.consume({ group, topics: [topic] })
    const consume = async (): Promise<void> => {
      for await (const _ of consumer.batches());
    }
    members.push({ group, consumer, ended: consume() })
    await consumer.caughtUp()
  }
  for (let from = 0; from < count; from += joinsAtOnce) {
    const numbers = Array.from({ length: Math.min(joinsAtOnce, count - from) }, (_, at) => from + at)
    await Promise.all(numbers.map(join))
    await pass(context, 0)
  }
}

async function watch(context: CliContext, { nodes }: BenchCluster): Promise<Map<string, Idle>> {
  await during(context, () => 'settling', pass(context, settleMs))
  const look = (): Promise<Awaited<ReturnType<typeof readProcessUsage>>[]> =>
    Promise.all(
      nodes.map(async ({ pid }) => (pid === undefined ? undefined : readProcessUsage(context, pid))),
    )
  const before = await look()
  const beganMs = context.nowMs()
  await during(context, () => 'watching idle nodes', pass(context, watchMs))
  const after = await look()
  const passedSeconds = (context.nowMs() - beganMs) / 1000
  const seen = new Map<string, Idle>()
  for (const [at, { nodeId }] of nodes.entries()) {
    const [from, to] = [before[at], after[at]]
    if (from === undefined || to?.rssBytes === undefined) continue
    const cpuPercentOfCore = ((to.cpuSeconds - from.cpuSeconds) / passedSeconds) * 100
    seen.set(nodeId, { cpuPercentOfCore, rssBytes: to.rssBytes })
  }
  return seen
}
