import type { PlanOptions } from './plan.ts'
import { startProcess } from './processes.ts'

export type BenchTask =
  | { readonly type: 'cluster'; readonly seed: number; readonly plan: PlanOptions }
  | { readonly type: 'core'; readonly seed: number }

/** What one run took. */
export interface BenchRun {
  readonly events: number
  readonly virtualMs: number
  /** User and system time of the process. */
  readonly cpuMs: number
  /** Resident, when the run was over. */
  readonly rssBytes: number
  readonly peakRssBytes: number
  /** The law that did not hold, if one didn't. */
  readonly broken: string | undefined
}

export interface BenchOptions {
  /** Of whole clusters; the core alone gets ten times as many. */
  readonly seeds: number
  readonly firstSeed: number
  readonly output: 'table' | 'json'
}

/** Speed by the processor's time: what else the machine does counts little. */
export interface BenchFigures {
  readonly seeds: number
  readonly firstSeed: number
  /** Runs in a minute of one core. */
  readonly seedsAMinute: number
  readonly eventsASecond: number
  /** Virtual time over the processor's time. */
  readonly speedUp: number
  readonly cpuMsASeed: { readonly median: number; readonly p90: number; readonly most: number }
  readonly peakRssMiB: number
  /** Of a line through the second half of the runs; undefined where these are too few for it to say anything. */
  readonly rssSlopeMiBPer1000Seeds: number | undefined
}

export const DEFAULT_SEEDS = 40
export const DEFAULT_FIRST_SEED = 1000
/**
 * V8 compiles what runs often, and whole clusters run so much code that this takes it a minute; a swarm's processes run
 * hundreds of seeds. These aren't counted.
 */
const WARM_UP = { cluster: 60, core: 40 } as const
const MIB = 1024 * 1024
/** Resident memory goes up and down by a tenth from run to run. */
const SLOPE_SEEDS = 400

/** Three brokers, four partitions, thirty virtual seconds of load, all faults, no consumer group. */
const CLUSTER: PlanOptions = { nodes: 3, partitions: 4, members: 0, durationMs: 30_000 }

/** Measures whole clusters and the core alone, each in a process of its own. Throws where a run breaks a law. */
export async function bench(
  { seeds, firstSeed, output }: BenchOptions,
  tell: (text: string) => void,
): Promise<string> {
  tell(`${seeds} clusters and ${10 * seeds} cores from seed ${firstSeed}, one at a time`)
  const cluster = await measure('cluster', seeds, firstSeed)
  const core = await measure('core', 10 * seeds, firstSeed)
  return output === 'json' ? JSON.stringify({ cluster, core }) : table(cluster, core)
}

async function measure(type: BenchTask['type'], seeds: number, firstSeed: number): Promise<BenchFigures> {
  const runs: BenchRun[] = []
  const child = startProcess('bench-worker')
  const exited = new Promise<number | null>((resolve, reject) => {
    child.on('exit', resolve)
    child.on('error', reject)
  })
  try {
    for (let seed = firstSeed - WARM_UP[type]; seed < firstSeed + seeds; seed++) {
      const told = new Promise<BenchRun>((resolve) => child.once('message', resolve))
      child.send((type === 'core' ? { type, seed } : { type, seed, plan: CLUSTER }) satisfies BenchTask)
      const ended = exited.then((code) => {
        throw new Error(`the process that ran seed ${seed} ended with ${code}`)
      })
      const run = await Promise.race([told, ended])
      if (run.broken !== undefined) throw new Error(`seed ${seed} broke ${run.broken}: that is no benchmark`)
      if (seed >= firstSeed) runs.push(run)
    }
  } finally {
    if (child.connected) child.disconnect()
  }
  return figuresOf(runs, firstSeed)
}

export function figuresOf(runs: readonly BenchRun[], firstSeed: number): BenchFigures {
  const sum = (of: (run: BenchRun) => number): number => runs.reduce((total, run) => total + of(run), 0)
  const cpuMs = sum((run) => run.cpuMs)
  const sorted = runs.map((run) => run.cpuMs).sort((left, right) => left - right)
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? 0
  return {
    seeds: runs.length,
    firstSeed,
    seedsAMinute: (runs.length * 60_000) / cpuMs,
    eventsASecond: (1000 * sum((run) => run.events)) / cpuMs,
    speedUp: sum((run) => run.virtualMs) / cpuMs,
    cpuMsASeed: { median: at(0.5), p90: at(0.9), most: at(1) },
    peakRssMiB: Math.max(...runs.map((run) => run.peakRssBytes)) / MIB,
    rssSlopeMiBPer1000Seeds:
      runs.length < SLOPE_SEEDS
        ? undefined
        : (1000 * slopeOf(runs.slice(runs.length >> 1).map((run) => run.rssBytes))) / MIB,
  }
}

/** Of the line with the least squares through values at 0, 1, 2 … */
export function slopeOf(values: readonly number[]): number {
  const middle = (values.length - 1) / 2
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  let rise = 0
  let run = 0
  values.forEach((value, x) => {
    rise += (x - middle) * (value - mean)
    run += (x - middle) ** 2
  })
  return run === 0 ? 0 : rise / run
}

function table(cluster: BenchFigures, core: BenchFigures): string {
  const whole = (value: number): string => Math.round(value).toLocaleString('en-US')
  const rows: readonly (readonly [string, (figures: BenchFigures) => string])[] = [
    ['seeds', ({ seeds }) => whole(seeds)],
    ['seeds a minute and core', ({ seedsAMinute }) => whole(seedsAMinute)],
    ['ms a seed: median', ({ cpuMsASeed }) => whole(cpuMsASeed.median)],
    ['ms a seed: 9 of 10 within', ({ cpuMsASeed }) => whole(cpuMsASeed.p90)],
    ['ms a seed: most', ({ cpuMsASeed }) => whole(cpuMsASeed.most)],
    ['events a second', ({ eventsASecond }) => whole(eventsASecond)],
    ['virtual time over real', ({ speedUp }) => whole(speedUp)],
    ['peak memory, MiB', ({ peakRssMiB }) => whole(peakRssMiB)],
    [
      'growth, MiB per 1,000 seeds',
      ({ rssSlopeMiBPer1000Seeds: slope }) => (slope === undefined ? `from ${SLOPE_SEEDS} on` : whole(slope)),
    ],
  ]
  const line = (name: string, left: string, right: string): string =>
    `${name.padEnd(30)}${left.padStart(16)}${right.padStart(16)}`
  return [
    line('', 'whole clusters', 'core alone'),
    ...rows.map(([name, show]) => line(name, show(cluster), show(core))),
    '',
    "By the processor's time (user and system), one process, after a warm-up.",
    'Whole clusters: 3 brokers, 4 partitions, 30 virtual seconds of load, all faults, no consumer group.',
  ].join('\n')
}
