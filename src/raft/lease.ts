import { assert } from './assert.ts'
import type { Core } from './core.ts'
import { leaseTicksOf } from './defaults.ts'

interface Round {
  readonly round: number
  readonly tick: number
}

/**
 * A leader's lease (thesis §6.4.1): a quorum that answered a heartbeat elects nobody else for an election timeout after
 * that, so until then what this leader has committed is all there is. Counted from when the heartbeat left.
 */
export class Lease {
  readonly #core: Core
  /** When each round of heartbeats left, ascending; those that are too old for a lease are dropped. */
  #rounds: Round[] = []
  #term = 0

  constructor(core: Core) {
    this.#core = core
  }

  /** Heartbeats are about to leave: they get a round of their own, so that an answer tells when its request left. */
  beginRound(): void {
    const core = this.#core
    if (core.config.leaseClockDriftPercent === undefined) return
    assert(core.role === 'leader', 'raft.lease-leader', () => core.role)
    if (this.#term !== core.term) this.#rounds = []
    this.#term = core.term
    core.newestReadRound += 1
    this.#rounds.push({ round: core.newestReadRound, tick: core.ticks })
    const oldest = core.ticks - core.config.electionTicks
    while (this.#rounds[0] !== undefined && this.#rounds[0].tick < oldest) this.#rounds.shift()
    assert(this.#rounds.length > 0, 'raft.lease-round', () => `${core.newestReadRound}`)
  }

  #sentAt(round: number): number {
    return this.#rounds.findLast((sent) => sent.round <= round)?.tick ?? Number.NEGATIVE_INFINITY
  }

  isHeld(): boolean {
    const core = this.#core
    if (core.config.leaseClockDriftPercent === undefined || core.role !== 'leader' || core.leaseBroken)
      return false
    if (!core.ownTermCommitted()) return false
    if (this.#term !== core.term) this.#rounds = []
    const since = core.quorumIndex((id) => {
      return id === core.id ? core.ticks : this.#sentAt(core.follower(id)?.readRound ?? 0)
    })
    assert(since <= core.ticks, 'raft.lease-future', () => `${since} after ${core.ticks}`)
    assert(this.lastsTicks() < core.config.electionTicks, 'raft.lease-long', () => `${this.lastsTicks()}`)
    return core.ticks - since < this.lastsTicks()
  }

  lastsTicks(): number {
    return leaseTicksOf(this.#core.config)
  }
}
