import { RandomStream } from '../core/random.ts'
import { faultNames, workFaults, type FaultKind } from '../faults/kinds.ts'
import { drawPlan, type Plan } from '../plan.ts'
import type { Work } from '../workload/work.ts'

/**
 * Kinds that the workload of the simulator's own brings about; of these a user's workload meets only kills. And no disk is
 * lost: a user's topic may have one replica.
 */
const foreign: ReadonlySet<FaultKind> = new Set([
  ...workFaults.filter((kind) => kind !== 'client-crash'),
  'wipe',
])
/** Kinds that a workload can be simulated with. */
export const workloadFaults: readonly FaultKind[] = faultNames.filter((kind) => !foreign.has(kind))

export interface WorkloadPlanOptions {
  readonly nodes?: number
  readonly durationMs?: number
  readonly faults?: readonly FaultKind[]
}

const DEFAULT_DURATION_MS = 10_000
/** Kills of a run of ten seconds. */
const MOST_KILLS = 6

/** Draws a run of a workload from its seed. The kills of its processes stand in `work`, as data that can be shrunk. */
export function drawWorkloadPlan(seed: number, options: WorkloadPlanOptions = {}): Plan {
  const durationMs = options.durationMs ?? DEFAULT_DURATION_MS
  const plan = drawPlan(seed, {
    ...options,
    durationMs,
    partitions: 1,
    faults: (options.faults ?? workloadFaults).filter((kind) => kind !== 'client-crash'),
  })
  const isKilled = options.faults === undefined || options.faults.includes('client-crash')
  return { ...plan, producers: 0, work: isKilled ? drawKills(seed, durationMs) : [] }
}

/** `key` 0: right after the process's next act took place, before it hears of it; else at any moment. */
function drawKills(seed: number, durationMs: number): Work[] {
  const random = new RandomStream(seed, 'kills')
  const most = Math.max(1, Math.round((MOST_KILLS * durationMs) / DEFAULT_DURATION_MS))
  const kills = Array.from({ length: random.between(1, most) }, (): Work => {
    const atMs = random.below(durationMs)
    const [actor, key, amount] = [random.below(1000), random.below(3), random.below(1_000_000)]
    return { kind: 'client-crash', atMs, actor, key, count: 0, bytes: 0, amount }
  })
  return kills.sort((left, right) => left.atMs - right.atMs)
}
