import { assert } from './assert.ts'
import type { CatchUp } from './catch-up.ts'
import type { Core } from './core.ts'
import { entryBytes, markOf } from './log.ts'
import type { Lease } from './lease.ts'
import type { Progress } from './progress.ts'
import type { Transfer } from './transfer.ts'
import {
  asLogIndex,
  type AppendReply,
  type Entry,
  type HeartbeatReply,
  type LogIndex,
  type LogMark,
} from './types.ts'

/** What has to be done next for a follower. */
type Need = 'nothing' | 'entries' | 'empty' | 'catch-up'

/** The leader's side of log replication (§5.3): sends entries, follows what arrived, and commits. */
export class Replication {
  readonly #core: Core
  readonly #catchUp: CatchUp
  readonly #transfer: Transfer
  readonly #lease: Lease

  constructor(core: Core, catchUp: CatchUp, transfer: Transfer, lease: Lease) {
    this.#core = core
    this.#catchUp = catchUp
    this.#transfer = transfer
    this.#lease = lease
  }

  /** Leaders, once a tick. */
  tick(): void {
    const core = this.#core
    const { config, ticks } = core
    assert(core.role === 'leader', 'raft.replication-tick', () => core.role)
    const isActive = (progress: Progress): boolean => ticks - progress.heardAtTick < config.electionTicks
    const heardFromQuorum = core.hasQuorum((id) => {
      const progress = core.follower(id)
      return progress === undefined ? id === core.id : isActive(progress)
    })
    // CheckQuorum (thesis §6.2): whoever talks to a leader that can't commit should look for another. And a leader whose
    // disk hangs would keep everybody waiting, because its heartbeats need no disk.
    if (!heardFromQuorum || core.durability.ticksWaiting >= config.stalledDiskTicks) {
      core.becomeFollower(core.term, undefined)
      return
    }
    this.#transfer.tick()
    this.#catchUp.tick()
    core.heartbeatElapsed += 1
    assert(
      core.heartbeatElapsed <= config.heartbeatTicks,
      'raft.heartbeat-late',
      () => `${core.heartbeatElapsed}`,
    )
    if (core.heartbeatElapsed >= config.heartbeatTicks) {
      core.heartbeatElapsed = 0
      this.broadcastHeartbeat()
    }
  }

