import { assert } from '../assert.ts'
import {
  partitionKey,
  type Assignment,
  type Group,
  type GroupChange,
  type Member,
  type Strategy,
} from './types.ts'

/** How groups stand in the encoded state of the metadata group. */
export interface EncodedGroups {
  readonly lastEpoch: number
  readonly groups: readonly {
    readonly name: string
    readonly sinceEpoch: number
    readonly strategy: Strategy
    readonly members: readonly Member[]
    readonly assignments: readonly Assignment[]
  }[]
}

interface MutableGroup extends Group {
  version: number
  strategy: Strategy
  readonly members: Map<string, Member>
  readonly assignments: Map<string, Assignment>
}

/** The consumer groups: a part of the metadata group's folded state. */
export class GroupsState {
  /** The newest epoch and incarnation that was given; all groups draw from it, so that none is ever given twice. */
  #lastEpoch = 0
  readonly #groups = new Map<string, MutableGroup>()

  get lastEpoch(): number {
    return this.#lastEpoch
  }

  get size(): number {
    return this.#groups.size
  }

  get(name: string): Group | undefined {
    return this.#groups.get(name)
  }

  all(): Iterable<Group> {
    return this.#groups.values()
  }

  /** Can't fail on an event that a leader decided. */
  changed(name: string, epoch: number, change: GroupChange): void {
    assert(epoch >= this.#lastEpoch, 'groups.epoch-monotone', `${epoch} after ${this.#lastEpoch}`)
    this.#lastEpoch = epoch
    let group = this.#groups.get(name)
    if (group === undefined) {
      group = {
        name,
        sinceEpoch: epoch,
        version: 0,
        strategy: 'balanced',
        members: new Map(),
        assignments: new Map(),
      }
      this.#groups.set(name, group)
    }
    group.version += 1
    if (change.strategy !== undefined) group.strategy = change.strategy
    for (const memberId of change.left ?? []) group.members.delete(memberId)
    for (const member of change.joined ?? []) group.members.set(member.memberId, member)
    for (const assignment of change.assignments ?? []) {
      const key = partitionKey(assignment)
      const before = group.assignments.get(key)
      assert(assignment.epoch >= (before?.epoch ?? 0), 'groups.assignment-epoch-monotone', key)
      // Per epoch a partition has one owner: another one comes with another epoch.
      assert(
        before === undefined ||
          assignment.owner === undefined ||
          assignment.owner === before.owner ||
          assignment.epoch > before.epoch,
        'groups.one-owner-per-epoch',
        key,
      )
      assert(
        assignment.owner === undefined || group.members.has(assignment.owner),
        'groups.owner-is-member',
        key,
      )
      group.assignments.set(key, assignment)
    }
  }

  deleted(name: string): void {
    this.#groups.delete(name)
  }

  topicDeleted(topic: string): void {
    for (const group of this.#groups.values()) {
      for (const [key, assignment] of group.assignments) {
        if (assignment.topic !== topic) continue
        group.assignments.delete(key)
        group.version += 1
      }
    }
  }

  encode(): EncodedGroups {
    return {
      lastEpoch: this.#lastEpoch,
      groups: [...this.#groups.values()].map(({ name, sinceEpoch, strategy, members, assignments }) => ({
        name,
        sinceEpoch,
        strategy,
        members: [...members.values()],
        assignments: [...assignments.values()],
      })),
    }
  }

  restore({ lastEpoch, groups }: EncodedGroups): void {
    this.#lastEpoch = lastEpoch
    for (const { name, sinceEpoch, strategy, members, assignments } of groups) {
      this.#groups.set(name, {
        name,
        sinceEpoch,
        version: 0,
        strategy,
        members: new Map(members.map((member) => [member.memberId, member])),
        assignments: new Map(assignments.map((assignment) => [partitionKey(assignment), assignment])),
      })
    }
  }
}
