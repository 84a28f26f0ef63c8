import {
  FlotillaError,
  GROUP_LIMITS,
  validateGroupName,
  validateMemberId,
  type TopicPartition,
} from '../../wire/index.ts'
import { assign } from './assign.ts'
import type { GroupsState } from './state.ts'
import {
  partitionKey,
  type Assignment,
  type Group,
  type GroupChange,
  type GroupChangeCommand,
  type JoiningMember,
  type Member,
  type Strategy,
  type Subscription,
} from './types.ts'

/** The topics that there are, and how many partitions each has. */
export type PartitionCounts = ReadonlyMap<string, { readonly partitions: readonly unknown[] }>

export type GroupResult =
  | { readonly type: 'done' }
  | { readonly type: 'joined'; readonly member: Member }
  /** What the reset has to be applied under, and where to. */
  | { readonly type: 'reset'; readonly epoch: number; readonly sinceEpoch: number }
  | {
      readonly type: 'deleted'
      readonly group: string
      readonly epoch: number
      readonly partitions: readonly TopicPartition[]
    }

export type GroupDecision =
  | {
      readonly type: 'changed'
      readonly group: string
      readonly epoch: number
      readonly change: GroupChange
      readonly result: GroupResult
    }
  | { readonly type: 'deleted'; readonly group: string; readonly result: GroupResult }
  | { readonly type: 'answer'; readonly result: GroupResult }

type CommandOf<Type extends GroupChangeCommand['type']> = Extract<GroupChangeCommand, { readonly type: Type }>

const DONE: GroupResult = { type: 'done' }

/** The coordinator's decision: pure. Throws FlotillaError where it refuses. */
export function decideGroup(
  groups: GroupsState,
  topics: PartitionCounts,
  command: GroupChangeCommand,
): GroupDecision {
  if (command.type === 'join') return decideJoin(groups, topics, command)
  const group = groups.get(command.group)
  if (group === undefined) throw unknownGroup(command.group)
  const draft = new GroupDraft(group, groups.lastEpoch, topics)
  switch (command.type) {
    case 'leave':
      memberOf(group, command.memberId, command.incarnation)
      draft.leave(command.memberId)
      return draft.decision(DONE)
    case 'expire':
      for (const { memberId, incarnation } of command.members) {
        if (group.members.get(memberId)?.incarnation === incarnation) draft.leave(memberId)
      }
      return draft.decision(DONE)
    case 'subscribe':
      return decideSubscribe(group, topics, command, draft)
    case 'release':
      for (const each of command.partitions) draft.release(each, each.epoch)
      return draft.decision(DONE)
    case 'balance':
      return draft.decision(DONE)
    case 'reset':
      return decideReset(group, topics, command, draft)
    case 'delete':
      refuseWithMembers(group, 'deleted')
      return {
        type: 'deleted',
        group: group.name,
        result: {
          type: 'deleted',
          group: group.name,
          epoch: groups.lastEpoch + 1,
          partitions: [...group.assignments.values()].map(({ topic, partition }) => ({ topic, partition })),
        },
      }
  }
}

function decideJoin(
  groups: GroupsState,
  topics: PartitionCounts,
  { group: name, member: joining, strategy }: CommandOf<'join'>,
): GroupDecision {
  validateGroupName(name)
  validateMemberId(joining.memberId)
  const group = groups.get(name)
  const known = group?.members.get(joining.memberId)
  if (joining.incarnation !== undefined) return decideResume(name, known, joining, joining.incarnation)
  checkSubscription(topics, joining)
  if (group === undefined) {
    if (groups.size >= GROUP_LIMITS.maxGroups)
      throw limit(`the cluster has ${groups.size} consumer groups`, GROUP_LIMITS.maxGroups)
  } else {
    if (known === undefined && group.members.size >= GROUP_LIMITS.maxMembersPerGroup) {
      throw limit(`group "${name}" has ${group.members.size} members`, GROUP_LIMITS.maxMembersPerGroup)
    }
    const others = [...group.members.keys()].filter((id) => id !== joining.memberId)
    if (others.length > 0 && group.strategy !== strategy) {
      throw new FlotillaError(
        'INVALID_ARGUMENT',
        `strategy is ${strategy}, but group "${name}" shares its partitions by ${group.strategy}, and its members (${someOf(others)}) have to agree`,
      )
    }
    refuseClaimed(group, joining.memberId, joining)
  }
  const draft = new GroupDraft(group ?? emptyGroup(name), groups.lastEpoch, topics)
  const member: Member = { ...joining, incarnation: draft.epoch }
  draft.strategy = strategy
  draft.join(member)
  return draft.decision({ type: 'joined', member })
}

