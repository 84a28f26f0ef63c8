import { lifeOf } from '../../raft/index.ts'
import type { Configuration, ConfigurationChange, MemberChange, NodeId, Status } from '../../raft/types.ts'

/** Who shall take part in a group, and under which life of its disk. */
export interface DesiredMembers {
  readonly voters: readonly NodeId[]
  readonly learners: readonly NodeId[]
  /** Default true. False: a leader that shall go and can't yet hands over to one that stays. */
  readonly mayLeadUntilGone?: boolean
  lifeOf(id: NodeId): number
}

/** What a group's leader knows of it. */
export type GroupProgress = Pick<
  Status,
  'id' | 'configuration' | 'configurationCommitted' | 'followers' | 'last'
>

export type MembershipStep =
  /** A change is under way, or a newcomer has to catch up first. */
  | { readonly type: 'wait' }
  | { readonly type: 'change'; readonly change: ConfigurationChange }
  /** Another one shall lead while newcomers catch up. */
  | { readonly type: 'handOver' }
  | { readonly type: 'reached' }

/** A learner that lacks no more than so many entries may vote: it has them before anybody notices. */
export const CAUGHT_UP_ENTRIES = 16

const WAIT: MembershipStep = { type: 'wait' }

/**
 * The next step from the members that a group has to those that it shall have: pure, and asked again after each step.
 * - A voter that lost its disk counts for nothing any more, so it becomes a learner under its new life before all else.
 * - Newcomers come as learners and are promoted when they have caught up.
 * - A voter goes only when one that has caught up comes in its place, in the same change, or when none is missing.
 * - Each step leaves a majority of voters that have everything, so the group goes on at once.
 */
export function nextMembershipStep(group: GroupProgress, desired: DesiredMembers): MembershipStep {
  const { configuration: now, id: self } = group
  if (!group.configurationCommitted || now.votersOutgoing.length > 0) return WAIT
  const wanted = [...desired.voters, ...desired.learners]
  const hasLost = (id: NodeId): boolean => id !== self && lifeOf(now, id) < desired.lifeOf(id)

  const lost = now.voters.find(hasLost)
  if (lost !== undefined) return change([wanted.includes(lost) ? asLearner(lost, desired) : remove(lost)])

  const isMember = (id: NodeId): boolean => now.voters.includes(id) || now.learners.includes(id)
  const newcomers = wanted.filter((id) => !isMember(id) || hasLost(id))
  if (newcomers.length > 0) return change(newcomers.map((id) => asLearner(id, desired)))

  return exchangeVoters(group, desired, wanted)
}

function exchangeVoters(
  group: GroupProgress,
  desired: DesiredMembers,
  wanted: readonly NodeId[],
): MembershipStep {
  const { configuration: now } = group
  const coming = desired.voters.filter((id) => !now.voters.includes(id))
  const ready = coming.filter((id) => isCaughtUp(group, id))
  const going = now.voters.filter((id) => !desired.voters.includes(id)).toSorted(leastUsefulFirst(group))
  const room = now.voters.length + ready.length - desired.voters.length
  const leaving =
    ready.length === coming.length ? going : going.slice(0, Math.max(0, Math.min(room, ready.length)))
  const strangers = now.learners.filter((id) => !wanted.includes(id))

  const voters = [...now.voters, ...ready].filter((id) => !leaving.includes(id))
  const useful = voters.filter((id) => isCaughtUp(group, id)).length
  const isSafe = useful * 2 > voters.length
  const changes = [
    ...(isSafe ? ready.map((id) => promote(id, now)) : []),
    ...(isSafe ? leaving.map((id) => (wanted.includes(id) ? demote(id, now) : remove(id))) : []),
    ...strangers.map(remove),
  ]
  if (changes.length > 0) return change(changes)
  if (coming.length === 0 && going.length === 0) return { type: 'reached' }
  const staysAndKnowsAll = (id: NodeId): boolean => desired.voters.includes(id) && isCaughtUp(group, id)
  const mustHandOver = desired.mayLeadUntilGone === false && !wanted.includes(group.id)
  return mustHandOver && now.voters.some(staysAndKnowsAll) ? { type: 'handOver' } : WAIT
}

/** It has answered lately and has, but for what is on its way, everything. The leader itself has. */
function isCaughtUp({ id: self, followers, last }: GroupProgress, id: NodeId): boolean {
  if (id === self) return true
  const follower = followers.find((each) => each.id === id)
  if (follower === undefined || !follower.recentlyActive || follower.state === 'snapshot') return false
  return follower.match > 0 && follower.match + CAUGHT_UP_ENTRIES >= last.index
}

/** Those that lag or are gone leave first, the leader last, as its leaving costs an election. */
function leastUsefulFirst(group: GroupProgress): (left: NodeId, right: NodeId) => number {
  const use = (id: NodeId): number => (id === group.id ? 2 : isCaughtUp(group, id) ? 1 : 0)
  return (left, right) => use(left) - use(right) || (left < right ? -1 : 1)
}

function change(changes: readonly MemberChange[]): MembershipStep {
  return { type: 'change', change: { changes } }
}

const asLearner = (id: NodeId, desired: DesiredMembers): MemberChange => ({
  type: 'addLearner',
  id,
  life: desired.lifeOf(id),
})
const promote = (id: NodeId, now: Configuration): MemberChange => ({
  type: 'addVoter',
  id,
  life: lifeOf(now, id),
})
const demote = (id: NodeId, now: Configuration): MemberChange => ({
  type: 'addLearner',
  id,
  life: lifeOf(now, id),
})
const remove = (id: NodeId): MemberChange => ({ type: 'remove', id })
