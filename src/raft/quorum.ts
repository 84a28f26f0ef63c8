import { assert } from './assert.ts'
import type { Configuration, NodeId } from './types.ts'

/**
 * Quorum maths. In a joint configuration (Raft §6) a decision needs a majority of the voters and, separately, one of the
 * outgoing voters. An empty half decides nothing and so agrees with everything; two empty halves never have a quorum.
 */

export type VoteResult = 'won' | 'lost' | 'pending'

/** How many of `size` are a majority. */
export const majorityOf = (size: number): number => Math.floor(size / 2) + 1

function majorityHas(voters: readonly NodeId[], agrees: (id: NodeId) => boolean): boolean {
  let count = 0
  for (const id of voters) if (agrees(id)) count += 1
  assert(voters.length > 0, 'raft.majority-of-nobody')
  return count >= majorityOf(voters.length)
}

export function hasQuorum(configuration: Configuration, agrees: (id: NodeId) => boolean): boolean {
  const { voters, votersOutgoing } = configuration
  if (voters.length === 0) return false
  if (!majorityHas(voters, agrees)) return false
  return votersOutgoing.length === 0 || majorityHas(votersOutgoing, agrees)
}

/** Won: a quorum said yes. Lost: a quorum can no longer come together, whoever still answers. */
export function voteResult(configuration: Configuration, votes: ReadonlyMap<NodeId, boolean>): VoteResult {
  if (hasQuorum(configuration, (id) => votes.get(id) === true)) return 'won'
  return hasQuorum(configuration, (id) => votes.get(id) !== false) ? 'pending' : 'lost'
}

function majorityIndex(voters: readonly NodeId[], matchOf: (id: NodeId) => number): number {
  const matches = voters.map(matchOf)
  // Insertion sort, descending: a handful of voters, and nothing to allocate.
  for (let at = 1; at < matches.length; at += 1) {
    const match = matches[at]!
    let to = at
    for (; to > 0 && matches[to - 1]! < match; to -= 1) matches[to] = matches[to - 1]!
    matches[to] = match
  }
  const index = matches[majorityOf(voters.length) - 1]
  assert(index !== undefined, 'raft.quorum-index', () => `${index} of ${voters.join(' ')}`)
  assert(matches.at(-1)! <= index && index <= matches[0]!, 'raft.quorum-order', () => matches.join(' '))
  return index
}

/** The highest index that a quorum holds (figure 2, "rules for servers", leaders); 0 where there are no voters. */
export function quorumIndex(configuration: Configuration, matchOf: (id: NodeId) => number): number {
  const { voters, votersOutgoing } = configuration
  if (voters.length === 0) return 0
  const incoming = majorityIndex(voters, matchOf)
  if (votersOutgoing.length === 0) return incoming
  const outgoing = majorityIndex(votersOutgoing, matchOf)
  const index = Math.min(incoming, outgoing)
  assert(
    hasQuorum(configuration, (id) => matchOf(id) >= index),
    'raft.quorum-joint',
    () => `${index} of ${incoming} and ${outgoing}`,
  )
  return index
}
