import type { Cancel, Clock, Logger } from '../../env/index.ts'
import type { Term } from '../../raft/types.ts'
import { FlotillaError } from '../../wire/index.ts'
import type { Node } from '../node.ts'
import type { GroupBeats } from '../peers/peer-methods.ts'
import { partitionKey, type Group, type GivenEpoch, type GroupChangeCommand } from './types.ts'

/** How often leases are looked at: one ends so much late at most. */
export const LEASE_CHECK_MS = 200
/** A change that the coordinator makes by itself is given up after this, and made anew at the next look. */
const CHANGE_MS = 5000

interface Lease {
  readonly incarnation: number
  /** On the coordinator's own count of time. */
  endsMs: number
}

/** What the coordinator remembers of a group between two looks. */
interface Watched {
  readonly leases: Map<string, Lease>
  /** Of the group, when `revoking` was made. */
  version: number
  revoking: readonly Revoking[]
  /** Of the topics, when partitions were shared last; undefined: it has to be done. */
  topicsSeen: string | undefined
  /** As long as it is this group, in this version, nothing is due before then on the coordinator's own count of time. */
  idle: { readonly group: Group; readonly version: number; readonly untilMs: number } | undefined
  isChanging: boolean
}

/** A partition that its owner is to give back. */
interface Revoking {
  readonly given: GivenEpoch
  /** On the coordinator's own count of time: then it is taken. */
  readonly endsMs: number
}

/**
 * Runs on every node and does something on the one that leads the metadata group: keeps the members' leases, which aren't
 * logged, ends those of silent members, takes partitions whose owner doesn't give them back, and shares anew when topics come
 * or go. A new coordinator grants every member a whole lease, so its predecessor's loss costs no rebalance.
 */
export class GroupCoordinator {
  readonly #node: Node
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #groups = new Map<string, Watched>()
  /** The reign in which these leases are kept. */
  #term: Term | undefined
  /** Time as this node has lived it: a pause of its process isn't taken for the silence of all members. */
  #livedMs = 0
  #lookedMs: number
  #cancelTimer: Cancel | undefined

  constructor(node: Node, clock: Clock, logger: Logger) {
    this.#node = node
    this.#clock = clock
    this.#logger = logger
    this.#lookedMs = clock.nowMs()
  }

