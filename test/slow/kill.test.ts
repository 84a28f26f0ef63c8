import { join } from 'node:path'
import { expect, it } from 'vitest'
import { killRounds, randomFrom } from '../log/kill-rounds.ts'
import type { KillTally } from '../log/kill-rounds.ts'
import { quickFolder } from '../log/storage-env.ts'

const rounds = 500

it(`${2 * rounds} processes that are killed while they commit leave every turn that they said was durable`, async () => {
  const folder = await quickFolder()
  const tally: KillTally = { rounds: 0, acknowledged: 0, foundMore: 0 }
  const chains = [11, 12].map((seed) => killRounds(join(folder, `${seed}`), rounds, randomFrom(seed), tally))
  await Promise.all(chains)
  console.log(
    `${tally.rounds} kills, ${tally.acknowledged} turns acknowledged, after ${tally.foundMore} kills there was more than ` +
      'had been told, 0 lost, 0 half',
  )
  expect(tally.rounds).toBe(2 * rounds)
})
