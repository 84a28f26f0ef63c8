import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { faultKinds, faultNames, type FaultKind } from './faults/kinds.ts'
import { DEFAULT_FIRST_SEED, DEFAULT_SEEDS, type BenchOptions } from './bench.ts'
import { laws } from './checkers/violation.ts'
import type { PlanOptions } from './plan.ts'
import { scenarioNames, scenarios, type ScenarioName } from './scenarios.ts'

/** What a user asked for. */
export interface SwarmOptions {
  readonly plan: PlanOptions
  /** The one that `plan` follows, apart from what was asked for besides. */
  readonly scenario: ScenarioName | undefined
  /** The first of the seeds that are run; undefined: drawn. */
  readonly firstSeed: number | undefined
  /** How many; undefined: as many as fit into `minutes`. */
  readonly seeds: number | undefined
  readonly minutes: number
  readonly jobs: number
  readonly digest: boolean
  /** Where repro.json goes. */
  readonly out: string
  readonly output: 'table' | 'json'
  /** A repro.json to run again. */
  readonly repro: string | undefined
  /** Where the picture of a single run goes. */
  readonly view: string | undefined
  /** A failing plan is made smaller for so long at most. */
  readonly shrinkMs: number
}

export type Command =
  | { readonly type: 'help' }
  | { readonly type: 'core'; readonly argv: readonly string[] }
  | { readonly type: 'bench'; readonly options: BenchOptions }
  | { readonly type: 'run'; readonly options: SwarmOptions }

export class UsageError extends Error {
  override readonly name = 'UsageError'
}

const LARGEST_SEED = Number.MAX_SAFE_INTEGER

const settings = {
  help: { type: 'boolean', short: 'h' },
  bench: { type: 'boolean' },
  seed: { type: 'string' },
  'first-seed': { type: 'string' },
  seeds: { type: 'string' },
  minutes: { type: 'string' },
  jobs: { type: 'string' },
  scenario: { type: 'string' },
  faults: { type: 'string' },
  nodes: { type: 'string' },
  partitions: { type: 'string' },
  members: { type: 'string' },
  seconds: { type: 'string' },
  digest: { type: 'boolean' },
  out: { type: 'string' },
  output: { type: 'string' },
  repro: { type: 'string' },
  view: { type: 'string' },
  'shrink-seconds': { type: 'string' },
} as const

/** Throws UsageError, which says what is wrong and what would be right. */
export function parseOptions(argv: readonly string[]): Command {
  if (argv.includes('--core')) return { type: 'core', argv: argv.filter((word) => word !== '--core') }
  const values = parsed(argv)
  if (values.help === true) return { type: 'help' }
  const seed = whole('seed', values.seed, 0, LARGEST_SEED)
  const firstSeed = whole('first-seed', values['first-seed'], 0, LARGEST_SEED)
  const seeds = seed !== undefined ? 1 : whole('seeds', values.seeds, 1, 100_000_000)
  const output = values.output ?? 'table'
  if (output !== 'table' && output !== 'json')
    throw new UsageError(`--output is table or json, not ${output}`)
  if (values.bench === true) {
    const options: BenchOptions = {
      seeds: seeds ?? DEFAULT_SEEDS,
      firstSeed: seed ?? firstSeed ?? DEFAULT_FIRST_SEED,
      output,
    }
    return { type: 'bench', options }
  }
  const scenario = scenarioOf(values)
  if (values.view !== undefined && seeds !== 1 && values.repro === undefined)
    throw new UsageError('--view draws one run; --seed N or --repro FILE says which')
  return {
    type: 'run',
    options: {
      plan: { ...(scenario === undefined ? {} : scenarios[scenario].plan), ...planOptions(values) },
      scenario,
      firstSeed: seed ?? firstSeed,
      seeds,
      minutes: number('minutes', values.minutes, 0.01, 10_000) ?? 1,
      jobs: whole('jobs', values.jobs, 1, 256) ?? availableParallelism(),
      digest: values.digest === true,
      out: values.out ?? '.',
      output,
      repro: values.repro,
      view: values.view,
      shrinkMs: 1000 * (number('shrink-seconds', values['shrink-seconds'], 0, 100_000) ?? 60),
    },
  }
}

type Values = ReturnType<typeof parseArgs<{ options: typeof settings; strict: true }>>['values']