  broadcastHeartbeat(): void {
    assert(this.#core.role === 'leader', 'raft.heartbeat-leader', () => this.#core.role)
    this.#lease.beginRound()
    const { id, term, commit, followers, newestReadRound } = this.#core
    for (const progress of followers) {
      this.#core.send({
        type: 'heartbeat',
        from: id,
        to: progress.id,
        term,
        // Never beyond what the follower surely has: above that, its log could still be another leader's.
        commit: asLogIndex(Math.min(progress.match, commit)),
        readRound: newestReadRound,
      })
    }
  }

  #need(progress: Progress): Need {
    const { log, commit } = this.#core
    if (progress.state === 'snapshot' || progress.fetchFrom !== undefined) return 'nothing'
    if (progress.state === 'probe' && progress.paused) return 'nothing'
    if (this.#asksOnly(progress)) return 'empty'
    if (progress.next <= log.last.index && (progress.state === 'probe' || !progress.inflights.isFull())) {
      const inMemory = this.#markBefore(progress) !== undefined && log.entryAt(progress.next) !== undefined
      if (inMemory) return 'entries'
      if (progress.pace?.hasRoom(progress.inflights.bytes) !== false) return 'catch-up'
    }
    // What is under way will be answered, and until then entries may follow that bring the commit index along: a message
    // and an answer less. Heartbeats bring it to those whose answer got lost.
    const isOwedCommit = progress.commitSent < commit && progress.inflights.count === 0
    const hasNews = progress.state === 'probe' || progress.poked || isOwedCommit
    if (!hasNews) return 'nothing'
    return this.#markBefore(progress) === undefined ? 'catch-up' : 'empty'
  }

  /**
   * A probe that was heard from before its answer came: entries may still be under way to it, on a way that heartbeats
   * overtake. An append without any finds out as well. With entries, a slow way would get the same ones at each heartbeat.
   */
  #asksOnly(progress: Progress): boolean {
    if (progress.state !== 'probe' || !progress.poked || progress.next <= this.#core.log.lowEnd.index)
      return false
    return this.#markBefore(progress) !== undefined
  }

  #markBefore(progress: Progress): LogMark | undefined {
    const index = progress.next - 1
    const { sentMark, probedMark } = progress
    if (sentMark?.index === index) return sentMark
    return probedMark?.index === index ? probedMark : this.#core.log.markAt(index)
  }

  /** Up to here no follower needs an entry from memory any more: it holds it, or is sent a snapshot. */
  heldByAll(): number {
    const { followers, log } = this.#core
    let held: number = log.last.index
    for (const { state, match } of followers) if (state !== 'snapshot') held = Math.min(held, match)
    assert(held >= 0 && held <= log.last.index, 'raft.held-by-all', () => `${held}`)
    assert(followers.length === 0 || this.#core.role === 'leader', 'raft.held-leader', () => this.#core.role)
    return held
  }

  hasWork(): boolean {
    return this.#core.followers.some((progress) => this.#need(progress) !== 'nothing')
  }

  /**
   * Sends all that may leave now. Done when output is asked for and not at each proposal, so that what was proposed in
   * one turn shares a message.
   */
  sendAppends(): void {
    assert(this.#core.role === 'leader', 'raft.send-leader', () => this.#core.role)
    assert(!this.#core.failed, 'raft.send-failed')
    for (const progress of this.#core.followers) {
      for (let need = this.#need(progress); need !== 'nothing'; need = this.#need(progress)) {
        if (need === 'catch-up') {
          this.#catchUp.begin(progress, this.#markBefore(progress))
          break
        }
        this.#sendFromMemory(progress, need)
      }
    }
  }

  #sendFromMemory(progress: Progress, need: 'entries' | 'empty'): void {
    const { log, config } = this.#core
    const previous = this.#markBefore(progress)
    assert(previous !== undefined, 'raft.send-without-mark')
    const entries = need === 'empty' ? [] : log.slice(progress.next, log.last.index, config.maxAppendBytes)
    assert(entries !== undefined, 'raft.send-without-entries')
    assert(entries.length > 0 || need === 'empty', 'raft.send-nothing', () => `to ${progress.id}`)
    if (need === 'entries') progress.pace = undefined
    this.sendAppend(progress, previous, entries)
  }

  sendAppend(progress: Progress, previous: LogMark, entries: readonly Entry[]): void {
    const core = this.#core
    assert(previous.index === progress.next - 1, 'raft.send-previous', () => `${previous.index}`)
    const [first] = entries
    assert(first === undefined || first.index === progress.next, 'raft.send-first', () => `${first?.index}`)
    assert(
      entries.every(({ term }) => term <= core.term),
      'raft.send-term',
      () => `to ${progress.id}`,
    )
    core.send({
      type: 'append',
      from: core.id,
      to: progress.id,
      term: core.term,
      previous: markOf(previous),
      entries,
      commit: core.commit,
    })
    assert(core.commit >= progress.commitSent, 'raft.commit-sent', () => `${core.commit} to ${progress.id}`)
    progress.commitSent = core.commit
    progress.poked = false
    if (progress.state === 'probe') progress.probedMark = markOf(previous)
    const newest = entries.at(-1)
    if (newest !== undefined) {
      let bytes = 0
      for (const entry of entries) bytes += entryBytes(entry)
      progress.sent(markOf(newest), bytes)
    } else if (progress.state === 'probe') {
      progress.paused = true
    }
  }

  handleAppendReply(reply: AppendReply): void {
    const progress = this.#core.follower(reply.from)
    if (progress === undefined) return
    assert(this.#core.role === 'leader', 'raft.append-reply-leader', () => this.#core.role)
    assert(reply.term === this.#core.term, 'raft.append-reply-term', () => `${reply.term}`)
    progress.heardAtTick = this.#core.ticks
    if (reply.accepted) this.#confirmed(progress, reply.index)
    else this.#rejected(progress, reply)
  }

  #confirmed(progress: Progress, index: LogIndex): void {
    const { log } = this.#core
    assert(index <= log.last.index, 'raft.reply-beyond-log', () => {
      return `${progress.id} acknowledged ${index}, the log ends at ${log.last.index}`
    })
    const isNews = index > progress.match
    progress.confirm(index)
    assert(progress.match >= index, 'raft.confirmed-match', () => `${progress.id}: ${progress.match}`)
    switch (progress.state) {
      case 'probe':
        if (index >= progress.match) progress.becomeReplicate()
        break
      case 'replicate':
        break
      case 'snapshot':
        // However it got there: from the low end on, entries will do.
        if (progress.match >= log.lowEnd.index) progress.becomeReplicate()
        // The low end has moved on meanwhile: another snapshot.
        else if (isNews) progress.becomeProbe(progress.match + 1, false)
        break
    }
    if (!isNews) return
    this.maybeCommit()
    this.#transfer.proceed()
  }

  #rejected(progress: Progress, reply: AppendReply): void {
    const refused = reply.index
    switch (progress.state) {
      case 'snapshot':
        return
      case 'replicate':
        // Refused, but confirmed since: an answer that was overtaken.
        if (refused <= progress.match) return
        break
      case 'probe':
        if (refused !== progress.next - 1) return
        break
    }
    const agreesTo = this.#core.log.lastAtOrBelowTerm(Math.min(reply.hintIndex, refused), reply.hintTerm)
    // At least one step back per answer, whatever the hint says, and never below what is confirmed.
    const next = Math.max(Math.min(refused, agreesTo + 1), progress.match + 1)
    assert(next <= Math.max(refused, progress.match + 1), 'raft.back-up', () => `${next} after ${refused}`)
    assert(next > progress.match, 'raft.back-up-confirmed', () => `${next}, match ${progress.match}`)
    progress.becomeProbe(next, false)
  }

  handleHeartbeatReply(reply: HeartbeatReply): void {
    const core = this.#core
    const progress = core.follower(reply.from)
    if (progress === undefined) return
    progress.heardAtTick = core.ticks
    assert(reply.readRound <= core.newestReadRound, 'raft.read-round-unknown', () => `${reply.readRound}`)
    assert(reply.term === core.term, 'raft.heartbeat-reply-term', () => `${reply.term} in ${core.term}`)
    progress.readRound = Math.max(progress.readRound, reply.readRound)
    // It lives, so what is still missing may have got lost. An append without entries is enough to find out, so this
    // needs no room in the window, and a window full of lost messages can't stay full.
    progress.paused = false
    this.#catchUp.heardFrom(progress)
    if (progress.match < core.log.last.index) progress.poked = true
  }

  /** §5.3 and §5.4.2: what a quorum holds is committed, if it is of the own term; all before it is, with it. */
  maybeCommit(): void {
    const core = this.#core
    const index = core.quorumIndex((id) => this.matchOf(id))
    assert(index <= core.log.last.index, 'raft.quorum-beyond-last', () => `${index}`)
    assert(core.role === 'leader', 'raft.commit-leader', () => core.role)
    if (index > core.commit && this.mayCommit(index)) core.commitTo(asLogIndex(index))
  }

  /** Counting replicas proves nothing for an entry of an earlier term: figure 8. */
  mayCommit(index: number): boolean {
    return this.#core.log.termAt(index) === this.#core.term
  }

  /** The leader's own log counts only as far as it is on its disk. */
  matchOf(id: string): number {
    const core = this.#core
    assert(core.role === 'leader', 'raft.match-leader', () => core.role)
    if (id === core.id) return core.durability.persisted
    return core.followers.find((progress) => progress.id === id)?.match ?? 0
  }

  unreachable(progress: Progress): void {
    if (this.#catchUp.interrupted(progress)) return
    // Paused, or a transport that fails at once would be asked again at once. A heartbeat's answer goes on: of a follower
    // that a new leader hasn't heard of yet not from the first entry, but from where their logs are thought to part.
    progress.becomeProbe(progress.state === 'probe' ? progress.next : progress.match + 1, true)
  }
}
