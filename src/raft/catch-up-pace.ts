import { assert } from './assert.ts'
import type { LogIndex, RaftConfig } from './types.ts'

type PaceConfig = Pick<RaftConfig, 'catchUpBytes' | 'maxInflightBytes' | 'electionTicks'>

/** Where a follower stands, and the group. */
export interface Standings {
  /** Entries that the follower isn't known to have. */
  readonly missing: number
  readonly commit: LogIndex
}

/**
 * How much may be under way to a follower that is served from storage: little at first, for what waits for the follower's
 * disk takes that disk from everybody's appends. They come first here, at the price of a follower that may be level somewhat
 * later (docs/performance.md has both). Twice as much after each election timeout in which
 * - nothing was committed: then there are no appends to spare, or they wait for this very follower;
 * - the follower came no nearer to the end of the log: a long way needs more.
 */
export class CatchUpPace {
  readonly #config: PaceConfig
  #maxBytes: number
  #ticks = 0
  /** As it was when the follower was looked at last. */
  #before: Standings

  constructor(config: PaceConfig, now: Standings) {
    assert(now.missing >= 0, 'raft.pace-missing', () => `${now.missing}`)
    this.#config = config
    this.#maxBytes = Math.min(config.catchUpBytes, config.maxInflightBytes)
    this.#before = now
  }

  /** Whether with so many bytes under way more may be read. */
  hasRoom(inflightBytes: number): boolean {
    return inflightBytes < this.#maxBytes
  }

  /** Once a tick. */
  tick(now: Standings): void {
    assert(now.missing >= 0, 'raft.pace-ticked', () => `${now.missing}`)
    assert(now.commit >= this.#before.commit, 'raft.pace-commit', () => `${now.commit}`)
    this.#ticks += 1
    if (this.#ticks < this.#config.electionTicks) return
    this.#ticks = 0
    const isSlow = now.missing >= this.#before.missing || now.commit === this.#before.commit
    if (isSlow) this.#maxBytes = Math.min(2 * this.#maxBytes, this.#config.maxInflightBytes)
    this.#before = now
  }
}
