import { describe, expect, test } from 'vitest'
import { runSeed, type RunResult } from '../../sim/simulation.ts'
import { mutants, type Mutant } from './mutants.ts'

/** Enough for each of them; most are noticed by the first. */
const MOST_SEEDS = 60

/** The first run in which the mutant breaks something. */
async function firstNoticed(mutant: Mutant): Promise<RunResult | undefined> {
  const mend = mutant.breakCode?.()
  try {
    for (let seed = 1; seed <= MOST_SEEDS; seed++) {
      const dressed = mutant.dress === undefined ? {} : { dress: mutant.dress }
      const result = await runSeed(seed, { nodes: 3, members: 0, durationMs: 15_000, ...dressed })
      if (result.violation !== undefined) return result
    }
    return undefined
  } finally {
    mend?.()
  }
}

describe('the simulation of brokers notices a broker that', () => {
  test.each(mutants)('$name ($source)', { timeout: 120_000 }, async (mutant) => {
    const noticed = await firstNoticed(mutant)
    expect(noticed?.violation, `not noticed in ${MOST_SEEDS} seeds`).toBeDefined()
    expect(mutant.laws, `seed ${noticed?.plan.seed}: ${noticed?.violation?.detail}`).toContain(
      noticed?.violation?.law,
    )
  })
})
