import { randomInt } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bench } from './bench.ts'
import { laws, type Violation } from './checkers/violation.ts'
import { main as coreMain } from './core/main.ts'
import { faultNames } from './faults/kinds.ts'
import { helpText, parseOptions, UsageError, type SwarmOptions } from './options.ts'
import { mutantIn, runMutant } from './mutants/command.ts'
import { ownMutant } from './mutants/tree.ts'
import { drawPlan, type Plan, type PlanOptions } from './plan.ts'
import { scenarios } from './scenarios.ts'
import { takePicture, writePicture } from './picture/take.ts'
import { shrink } from './shrink.ts'
import { runPlan, type RunResult } from './simulation.ts'
import { add, emptySummary, summaryText, type Summary } from './summary.ts'
import { runSwarm } from './swarm.ts'
import { packageVersion } from './version.ts'

export interface Io {
  /** Results. */
  print(text: string): void
  /** Progress and problems. */
  tell(text: string): void
  /** Progress may be drawn over itself. */
  readonly isTerminal: boolean
  nowMs(): number
  /** What a user typed before the options. Default: npm run sim -- */
  readonly command?: string
}

const commandOf = ({ command = 'npm run sim --' }: Io): string => command

export const ALL_HELD = 0
export const BROKEN = 1
export const WRONG_USE = 2

/** After so many runs with all faults, one that never struck tests nothing. */
const SEEDS_THAT_STRIKE = 1000
const PROGRESS_EVERY_MS = 10_000

/** Runs what the arguments ask for; returns the exit code. */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  try {
    const { name, rest } = mutantIn(argv)
    if (name !== undefined) {
      return await runMutant(
        name,
        rest,
        (line) => io.print(line),
        (words) => main(words, io),
      )
    }
    const command = parseOptions(argv)
    switch (command.type) {
      case 'help':
        io.print(helpText(commandOf(io)))
        return ALL_HELD
      case 'core':
        return coreMain(command.argv, (line) => io.print(line))
      case 'bench':
        io.print(await bench(command.options, (text) => io.tell(text)))
        return ALL_HELD
      case 'run':
        return command.options.repro === undefined
          ? await runSeeds(command.options, io)
          : await runRepro(command.options.repro, command.options.view, io)
    }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    io.tell(error.message)
    return WRONG_USE
  }
}

async function runSeeds(options: SwarmOptions, io: Io): Promise<number> {
  const startMs = io.nowMs()
  const firstSeed = options.firstSeed ?? randomInt(2 ** 47)
  const goal = { ...options, firstSeed, untilMs: startMs + options.minutes * 60_000 }
  const summary = emptySummary()
  const progress = new Progress(io, options, startMs)
  let digest = ''
  if (options.seeds !== 1) io.tell(`seeds from ${firstSeed}, ${options.jobs} at a time`)
  const failed = await runSwarm(
    goal,
    () => io.nowMs(),
    (outcome) => {
      digest = outcome.digest
      add(summary, outcome)
      progress.show(summary)
    },
  )
  progress.clear()
  const wallMs = io.nowMs() - startMs
  const neverStruck = idleFaults(options, summary)
  if (options.output === 'json') {
    const broken =
      failed?.violation === undefined ? {} : { failed: { seed: failed.seed, ...failed.violation } }
    io.print(JSON.stringify({ firstSeed, wallMs, ...summary, ...broken, neverStruck }))
  } else {
    if (options.digest && options.seeds === 1) io.print(`digest ${digest}`)
    io.print(summaryText(summary, wallMs))
  }
  if (options.view !== undefined) {
    const replay = replayCommand(firstSeed, options, io)
    const drawn = await draw(drawPlan(firstSeed, options.plan), replay, options.view, io)
    if (drawn.digest !== digest)
      io.tell(`the picture is of another run (digest ${drawn.digest}): this machine is not deterministic`)
  }
  if (failed?.violation !== undefined) {
    await explain(failed.seed, failed.violation, options, io)
    return BROKEN
  }
  if (neverStruck.length > 0) {
    io.tell(
      `these never struck in ${summary.seeds} seeds, so nothing was tested by them: ${neverStruck.join(', ')}`,
    )
    return BROKEN
  }
  if (options.output === 'table')
    io.print(`\nall held in ${summary.seeds} ${summary.seeds === 1 ? 'run' : 'runs'}`)
  return ALL_HELD
}

function idleFaults(options: SwarmOptions, summary: Summary): string[] {
  if (options.plan.faults !== undefined || summary.seeds < SEEDS_THAT_STRIKE) return []
  return faultNames.filter((kind) => summary.faults[kind] === 0)
}

