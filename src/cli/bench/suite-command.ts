import type { Command } from 'commander'
import { CommandFailure, wrongUse } from '../failure.ts'
import { leafCommand, nonEmpty, withOutput, type OutputFlags } from '../options.ts'
import { printAnswer } from '../print.ts'
import { parseAmount } from './amount.ts'
import type { BenchContext } from './append.ts'
import { readSuite, writeSuite } from './suite-file.ts'
import { suiteAnswer } from './suite-report.ts'
import {
  chooseCases,
  faultsOf,
  quickCases,
  suiteCases,
  takeCases,
  withResult,
  type CaseResult,
  type SuiteCase,
} from './suite.ts'

interface AllFlags extends OutputFlags {
  readonly data?: string
  readonly quick?: boolean
  readonly only?: readonly string[]
  readonly merge?: string
  readonly missed?: number
}

/** Long enough to see what catching up costs, and a few seconds of appends. */
const missedBytesUnasked = 1e9
/** With --quick: enough to see that it works. */
const quickMissedBytes = 50e6

export function registerAll(bench: Command, world: BenchContext): void {
  const command = leafCommand(bench, 'all', 'the table of cases and of marks; exit code 1 if a case failed')
    .option('--quick', 'one short run of each, of the main cases unless --only names others: about a minute')
    .option('--only <names>', 'these cases, separated by commas; single-* are all that begin so', parseNames)
    .option('--merge <file>', "JSON of an earlier run, in which each case that is taken replaces that case's")
    .option('--missed <bytes>', 'what the follower misses, as 5GB (default: 1GB)', parseAmount)
    .option('--data <dir>', 'where the nodes keep their data', nonEmpty)
  withOutput(command).action((flags: AllFlags) => all(world, flags))
}

async function all(world: BenchContext, flags: AllFlags): Promise<void> {
  const { context } = world
  const { data, merge, output } = flags
  const quick = flags.quick === true
  const missedBytes = flags.missed ?? (quick ? quickMissedBytes : missedBytesUnasked)
  const cases = casesOf(flags)
  let suite = await readSuite(context, merge)
  const taken: CaseResult[] = []
  await takeCases(world, cases, data, { quick, missedBytes }, async (result) => {
    taken.push(result)
    suite = withResult(suite, result)
    if (merge !== undefined) await writeSuite(merge, suite)
  })
  printAnswer(context, output, suiteAnswer(suite))
  const faults = faultsOf(taken)
  if (faults.length > 0) throw new CommandFailure(faults.join('; '))
}

function casesOf({ only, quick }: AllFlags): readonly SuiteCase[] {
  if (only === undefined) return quick === true ? quickCases : suiteCases
  const { cases, unknown } = chooseCases(only)
  if (unknown.length === 0) return cases
  const names = suiteCases.map(({ name }) => name).join(', ')
  throw wrongUse(`error: no case is called ${unknown.join(', ')}; there are ${names}`)
}

function parseNames(text: string): readonly string[] {
  return nonEmpty(text)
    .split(',')
    .map((name) => name.trim())
}
