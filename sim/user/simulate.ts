import { randomInt } from 'node:crypto'
import { relative } from 'node:path'
import { laws, type Violation } from '../checkers/violation.ts'
import { outside } from '../cluster/poison.ts'
import { faultNames, type FaultKind } from '../faults/kinds.ts'
import { writePicture } from '../picture/take.ts'
import { Recorder } from '../picture/recorder.ts'
import type { Plan } from '../plan.ts'
import { shrink } from '../shrink.ts'
import { packageVersion } from '../version.ts'
import { drawWorkloadPlan, workloadFaults, type WorkloadPlanOptions } from './plan.ts'
import { runWorkload, type WorkloadResult } from './run.ts'
import type { Workload } from './workload.ts'

export interface SimulateOptions {
  /** How many runs. Default 100; FLOTILLA_SIM_SEEDS goes before it. */
  readonly seeds?: number
  /** Of the first run; the next ones count up. Default: drawn, and printed. */
  readonly firstSeed?: number
  /** This run alone. FLOTILLA_SIM_SEED goes before it. */
  readonly seed?: number
  /** Brokers, 1 to 9. Default: 3, sometimes 1 or 5, by the seed. */
  readonly nodes?: number
  /** Virtual time under faults. Default 10 s. */
  readonly seconds?: number
  /** Kinds that may strike; 'client-crash' kills the workload's processes. Default: all that there are for workloads. */
  readonly faults?: readonly FaultKind[]
  /** A failure is made smaller for so long at most. Default 30 s of real time. */
  readonly shrinkSeconds?: number
  /** Where the picture of a failure goes, an HTML file; of one run by its seed, also where all held. FLOTILLA_SIM_VIEW goes before it. */
  readonly view?: string
  /** What is to be said. Default: lines on standard error. */
  readonly print?: (line: string) => void
}

export interface SimulateReport {
  readonly firstSeed: number
  readonly seeds: number
  readonly virtualMs: number
  readonly realMs: number
  readonly acts: number
  readonly kills: number
  /** How often each kind struck. */
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>
}

/** A run broke a law: the workload's own, or one of Flotilla's. The message says all that there is to say. */
export class SimulationError extends Error {
  override readonly name = 'SimulationError'
  readonly seed: number
  /** 'invariant' and 'progress' are the workload's; the others are Flotilla's own, and bugs of ours. */
  readonly law: string
  readonly detail: string
  /** The command that runs the seed again. */
  readonly replay: string
  /** The smallest run that still breaks it, as data. */
  readonly plan: Plan

  constructor(message: string, about: Pick<SimulationError, 'seed' | 'law' | 'detail' | 'replay' | 'plan'>) {
    super(message)
    this.seed = about.seed
    this.law = about.law
    this.detail = about.detail
    this.replay = about.replay
    this.plan = about.plan
  }
}

/** A simulation runs in this process. */
let isRunning = false

/**
 * Runs a workload with simulated brokers through faults, once for each seed: the brokers, the client and the workload are the
 * real code, time and everything outside are not. Resolves where everything held; rejects with SimulationError at the first
 * run in which something broke, after it was made smaller, and with RangeError on wrong options. A process simulates one
 * workload at a time, since clock and randomness of the whole process are taken away meanwhile.
 */
export async function simulate<Outside>(
  workload: Workload<Outside>,
  options: SimulateOptions = {},
): Promise<SimulateReport> {
  checkWorkload(workload)
  const settings = settingsOf(options)
  if (isRunning)
    throw new Error('simulate is running already; it takes the clock of its process, so await the one before')
  isRunning = true
  try {
    return await runSeeds(workload, settings)
  } finally {
    isRunning = false
  }
}

async function runSeeds<Outside>(workload: Workload<Outside>, settings: Settings): Promise<SimulateReport> {
  const startMs = outside.nowMs()
  const report = { virtualMs: 0, acts: 0, kills: 0, faults: {} as Partial<Record<FaultKind, number>> }
  if (settings.seeds > 1) settings.print(`simulating ${settings.seeds} seeds from ${settings.firstSeed}`)
  for (let seed = settings.firstSeed; seed < settings.firstSeed + settings.seeds; seed++) {
    const plan = drawWorkloadPlan(seed, settings.plan)
    const result = await runWorkload(workload, plan)
    if (result.violation !== undefined) throw await failure(workload, result, result.violation, settings)
    report.virtualMs += result.virtualMs
    report.acts += result.acts
    report.kills += result.kills
    for (const kind of faultNames) {
      if (result.faults[kind] > 0) report.faults[kind] = (report.faults[kind] ?? 0) + result.faults[kind]
    }
  }
  const { firstSeed, seeds, view, print } = settings
  if (view !== undefined && seeds === 1)
    await draw(workload, drawWorkloadPlan(firstSeed, settings.plan), settings)
  const realMs = outside.nowMs() - startMs
  print(
    `all held in ${seeds} ${seeds === 1 ? 'run' : 'runs'}: ${Math.round(report.virtualMs / 1000)} virtual seconds, ` +
      `${report.acts} acts, ${report.kills} kills`,
  )
  return { firstSeed, seeds, realMs, ...report }
}

interface Settings {
  readonly firstSeed: number
  readonly seeds: number
  readonly plan: WorkloadPlanOptions
  readonly shrinkMs: number
  readonly view: string | undefined
  readonly print: (line: string) => void
}

