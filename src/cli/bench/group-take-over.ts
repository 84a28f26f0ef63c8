/** A member that is a process of its own is killed: how long its partitions wait. */
import type { CliContext } from '../context.ts'
import { withTopic, type BenchCluster } from './bench-cluster.ts'
import { SteadyLoad } from './group-load.ts'
import { during, pass } from './narrate.ts'
import { Payloads } from './payloads.ts'

export interface TakeOverSettings {
  readonly sizeBytes: number
  readonly partitions: number
  readonly ratePerSecond: number
  readonly takeOvers: number
}

export interface TakeOver {
  /** That the killed member had. */
  readonly partitions: number
  /** From SIGKILL until the first record of each has come to another member; the longest of all. */
  readonly takenOverMs: number
  /** The same without the lease: what the group needs once it knows. Below 0: the last heartbeat was older than the kill. */
  readonly beyondLeaseMs: number
}

/** The default, which `flotilla consume` has. */
const leaseMs = 10_000
const settleMs = 2000
const pollMs = 1

export async function benchTakeOvers(
  context: CliContext,
  cluster: BenchCluster,
  settings: TakeOverSettings,
): Promise<TakeOver[]> {
  const all: TakeOver[] = []
  for (let number = 0; number < settings.takeOvers; number++) {
    all.push(
      await withTopic(context, cluster.client, settings.partitions, ({ name }) =>
        takeOver(context, cluster, name, settings),
      ),
    )
  }
  return all
}

/** Two members, one of them here; records come at a steady rate, and the other one is killed. */
async function takeOver(
  context: CliContext,
  cluster: BenchCluster,
  topic: string,
  settings: TakeOverSettings,
): Promise<TakeOver> {
  const firstMs = new Map<number, number>()
  const consumer = cluster.client.consume({ group: topic, topics: [topic] })
  const consume = async (): Promise<void> => {
    for await (const { partition } of consumer.batches()) {
      if (!firstMs.has(partition)) firstMs.set(partition, context.nowMs())
    }
  }
  const consuming = consume()
  const payloads = new Payloads(settings.sizeBytes)
  const load = new SteadyLoad(context, cluster, topic, { ...settings, payloads })
  const member = context.spawnMember(
    [topic, '--group', topic, '--bootstrap', cluster.bootstrap, '--output', 'ndjson'],
    () => undefined,
  )
  try {
    const owned = settings.partitions - Math.ceil(settings.partitions / 2)
    const shared = async (): Promise<void> => {
      while (consumer.assignment().length !== settings.partitions - owned) await pass(context, pollMs)
      await pass(context, settleMs)
    }
    await during(context, () => 'two members share the topic', shared())
    const mine = new Set(consumer.assignment().map(({ partition }) => partition))
    const killedMs = context.nowMs()
    member.kill('SIGKILL')
    await member.exited
    firstMs.clear()
    const others = Array.from({ length: settings.partitions }, (_, at) => at).filter((at) => !mine.has(at))
    const taken = async (): Promise<void> => {
      while (!others.every((partition) => firstMs.has(partition))) await pass(context, pollMs)
    }
    await during(context, () => 'a member was killed: waiting for its partitions', taken())
    const takenOverMs = Math.max(...others.map((partition) => firstMs.get(partition)! - killedMs))
    return { partitions: others.length, takenOverMs, beyondLeaseMs: takenOverMs - leaseMs }
  } finally {
    member.kill('SIGKILL')
    await load.stop()
    await consumer.close()
    await consuming
    // The other member's lease has ended, unless something failed before.
    await cluster.client.groups.delete(topic).catch(() => undefined)
  }
}
