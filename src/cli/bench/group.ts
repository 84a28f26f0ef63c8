import { plural } from '../format.ts'
import type { BenchContext } from './append.ts'
import { replicationFactor, withBenchCluster, withTopic, type ClusterChoice } from './bench-cluster.ts'
import { describeEnvironment, type Environment } from './environment.ts'
import { benchIdleGroups, type IdleGroups } from './group-idle.ts'
import { GroupBench, type GroupRun, type GroupRunSettings } from './group-run.ts'
import { benchTakeOvers, type TakeOver } from './group-take-over.ts'
import { say } from './narrate.ts'
import { medianIndex, spreadOf, type Spread } from './runs.ts'

export interface GroupSettings extends GroupRunSettings {
  /** 0: the idle groups alone. */
  readonly runs: number
  /** How often a member is killed. */
  readonly takeOvers: number
  readonly idleGroups: number
}

export interface GroupReport {
  readonly benchmark: 'group'
  readonly settings: GroupSettings
  readonly environment: Environment
  readonly runs: readonly GroupRun[]
  /** Index of the run in the middle, by throughput. */
  readonly median: number | undefined
  readonly spread: { readonly recordsPerSecond: Spread } | undefined
  readonly takeOvers: readonly TakeOver[]
  /** Undefined: none were asked for, or the system doesn't tell. */
  readonly idle: IdleGroups | undefined
}

export async function benchGroup(
  { context, version }: BenchContext,
  choice: ClusterChoice,
  settings: GroupSettings,
): Promise<GroupReport> {
  return withBenchCluster(context, choice, async (cluster) => {
    const { client, facts } = cluster
    const environment = describeEnvironment(version, facts, replicationFactor)
    // First, for what the runs leave behind in the nodes' memory would drown it.
    const idle = settings.idleGroups === 0 ? undefined : await benchIdleGroups(context, cluster, settings)
    const runs: GroupRun[] = []
    for (let number = 1; number <= settings.runs; number++) {
      say(context, `run ${number} of ${settings.runs}`)
      runs.push(
        await withTopic(context, client, settings.partitions, ({ name }) =>
          new GroupBench(context, cluster, name, settings).run(),
        ),
      )
    }
    const takeOvers: TakeOver[] = []
    if (settings.takeOvers > 0) {
      say(context, `killing a member ${plural(settings.takeOvers, 'time')}`)
      takeOvers.push(...(await benchTakeOvers(context, cluster, settings)))
    }
    const rates = runs.map(({ recordsPerSecond }) => recordsPerSecond)
    return {
      benchmark: 'group',
      settings,
      environment,
      runs,
      median: rates.length === 0 ? undefined : medianIndex(rates),
      spread: rates.length === 0 ? undefined : { recordsPerSecond: spreadOf(rates) },
      takeOvers,
      idle,
    }
  })
}
