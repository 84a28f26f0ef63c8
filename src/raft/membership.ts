import { assert } from './assert.ts'
import { nextConfiguration } from './configuration-change.ts'
import { encodeChange, isJoint } from './configuration.ts'
import type { Core } from './core.ts'
import type { Replication } from './replication.ts'
import type { Transfer } from './transfer.ts'
import type { ChangeRefusal, ChangeResult, Configuration, ConfigurationChange } from './types.ts'

const refuse = (reason: ChangeRefusal, detail: string): ChangeResult => ({ ok: false, reason, detail })

/** Changes of who takes part (Raft §6, thesis §4), on the leader's side. */
export class Membership {
  readonly #core: Core
  readonly #replication: Replication
  readonly #transfer: Transfer

  constructor(core: Core, replication: Replication, transfer: Transfer) {
    this.#core = core
    this.#replication = replication
    this.#transfer = transfer
  }

  change(change: ConfigurationChange): ChangeResult {
    const core = this.#core
    const { role, transfer, configuration, configurationIndex } = core
    if (role !== 'leader') return refuse('not-leader', `${core.id} does not lead`)
    if (transfer !== undefined) return refuse('transferring', `leadership goes to ${transfer.to}`)
    if (!this.knowsWhatIsCommitted()) {
      return refuse('own-term-uncommitted', `nothing of term ${core.term} is committed yet`)
    }
    if (this.isInFlight())
      return refuse('change-in-flight', `entry ${configurationIndex} isn't committed yet`)
    const next = nextConfiguration(configuration, change)
    assert(!next.ok || next.configuration.voters.length > 0, 'raft.change-voters')
    return next.ok ? this.#append(next.configuration) : next
  }

  #append(configuration: Configuration): ChangeResult {
    const core = this.#core
    const header = encodeChange(configuration, core.configuration)
    const entry = core.append('configuration', { header, payload: [], payloadBytes: 0, payloadCrc32: 0 })
    assert(
      core.configurationIndex === entry.index,
      'raft.change-in-force',
      () => `${core.configurationIndex}`,
    )
    assert(!core.configurationCommitted(), 'raft.change-uncommitted', () => `commit ${core.commit}`)
    return { ok: true, index: entry.index, term: entry.term, configuration }
  }

  /** Two changes under way could be of two majorities that share nobody (thesis §4.1). */
  isInFlight(): boolean {
    return !this.#core.configurationCommitted()
  }

  /**
   * A change of an earlier leader may be under way without this one knowing; an entry of its own term that is committed
   * rules that out (Ongaro on raft-dev, July 2015: the bug of single-server changes).
   */
  knowsWhatIsCommitted(): boolean {
    return this.#core.ownTermCommitted()
  }

  /** Leaders, after every step: what a configuration brings with it once it is committed. */
  proceed(): void {
    const core = this.#core
    if (core.role !== 'leader' || !core.configurationCommitted()) return
    const { configuration } = core
    assert(core.leader === core.id, 'raft.proceed-leader', () => `${core.leader}`)
    if (isJoint(configuration)) {
      if (
        configuration.leavesAutomatically === true &&
        core.transfer === undefined &&
        this.knowsWhatIsCommitted()
      ) {
        this.change({ changes: [] })
      }
      return
    }
    if (!configuration.voters.includes(core.id)) this.#stepDown()
  }

  /**
   * The change that takes this leader's vote is committed: its work is done (§6). The others hear so at once, and the
   * one that is furthest along stands without waiting for a timeout.
   */
  #stepDown(): void {
    const core = this.#core
    assert(core.configurationIndex <= core.commit, 'raft.step-down-early', () => `${core.configurationIndex}`)
    assert(core.role === 'leader', 'raft.step-down-leader', () => core.role)
    this.#replication.sendAppends()
    this.#transfer.handOver()
    core.becomeFollower(core.term, undefined)
    assert(!core.configuration.voters.includes(core.id), 'raft.step-down-voter', () => core.id)
  }
}
