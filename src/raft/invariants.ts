import { assert } from './assert.ts'
import type { Core } from './core.ts'
import type { LogIndex, Term } from './types.ts'

/** The highest seen so far. */
export interface Watermarks {
  term: Term
  commit: LogIndex
}

/** What must hold after every step. All of it costs a few comparisons, so it runs in production. */
export function checkInvariants(core: Core, watermarks: Watermarks): void {
  const { log, term, commit, applied, handedOut, role, leader, durability } = core
  assert(term >= watermarks.term, 'raft.term-backwards', () => `${term} after ${watermarks.term}`)
  assert(commit >= watermarks.commit, 'raft.commit-backwards', () => `${commit} after ${watermarks.commit}`)
  watermarks.term = term
  watermarks.commit = commit
  assert(log.lowEnd.index <= applied, 'raft.low-end-unapplied', () => `${log.lowEnd.index} > ${applied}`)
  assert(applied <= handedOut, 'raft.applied-order', () => `${applied} > ${handedOut}`)
  assert(handedOut <= commit, 'raft.handed-out-uncommitted', () => `${handedOut} > ${commit}`)
  assert(commit <= log.last.index, 'raft.commit-order', () => `${commit} > ${log.last.index}`)
  assert(durability.persisted <= log.last.index, 'raft.persisted-order', () => `${durability.persisted}`)
  assert(log.last.term <= term, 'raft.log-term-order', () => `${log.last.term} > ${term}`)
  assert((role === 'leader') === (leader === core.id), 'raft.leader-is-self', () => `${role}, ${leader}`)
  const { configurationIndex, configuration } = core
  assert(
    configurationIndex <= log.last.index,
    'raft.configuration-beyond-last',
    () => `${configurationIndex}`,
  )
  if (role === 'candidate' || role === 'leader') {
    assert(
      core.votedFor === core.id,
      'raft.candidate-voted',
      () => `${role} of ${term} voted ${core.votedFor}`,
    )
  }
  if (role !== 'leader') {
    assert(core.followers.length === 0 && core.readRound === undefined, 'raft.leader-state-left')
    return
  }
  assert(log.last.term === term, 'raft.leader-own-entry', () => `${log.last.term} in term ${term}`)
  assert(configuration.voters.length > 0, 'raft.leader-of-nobody')
  assert(
    core.transfer === undefined || core.follower(core.transfer.to) !== undefined,
    'raft.transfer-to-stranger',
    () => `${core.transfer?.to}`,
  )
  assert(core.uncommittedBytes >= 0, 'raft.uncommitted-bytes', () => `${core.uncommittedBytes}`)
  for (const { id, match, next } of core.followers) {
    assert(match < next, 'raft.match-below-next', () => `${id}: match ${match}, next ${next}`)
    assert(match <= log.last.index, 'raft.match-beyond-last', () => `${id}: match ${match}`)
  }
}

function mix(hash: number, value: number): number {
  const mixed = Math.imul(hash ^ (value | 0), 0x01000193)
  return Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b)
}

function mixText(hash: number, text: string | undefined): number {
  if (text === undefined) return mix(hash, -1)
  let mixed = mix(hash, text.length)
  for (let at = 0; at < text.length; at += 1) mixed = mix(mixed, text.charCodeAt(at))
  return mixed
}

/** 32 bits over what can be seen of the state: two runs of one seed must agree on them at every step. */
export function foldState(core: Core): number {
  const { log } = core
  let hash = mixText(0x811c9dc5 | 0, core.role)
  hash = mixText(hash, core.leader)
  hash = mixText(hash, core.votedFor)
  const lastDigest = Number(log.last.digest & 0xffffffffn)
  for (const value of [core.term, core.commit, core.applied, log.last.index, log.last.term, lastDigest]) {
    hash = mix(hash, value)
  }
  hash = mix(hash, log.lowEnd.index)
  hash = mix(hash, core.durability.persisted)
  hash = mix(hash, core.electionElapsed)
  for (const progress of core.followers) {
    hash = mixText(hash, progress.state)
    hash = mix(hash, progress.match)
    hash = mix(hash, progress.next)
  }
  return hash >>> 0
}
