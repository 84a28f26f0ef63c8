import type {
  Configuration,
  ConfigurationInForce,
  Entry,
  FollowerStatus,
  Message,
  Status,
} from '../../src/raft/index.ts'

/** How scenarios say things: index/term for a place in the log. */

export function sayConfiguration({ voters, votersOutgoing, learners, ...more }: Configuration): string {
  if (voters.length === 0) return 'nobody'
  const joint = votersOutgoing.length === 0 ? '' : ` and of ${votersOutgoing.join(' ')}`
  const leaves = more.leavesAutomatically === true ? ', until committed' : ''
  const learning = learners.length === 0 ? '' : `, learning ${learners.join(' ')}`
  const lives = (more.lives ?? []).map(({ id, life }) => `, ${id} in life ${life}`).join('')
  return `${voters.join(' ')}${joint}${leaves}${learning}${lives}`
}

export function sayEntries(entries: readonly Entry[]): string {
  return entries.map(({ index, term, kind }) => `${index}/${term} ${kind}`).join(', ')
}

/** What a message says, without who sends it to whom. */
export function sayMessage(message: Message): string {
  switch (message.type) {
    case 'preVote':
    case 'vote': {
      const kind = message.type === 'preVote' ? 'would you vote for me' : 'vote for me'
      const transfer = message.transfer ? ', by order of the leader' : ''
      return `${kind} in term ${message.term}, my log ends at ${message.lastIndex}/${message.lastTerm}${transfer}`
    }
    case 'preVoteReply':
      return `${message.granted ? 'I would' : 'I would not'}, term ${message.term}`
    case 'voteReply':
      return `${message.granted ? 'you have my vote' : 'you do not have my vote'} in term ${message.term}`
    case 'append': {
      const { previous, entries, commit } = message
      const what = entries.length === 0 ? 'nothing' : sayEntries(entries)
      return `append after ${previous.index}/${previous.term}: ${what}; committed ${commit}`
    }
    case 'appendReply':
      return message.accepted
        ? `I hold your log up to ${message.index}`
        : `I have no such ${message.index}, try ${message.hintIndex}/${message.hintTerm}`
    case 'heartbeat':
      return `heartbeat, committed ${message.commit}${sayRound(message.readRound)}`
    case 'heartbeatReply':
      return `I follow${sayRound(message.readRound)}`
    case 'snapshot': {
      const { snapshot, offset = 0, totalBytes = snapshot.state.length } = message
      const end = offset + snapshot.state.length
      return `snapshot at ${snapshot.index}/${snapshot.term}, bytes ${offset} to ${end} of ${totalBytes}`
    }
    case 'snapshotReply':
      return `I have ${message.received} bytes of the snapshot at ${message.index}`
    case 'timeoutNow':
      return 'stand now'
  }
}

const sayRound = (round: number): string => (round === 0 ? '' : `, round ${round}`)

export function sayInForce({ configuration, index, committed }: ConfigurationInForce): string {
  return `${sayConfiguration(configuration)} by entry ${index}, ${committed ? 'for good' : 'not yet committed'}`
}

export function sayStatus(status: Status, runs: string): string {
  const { id, role, term, leader, commit, configuration } = status
  const under = role === 'leader' ? '' : leader === undefined ? ', no leader' : `, led by ${leader}`
  const log = `log of terms ${runs === '' ? 'none' : runs}, committed ${commit}`
  return `${id}: ${role} in term ${term}${under}; ${log}; members ${sayConfiguration(configuration)}`
}

export function sayFollower({ id, state, match, next, recentlyActive }: FollowerStatus): string {
  return `${id}: ${state}, holds ${match}, next ${next}${recentlyActive ? '' : ', silent'}`
}
