import { assert } from './assert.ts'
import { CatchUp } from './catch-up.ts'
import { sameConfiguration } from './configuration.ts'
import { Core } from './core.ts'
import { checkRaftConfig } from './defaults.ts'
import { Election } from './election.ts'
import { Follower } from './follower.ts'
import { checkInvariants, foldState, type Watermarks } from './invariants.ts'
import { Lease } from './lease.ts'
import { Membership } from './membership.ts'
import { ReadIndex } from './read-index.ts'
import { Replication } from './replication.ts'
import { Transfer } from './transfer.ts'
import {
  asLogIndex,
  type Bootstrap,
  type ChangeResult,
  type Configuration,
  type ConfigurationChange,
  type ConfigurationInForce,
  type Draft,
  type Entry,
  type Input,
  type Leadership,
  type LogIndex,
  type Message,
  type Output,
  type ProposeResult,
  type RaftConfig,
  type RaftCore,
  type SnapshotMark,
  type Status,
} from './types.ts'

const MOST_HEADER_BYTES = 65_536

/**
 * One replica's consensus core. It says which role acts on an input; the roles are in election.ts, follower.ts,
 * replication.ts, catch-up.ts, transfer.ts and read-index.ts, and share the state in core.ts.
 */
export class Raft implements RaftCore {
  private readonly core: Core
  private readonly election: Election
  private readonly follower: Follower
  private readonly replication: Replication
  private readonly catchUp: CatchUp
  private readonly transfer: Transfer
  private readonly membership: Membership
  private readonly lease: Lease
  private readonly reads: ReadIndex
  private readonly watermarks: Watermarks
  private reported: Leadership
  private reportedConfiguration: ConfigurationInForce

  /** `random(bound)` gives an integer from 0 to bound - 1; elections need it to differ between replicas. */
  constructor(config: RaftConfig, bootstrap: Bootstrap, random: (bound: number) => number) {
    checkRaftConfig(config)
    this.core = new Core(config, bootstrap, random)
    this.election = new Election(this.core)
    this.follower = new Follower(this.core)
    this.catchUp = new CatchUp(this.core)
    this.transfer = new Transfer(this.core)
    this.lease = new Lease(this.core)
    this.replication = new Replication(this.core, this.catchUp, this.transfer, this.lease)
    this.membership = new Membership(this.core, this.replication, this.transfer)
    this.reads = new ReadIndex(this.core, this.lease)
    this.reported = this.leadership()
    this.reportedConfiguration = this.configurationInForce()
    this.watermarks = { term: this.core.term, commit: this.core.commit }
    checkInvariants(this.core, this.watermarks)
  }

  step(input: Input): void {
    if (this.core.failed) {
      // Whoever waits for a read must still be told.
      if (input.type === 'read') this.core.outbox.droppedReads.push(input.context)
      return
    }
    const { term } = this.core
    this.dispatch(input)
    this.membership.proceed()
    assert(input.type !== 'persisted' || this.core.term === term, 'raft.persisted-term', () => `${term}`)
    checkInvariants(this.core, this.watermarks)
  }

  private dispatch(input: Input): void {
    const { core } = this
    switch (input.type) {
      case 'tick':
        this.tick()
        return
      case 'message':
        this.receive(input.message)
        return
      case 'campaign':
        this.election.preCampaign()
        return
      case 'forgetLeader':
        // With leases it has promised its leader to stay for a while.
        if (core.role === 'follower' && !this.election.keepsToLeader()) core.leader = undefined
        return
      case 'read':
        this.reads.request(input.context, input.mode ?? 'quorum')
        return
      case 'transfer':
        if (core.role === 'leader') this.transfer.begin(input.to)
        return
      case 'persisted':
        core.durability.confirmed(input.token)
        this.shrinkWindow()
        this.deliverReleased()
        if (core.role === 'leader') this.replication.maybeCommit()
        return
      case 'applied':
        this.applied(input.index)
        return
      case 'window':
        assert(input.bytes >= 1, 'raft.window-size', () => `${input.bytes} bytes`)
        core.windowBytes = input.bytes
        core.heldWindowBytes = Math.min(input.heldBytes ?? input.bytes, input.bytes)
        this.shrinkWindow()
        return
      case 'fetched': {
        const progress = core.follower(input.to)
        if (progress === undefined) return
        const found = this.catchUp.fetched(progress, input.from, input.entries)
        if (found !== undefined) this.replication.sendAppend(progress, found.previous, found.entries)
        return
      }
      case 'snapshotLoaded': {
        const progress = core.follower(input.to)
        if (progress !== undefined) this.catchUp.snapshotLoaded(progress, input.snapshot)
        return
      }
      case 'unreachable': {
        const progress = core.follower(input.to)
        if (progress !== undefined) this.replication.unreachable(progress)
        return
      }
      case 'compacted':
        this.compacted(input.lowEnd)
        return
      case 'storageFailed':
        core.fail()
    }
  }