function settingsOf(options: SimulateOptions): Settings {
  const seed = numberOf('FLOTILLA_SIM_SEED', options.seed)
  const seeds = seed === undefined ? (numberOf('FLOTILLA_SIM_SEEDS', options.seeds) ?? 100) : 1
  const { nodes, seconds, faults, shrinkSeconds = 30 } = options
  within('seed', seed ?? options.firstSeed ?? 0, 0, Number.MAX_SAFE_INTEGER - 1e9)
  within('seeds', seeds, 1, 100_000_000)
  within('nodes', nodes ?? 3, 1, 9)
  within('seconds', seconds ?? 1, 0.1, 10_000)
  for (const kind of faults ?? []) {
    if (!workloadFaults.includes(kind)) {
      throw new RangeError(`faults names "${kind}"; for a workload there are ${workloadFaults.join(', ')}`)
    }
  }
  return {
    firstSeed: seed ?? options.firstSeed ?? randomInt(2 ** 47),
    seeds,
    plan: {
      ...(nodes === undefined ? {} : { nodes }),
      ...(seconds === undefined ? {} : { durationMs: Math.round(seconds * 1000) }),
      ...(faults === undefined ? {} : { faults }),
    },
    shrinkMs: shrinkSeconds * 1000,
    view: process.env['FLOTILLA_SIM_VIEW'] ?? options.view,
    print: options.print ?? ((line) => void process.stderr.write(`${line}\n`)),
  }
}

function numberOf(variable: string, otherwise: number | undefined): number | undefined {
  const text = process.env[variable]
  if (text === undefined || text === '') return otherwise
  const value = Number(text)
  if (!Number.isSafeInteger(value))
    throw new RangeError(`${variable} is ${text}; it has to be a whole number`)
  return value
}

function within(name: string, value: number, least: number, most: number): void {
  if (value >= least && value <= most) return
  throw new RangeError(`${name} is ${value}; it has to be from ${least} to ${most}`)
}

/** Names become host names of the simulated network, so those of brokers are taken. */
function checkWorkload<Outside>({ topics, processes, spared = [] }: Workload<Outside>): void {
  const names = Object.keys(processes)
  if (names.length === 0 || names.length > 16)
    throw new RangeError(`a workload has 1 to 16 processes, not ${names.length}`)
  for (const name of names) {
    if (!/^[a-z][a-z-]{0,29}$/i.test(name) || name === 'setup' || name === 'atEnd') {
      throw new RangeError(`a process can't be called "${name}"; letters and hyphens, and not setup or atEnd`)
    }
  }
  for (const name of spared) {
    if (!names.includes(name))
      throw new RangeError(`spared names "${name}"; the processes are ${names.join(', ')}`)
  }
  if (topics.length === 0) throw new RangeError('a workload names at least one topic')
}

/** Makes a failure smaller, draws it where that is wanted, and says how to see it again. */
async function failure<Outside>(
  workload: Workload<Outside>,
  result: WorkloadResult,
  violation: Violation,
  settings: Settings,
): Promise<SimulationError> {
  const { seed } = result.plan
  const untilMs = outside.nowMs() + settings.shrinkMs
  const attempt = async (plan: Plan): Promise<Violation | undefined> =>
    (await runWorkload(workload, plan)).violation
  const smallest =
    settings.shrinkMs === 0
      ? { plan: result.plan, violation, tries: 0 }
      : await shrink(result.plan, violation, attempt, () => outside.nowMs() < untilMs)
  if (settings.view !== undefined) await draw(workload, smallest.plan, settings)
  const replay = replayCommand(seed)
  const { plan } = smallest
  const message = [
    `seed ${seed} broke ${violation.law} after ${Math.round(smallest.violation.timeMs)} virtual ms: ${firstLine(smallest.violation.detail)}`,
    `  law: ${laws[violation.law]}`,
    `  ${plan.faults.length} faults and ${plan.work.length} kills are left after ${smallest.tries} tries to make it smaller:`,
    ...eventsOf(plan),
    `  again: ${replay}`,
    settings.view === undefined
      ? `  as a picture: FLOTILLA_SIM_VIEW=run.html ${replay}`
      : `  as a picture: ${settings.view}`,
    smallest.violation.detail,
  ].join('\n')
  const { detail } = smallest.violation
  return new SimulationError(message, { seed, law: violation.law, detail, replay, plan })
}

function eventsOf({ faults, work }: Plan): string[] {
  const lines = [
    ...faults.map(({ kind, atMs, forMs }) => ({ atMs, text: `${kind}, ${forMs} ms` })),
    ...work.map(({ atMs, key }) => ({
      atMs,
      text: key === 0 ? 'a process is killed after its next act' : 'a process is killed',
    })),
  ]
  return lines
    .sort((left, right) => left.atMs - right.atMs)
    .slice(0, 20)
    .map(({ atMs, text }) => `    at ${String(atMs).padStart(6)} ms  ${text}`)
}

async function draw<Outside>(workload: Workload<Outside>, plan: Plan, settings: Settings): Promise<void> {
  const { view } = settings
  if (view === undefined) return
  let recorder: Recorder | undefined
  await runWorkload(workload, plan, (world) => (recorder = new Recorder(world)))
  const title = `${plan.nodes} nodes, ${Object.keys(workload.processes).join(', ')}, ${plan.faults.length} faults, ${plan.work.length} kills`
  const replay = replayCommand(plan.seed)
  await writePicture(view, recorder!.picture({ version: packageVersion(), replay, title }))
}

/** The program that runs now, with the seed before it. */
function replayCommand(seed: number): string {
  const words = process.argv
    .slice(1)
    .map((word) => (word.startsWith('/') ? relative(process.cwd(), word) : word))
  return `FLOTILLA_SIM_SEED=${seed} node ${words.join(' ')}`
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? ''
}
