import { assert } from './assert.ts'
import { isJoint, isVoter, lifeOf, membersOf, sameConfiguration, sortedIds } from './configuration.ts'
import type {
  ChangeRefusal,
  ChangeTransition,
  Configuration,
  ConfigurationChange,
  MemberChange,
  NodeId,
} from './types.ts'

/** A change that would make a group larger is refused. */
const MOST_MEMBERS = 100

export type NextConfiguration =
  | { readonly ok: true; readonly configuration: Configuration }
  | { readonly ok: false; readonly reason: ChangeRefusal; readonly detail: string }

const refuse = (reason: ChangeRefusal, detail: string): NextConfiguration => ({ ok: false, reason, detail })

/** What a change makes of a configuration (Raft §6, thesis §4.3). Pure: whether it is allowed now, membership.ts decides. */
export function nextConfiguration(
  current: Configuration,
  { changes, transition = 'auto' }: ConfigurationChange,
): NextConfiguration {
  if (changes.length === 0) return leave(current)
  if (isJoint(current)) {
    return refuse('joint', `the joint phase with ${current.votersOutgoing.join(', ')} has to end first`)
  }
  const wrong = changes.find((change) => wantsOtherLife(current, change))
  if (wrong !== undefined) {
    const life = lifeOf(current, wrong.id)
    return refuse('life-of-voter', `${wrong.id} votes under life ${life}: add it as a learner first`)
  }
  const target = changes.reduce(apply, current)
  if (target.voters.length === 0) return refuse('no-voters', 'a group can not decide without voters')
  if (membersOf(target).length > MOST_MEMBERS) {
    return refuse('too-many-members', `${membersOf(target).length} members, at most ${MOST_MEMBERS}`)
  }
  if (sameConfiguration(target, current)) return refuse('nothing-changes', 'the members are these already')
  const joint = needsJoint(current, target, transition)
  const reborn = joint ? current.voters.find((id) => lifeChanges(current, target, id)) : undefined
  if (reborn !== undefined) {
    return refuse(
      'life-of-voter',
      `${reborn} counts in the joint phase: give it another life by a change alone`,
    )
  }
  const configuration = joint ? join(current, target, transition) : target
  checkConfiguration(configuration)
  assert(joint || !isJoint(configuration), 'raft.change-joint', () => transition)
  assert(
    joint || votersChanged(current, configuration) <= 1,
    'raft.change-one-voter',
    () => `${current.voters.join()} to ${configuration.voters.join()} in one step`,
  )
  return { ok: true, configuration }
}

/** The same voter, with another disk behind it: majorities before and after needn't have a disk in common. */
function wantsOtherLife(current: Configuration, change: MemberChange): boolean {
  if (change.type !== 'addVoter' || !isVoter(current, change.id)) return false
  return (change.life ?? 0) !== lifeOf(current, change.id)
}

const lifeChanges = (current: Configuration, target: Configuration, id: NodeId): boolean =>
  membersOf(target).includes(id) && lifeOf(target, id) !== lifeOf(current, id)

function apply(configuration: Configuration, change: MemberChange): Configuration {
  const without = (ids: readonly NodeId[]): NodeId[] => sortedIds(ids.filter((id) => id !== change.id))
  const lives = (configuration.lives ?? []).filter(({ id }) => id !== change.id)
  const life = change.type === 'remove' ? 0 : (change.life ?? 0)
  if (life !== 0) lives.push({ id: change.id, life })
  lives.sort((left, right) => (left.id < right.id ? -1 : 1))
  const voters = without(configuration.voters)
  const learners = without(configuration.learners)
  if (change.type === 'addVoter') voters.push(change.id)
  if (change.type === 'addLearner') learners.push(change.id)
  const next: Configuration = {
    voters: sortedIds(voters),
    votersOutgoing: configuration.votersOutgoing,
    learners: sortedIds(learners),
    ...(lives.length === 0 ? {} : { lives }),
  }
  const isThere = next.voters.includes(change.id) || next.learners.includes(change.id)
  assert(isThere === (change.type !== 'remove'), 'raft.change-applied', () => `${change.type} ${change.id}`)
  assert(lifeOf(next, change.id) === life, 'raft.change-life', () => `${change.id} under ${life}`)
  return next
}

/** Of two sets of voters that differ by one, any two majorities share a member (thesis §4.1); of others they needn't. */
function needsJoint(current: Configuration, target: Configuration, transition: ChangeTransition): boolean {
  switch (transition) {
    case 'joint':
    case 'jointExplicit':
      return true
    case 'auto':
      return votersChanged(current, target) > 1
  }
}

/** How many voters come or go. */
export function votersChanged(current: Configuration, target: Configuration): number {
  const coming = target.voters.filter((id) => !current.voters.includes(id))
  const going = current.voters.filter((id) => !target.voters.includes(id))
  return coming.length + going.length
}

function join(current: Configuration, target: Configuration, transition: ChangeTransition): Configuration {
  // Whoever goes still has to be known by its life while its vote counts.
  const leaving = (current.lives ?? []).filter(
    ({ id }) => current.voters.includes(id) && !membersOf(target).includes(id),
  )
  const lives = [...(target.lives ?? []), ...leaving].sort((left, right) => (left.id < right.id ? -1 : 1))
  assert(!isJoint(current) && !isJoint(target), 'raft.join-twice', () => current.votersOutgoing.join())
  assert(new Set(lives.map(({ id }) => id)).size === lives.length, 'raft.join-lives', () => `${lives.length}`)
  return {
    ...target,
    votersOutgoing: sortedIds(current.voters),
    ...(transition === 'jointExplicit' ? {} : { leavesAutomatically: true }),
    ...(lives.length === 0 ? {} : { lives }),
  }
}

function leave(current: Configuration): NextConfiguration {
  if (!isJoint(current))
    return refuse('not-joint', 'there is no joint phase to end, and no change was asked for')
  const { voters, learners } = current
  const lives = (current.lives ?? []).filter(({ id }) => voters.includes(id) || learners.includes(id))
  const configuration = { voters, votersOutgoing: [], learners, ...(lives.length === 0 ? {} : { lives }) }
  checkConfiguration(configuration)
  assert(!isJoint(configuration), 'raft.leave-joint', () => current.votersOutgoing.join())
  assert(configuration.voters.length > 0, 'raft.leave-voters', () => current.voters.join())
  return { ok: true, configuration }
}

/** What every configuration must satisfy that isn't the empty one of a replica that joins. */
export function checkConfiguration(configuration: Configuration): void {
  const { voters, votersOutgoing, learners, leavesAutomatically, lives = [] } = configuration
  for (const ids of [voters, votersOutgoing, learners]) {
    assert(new Set(ids).size === ids.length, 'raft.configuration-twice', () => ids.join(', '))
  }
  assert(
    voters.length > 0 || (votersOutgoing.length === 0 && learners.length === 0),
    'raft.configuration-voters',
  )
  assert(!learners.some((id) => voters.includes(id)), 'raft.configuration-learner-votes', () =>
    learners.join(),
  )
  assert(leavesAutomatically !== true || isJoint(configuration), 'raft.configuration-leaves')
  const members = membersOf(configuration)
  assert(
    lives.every(({ id }) => members.includes(id)),
    'raft.configuration-strange-life',
    () => lives.map(({ id }) => id).join(),
  )
}
