import { assert } from './assert.ts'
import type { Core } from './core.ts'
import type { Lease } from './lease.ts'
import { asLogIndex } from './types.ts'

/** Reads beyond so many waiting ones are dropped: a leader that can't confirm must not gather them without end. */
const MOST_WAITING_READS = 65_536

/**
 * Linearizable reads without a log entry (thesis §6.4): the commit index is current if, after the read came in, a quorum
 * still follows this leader. One round of heartbeats serves all reads that wait when it starts; the next round starts
 * when that one is through, so the number of rounds depends on the round trip and not on the number of reads.
 */
export class ReadIndex {
  readonly #core: Core
  readonly #lease: Lease

  constructor(core: Core, lease: Lease) {
    this.#core = core
    this.#lease = lease
  }

  request(context: number, mode: 'quorum' | 'lease'): void {
    const core = this.#core
    if (mode === 'lease' && this.#lease.isHeld()) {
      assert(core.ownTermCommitted(), 'raft.lease-read-uncommitted', () => `${core.commit}`)
      core.outbox.reads.push({ context, index: core.commit })
      return
    }
    if (core.role !== 'leader' || core.waitingReads.length >= MOST_WAITING_READS) {
      core.outbox.droppedReads.push(context)
      return
    }
    core.waitingReads.push(context)
    assert(core.waitingReads.length <= MOST_WAITING_READS, 'raft.reads-waiting', () => `${context}`)
  }

  /** Whether a round can start. Before an entry of its own term is committed a leader doesn't know what is (§8). */
  hasWork(): boolean {
    const core = this.#core
    return core.readRound === undefined && core.waitingReads.length > 0 && core.ownTermCommitted()
  }

  /** Starts the next round. True where heartbeats must go out for it; a lost one is made up for by those of the ticks. */
  startRound(): boolean {
    if (!this.hasWork()) return false
    const core = this.#core
    assert(core.role === 'leader', 'raft.read-round-leader', () => core.role)
    core.newestReadRound += 1
    core.readRound = { round: core.newestReadRound, index: core.commit, contexts: core.waitingReads }
    core.waitingReads = []
    assert(core.readRound.contexts.length > 0, 'raft.read-round-empty', () => `${core.newestReadRound}`)
    this.confirm()
    return core.readRound !== undefined
  }

  /** Serves the round under way if a quorum has answered it. */
  confirm(): void {
    const core = this.#core
    const { readRound } = core
    if (readRound === undefined || !this.isConfirmed(readRound.round)) return
    core.readRound = undefined
    const index = asLogIndex(readRound.index)
    assert(index <= core.commit, 'raft.read-uncommitted', () => `${index} > ${core.commit}`)
    assert(readRound.round <= core.newestReadRound, 'raft.read-round', () => `${readRound.round}`)
    for (const context of readRound.contexts) core.outbox.reads.push({ context, index })
  }

  isConfirmed(round: number): boolean {
    const core = this.#core
    return core.hasQuorum((id) => {
      return id === core.id || (core.follower(id)?.readRound ?? 0) >= round
    })
  }
}
