import fc from 'fast-check'
import { expect, it } from 'vitest'
import { arbitraryDamage, printTally, stopNode, tryDamage } from '../log/damage-cases.ts'
import type { Tally } from '../log/damage-cases.ts'
import { quickFolder } from '../log/storage-env.ts'
import { shareOf } from './share.ts'

const runs = shareOf(1500)

it(`a folder that was damaged in ${runs} ways starts whole, says what is damaged, or is refused; it never lies`, async () => {
  const node = await stopNode(await quickFolder())
  const tally: Tally = new Map()
  const property = fc.asyncProperty(arbitraryDamage, (damage) => tryDamage(node, damage, tally))
  await fc.assert(property, { numRuns: runs, endOnFailure: true })
  printTally(tally)
  expect([...tally.values()].reduce((sum, count) => sum + count)).toBe(runs)
})