  private tick(): void {
    const { core } = this
    core.ticks += 1
    assert(Number.isSafeInteger(core.ticks), 'raft.ticks', () => `${core.ticks}`)
    core.durability.tick()
    if (core.role === 'leader') this.replication.tick()
    else {
      this.election.tick()
      this.follower.tick()
    }
  }

  /** Figure 2, "rules for all servers", and what PreVote and stickiness add to it. */
  private receive(message: Message): void {
    const { core } = this
    assert(message.to === core.id, 'raft.addressee', () => `${message.type} to ${message.to} at ${core.id}`)
    assert(!core.failed, 'raft.receive-failed', () => message.type)
    if (!core.concernsThisLife(message)) {
      core.refusedMessages += 1
      return
    }
    const isRequest = message.type === 'vote' || message.type === 'preVote'
    if (isRequest && !message.transfer && this.election.hearsFromLeader()) {
      // It doesn't even count as news of a higher term: that is what keeps a node that was cut off from unseating a
      // leader that all others follow. If it holds a lower term it gets the leader's messages anyway.
      return
    }
    if (message.term > core.term && !this.isAboutFutureTerm(message)) {
      const isFromLeader =
        message.type === 'append' || message.type === 'heartbeat' || message.type === 'snapshot'
      core.becomeFollower(message.term, isFromLeader ? message.from : undefined)
    }
    assert(
      message.term <= core.term || this.isAboutFutureTerm(message),
      'raft.receive-later-term',
      () => `${message.type} of ${message.term} in ${core.term}`,
    )
    if (message.term < core.term) this.receiveEarlierTerm(message)
    else this.receiveCurrentTerm(message)
  }

  /** A PreVote and its grant name a term that nobody has entered yet. */
  private isAboutFutureTerm(message: Message): boolean {
    return message.type === 'preVote' || (message.type === 'preVoteReply' && message.granted)
  }

  private receiveEarlierTerm(message: Message): void {
    switch (message.type) {
      case 'append':
      case 'heartbeat':
      case 'snapshot':
        this.follower.answerEarlierTerm(message.from)
        return
      case 'preVote':
        this.election.handlePreVote(message)
        return
      case 'vote':
        this.core.send({
          type: 'voteReply',
          from: this.core.id,
          to: message.from,
          term: this.core.term,
          granted: false,
        })
        return
      case 'voteReply':
      case 'preVoteReply':
      case 'appendReply':
      case 'heartbeatReply':
      case 'snapshotReply':
      case 'timeoutNow':
    }
  }

  private receiveCurrentTerm(message: Message): void {
    const { core } = this
    switch (message.type) {
      case 'preVote':
        this.election.handlePreVote(message)
        return
      case 'vote':
        this.election.handleVote(message)
        return
      case 'preVoteReply':
        if (message.term === core.term + (message.granted ? 1 : 0)) this.election.handleReply(message)
        return
      case 'voteReply':
        this.election.handleReply(message)
        return
      case 'append':
        this.follower.acknowledgeLeader(message.from)
        this.follower.handleAppend(message)
        return
      case 'heartbeat':
        this.follower.acknowledgeLeader(message.from)
        this.follower.handleHeartbeat(message)
        return
      case 'snapshot':
        this.follower.acknowledgeLeader(message.from)
        this.follower.handleSnapshot(message)
        return
      case 'appendReply':
        if (core.role === 'leader') this.replication.handleAppendReply(message)
        return
      case 'heartbeatReply':
        if (core.role !== 'leader') return
        this.replication.handleHeartbeatReply(message)
        this.reads.confirm()
        return
      case 'snapshotReply': {
        const progress = core.follower(message.from)
        if (progress !== undefined) this.catchUp.handleReply(progress, message)
        return
      }
      case 'timeoutNow':
        this.election.campaign(true)
    }
  }