function parsed(argv: readonly string[]): Values {
  try {
    return parseArgs({ args: [...argv], options: settings, strict: true }).values
  } catch (error) {
    throw new UsageError(
      `${error instanceof Error ? error.message : String(error)}; --help shows what there is`,
      {
        cause: error,
      },
    )
  }
}

function planOptions(values: Values): PlanOptions {
  const nodes = whole('nodes', values.nodes, 1, 9)
  const partitions = whole('partitions', values.partitions, 1, 64)
  const members = whole('members', values.members, 0, 16)
  const seconds = number('seconds', values.seconds, 0.1, 100_000)
  const faults = faultsOf(values.faults)
  return {
    ...(nodes === undefined ? {} : { nodes }),
    ...(partitions === undefined ? {} : { partitions }),
    ...(members === undefined ? {} : { members }),
    ...(seconds === undefined ? {} : { durationMs: Math.round(seconds * 1000) }),
    ...(faults === undefined ? {} : { faults }),
  }
}

function scenarioOf({ scenario, faults }: Values): ScenarioName | undefined {
  if (scenario === undefined) return undefined
  const name = scenarioNames.find((each) => each === scenario)
  if (name === undefined)
    throw new UsageError(`--scenario is "${scenario}"; there are ${scenarioNames.join(', ')}`)
  if (faults !== undefined)
    throw new UsageError(`--scenario ${name} brings its own faults; leave --faults out`)
  return name
}

function faultsOf(list: string | undefined): FaultKind[] | undefined {
  if (list === undefined || list === 'all') return undefined
  if (list === 'none') return []
  const wanted = list.split(',')
  for (const name of wanted) {
    if (!(name in faultKinds)) {
      throw new UsageError(`--faults names "${name}"; it is all, none, or some of ${faultNames.join(', ')}`)
    }
  }
  return faultNames.filter((name) => wanted.includes(name))
}

function whole(name: string, text: string | undefined, least: number, most: number): number | undefined {
  const value = number(name, text, least, most)
  if (value === undefined || Number.isSafeInteger(value)) return value
  throw new UsageError(`--${name} is ${text}; it has to be a whole number`)
}

function number(name: string, text: string | undefined, least: number, most: number): number | undefined {
  if (text === undefined) return undefined
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (value >= least && value <= most) return value
  throw new UsageError(`--${name} is ${text}; it has to be a number from ${least} to ${most}`)
}

export function helpText(command = 'npm run sim --'): string {
  const lines = (entries: Readonly<Record<string, string>>): string =>
    Object.entries(entries)
      .map(([name, line]) => `  ${name.padEnd(26)}${line}`)
      .join('\n')
  return `Runs whole clusters of the production broker, with production clients, through faults under virtual time.
One seed is one run, the same on every machine.

usage: ${command} [options]

  --seed N                  one run
  --seeds N                 so many runs; without it, as many as fit into --minutes
  --first-seed N            their first seed; default: drawn, and printed
  --minutes N               default 1
  --jobs N                  processes; default: one a core
  --scenario NAME           a story: certain faults, all of them in each run, and nothing else
  --faults all|none|LIST    kinds that may strike, separated by commas; each seed draws from them. Default all
  --nodes N                 brokers, 1 to 9; default: by the seed
  --partitions N            of the topic; default: by the seed
  --members N               of a consumer group, 0 to 16; default: 0 to 4 by the seed, 0 with --faults or --scenario
  --seconds N               virtual time under load; default 30
  --digest                  with --seed: print the digest of the whole trace
  --repro FILE              run the plan in a repro.json again
  --view FILE               with --seed or --repro: draw the run, as one HTML file to open in a browser
  --shrink-seconds N        make a failing plan smaller for so long; default 60
  --out DIR                 where repro.json and its picture, repro.html, go; default: here
  --output table|json       how the summary is printed
  --mutant NAME             with a known fault in the code, which a check should notice (npm run sim:mutants -- --list)
  --core                    the consensus core alone, over datagrams (see --core --help)
  --bench                   how fast it is: seeds a minute and core, memory; by --seeds, default 40
  --help                    this

Exit code: 0 all held, 1 something did not (what, the seed, the command that replays it, and repro.json), 2 wrong use.

scenarios
${lines(Object.fromEntries(scenarioNames.map((name) => [name, scenarios[name].line])))}

faults
${lines(faultKinds)}

checks
${lines(laws)}
`
}
