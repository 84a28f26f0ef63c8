import type { Cancel, Clock } from '../env/index.ts'
import type { GroupId } from '../log/types.ts'
import type { NodeId, Term } from '../raft/types.ts'
import type { LeaderNotice } from './peers/peer-codec.ts'
import type { Replica } from './replica.ts'

export interface KnownLeader {
  readonly leader: NodeId | undefined
  readonly term: Term
}

/** Who leads which group, as far as this node has heard: from its own replicas and from the leaders' notices. */
export class LeaderTable {
  readonly #clock: Clock
  readonly #known = new Map<GroupId, KnownLeader>()
  /** What nodes led when they fell silent. */
  readonly #silent = new Map<GroupId, { readonly leader: NodeId; readonly term: Term }>()
  /** Who led before this node's own replica said that it hears no leader. */
  readonly #unheard = new Map<GroupId, { readonly leader: NodeId; readonly term: Term }>()
  readonly #listeners = new Set<(groupId: GroupId) => void>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get(groupId: GroupId): KnownLeader | undefined {
    return this.#known.get(groupId)
  }

  /** A newer term beats an older one; within a term there is one leader, and `undefined` means that it is silent. */
  learn(groupId: GroupId, term: Term, leader: NodeId | undefined): void {
    const known = this.#known.get(groupId)
    if (known !== undefined && known.term > term) return
    // A term has one leader: who says otherwise speaks of another term.
    if (
      known?.term === term &&
      (known.leader === leader || (known.leader !== undefined && leader !== undefined))
    )
      return
    if (leader === undefined && known?.leader !== undefined && known.term === term)
      this.#unheard.set(groupId, { leader: known.leader, term })
    this.#known.set(groupId, { leader, term })
    this.#changed(groupId)
  }

  /**
   * This node has no replica of the group any more. One that was taken out of its group is sent nothing from then on, and what
   * it says last, that there is no leader, tells nothing: the others may go on under the one that they had.
   */
  replicaIsGone(groupId: GroupId): void {
    const before = this.#unheard.get(groupId)
    if (before === undefined) return
    this.#unheard.delete(groupId)
    const known = this.#known.get(groupId)
    if (known?.leader === undefined && known?.term === before.term)
      this.learn(groupId, before.term, before.leader)
  }

  /** A node can't be reached: what it led has no leader that is of use, until somebody says otherwise. */
  forgetNode(node: NodeId): void {
    for (const [groupId, { leader }] of this.#unheard) if (leader === node) this.#unheard.delete(groupId)
    for (const [groupId, known] of this.#known) {
      if (known.leader !== node) continue
      this.#silent.set(groupId, { leader: node, term: known.term })
      this.#known.set(groupId, { leader: undefined, term: known.term })
      this.#changed(groupId)
    }
  }

  /**
   * A node that was silent is heard again on the streams that it had, so it won't say anew what it leads: it is taken to lead
   * what it did, where nobody has said otherwise since.
   */
  rememberNode(node: NodeId): void {
    for (const [groupId, { leader, term }] of this.#silent) {
      if (leader !== node) continue
      this.#silent.delete(groupId)
      const known = this.#known.get(groupId)
      if (known?.leader === undefined && known?.term === term) this.learn(groupId, term, leader)
    }
  }

  forgetGroup(groupId: GroupId): void {
    this.#known.delete(groupId)
    this.#silent.delete(groupId)
    this.#unheard.delete(groupId)
  }

  onChange(listener: (groupId: GroupId) => void): Cancel {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The leader, as soon as one other than `not` is known; undefined at the deadline or when `signal` is aborted. */
  waitFor(
    groupId: GroupId,
    deadlineMs: number,
    signal?: AbortSignal,
    not?: NodeId,
  ): Promise<NodeId | undefined> {
    const find = (): NodeId | undefined => {
      const leader = this.#known.get(groupId)?.leader
      return leader === not ? undefined : leader
    }
    const now = find()
    if (now !== undefined || signal?.aborted === true) return Promise.resolve(now)
    return new Promise((resolve) => {
      const finish = (leader: NodeId | undefined): void => {
        cancelTimer()
        cancelListener()
        signal?.removeEventListener('abort', aborted)
        resolve(leader)
      }
      const aborted = (): void => finish(undefined)
      const cancelTimer = this.#clock.setTimer(Math.max(0, deadlineMs - this.#clock.nowMs()), aborted)
      const cancelListener = this.onChange((changed) => {
        const leader = changed === groupId ? find() : undefined
        if (leader !== undefined) finish(leader)
      })
      signal?.addEventListener('abort', aborted)
    })
  }

  #changed(groupId: GroupId): void {
    for (const listener of this.#listeners) listener(groupId)
  }
}

/** What this node leads. */
export function leaderNotices(replicas: ReadonlyMap<GroupId, Replica>, self: NodeId): LeaderNotice[] {
  const notices: LeaderNotice[] = []
  for (const replica of replicas.values()) {
    // By the core: a replica that was just deposed hears of it in its next turn, when the term is another's already.
    const { role, term } = replica.status()
    if (role === 'leader') notices.push({ groupId: replica.groupId, term, leader: self })
  }
  return notices
}
