import { assert } from './assert.ts'
import type { RaftConfig } from './types.ts'

/**
 * How much may be under way to a follower that is served from storage: little at first, for what waits for the follower's
 * disk takes that disk from everybody's appends, and makes the follower no faster (docs/performance.md). A long way needs
 * more, so there is twice as much where the follower has come no nearer to the end of the log within an election timeout.
 */
export class CatchUpPace {
  readonly #config: Pick<RaftConfig, 'catchUpBytes' | 'maxInflightBytes' | 'electionTicks'>
  #maxBytes: number
  #ticks = 0
  /** Entries that the follower lacked when it was looked at last. */
  #missing: number

  constructor(
    config: Pick<RaftConfig, 'catchUpBytes' | 'maxInflightBytes' | 'electionTicks'>,
    missing: number,
  ) {
    this.#config = config
    this.#maxBytes = Math.min(config.catchUpBytes, config.maxInflightBytes)
    this.#missing = missing
    assert(missing >= 0, 'raft.pace-missing', () => `${missing}`)
  }

  /** Whether with so many bytes under way more may be read. */
  hasRoom(inflightBytes: number): boolean {
    return inflightBytes < this.#maxBytes
  }

  /** Once a tick. `missing`: entries that the follower isn't known to have. */
  tick(missing: number): void {
    assert(missing >= 0, 'raft.pace-ticked', () => `${missing}`)
    this.#ticks += 1
    if (this.#ticks < this.#config.electionTicks) return
    this.#ticks = 0
    if (missing >= this.#missing) this.#maxBytes = Math.min(2 * this.#maxBytes, this.#config.maxInflightBytes)
    this.#missing = missing
  }
}