  start(): void {
    this.#cancelTimer = this.#clock.setTimer(LEASE_CHECK_MS, () => {
      this.#look()
      this.start()
    })
  }

  close(): void {
    this.#cancelTimer?.()
    this.#groups.clear()
  }

  get isActive(): boolean {
    return this.#node.metadata.replica.isDeciding
  }

  heard({ beats }: GroupBeats): void {
    const { groups } = this.#node.view.state
    for (const { group, memberId, incarnation, silentMs } of beats) {
      const member = groups.get(group)?.members.get(memberId)
      const lease = this.#groups.get(group)?.leases.get(memberId)
      if (member?.incarnation !== incarnation || lease?.incarnation !== incarnation) continue
      lease.endsMs = Math.max(lease.endsMs, this.#livedMs + member.sessionTimeoutMs - silentMs)
    }
  }

  #look(): void {
    const nowMs = this.#clock.nowMs()
    this.#livedMs += Math.min(nowMs - this.#lookedMs, 2 * LEASE_CHECK_MS)
    this.#lookedMs = nowMs
    if (!this.isActive) {
      this.#groups.clear()
      this.#term = undefined
      return
    }
    const { term } = this.#node.metadata.replica.status()
    if (term !== this.#term) {
      this.#groups.clear()
      this.#term = term
    }
    const { groups, nextGroupId, deletedGroupIds } = this.#node.view.state
    const topicsSeen = `${nextGroupId}/${deletedGroupIds.size}`
    for (const group of groups.all()) this.#lookAt(group, topicsSeen)
    if (this.#groups.size === groups.size) return
    for (const name of this.#groups.keys()) if (groups.get(name) === undefined) this.#groups.delete(name)
  }

  #lookAt(group: Group, topicsSeen: string): void {
    let watched = this.#groups.get(group.name)
    if (watched === undefined) {
      watched = {
        leases: new Map(),
        version: -1,
        revoking: [],
        topicsSeen: undefined,
        idle: undefined,
        isChanging: false,
      }
      this.#groups.set(group.name, watched)
    }
    if (group.members.size === 0 || watched.isChanging || this.#isIdle(group, watched, topicsSeen)) return
    const command =
      this.#expiry(group, watched) ?? this.#overdue(group, watched) ?? balance(group, watched, topicsSeen)
    if (command !== undefined) return this.#change(command, watched)
    const due = [...watched.leases.values(), ...watched.revoking].map(({ endsMs }) => endsMs)
    watched.idle = { group, version: group.version, untilMs: Math.min(...due) }
  }

  /** Leases only grow longer meanwhile. With thousands of groups this is most of what a look costs. */
  #isIdle(group: Group, { idle, topicsSeen: seen }: Watched, topicsSeen: string): boolean {
    if (idle?.group !== group || idle.version !== group.version || seen !== topicsSeen) return false
    return this.#livedMs < idle.untilMs
  }

  #expiry(group: Group, { leases }: Watched): GroupChangeCommand | undefined {
    const expired: { memberId: string; incarnation: number }[] = []
    for (const { memberId, incarnation, sessionTimeoutMs } of group.members.values()) {
      const lease = leases.get(memberId)
      if (lease?.incarnation !== incarnation)
        leases.set(memberId, { incarnation, endsMs: this.#livedMs + sessionTimeoutMs })
      else if (lease.endsMs <= this.#livedMs) expired.push({ memberId, incarnation })
    }
    if (leases.size > group.members.size) {
      for (const memberId of leases.keys()) if (!group.members.has(memberId)) leases.delete(memberId)
    }
    if (expired.length === 0) return undefined
    this.#logger.info({ group: group.name, members: expired.map(({ memberId }) => memberId) }, 'leases ended')
    return { type: 'expire', group: group.name, members: expired }
  }

  #overdue(group: Group, watched: Watched): GroupChangeCommand | undefined {
    if (watched.version !== group.version) {
      watched.version = group.version
      watched.revoking = this.#revokingOf(group, watched.revoking)
    }
    const partitions = watched.revoking
      .filter(({ endsMs }) => endsMs <= this.#livedMs)
      .map(({ given }) => given)
    return partitions.length === 0 ? undefined : { type: 'release', group: group.name, partitions }
  }

  #revokingOf(group: Group, known: readonly Revoking[]): Revoking[] {
    const endsMs = new Map(known.map((each) => [nameOf(each.given), each.endsMs]))
    return [...group.assignments.values()].flatMap(({ topic, partition, epoch, owner, isRevoking }) => {
      if (!isRevoking || owner === undefined) return []
      const given = { topic, partition, epoch }
      const longest = group.members.get(owner)?.revokeTimeoutMs ?? 0
      return { given, endsMs: endsMs.get(nameOf(given)) ?? this.#livedMs + longest }
    })
  }

  #change(command: GroupChangeCommand, watched: Watched): void {
    watched.isChanging = true
    this.#node.changeMetadata({ type: 'changeGroup', command }, this.#clock.nowMs() + CHANGE_MS).then(
      () => (watched.isChanging = false),
      (error: unknown) => {
        watched.isChanging = false
        watched.topicsSeen = undefined
        if (error instanceof FlotillaError && error.retryable) return
        this.#logger.warn(
          { group: command.group, command: command.type, error: String(error) },
          'a group was not changed',
        )
      },
    )
  }
}

/** When topics have come or gone since the last look. */
function balance(group: Group, watched: Watched, topicsSeen: string): GroupChangeCommand | undefined {
  if (watched.topicsSeen === topicsSeen) return undefined
  watched.topicsSeen = topicsSeen
  return { type: 'balance', group: group.name }
}

function nameOf(given: GivenEpoch): string {
  return `${partitionKey(given)}@${given.epoch}`
}
