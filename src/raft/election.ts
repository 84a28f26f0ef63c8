import { assert } from './assert.ts'
import { isVoter } from './configuration.ts'
import type { Core } from './core.ts'
import { asTerm, type VoteReply, type VoteRequest } from './types.ts'

/** Standing for election and voting (§5.2, §5.4.1), with PreVote (thesis §9.6) and leader stickiness (thesis §4.2.3). */
export class Election {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  /** Followers and candidates, once a tick. */
  tick(): void {
    const core = this.#core
    assert(core.role !== 'leader', 'raft.election-tick-leader', () => core.id)
    core.electionElapsed += 1
    assert(
      core.electionElapsed <= core.electionTimeout,
      'raft.election-overdue',
      () => `${core.electionElapsed}`,
    )
    if (core.electionElapsed < core.electionTimeout) return
    if (core.mayCampaign()) this.preCampaign()
    else core.resetElectionTimer()
  }

  preCampaign(): void {
    const core = this.#core
    if (core.role === 'leader' || !core.mayCampaign() || this.keepsToLeader()) return
    const { term } = core
    core.becomePreCandidate()
    assert(core.term === term, 'raft.pre-vote-term', () => `${core.term} after ${term}`)
    assert(core.votes.size === 0, 'raft.pre-votes-left', () => `${core.votes.size} votes`)
    core.votes.set(core.id, true)
    if (this.#count() === 'won') {
      this.campaign(false)
      return
    }
    for (const message of this.#requests('preVote', false)) core.send(message)
  }

  campaign(transfer: boolean): void {
    const core = this.#core
    if (core.role === 'leader' || !core.mayCampaign()) return
    core.becomeCandidate()
    const { id, term } = core
    assert(core.votedFor === id, 'raft.own-vote', () => `${core.votedFor}`)
    assert(core.votes.size === 0, 'raft.votes-left', () => `${core.votes.size} votes`)
    // The own vote counts like any other: once it is durable. It comes back as a message to itself.
    core.sendDurably({ type: 'voteReply', from: id, to: id, term, granted: true })
    // The requests wait, too. Were they to leave before, a crash could take the term and unwritten entries away; the
    // same term asked for again with a shorter log could then be won by answers to the first request.
    for (const message of this.#requests('vote', transfer)) core.sendDurably(message)
  }

  #requests(type: VoteRequest['type'], transfer: boolean): VoteRequest[] {
    const { id, term, log, configuration } = this.#core
    const voters = new Set([...configuration.voters, ...configuration.votersOutgoing])
    voters.delete(id)
    assert(log.last.term <= term, 'raft.request-log-term', () => `${log.last.term} in ${term}`)
    assert(type === 'vote' || !transfer, 'raft.request-transfer', () => type)
    return [...voters].sort().map((to) => ({
      type,
      from: id,
      to,
      term: type === 'preVote' ? asTerm(term + 1) : term,
      lastIndex: log.last.index,
      lastTerm: log.last.term,
      transfer,
    }))
  }

  #count(): 'won' | 'lost' | 'pending' {
    return this.#core.voteResult()
  }

  /** This node leads, or has heard from a leader so lately that nobody has a reason to stand. */
  hearsFromLeader(): boolean {
    const { role, leader, electionElapsed, config } = this.#core
    assert(electionElapsed >= 0, 'raft.elapsed-negative', () => `${electionElapsed}`)
    if (role === 'leader' || this.keepsToLeader()) return true
    return leader !== undefined && electionElapsed < config.electionTicks
  }

  /**
   * With leases, an answered heartbeat is a promise to help nobody else for an election timeout: whatever this node has
   * since learnt of terms or leaders, and after a restart too, because it may have answered right before it.
   */
  keepsToLeader(): boolean {
    const { ticks, leaderHeardTick, config } = this.#core
    return config.leaseClockDriftPercent !== undefined && ticks - leaderHeardTick < config.electionTicks
  }

  /** §5.4.1: the candidate's log must be at least as up to date as the voter's. */
  isUpToDate(request: VoteRequest): boolean {
    const { last } = this.#core.log
    return request.lastTerm > last.term || (request.lastTerm === last.term && request.lastIndex >= last.index)
  }

  /** A request for the future term that a candidate would have; changes nothing here. */
  handlePreVote(request: VoteRequest): void {
    const core = this.#core
    const granted = request.term > core.term && this.isUpToDate(request)
    assert(request.from !== core.id, 'raft.pre-vote-self', () => request.from)
    core.send({
      type: 'preVoteReply',
      from: core.id,
      to: request.from,
      // A refusal names the term that the candidate doesn't know of.
      term: granted ? request.term : core.term,
      granted,
    })
  }

  /** The request's term is the node's own by now. */
  handleVote(request: VoteRequest): void {
    const core = this.#core
    const granted = this.mayVoteFor(request) && this.isUpToDate(request)
    const reply: VoteReply = {
      type: 'voteReply',
      from: core.id,
      to: request.from,
      term: core.term,
      granted,
    }
    if (!granted) {
      core.send(reply)
      return
    }
    const { votedFor } = core
    assert(request.term === core.term, 'raft.vote-term', () => `${request.term} in ${core.term}`)
    const isFirst = votedFor === undefined || votedFor === request.from
    assert(isFirst, 'raft.vote-once', () => `${request.from} after ${votedFor}`)
    assert(core.role !== 'leader', 'raft.vote-of-leader', () => `${request.from} in ${core.term}`)
    core.votedFor = request.from
    core.resetElectionTimer()
    core.sendDurably(reply)
  }

  mayVoteFor(request: VoteRequest): boolean {
    const { votedFor, leader } = this.#core
    return votedFor === request.from || (votedFor === undefined && leader === undefined)
  }

  /** Only for answers that belong to the campaign under way: Raft has compared the terms. */
  handleReply(reply: VoteReply): void {
    const core = this.#core
    const { role } = core
    if (role !== (reply.type === 'preVoteReply' ? 'pre-candidate' : 'candidate')) return
    if (!isVoter(core.configuration, reply.from)) return
    const isOfCampaign =
      reply.term === core.term || (role === 'pre-candidate' && reply.term === core.term + 1)
    assert(isOfCampaign, 'raft.vote-reply-term', () => `${reply.term} in ${core.term}`)
    if (!core.votes.has(reply.from)) core.votes.set(reply.from, reply.granted)
    assert(!core.failed, 'raft.vote-failed', () => reply.from)
    switch (this.#count()) {
      case 'pending':
        return
      case 'lost':
        core.becomeFollower(core.term, undefined)
        return
      case 'won':
        if (role === 'pre-candidate') this.campaign(false)
        else core.becomeLeader()
    }
  }
}