/** One whose stream broke goes on, at this node or another: nothing changes. */
function decideResume(
  group: string,
  known: Member | undefined,
  { memberId }: JoiningMember,
  incarnation: number,
): GroupDecision {
  if (known === undefined) throw unknownMember(group, memberId)
  if (known.incarnation > incarnation) throw fenced(group, known, incarnation)
  if (known.incarnation < incarnation) {
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `incarnation is ${incarnation}, but member "${memberId}" of group "${group}" has ${known.incarnation}`,
    )
  }
  return { type: 'answer', result: { type: 'joined', member: known } }
}

function decideSubscribe(
  group: Group,
  topics: PartitionCounts,
  { memberId, incarnation, subscription }: CommandOf<'subscribe'>,
  draft: GroupDraft,
): GroupDecision {
  const member = memberOf(group, memberId, incarnation)
  checkSubscription(topics, subscription)
  refuseClaimed(group, memberId, subscription)
  const changed = { ...member, topics: subscription.topics, partitions: subscription.partitions }
  draft.update(changed)
  return draft.decision({ type: 'joined', member: changed })
}

function decideReset(
  group: Group,
  topics: PartitionCounts,
  { topic, offsets, force }: CommandOf<'reset'>,
  draft: GroupDraft,
): GroupDecision {
  checkPartitions(
    topics,
    offsets.map(({ partition }) => ({ topic, partition })),
  )
  if (!force) refuseWithMembers(group, 'reset')
  const epoch = draft.epoch
  for (const { partition, offset } of offsets) draft.reset({ topic, partition }, offset)
  draft.nextEpoch()
  return draft.decision({ type: 'reset', epoch, sinceEpoch: group.sinceEpoch })
}

/** A group while a change of it is made. What comes out is the difference. */
class GroupDraft {
  strategy: Strategy
  #epoch: number
  readonly #group: Group
  readonly #topics: PartitionCounts
  readonly #members: Map<string, Member>
  readonly #assignments: Map<string, Assignment>
  readonly #joined = new Map<string, Member>()
  readonly #left: string[] = []
  readonly #changed = new Set<string>()

  constructor(group: Group, lastEpoch: number, topics: PartitionCounts) {
    this.#group = group
    this.#topics = topics
    this.#epoch = lastEpoch + 1
    this.strategy = group.strategy
    this.#members = new Map(group.members)
    this.#assignments = new Map(group.assignments)
  }

  /** What is given from here on is given under this. */
  get epoch(): number {
    return this.#epoch
  }

  nextEpoch(): void {
    this.#epoch += 1
  }

  /** A member that takes the place of one of its id gets what that had anew, so that the elder is fenced. */
  join(member: Member): void {
    this.update(member)
    for (const [key, assignment] of this.#assignments) {
      if (assignment.owner === member.memberId)
        this.#set(key, { ...assignment, epoch: this.#epoch, isRevoking: false })
    }
  }

  update(member: Member): void {
    this.#members.set(member.memberId, member)
    this.#joined.set(member.memberId, member)
  }

  leave(memberId: string): void {
    this.#members.delete(memberId)
    this.#left.push(memberId)
    for (const [key, assignment] of this.#assignments) {
      if (assignment.owner === memberId)
        this.#set(key, { ...assignment, owner: undefined, isRevoking: false })
    }
  }

