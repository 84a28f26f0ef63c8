import { describe, expect, test } from 'vitest'
import { runCoreSimulation } from '../../sim/core/simulation.ts'
import { mutants } from './mutants.ts'

const MOST_SEEDS = 1000

describe('a checker that finds nothing proves nothing: each known bug is noticed', () => {
  test.for(mutants)('a core that $name', ({ create, laws, name, options }) => {
    for (let seed = 1; seed <= MOST_SEEDS; seed += 1) {
      const { violations } = runCoreSimulation(seed, { ...options, createCore: create })
      const first = violations[0]
      if (first === undefined) continue
      expect(laws, `seed ${seed}: ${first.detail}`).toContain(first.law)
      return
    }
    expect.fail(`"${name}" was not noticed in ${MOST_SEEDS} seeds`)
  })
})
