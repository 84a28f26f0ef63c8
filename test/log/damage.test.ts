import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { arbitraryDamage, printTally, stopNode, tryDamage } from './damage-cases.ts'
import type { Tally } from './damage-cases.ts'
import { quickFolder } from './storage-env.ts'

const runs = 150

describe('a folder of a stopped node', () => {
  it(`that was damaged in ${runs} ways starts whole, says what is damaged, or is refused; it never lies`, async () => {
    const node = await stopNode(await quickFolder())
    const tally: Tally = new Map()
    await fc.assert(
      fc.asyncProperty(arbitraryDamage, (damage) => tryDamage(node, damage, tally)),
      { numRuns: runs },
    )
    printTally(tally)
    expect([...tally.values()].reduce((sum, count) => sum + count)).toBe(runs)
  }, 200_000)
})
