import { randomBytes, randomInt } from 'node:crypto'
import type { Random } from '../env.ts'

/** The operating system's source of randomness. */
export function nodeRandom(): Random {
  return {
    below: (bound) => randomInt(bound),
    bytes: (count) => randomBytes(count),
  }
}
