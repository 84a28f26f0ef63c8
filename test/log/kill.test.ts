import { join } from 'node:path'
import { expect, it } from 'vitest'
import { killRounds, randomFrom } from './kill-rounds.ts'
import type { KillTally } from './kill-rounds.ts'
import { temporaryFolder } from './storage-env.ts'

// A thousand of these are in test/slow.
const rounds = 12

it(`${2 * rounds} processes that are killed while they commit leave every turn that they said was durable`, async () => {
  const folder = await temporaryFolder()
  const tally: KillTally = { rounds: 0, acknowledged: 0, foundMore: 0 }
  const chains = [1, 2].map((seed) => killRounds(join(folder, `${seed}`), rounds, randomFrom(seed), tally))
  await Promise.all(chains)
  expect(tally.rounds).toBe(2 * rounds)
  expect(tally.acknowledged).toBeGreaterThanOrEqual(2 * rounds)
}, 180_000)
