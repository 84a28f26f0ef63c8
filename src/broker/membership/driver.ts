import type { Clock, Logger } from '../../env/index.ts'
import type { GroupId } from '../../log/types.ts'
import type { LogIndex, Term } from '../../raft/types.ts'
import type { Replica } from '../replica.ts'
import { nextMembershipStep, type DesiredMembers } from './step.ts'

export interface MembershipHost {
  replicaOf(groupId: GroupId): Replica | undefined
  /** Undefined where nobody knows: the group is deleted, or this node hasn't heard of it yet. */
  desiredOf(replica: Replica): DesiredMembers | undefined
  /** The number of the target that the group moves to; undefined where it has none. */
  targetOf(groupId: GroupId): { readonly moves: number; readonly nodeIds: readonly string[] } | undefined
  /** How far the metadata group has come by now; undefined for the metadata group itself, whose leader knows. */
  metadataIndex(groupId: GroupId): Promise<LogIndex> | undefined
  foldedMetadataIndex(): LogIndex
  report(groupId: GroupId, moves: number, nodeIds: readonly string[]): Promise<void>
}

interface Watch {
  /** In this reign the metadata was as new as it had to be. */
  syncedIn: Term | undefined
  syncTo: { readonly term: Term; readonly index: LogIndex } | undefined
  isAsking: boolean
  isReporting: boolean
  handOverAgainMs: number
}

const CONFIRM_MS = 2000
const HAND_OVER_MS = 2000

/**
 * Brings the groups that this node leads to the members that they shall have, one change at a time, and tells the
 * metadata group when they are there. Only groups that aren't are looked at.
 *
 * Two things keep an outdated leader from undoing what a later one has done (ARCHITECTURE.md, "Membership"): a leader acts
 * only after its metadata were brought up to date within its own reign, and reports only what it has confirmed with a
 * majority that it leads.
 */
export class MembershipDriver {
  readonly #host: MembershipHost
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #watched = new Map<GroupId, Watch>()

  constructor(host: MembershipHost, clock: Clock, logger: Logger) {
    this.#host = host
    this.#clock = clock
    this.#logger = logger
  }

  /** This node has come to lead the group, or what the group shall be has changed. */
  look(groupId: GroupId): void {
    const replica = this.#host.replicaOf(groupId)
    if (replica === undefined || !replica.isLeader || this.#watched.has(groupId)) return
    const desired = this.#host.desiredOf(replica)
    if (desired === undefined) return
    const isThere = nextMembershipStep(replica.status(), desired).type === 'reached'
    if (isThere && this.#host.targetOf(groupId) === undefined) return
    this.#watched.set(groupId, {
      syncedIn: undefined,
      syncTo: undefined,
      isAsking: false,
      isReporting: false,
      handOverAgainMs: 0,
    })
  }

  tick(): void {
    for (const [groupId, watch] of this.#watched) {
      const replica = this.#host.replicaOf(groupId)
      if (replica === undefined || !replica.isLeader) this.#watched.delete(groupId)
      else this.#advance(replica, watch)
    }
  }

  #advance(replica: Replica, watch: Watch): void {
    const { groupId } = replica
    // A newcomer can't wake a quiet group, as a voter that comes back does by asking for votes.
    replica.wakeUp()
    const status = replica.status()
    if (!status.ownTermCommitted || !this.#isSynced(groupId, status.term, watch)) return
    const desired = this.#host.desiredOf(replica)
    if (desired === undefined) {
      this.#watched.delete(groupId)
      return
    }
    const step = nextMembershipStep(status, desired)
    switch (step.type) {
      case 'wait':
        return
      case 'change': {
        const result = replica.changeConfiguration(step.change)
        const changes = step.change.changes.map(({ type, id }) => `${type} ${id}`)
        if (result.ok) this.#logger.info({ group: groupId, index: result.index, changes }, 'members change')
        else
          this.#logger.debug({ group: groupId, changes, reason: result.detail }, 'members can not change now')
        return
      }
      case 'handOver':
        this.#handOver(replica, watch)
        return
      case 'reached':
        if (this.#host.targetOf(groupId) === undefined) this.#watched.delete(groupId)
        else void this.#report(replica, watch)
    }
  }

  /** While it is tried nothing is decided, so not all the time. */
  #handOver(replica: Replica, watch: Watch): void {
    const nowMs = this.#clock.nowMs()
    if (nowMs < watch.handOverAgainMs) return
    watch.handOverAgainMs = nowMs + HAND_OVER_MS
    this.#logger.info({ group: replica.groupId }, 'leadership is handed over by one that shall go')
    replica.step({ type: 'transfer', to: undefined })
  }

  #isSynced(groupId: GroupId, term: Term, watch: Watch): boolean {
    if (watch.syncedIn === term) return true
    if (watch.syncTo?.term === term) {
      if (this.#host.foldedMetadataIndex() < watch.syncTo.index) return false
      watch.syncedIn = term
      return true
    }
    if (watch.isAsking) return false
    const asked = this.#host.metadataIndex(groupId)
    if (asked === undefined) {
      watch.syncedIn = term
      return true
    }
    watch.isAsking = true
    asked
      .then((index) => (watch.syncTo = { term, index }))
      .catch((error: unknown) => this.#later(groupId, error))
      .finally(() => (watch.isAsking = false))
    return false
  }

  async #report(replica: Replica, watch: Watch): Promise<void> {
    const { groupId } = replica
    const target = this.#host.targetOf(groupId)
    if (watch.isReporting || target === undefined) return
    watch.isReporting = true
    try {
      await replica.confirmLeadership(this.#clock.nowMs() + CONFIRM_MS)
      const desired = this.#host.desiredOf(replica)
      const isStill =
        desired !== undefined && nextMembershipStep(replica.status(), desired).type === 'reached'
      if (!isStill || this.#host.targetOf(groupId)?.moves !== target.moves) return
      await this.#host.report(groupId, target.moves, target.nodeIds)
    } catch (error) {
      this.#later(groupId, error)
    } finally {
      watch.isReporting = false
    }
  }

  #later(groupId: GroupId, error: unknown): void {
    this.#logger.debug({ group: groupId, error: String(error) }, 'a change of members will be tried again')
  }
}
