import type { Plan } from '../plan.ts'
import type { WorldFault } from './kinds.ts'

/** Kinds that take away, or change, what a disk has promised to keep. */
const damages: readonly WorldFault[] = ['wipe', 'read-flip', 'lost-record', 'bit-rot']

export const isDamage = (kind: string): boolean => (damages as readonly string[]).includes(kind)

/**
 * The atlas of damage: in a run it befalls one node and no other, however often. Then every record has a majority of whole
 * copies, so that "nothing is lost" stays a fair demand. Undefined: nothing is damaged in this run. Of one or two nodes
 * the others are no majority.
 */
export function victimOf({ faults, nodes }: Plan): number | undefined {
  const first = faults.find(({ kind }) => isDamage(kind))
  return first === undefined || nodes < 3 ? undefined : first.target % nodes
}
