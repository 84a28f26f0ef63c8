import { broken } from './assert.ts'
import type { Core } from './core.ts'
import type { LogIndex, Term } from './types.ts'

/** The highest seen so far. */
export interface Watermarks {
  term: Term
  commit: LogIndex
}

/**
 * What must hold after every step. It runs in production, so it is comparisons alone: no closure and no text unless
 * something is broken.
 */
export function checkInvariants(core: Core, watermarks: Watermarks): void {
  const { log, term, commit, applied, handedOut, role, leader, durability } = core
  const { lowEnd, last } = log
  if (term < watermarks.term) broken('raft.term-backwards', `${term} after ${watermarks.term}`)
  if (commit < watermarks.commit) broken('raft.commit-backwards', `${commit} after ${watermarks.commit}`)
  watermarks.term = term
  watermarks.commit = commit
  if (lowEnd.index > applied) broken('raft.low-end-unapplied', `${lowEnd.index} > ${applied}`)
  if (applied > handedOut) broken('raft.applied-order', `${applied} > ${handedOut}`)
  if (handedOut > commit) broken('raft.handed-out-uncommitted', `${handedOut} > ${commit}`)
  if (commit > last.index) broken('raft.commit-order', `${commit} > ${last.index}`)
  if (durability.persisted > last.index) broken('raft.persisted-order', `${durability.persisted}`)
  if (last.term > term) broken('raft.log-term-order', `${last.term} > ${term}`)
  if (lowEnd.term > last.term) broken('raft.low-end-term', `${lowEnd.term} > ${last.term}`)
  if ((role === 'leader') !== (leader === core.id)) broken('raft.leader-is-self', `${role}, ${leader}`)
  if (core.leaderHeardTick > core.ticks) broken('raft.leader-heard-later', `${core.leaderHeardTick}`)
  if (core.heartbeatElapsed > core.config.heartbeatTicks) broken('raft.heartbeat-overdue')
  if (core.failed && core.outbox.messages.length > 0) broken('raft.failed-speaks')
  if (core.configurationIndex > last.index) {
    broken('raft.configuration-beyond-last', `${core.configurationIndex}`)
  }
  if (role === 'leader') checkLeader(core)
  else checkOther(core)
}

function checkOther(core: Core): void {
  const { role, term } = core
  if (role === 'candidate' && core.votedFor !== core.id) {
    broken('raft.candidate-voted', `${role} of ${term} voted ${core.votedFor}`)
  }
  if (core.followers.length > 0 || core.readRound !== undefined) broken('raft.leader-state-left')
  if (core.transfer !== undefined || core.waitingReads.length > 0) broken('raft.leader-duties-left')
  if (core.uncommittedBytes !== 0) broken('raft.uncommitted-left', `${core.uncommittedBytes}`)
  if (role === 'follower' && core.votes.size > 0) broken('raft.follower-counts', `${core.votes.size}`)
}

function checkLeader(core: Core): void {
  const { log, term, commit, readRound, transfer } = core
  const { last } = log
  if (core.votedFor !== core.id) broken('raft.leader-voted', `of ${term} voted ${core.votedFor}`)
  if (last.term !== term) broken('raft.leader-own-entry', `${last.term} in term ${term}`)
  if (core.configuration.voters.length === 0) broken('raft.leader-of-nobody')
  if (transfer !== undefined && core.follower(transfer.to) === undefined) {
    broken('raft.transfer-to-stranger', transfer.to)
  }
  if (core.uncommittedBytes < 0) broken('raft.uncommitted-bytes', `${core.uncommittedBytes}`)
  if (commit === last.index && core.uncommittedBytes !== 0) {
    broken('raft.uncommitted-rest', `${core.uncommittedBytes} with all committed`)
  }
  if (readRound !== undefined) {
    if (readRound.index > commit) broken('raft.read-round-index', `${readRound.index} > ${commit}`)
    if (readRound.round > core.newestReadRound) broken('raft.read-round-newest', `${readRound.round}`)
  }
  for (const progress of core.followers) {
    const { id, match, next, state } = progress
    if (match >= next) broken('raft.match-below-next', `${id}: match ${match}, next ${next}`)
    if (match > last.index) broken('raft.match-beyond-last', `${id}: match ${match}`)
    if (next > last.index + 1) broken('raft.next-beyond-last', `${id}: next ${next}`)
    if (progress.transfer !== undefined && state !== 'snapshot') broken('raft.transfer-without-snapshot', id)
    if (progress.fetchFrom !== undefined && state === 'snapshot') broken('raft.fetch-with-snapshot', id)
    if (progress.heardAtTick > core.ticks) broken('raft.heard-later', `${id}: ${progress.heardAtTick}`)
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
