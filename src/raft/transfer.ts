import { assert } from './assert.ts'
import { isVoter } from './configuration.ts'
import type { Core } from './core.ts'
import type { Progress } from './progress.ts'
import type { NodeId } from './types.ts'

/** Leadership transfer (thesis §3.10): take no more proposals, let the target catch up, have it stand at once. */
export class Transfer {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  begin(to: NodeId | undefined): void {
    const core = this.#core
    const target = to ?? this.#furthestAlong()?.id
    if (target === undefined || core.transfer?.to === target) return
    if (core.follower(target) === undefined || !isVoter(core.configuration, target)) return
    assert(core.role === 'leader' && target !== core.id, 'raft.transfer-target', () => target)
    assert(!core.failed, 'raft.transfer-failed', () => target)
    core.transfer = { to: target, ticks: 0 }
    // For the rest of the term: the target may stand at any time, and nobody keeps to this leader then.
    core.leaseBroken = true
    this.proceed()
  }

  #furthestAlong(): Progress | undefined {
    const { followers, configuration, ticks, config } = this.#core
    let best: Progress | undefined
    for (const progress of followers) {
      const isActive = ticks - progress.heardAtTick < config.electionTicks
      if (!isActive || !configuration.voters.includes(progress.id)) continue
      if (best === undefined || progress.match > best.match) best = progress
    }
    assert(best?.id !== this.#core.id, 'raft.transfer-to-itself')
    assert(best === undefined || best.match <= this.#core.log.last.index, 'raft.transfer-beyond-last')
    return best
  }

  /** The target may have caught up. */
  proceed(): void {
    const { transfer, log, id, term } = this.#core
    if (transfer === undefined) return
    if (this.#core.follower(transfer.to)?.match !== log.last.index) return
    assert(transfer.to !== id, 'raft.transfer-self', () => id)
    this.#core.send({ type: 'timeoutNow', from: id, to: transfer.to, term })
  }

  /** This leader is about to go: whoever has all of its log may stand at once. */
  handOver(): void {
    const { log, id, term } = this.#core
    const heir = this.#furthestAlong()
    if (heir?.match !== log.last.index) return
    assert(heir.id !== id, 'raft.heir', () => heir.id)
    assert(isVoter(this.#core.configuration, heir.id), 'raft.heir-votes', () => heir.id)
    this.#core.send({ type: 'timeoutNow', from: id, to: heir.id, term })
  }

  /** The target had its chance: after an election timeout proposals are taken again. */
  tick(): void {
    const core = this.#core
    if (core.transfer === undefined) return
    core.transfer.ticks += 1
    assert(core.role === 'leader', 'raft.transfer-tick', () => core.role)
    assert(core.transfer.ticks <= core.config.electionTicks, 'raft.transfer-overdue', () => core.transfer!.to)
    if (core.transfer.ticks >= core.config.electionTicks) core.transfer = undefined
  }
}
