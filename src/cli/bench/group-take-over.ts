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
  // Of one partition the second member gets nothing that could be taken over.
  if (settings.partitions < 2) return all
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
  const others = new Set<number>()
  const member = context.spawnMember(
    [topic, '--group', topic, '--bootstrap', cluster.bootstrap, '--output', 'ndjson'],
    (line) => noteOwned(others, line),
  )
  try {
    const theirs = Math.floor(settings.partitions / 2)
    const ours = settings.partitions - theirs
    const shared = async (): Promise<void> => {
      while (others.size !== theirs || consumer.assignment().length !== ours) await pass(context, pollMs)
      await pass(context, settleMs)
    }
    await during(context, () => 'two members share the topic', shared())
    const killedMs = context.nowMs()
    member.kill('SIGKILL')
    await member.exited
    firstMs.clear()
    const lost = [...others]
    const taken = async (): Promise<void> => {
      while (!lost.every((partition) => firstMs.has(partition))) await pass(context, pollMs)
    }
    await during(context, () => 'a member was killed: waiting for its partitions', taken())
    const takenOverMs = Math.max(...lost.map((partition) => firstMs.get(partition)! - killedMs))
    return { partitions: lost.length, takenOverMs, beyondLeaseMs: takenOverMs - leaseMs }
  } finally {
    member.kill('SIGKILL')
    await load.stop()
    await consumer.close()
    await consuming
    // The other member's lease has ended, unless something failed before.
    await cluster.client.groups.delete(topic).catch(() => undefined)
  }
}

/** What `flotilla consume` says of its partitions: `assigned: TOPIC/0, TOPIC/3`, `revoked: …`, `lost: …`. */
export function noteOwned(owned: Set<number>, line: string): void {
  const [, what, names = ''] = /^(assigned|revoked|lost): (.*)$/.exec(line) ?? []
  if (what === undefined) return
  for (const [, partition] of names.matchAll(/\/(\d+)/g)) {
    if (what === 'assigned') owned.add(Number(partition))
    else owned.delete(Number(partition))
  }
}
