import type { Law } from '../checkers/violation.ts'
import type { Law as CoreLaw } from '../core/checkers.ts'
import type { CoreSimulationOptions } from '../core/simulation.ts'
import type { PlanOptions } from '../plan.ts'

/** A change of the source. The production code has no switch for it: it is made in a copy. */
export interface Edit {
  /** From the root of the project. */
  readonly file: string
  /** The fragment to replace; it must be there exactly once. */
  readonly find: string
  readonly put: string
}

interface Named {
  /** For the command line. */
  readonly name: string
  /** What the broken code does, to follow "a broker that" or "a core that". */
  readonly does: string
  /** Where the bug is from. */
  readonly source: string
  readonly edits: readonly Edit[]
}

/** A fault of the consensus core, looked for by the simulation of cores. */
export interface CoreMutant extends Named {
  readonly where: 'core'
  /** By which it may be noticed. */
  readonly laws: readonly CoreLaw[]
  /** Where it shows soonest. */
  readonly options: CoreSimulationOptions
}

/** A fault of anything else, looked for by the simulation of whole clusters. */
export interface BrokerMutant extends Named {
  readonly where: 'brokers'
  readonly laws: readonly Law[]
  readonly options: PlanOptions
}

export type Mutant = CoreMutant | BrokerMutant

/** The source with the edit made. Throws where the place isn't there exactly once: then the mutant is out of date. */
export function edited(source: string, { file, find, put }: Edit, name: string): string {
  const at = source.indexOf(find)
  if (at < 0) throw new Error(`mutant ${name}: ${file} has no place that reads\n${find}`)
  if (source.includes(find, at + 1))
    throw new Error(`mutant ${name}: ${file} has several places that read\n${find}`)
  if (find === put) throw new Error(`mutant ${name}: the edit of ${file} changes nothing`)
  return source.slice(0, at) + put + source.slice(at + find.length)
}