  /** What the disk held back may go; the own vote goes to the node itself. */
  private deliverReleased(): void {
    const { core } = this
    for (const message of core.durability.release()) {
      assert(message.from === core.id, 'raft.released-sender', () => message.from)
      assert(message.term <= core.term, 'raft.released-term', () => `${message.term} in ${core.term}`)
      // Decided in an earlier term: nobody needs it any more.
      if (message.term !== core.term) continue
      if (message.to === core.id) this.receive(message)
      else core.outbox.messages.push(message)
    }
  }

  private applied(index: LogIndex): void {
    const { core } = this
    assert(index <= core.handedOut, 'raft.applied-unknown', () => `${index}, handed out to ${core.handedOut}`)
    // A snapshot may have overtaken the state machine.
    if (index <= core.applied) return
    assert(index <= core.durability.persisted, 'raft.applied-unpersisted', () => `${index}`)
    core.applied = index
    assert(core.applied <= core.commit, 'raft.applied-uncommitted', () => `${index}, commit ${core.commit}`)
    this.shrinkWindow()
  }

  private compacted(lowEnd: SnapshotMark): void {
    const { core } = this
    assert(
      lowEnd.index <= core.applied,
      'raft.compacted-unapplied',
      () => `${lowEnd.index} > ${core.applied}`,
    )
    if (lowEnd.index <= core.log.lowEnd.index) return
    const known = core.configurations.at(lowEnd.index)
    assert(
      known === undefined || sameConfiguration(known, lowEnd.configuration),
      'raft.compacted-configuration',
      () => `at ${lowEnd.index}`,
    )
    core.log.compact(lowEnd)
    core.configurations.compactedTo(lowEnd.index)
    assert(core.log.lowEnd.index === lowEnd.index, 'raft.compacted-low-end', () => `${core.log.lowEnd.index}`)
  }

  private shrinkWindow(): void {
    const { log, applied, durability, windowBytes, heldWindowBytes } = this.core
    const evictable = Math.min(applied, durability.persisted)
    assert(heldWindowBytes <= windowBytes, 'raft.window-held', () => `${heldWindowBytes} of ${windowBytes}`)
    assert(evictable <= this.core.commit, 'raft.window-uncommitted', () => `${evictable}`)
    log.shrinkWindow(windowBytes, evictable)
    if (heldWindowBytes < windowBytes) {
      log.shrinkWindow(heldWindowBytes, Math.min(evictable, this.replication.heldByAll()))
    }
  }

  propose(draft: Draft): ProposeResult {
    const { core } = this
    if (core.role !== 'leader') return { ok: false, reason: 'not-leader' }
    if (core.transfer !== undefined) return { ok: false, reason: 'transferring' }
    const bytes = draft.header.length + draft.payloadBytes
    assert(
      draft.header.length <= MOST_HEADER_BYTES,
      'raft.draft-header',
      () => `${draft.header.length} bytes`,
    )
    assert(Number.isSafeInteger(draft.payloadBytes) && draft.payloadBytes >= 0, 'raft.draft-payload')
    // One draft always fits, or one above the limit could never go in.
    if (core.uncommittedBytes > 0 && core.uncommittedBytes + bytes > core.config.maxUncommittedBytes) {
      return { ok: false, reason: 'too-many-uncommitted-bytes' }
    }
    const { index, term } = core.append('event', draft)
    assert(term === core.term && index === core.log.last.index, 'raft.proposed-last', () => `${index}`)
    return { ok: true, index, term }
  }

  changeConfiguration(change: ConfigurationChange): ChangeResult {
    const result = this.membership.change(change)
    assert(!result.ok || this.core.role === 'leader', 'raft.changed-leader', () => this.core.role)
    checkInvariants(this.core, this.watermarks)
    return result
  }

