import { join } from 'node:path'
import { expect, it } from 'vitest'
import { killRounds, randomFrom } from '../log/kill-rounds.ts'
import type { KillTally } from '../log/kill-rounds.ts'
import { quickFolder } from '../log/storage-env.ts'
import { shareOf } from './share.ts'

// More chains than cores: much of a round is waiting for a process to come and go.
const seeds = [11, 12, 13, 14]
const rounds = shareOf(250)

it(`${seeds.length * rounds} processes that are killed while they commit leave every turn that they said was durable`, async () => {
  const folder = await quickFolder()
  const tally: KillTally = { rounds: 0, acknowledged: 0, foundMore: 0 }
  const chains = seeds.map((seed) => killRounds(join(folder, `${seed}`), rounds, randomFrom(seed), tally))
  await Promise.all(chains)
  console.log(
    `${tally.rounds} kills, ${tally.acknowledged} turns acknowledged, after ${tally.foundMore} kills there was more than ` +
      'had been told, 0 lost, 0 half',
  )
  expect(tally.rounds).toBe(seeds.length * rounds)
})
