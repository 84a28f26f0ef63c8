import { readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { hunt, type Hunt } from './hunt.ts'
import { mutants } from './list.ts'
import type { Mutant } from './mutant.ts'
import { readResults, tableText, withTable, writeResults } from './table.ts'
import { root } from './tree.ts'

const ALL_NOTICED = 0
const UNNOTICED = 1
const WRONG_USE = 2
const SILENCE_MS = 120_000
const page = join(root, 'docs/simulation.md')

const usage = `Breaks the code in each known way, one at a time and in a copy, and shows that a checker notices.

usage: npm run sim:mutants -- [options] [NAME ...]

  NAME ...        these mutants only
  --seeds N       look for each in so many seeds at most; default 10000
  --first-seed N  default 1
  --jobs N        processes; default: one a core
  --write         note what was found in sim/mutants/results.json and docs/simulation.md
  --new           only those that results.json knows nothing of
  --list          what there is, and nothing is run

Exit code: 0 all were noticed, 1 one was not, or by a checker that has no business with it, 2 wrong use.`

interface Options {
  readonly chosen: readonly Mutant[]
  readonly seeds: number
  readonly firstSeed: number
  readonly jobs: number
  readonly write: boolean
  readonly list: boolean
}

async function parse(argv: readonly string[]): Promise<Options> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      seeds: { type: 'string', default: '10000' },
      'first-seed': { type: 'string', default: '1' },
      jobs: { type: 'string', default: `${availableParallelism()}` },
      write: { type: 'boolean', default: false },
      new: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
    },
  })
  const whole = (name: 'seeds' | 'first-seed' | 'jobs'): number => {
    const value = Number(values[name])
    if (Number.isSafeInteger(value) && value > 0) return value
    throw new RangeError(`--${name} is ${values[name]}; it has to be a whole number from 1`)
  }
  for (const name of positionals) {
    if (!mutants.some((mutant) => mutant.name === name)) {
      throw new RangeError(`there is no mutant ${name}; --list shows what there is`)
    }
  }
  const known = await readResults()
  const chosen = mutants.filter(
    ({ name }) =>
      (positionals.length === 0 || positionals.includes(name)) && !(values.new && known.has(name)),
  )
  const { write, list } = values
  return { chosen, seeds: whole('seeds'), firstSeed: whole('first-seed'), jobs: whole('jobs'), write, list }
}

/** Runs what the arguments ask for; returns the exit code. */
export async function main(argv: readonly string[], print: (text: string) => void): Promise<number> {
  if (argv.includes('--help') || argv.includes('-h')) {
    print(usage)
    return ALL_NOTICED
  }
  let options: Options
  try {
    options = await parse(argv)
  } catch (error) {
    print(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
    return WRONG_USE
  }
  const { chosen, list, write } = options
  if (list) {
    for (const { name, does, source } of chosen) print(`${name.padEnd(38)}${does} (${source})`)
    return ALL_NOTICED
  }
  const hunts: Hunt[] = []
  for (const mutant of chosen) {
    const found = await hunt(mutant, { ...options, silenceMs: SILENCE_MS })
    hunts.push(found)
    print(line(found))
    // As it goes, so that a run that is cut short has not been for nothing.
    if (write) await writeResults(hunts)
  }
  if (write) await writeFile(page, withTable(await readFile(page, 'utf8'), tableText(await readResults())))
  const missed = hunts.filter((found) => !isNoticed(found))
  print(
    missed.length === 0
      ? `\nall ${hunts.length} were noticed`
      : `\nnot noticed as they should be: ${missed.map(({ mutant }) => mutant.name).join(', ')}`,
  )
  return missed.length === 0 ? ALL_NOTICED : UNNOTICED
}

export function isNoticed({ mutant, notice }: Hunt): boolean {
  return notice !== undefined && (mutant.laws as readonly string[]).includes(notice.law)
}

function line(found: Hunt): string {
  const { mutant, notice, seeds } = found
  const name = mutant.name.padEnd(38)
  if (notice === undefined) return `${name}NOT NOTICED in ${seeds} seeds`
  const law = isNoticed(found) ? notice.law : `${notice.law}, WHICH IS NOT ITS LAW: ${notice.detail}`
  return `${name}${String(seeds).padStart(6)}  ${law}`
}