/** Prints what broke and how to see it again, and leaves the smallest plan that breaks it. */
async function explain(seed: number, violation: Violation, options: SwarmOptions, io: Io): Promise<void> {
  io.tell(
    `\nseed ${seed} broke ${violation.law} after ${Math.round(violation.timeMs)} virtual ms\n` +
      `  law: ${laws[violation.law]}\n  ${violation.detail}\n` +
      `again: ${replayCommand(seed, options, io)}`,
  )
  const plan = drawPlan(seed, options.plan)
  let smallest = { plan, violation, tries: 0 }
  if (options.shrinkMs > 0) {
    io.tell(`making it smaller, up to ${options.shrinkMs / 1000} s …`)
    const untilMs = io.nowMs() + options.shrinkMs
    const attempt = async (smaller: Plan): Promise<Violation | undefined> =>
      (await runPlan(smaller)).violation
    smallest = await shrink(plan, violation, attempt, () => io.nowMs() < untilMs)
  }
  await mkdir(options.out, { recursive: true })
  const path = join(options.out, 'repro.json')
  const { faults, work } = smallest.plan
  await writeFile(
    path,
    `${JSON.stringify({ violation: smallest.violation, plan: smallest.plan }, null, 2)}\n`,
  )
  io.tell(
    `${path}: ${faults.length} faults and ${work.length} calls are left after ${smallest.tries} tries; ` +
      `again: ${commandOf(io)} --repro ${path}`,
  )
  for (const { kind, atMs, forMs } of faults)
    io.tell(`  at ${String(atMs).padStart(6)} ms  ${kind}, ${forMs} ms`)
  await draw(smallest.plan, `${commandOf(io)} --repro ${path}`, join(options.out, 'repro.html'), io)
}

/** Runs a plan once more and writes its picture. */
async function draw(plan: Plan, replay: string, path: string, io: Io): Promise<RunResult> {
  const { result, picture } = await takePicture(plan, { version: packageVersion(), replay })
  await writePicture(path, picture)
  io.tell(`${path}: the run as a picture; open it in a browser`)
  return result
}

function replayCommand(seed: number, { plan, scenario }: SwarmOptions, io: Io): string {
  const words = [`${commandOf(io)} --seed ${seed}`]
  const mutant = ownMutant()
  if (mutant !== undefined) words.push(`--mutant ${mutant}`)
  if (scenario !== undefined) words.push(`--scenario ${scenario}`)
  // What a scenario says needs no saying again.
  const known: PlanOptions = scenario === undefined ? {} : scenarios[scenario].plan
  if (plan.nodes !== known.nodes) words.push(`--nodes ${plan.nodes}`)
  if (plan.partitions !== known.partitions) words.push(`--partitions ${plan.partitions}`)
  if (plan.members !== known.members) words.push(`--members ${plan.members}`)
  if (plan.durationMs !== undefined && plan.durationMs !== known.durationMs)
    words.push(`--seconds ${plan.durationMs / 1000}`)
  if (plan.faults !== undefined && plan.faults !== known.faults)
    words.push(`--faults ${plan.faults.join(',') || 'none'}`)
  return words.join(' ')
}

async function runRepro(path: string, view: string | undefined, io: Io): Promise<number> {
  const plan = await readPlan(path)
  const { violation, notes } =
    view === undefined ? await runPlan(plan) : await draw(plan, `${commandOf(io)} --repro ${path}`, view, io)
  for (const note of notes) io.print(note)
  if (violation === undefined) {
    io.print('\nall held')
    return ALL_HELD
  }
  io.tell(`\nbroke ${violation.law} after ${Math.round(violation.timeMs)} virtual ms: ${violation.detail}`)
  return BROKEN
}

async function readPlan(path: string): Promise<Plan> {
  let content: { readonly plan?: Plan }
  try {
    content = JSON.parse(await readFile(path, 'utf8')) as { readonly plan?: Plan }
  } catch (error) {
    throw new UsageError(`--repro ${path} can't be read: ${String(error)}`, { cause: error })
  }
  if (!Array.isArray(content.plan?.faults))
    throw new UsageError(`--repro ${path} holds no plan; is it a repro.json?`)
  return content.plan
}

/** One line, drawn over itself on a terminal; elsewhere now and then a line. */
class Progress {
  readonly #io: Io
  readonly #options: SwarmOptions
  readonly #startMs: number
  #toldMs: number

  constructor(io: Io, options: SwarmOptions, startMs: number) {
    this.#io = io
    this.#options = options
    this.#startMs = startMs
    this.#toldMs = startMs
  }

  show(summary: Summary): void {
    const { seeds, minutes } = this.#options
    if (seeds === 1) return
    const nowMs = this.#io.nowMs()
    const done = seeds === undefined ? (nowMs - this.#startMs) / (minutes * 60_000) : summary.seeds / seeds
    const width = 30
    const filled = Math.min(width, Math.round(done * width))
    const bar = '█'.repeat(filled) + '░'.repeat(width - filled)
    const text = `${bar} ${summary.seeds} seeds, ${summary.acknowledged} acknowledged, all held`
    if (this.#io.isTerminal) this.#io.tell(`\r${text}`)
    else if (nowMs - this.#toldMs >= PROGRESS_EVERY_MS) {
      this.#toldMs = nowMs
      this.#io.tell(text)
    }
  }

  clear(): void {
    if (this.#io.isTerminal) this.#io.tell('\r\u001b[K')
  }
}
