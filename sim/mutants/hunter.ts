import { runCoreSimulation } from '../core/simulation.ts'
import { runSeed } from '../simulation.ts'
import { mutants } from './list.ts'
import type { Mutant } from './mutant.ts'
import { ownMutant } from './tree.ts'

/** Seeds `from` to before `to`, with the mutant that this copy of the code is; or, in the real code, with the named one's options. */
export interface HuntOrder {
  readonly from: number
  readonly to: number
}

export interface Notice {
  readonly seed: number
  readonly law: string
  readonly detail: string
}

/** The first seed of an order that broke a law, if one did. */
export interface HuntReport {
  readonly notice: Notice | undefined
}

/** Runs a seed as a mutant is hunted; what broke, if anything. */
export async function violationOf(
  mutant: Mutant,
  seed: number,
): Promise<{ readonly law: string; readonly detail: string } | undefined> {
  if (mutant.where === 'core') return runCoreSimulation(seed, mutant.options).violations[0]
  return (await runSeed(seed, mutant.options)).violation
}

async function hunt(mutant: Mutant, { from, to }: HuntOrder): Promise<Notice | undefined> {
  for (let seed = from; seed < to; seed++) {
    const violation = await violationOf(mutant, seed)
    if (violation !== undefined) return { seed, law: violation.law, detail: violation.detail }
  }
  return undefined
}

const name = ownMutant()
const mutant = mutants.find((each) => each.name === name)
// As a process of its own, in a copy that has a fault in it.
if (mutant !== undefined && process.send !== undefined) {
  process.on('message', (order: HuntOrder) => {
    void hunt(mutant, order).then((notice) => process.send?.({ notice } satisfies HuntReport))
  })
}
