import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { main as coreMain } from '../core/main.ts'
import { UsageError } from '../options.ts'
import { mutants } from './list.ts'
import { MutantTree, ownMutant, root } from './tree.ts'

const OPTION = '--mutant'

/** The mutant that the arguments ask for, and the other arguments. */
export function mutantIn(argv: readonly string[]): {
  readonly name: string | undefined
  readonly rest: readonly string[]
} {
  const at = argv.indexOf(OPTION)
  if (at < 0) return { name: undefined, rest: argv }
  const name = argv[at + 1]
  if (name === undefined || !mutants.some((mutant) => mutant.name === name)) {
    throw new UsageError(`there is no mutant ${name}; npm run sim:mutants -- --list shows what there is`)
  }
  return { name, rest: [...argv.slice(0, at), ...argv.slice(at + 2)] }
}

/**
 * Runs the rest of the arguments on code with a fault in it: in a copy, as a process of its own; or here, where this is
 * that copy. `runHere` runs whole clusters.
 */
export async function runMutant(
  name: string,
  rest: readonly string[],
  print: (line: string) => void,
  runHere: (argv: readonly string[]) => Promise<number>,
): Promise<number> {
  const mutant = mutants.find((each) => each.name === name)
  if (mutant === undefined) throw new RangeError(`no mutant ${name}`)
  if (!existsSync(join(root, 'src/raft/raft.ts'))) {
    throw new UsageError('mutants are made of the sources: they need a checkout of the repository')
  }
  if (ownMutant() !== name) {
    await using tree = await MutantTree.create(mutant)
    return await runInTree(tree, [...rest, OPTION, name])
  }
  if (mutant.where === 'core') return coreMain(seedsOf(rest), print, mutant.options)
  const { nodes, members, faults, durationMs = 30_000 } = mutant.options
  const usual = {
    '--nodes': nodes,
    '--members': members,
    '--faults': faults?.join(','),
    '--seconds': durationMs / 1000,
  }
  const missing = Object.entries(usual).filter(
    ([option, value]) => value !== undefined && !rest.includes(option),
  )
  return runHere([...rest, ...missing.flatMap(([option, value]) => [option, `${value}`])])
}

/** The simulation of cores knows many seeds only. */
function seedsOf(argv: readonly string[]): string[] {
  const words = argv.filter((word) => word !== '--core')
  const at = words.indexOf('--seed')
  if (at < 0) return words
  return [...words.slice(0, at), '--seeds', '1', '--first-seed', ...words.slice(at + 1)]
}

function runInTree({ directory }: MutantTree, argv: readonly string[]): Promise<number> {
  const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
  const run = join(directory, 'sim/run.ts')
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', loader, run, ...argv], { stdio: 'inherit' })
    child.on('error', reject)
    child.on('exit', (code) => resolve(code ?? 1))
  })
}