  release(partition: TopicPartition, epoch: number): void {
    const key = partitionKey(partition)
    const assignment = this.#assignments.get(key)
    if (assignment?.isRevoking !== true || assignment.epoch !== epoch) return
    this.#set(key, { ...assignment, owner: undefined, isRevoking: false })
  }

  reset({ topic, partition }: TopicPartition, offset: number): void {
    const epoch = this.#epoch
    this.#set(partitionKey({ topic, partition }), {
      topic,
      partition,
      owner: undefined,
      epoch,
      isRevoking: false,
      reset: { epoch, offset },
    })
  }

  decision(result: GroupResult): GroupDecision {
    this.#balance()
    const change: GroupChange = {
      ...(this.strategy === this.#group.strategy ? {} : { strategy: this.strategy }),
      ...(this.#joined.size === 0 ? {} : { joined: [...this.#joined.values()] }),
      ...(this.#left.length === 0 ? {} : { left: this.#left }),
      ...(this.#changed.size === 0
        ? {}
        : { assignments: [...this.#changed].flatMap((key) => this.#assignments.get(key) ?? []) }),
    }
    if (Object.keys(change).length === 0) return { type: 'answer', result }
    return { type: 'changed', group: this.#group.name, epoch: this.#epoch, change, result }
  }

  /** Gives what is free, and revokes what has to move: it is given when its owner has let go of it. */
  #balance(): void {
    const wanted = this.#wanted()
    const held = wanted.map((partition) => this.#assignments.get(partitionKey(partition)))
    const keepers = wanted.map(({ topic, partition }, at) => {
      const assignment = held[at]
      return { topic, partition, owner: assignment?.isRevoking === true ? undefined : assignment?.owner }
    })
    const targets = assign([...this.#members.values()], keepers, this.strategy)
    wanted.forEach(({ topic, partition }, at) => {
      const target = targets[at]
      const before = held[at]
      if (before?.isRevoking === true || before?.owner === target) return
      const key = partitionKey({ topic, partition })
      if (before?.owner !== undefined) this.#set(key, { ...before, isRevoking: true })
      else
        this.#set(key, {
          topic,
          partition,
          owner: target,
          epoch: this.#epoch,
          isRevoking: false,
          reset: before?.reset,
        })
    })
    const wantedKeys = new Set(wanted.map(partitionKey))
    for (const [key, assignment] of this.#assignments) {
      if (wantedKeys.has(key) || assignment.owner === undefined || assignment.isRevoking) continue
      this.#set(key, { ...assignment, isRevoking: true })
    }
  }

  /** Every partition that a member wants and that there is. */
  #wanted(): TopicPartition[] {
    const names = new Set<string>()
    const wanted = new Map<string, TopicPartition>()
    for (const { topics, partitions } of this.#members.values()) {
      if (partitions.length === 0) for (const topic of topics) names.add(topic)
      for (const { topic, partition } of partitions) {
        if (partition < (this.#topics.get(topic)?.partitions.length ?? 0))
          wanted.set(partitionKey({ topic, partition }), { topic, partition })
      }
    }
    for (const topic of names) {
      const count = this.#topics.get(topic)?.partitions.length ?? 0
      for (let partition = 0; partition < count; partition++)
        wanted.set(partitionKey({ topic, partition }), { topic, partition })
    }
    return [...wanted.values()]
  }

  #set(key: string, assignment: Assignment): void {
    this.#assignments.set(key, assignment)
    this.#changed.add(key)
  }
}

function emptyGroup(name: string): Group {
  return { name, sinceEpoch: 0, version: 0, strategy: 'balanced', members: new Map(), assignments: new Map() }
}

// -- rules -----------------------------------------------------------------------------------------------------

function checkSubscription(topics: PartitionCounts, subscription: Subscription): void {
  const count = subscription.topics.length + subscription.partitions.length
  if (count === 0)
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      'topics and partitions are both empty, but a member needs at least one',
    )
  if (subscription.topics.length > 0 && subscription.partitions.length > 0) {
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `topics names ${subscription.topics.length} and partitions ${subscription.partitions.length}, but a member names one or the other`,
    )
  }
  if (count > GROUP_LIMITS.maxTopicsPerMember)
    throw limit(`the member names ${count} topics and partitions`, GROUP_LIMITS.maxTopicsPerMember)
  for (const topic of subscription.topics) if (!topics.has(topic)) throw unknownTopic(topic)
  checkPartitions(topics, subscription.partitions)
}

function checkPartitions(topics: PartitionCounts, partitions: readonly TopicPartition[]): void {
  for (const { topic, partition } of partitions) {
    const layout = topics.get(topic)
    if (layout === undefined) throw unknownTopic(topic)
    if (partition >= 0 && partition < layout.partitions.length) continue
    throw new FlotillaError(
      'UNKNOWN_PARTITION',
      `topic "${topic}" has no partition ${partition}; it has 0 to ${layout.partitions.length - 1}`,
    )
  }
}

function refuseClaimed(group: Group, memberId: string, { partitions }: Subscription): void {
  const named = new Set(partitions.map(partitionKey))
  for (const other of group.members.values()) {
    if (other.memberId === memberId) continue
    for (const each of other.partitions) {
      if (!named.has(partitionKey(each))) continue
      throw new FlotillaError(
        'PARTITION_CLAIMED',
        `member "${other.memberId}" of group "${group.name}" has named partition ${each.partition} of "${each.topic}" for itself`,
      )
    }
  }
}

function refuseWithMembers(group: Group, what: 'deleted' | 'reset'): void {
  if (group.members.size === 0) return
  const way = what === 'reset' ? 'stop them first, or force it' : 'stop them first'
  throw new FlotillaError(
    'GROUP_HAS_MEMBERS',
    `group "${group.name}" can't be ${what}, as it has live members: ${someOf([...group.members.keys()])}; ${way}`,
  )
}

function memberOf(group: Group, memberId: string, incarnation: number): Member {
  const member = group.members.get(memberId)
  if (member === undefined) throw unknownMember(group.name, memberId)
  if (member.incarnation > incarnation) throw fenced(group.name, member, incarnation)
  if (member.incarnation === incarnation) return member
  throw new FlotillaError(
    'INVALID_ARGUMENT',
    `incarnation is ${incarnation}, but member "${memberId}" of group "${group.name}" has ${member.incarnation}`,
  )
}

export function unknownGroup(name: string): FlotillaError {
  return new FlotillaError('UNKNOWN_GROUP', `no consumer group has the name "${name}"`)
}

export function unknownMember(group: string, memberId: string): FlotillaError {
  return new FlotillaError(
    'UNKNOWN_MEMBER',
    `group "${group}" has no member "${memberId}": it left, or its lease ended because it was silent for longer than its session time-out`,
  )
}

export function fenced(
  group: string,
  { memberId, incarnation, clientAddress }: Member,
  elder: number,
): FlotillaError {
  return new FlotillaError(
    'MEMBER_FENCED',
    `another member from ${clientAddress} has joined group "${group}" as "${memberId}" (incarnation ${incarnation}); this one (${elder}) is fenced`,
  )
}

function unknownTopic(name: string): FlotillaError {
  return new FlotillaError('UNKNOWN_TOPIC', `no topic has the name "${name}"`)
}

function limit(found: string, most: number): FlotillaError {
  return new FlotillaError('LIMIT_EXCEEDED', `${found}, the limit is ${most}`)
}

/** The first of them, so that an error isn't long. */
function someOf(names: readonly string[]): string {
  const few = names.slice(0, 5).join(', ')
  return names.length <= 5 ? few : `${few} and ${names.length - 5} more`
}
