import type { Clock, Random } from '../env/index.ts'
import { AbortError, onAbort } from './abort.ts'

const FIRST_DELAY_MS = 20
const LONGEST_DELAY_MS = 1000

/**
 * How long to wait before the retry number `attempt` (from 1): doubling, between half of the full delay and all of it,
 * so that clients that failed together don't return together. What the server asked for is the least.
 */
export function backoffDelayMs(attempt: number, random: Random, serverDelayMs = 0): number {
  const fullMs = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt - 1, 10))
  const halfMs = fullMs / 2
  return Math.max(serverDelayMs, halfMs + random.below(halfMs + 1))
}

/** Rejects with AbortError when the signal aborts first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(new AbortError(signal.reason))
    const cancel = clock.setTimer(delayMs, () => {
      unlink()
      resolve()
    })
    const unlink = onAbort(signal, (error) => {
      cancel()
      reject(error)
    })
  })
}