  configurationAt(index: LogIndex): Configuration | undefined {
    const { log, configurations } = this.core
    return index < log.lowEnd.index || index > log.last.index ? undefined : configurations.at(index)
  }

  private configurationInForce(): ConfigurationInForce {
    const { configuration, configurationIndex: index } = this.core
    return { configuration, index, committed: this.core.configurationCommitted() }
  }

  private configurationChanged(): boolean {
    const { configuration, committed } = this.reportedConfiguration
    return configuration !== this.core.configuration || committed !== this.core.configurationCommitted()
  }

  private leadership(): Leadership {
    const { role, term, leader } = this.core
    return { role, term, leader }
  }

  private leadershipChanged(): boolean {
    const { role, term, leader } = this.core
    return role !== this.reported.role || term !== this.reported.term || leader !== this.reported.leader
  }

  /** Entries may be folded once they are committed, and on this node's disk: a fold never gets ahead of its log. */
  private foldableTo(): LogIndex {
    return asLogIndex(Math.min(this.core.commit, this.core.durability.persisted))
  }

  hasOutput(): boolean {
    const { core } = this
    if (!core.outbox.isEmpty() || this.leadershipChanged() || this.configurationChanged()) return true
    if (core.failed) return false
    assert(core.handedOut <= core.commit, 'raft.output-uncommitted', () => `${core.handedOut}`)
    return (
      core.durability.hasReleasable() ||
      core.durability.hasWork(core.hardState()) ||
      core.handedOut < this.foldableTo() ||
      this.reads.hasWork() ||
      (core.role === 'leader' && this.replication.hasWork())
    )
  }

  take(): Output | undefined {
    const { core } = this
    if (!this.hasOutput()) return undefined
    this.deliverReleased()
    if (core.role === 'leader') {
      if (this.reads.startRound()) this.replication.broadcastHeartbeat()
      this.replication.sendAppends()
    }
    const persist = core.failed ? undefined : core.durability.take(core.hardState())
    assert(persist === undefined || persist.token.last === core.log.last.index, 'raft.taken-last')
    assert(persist === undefined || persist.token.term === core.term, 'raft.taken-term')
    const committed = core.failed ? [] : this.takeCommitted()
    const leadership = this.leadershipChanged() ? this.leadership() : undefined
    if (leadership !== undefined) this.reported = leadership
    const configuration = this.configurationChanged() ? this.configurationInForce() : undefined
    if (configuration !== undefined) this.reportedConfiguration = configuration
    checkInvariants(core, this.watermarks)
    return core.outbox.drain(persist, committed, leadership, configuration)
  }

  private takeCommitted(): readonly Entry[] {
    const { core } = this
    const to = this.foldableTo()
    if (to <= core.handedOut) return []
    const committed = core.log.slice(core.handedOut + 1, to, Infinity)
    assert(committed !== undefined && committed.length === to - core.handedOut, 'raft.unapplied-evicted')
    assert(committed[0]!.index === core.handedOut + 1, 'raft.committed-first', () => `${core.handedOut}`)
    assert(to <= core.durability.persisted, 'raft.committed-unpersisted', () => `${to}`)
    core.handedOut = to
    return committed
  }

  status(): Status {
    const { core } = this
    const { config, ticks, log } = core
    return {
      id: core.id,
      role: core.role,
      term: core.term,
      leader: core.leader,
      last: log.last,
      commit: core.commit,
      applied: core.applied,
      lowEnd: log.lowEnd,
      configuration: core.configuration,
      configurationIndex: core.configurationIndex,
      configurationCommitted: core.configurationCommitted(),
      refusedMessages: core.refusedMessages,
      followers: core.followers.map((progress) => progress.status(ticks, config.electionTicks)),
      ownTermCommitted: core.ownTermCommitted(),
    }
  }

  entriesInMemory(from: LogIndex, to: LogIndex, maxBytes: number): readonly Entry[] | undefined {
    return this.core.log.slice(from, to, maxBytes)
  }

  digest(): number {
    return foldState(this.core)
  }
}
