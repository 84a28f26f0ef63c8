import {
  errorOf,
  FlotillaError,
  GROUP_LIMITS,
  millisecondsOf,
  type AssignedPartition,
  type ConsumeCommitted,
  type ConsumeJoined,
  type ConsumeRecords,
  type ConsumeRequest,
  type ConsumeResponse,
  type ConsumeSubscribe,
  type MemberHeartbeat,
  type TopicPartition,
} from '../../wire/index.ts'
import type { GivenPartition, GroupOffset, PartitionName } from '../types.ts'
import { Commits, meansGone, type CommitRequest, type UnwatchedFailure } from './commits.ts'
import type { Effect } from './effect.ts'
import type { HeldPartition } from './held-partition.ts'
import { Holdings, type Taken } from './holdings.ts'
import { Lease } from './lease.ts'
import { commitFault, ended, taken } from './member-errors.ts'
import type { MemberOptions } from './options.ts'
import type { Phase } from './phase.ts'

/** A node that hasn't taken the member in by then is left for the next. */
const JOIN_MS = 10_000
/** A node that hasn't ended the stream of one that leaves by then isn't waited for. */
const LEAVE_MS = 5000

export interface MemberParts {
  readonly options: MemberOptions
  /** Without a sign of any node for so long the member fails. */
  readonly patienceMs: number
  /** How long to wait before the try number `attempt` (from 1), or longer where the node has asked for it. */
  readonly backoffMs: (attempt: number, askedMs: number | undefined) => number
}

/**
 * A member of a group as its client sees it: what comes in (responses, broken streams, the loop's progress, time) changes
 * the state and leaves effects, which `drain` hands out. It knows no clock, no network and no promise.
 */
export class GroupMember {
  readonly #parts: MemberParts
  readonly #holdings: Holdings
  readonly #commits = new Commits()
  readonly #lease = new Lease()
  #effects: Effect[] = []
  #phase: Phase = { type: 'idle' }
  #identity: { readonly memberId: string; readonly incarnation: number } | undefined
  #sessionTimeoutMs: number
  #subscription: ConsumeSubscribe
  #hasResubscribed = false
  #inHand: HeldPartition | undefined
  #inHandSinceMs = 0
  #isStuck = false
  #failures = 0
  #contactMs = 0
  #commitAtMs = Infinity

  constructor(parts: MemberParts) {
    const { options } = parts
    this.#parts = parts
    this.#holdings = new Holdings(options)
    this.#sessionTimeoutMs = options.sessionTimeoutMs
    this.#subscription = options.start
  }

  get memberId(): string | undefined {
    return this.#identity?.memberId
  }
  get isOver(): boolean {
    return this.#phase.type === 'over'
  }
  get holdings(): Pick<Holdings, 'given' | 'lag' | 'isCaughtUp'> {
    return this.#holdings
  }

  // -- the user ------------------------------------------------------------------------------------------------

  begin(nowMs: number): void {
    this.#contactMs = nowMs
    const { commit, commitIntervalMs } = this.#parts.options
    this.#commitAtMs = commit === 'auto' ? nowMs + commitIntervalMs : Infinity
    this.#phase = { type: 'waiting', openAtMs: nowMs }
  }

  /** What the loop is handed next; it is in hand until `done`. */
  take(nowMs: number): Taken | undefined {
    if (this.#phase.type === 'over' || this.#phase.type === 'leaving') return undefined
    const taken = this.#holdings.take()
    this.#inHand = taken?.held
    this.#inHandSinceMs = nowMs
    return taken
  }

  /** Whether the rest of what is in hand is still to be handed out. */
  mayGoOnWith({ held }: Taken): boolean {
    // What was committed beforehand is nobody else's, whatever becomes of the partition.
    if (this.#parts.options.commit === 'before') return true
    return this.#holdings.has(held) && !held.isRevoking && !held.isPaused
  }

  /** The rest of what is in hand, from `offset` on, isn't handed out now. */
  putBack(taken: Taken, offset: number): void {
    this.#holdings.putBack(taken, offset)
  }

  /** The loop is handed everything below `offset` … */
  handOut({ held }: Taken, offset: number, nowMs: number): void {
    held.handedOut = Math.max(held.handedOut, offset)
    this.#inHandSinceMs = nowMs
  }

  /** … and has come past it. */
  comePast({ held }: Taken, offset: number): void {
    held.handled = Math.max(held.handled, offset)
  }

  /** Nothing is in hand any more. */
  done(nowMs: number): void {
    this.#inHand = undefined
    if (!this.#isStuck) return
    this.#isStuck = false
    if (this.#phase.type === 'waiting') this.#phase = { type: 'waiting', openAtMs: nowMs }
    if (this.#phase.type !== 'joined') return
    this.#lease.begin(nowMs, this.#sessionTimeoutMs)
    this.#send({ heartbeat: this.#heartbeat() })
  }

  /** `onSettled` is called once: when all is committed, with the first error, or at the deadline. */
  commit(
    offsets: readonly GroupOffset[] | undefined,
    deadlineMs: number,
    onSettled: NonNullable<CommitRequest['onSettled']>,
  ): void {
    if (this.#phase.type === 'over') return onSettled(this.#phase.error ?? ended())
    const fault = (offsets ?? [])
      .map((each) => commitFault(each, this.#holdings.get(each)))
      .find((error) => error !== undefined)
    if (fault !== undefined) return onSettled(fault)
    const positions =
      offsets === undefined
        ? this.#holdings.all.map((held) => ({ held, offset: held.handedOut }))
        : offsets.map((each) => ({ held: this.#holdings.get(each)!, offset: each.offset }))
    const wanted = positions.filter(({ held, offset }) => offsets !== undefined || offset > held.committed)
    this.#commits.add(wanted, deadlineMs, onSettled)
  }

  /** Commits what the loop has come past, not what it has in hand. */
  commitHandled(deadlineMs: number, onSettled: NonNullable<CommitRequest['onSettled']>): void {
    const wanted = this.#holdings.all.filter(({ handled, committed }) => handled > committed)
    this.#commits.add(
      wanted.map((held) => ({ held, offset: held.handled })),
      deadlineMs,
      onSettled,
    )
  }

  /** Partitions that it doesn't have are left out. */
  pause(partitions: readonly PartitionName[]): void {
    const held = this.#holdings.of(partitions).filter(({ isPaused }) => !isPaused)
    for (const each of held) this.#holdings.pause(each)
    this.#sendOf(held, (names) => ({ pause: { partitions: names } }))
  }

  resume(partitions: readonly PartitionName[]): void {
    const held = this.#holdings.of(partitions).filter(({ isPaused }) => isPaused)
    for (const each of held) this.#holdings.resume(each)
  }

  subscribe(subscription: ConsumeSubscribe): void {
    this.#subscription = subscription
    this.#hasResubscribed = true
    if (this.#phase.type === 'joined') this.#send({ subscribe: subscription })
  }

  /** The listeners have let go of what was revoked. */
  letGo(revoked: readonly HeldPartition[]): void {
    for (const held of revoked) held.isLetGo = true
  }

  /** Gives its place up, but for one that named itself: that keeps it for its lease. */
  leave(nowMs: number): void {
    const { type } = this.#phase
    if (type === 'over' || type === 'leaving') return
    if (type === 'waiting' || type === 'idle') return this.#end(undefined)
    this.#lease.end()
    if (this.#parts.options.isStatic) this.#effects.push({ type: 'half-close' })
    else this.#send({ leave: {} })
    this.#phase = { type: 'leaving', sinceMs: nowMs }
  }

  fail(error: Error): void {
    if (this.#phase.type === 'over') return
    const { type } = this.#phase
    if (type === 'joined' && !this.#parts.options.isStatic) this.#send({ leave: {} })
    if (type !== 'waiting' && type !== 'idle') this.#effects.push({ type: 'cut' })
    this.#lose(this.#holdings.all, error)
    this.#end(error)
  }

  // -- beats that go out with those of other members -----------------------------------------------------------

  get heartbeat(): MemberHeartbeat | undefined {
    const { group } = this.#parts.options.start
    return this.#identity === undefined ? undefined : { group, ...this.#identity }
  }

  beatsEarly(nowMs: number): boolean {
    return this.#phase.type === 'joined' && this.#lease.beatsEarly(nowMs)
  }

  beatAnswered(nowMs: number): void {
    this.#contactMs = nowMs
    this.#lease.heard()
  }

  /** The node has not taken the beats of all. */
  beatAlone(): void {
    if (this.#phase.type === 'joined') this.#send({ commit: this.#commits.probe() })
  }

  // -- the node ------------------------------------------------------------------------------------------------

  received(response: ConsumeResponse, nowMs: number): void {
    this.#contactMs = nowMs
    this.#lease.heard()
    const { joined, assigned, records, committed, revoked, lost, caughtUp, position } = response
    if (records !== undefined) this.#takeIn(records)
    else if (committed !== undefined) this.#committed(committed, nowMs)
    else if (assigned !== undefined) this.#assigned(assigned.partitions)
    else if (joined !== undefined) this.#joined(joined, nowMs)
    else if (revoked !== undefined) this.#revoked(revoked.partitions)
    else if (lost !== undefined) {
      const error = lost.error === null ? taken(lost.partitions) : errorOf(lost.error)
      this.#lose(this.#holdings.of(lost.partitions), error)
    } else if (caughtUp !== undefined) {
      const held = this.#holdings.get(caughtUp)
      if (held !== undefined) held.caughtUpAt ??= caughtUp.offset
    } else if (position !== undefined) {
      const held = this.#holdings.get(position)
      if (held !== undefined) held.highWatermark = Math.max(held.highWatermark, position.highWatermark)
    }
    // None of these: something that a later version says.
  }

  /** The stream is over; `undefined`: the node has ended it. */
  closed(error: FlotillaError | undefined, nowMs: number): void {
    if (this.#phase.type === 'over') return
    if (this.#phase.type === 'leaving') return this.#end(undefined)
    this.#lease.end()
    this.#commits.lostStream()
    this.#holdings.unconfirm()
    const failure = error ?? new FlotillaError('UNKNOWN_OUTCOME', 'the node ended the stream of the member')
    if (failure.reason === 'UNKNOWN_MEMBER') {
      // Its lease has ended. It joins again, as somebody new.
      this.#identity = undefined
      this.#lose(this.#holdings.all, failure)
    } else if (!failure.retryable || nowMs - this.#contactMs > this.#parts.patienceMs) {
      this.#phase = { type: 'waiting', openAtMs: Infinity }
      return this.fail(failure)
    }
    this.#failures++
    const delayMs = this.#parts.backoffMs(this.#failures, failure.retryDelayMs)
    // One that is stuck gets no partitions that it couldn't handle.
    this.#phase = { type: 'waiting', openAtMs: this.#isStuck ? Infinity : nowMs + delayMs }
  }

  #joined({ memberId, incarnation, sessionTimeout }: ConsumeJoined, nowMs: number): void {
    if (this.#phase.type !== 'joining') return
    const before = this.#identity
    this.#identity = { memberId, incarnation }
    if (before !== undefined && (before.memberId !== memberId || before.incarnation !== incarnation)) {
      const message = `the group had forgotten member ${before.memberId}, which joined anew as ${memberId}`
      this.#lose(this.#holdings.all, new FlotillaError('UNKNOWN_MEMBER', message))
    }
    if (sessionTimeout !== null) this.#sessionTimeoutMs = millisecondsOf(sessionTimeout)
    this.#failures = 0
    if (!this.#isStuck) this.#lease.begin(nowMs, this.#sessionTimeoutMs)
    const confirmByMs = this.#holdings.size === 0 ? Infinity : nowMs + this.#sessionTimeoutMs
    this.#phase = { type: 'joined', confirmByMs }
    // A member that goes on is taken as it was, whatever its start has said.
    if (before !== undefined && this.#hasResubscribed) this.#send({ subscribe: this.#subscription })
  }

  #assigned(partitions: readonly AssignedPartition[]): void {
    const given: GivenPartition[] = []
    for (const assigned of partitions) {
      const held = this.#holdings.get(assigned)
      if (held?.given.epoch === assigned.epoch) {
        held.goOn(assigned)
        // A new stream knows of no pause.
        if (held.isPaused) this.#send({ pause: { partitions: [held.name] } })
        continue
      }
      if (held !== undefined) this.#lose([held], taken([assigned]))
      given.push(this.#holdings.add(assigned).given)
    }
    if (given.length > 0) this.#effects.push({ type: 'assigned', partitions: given })
  }

  #takeIn(records: ConsumeRecords): void {
    try {
      this.#holdings.takeIn(records)
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error
      this.fail(error)
    }
  }

  #committed({ correlationId, results }: ConsumeCommitted, nowMs: number): void {
    for (const failure of this.#commits.answered(correlationId, results, nowMs)) this.#unwatched(failure)
  }

  #unwatched({ held, error }: UnwatchedFailure): void {
    if (meansGone(error)) this.#lose(this.#holdings.of([held]), error)
    // Somebody has committed more for this member, beside its stream.
    else if (error.reason === 'COMMIT_BACKWARDS') held.committedTo(held.handled)
    // That the lease has ended is said by the stream's own end, too.
    else if (error.reason !== 'UNKNOWN_MEMBER') this.fail(error)
  }

  #revoked(partitions: readonly TopicPartition[]): void {
    const held = this.#holdings.of(partitions)
    const unknown = partitions.filter((each) => this.#holdings.get(each) === undefined)
    // A static member that was started anew may have to give back what it never got.
    if (unknown.length > 0) this.#send({ release: { partitions: unknown } })
    const news = held.filter(({ isRevoking }) => !isRevoking)
    for (const each of held) this.#holdings.revoke(each)
    if (news.length > 0) this.#effects.push({ type: 'revoked', held: news })
  }

  // -- time ----------------------------------------------------------------------------------------------------

  /** When `tick` has to be called at the latest, on Clock.nowMs. */
  get wakeMs(): number {
    const phase = this.#phase
    if (phase.type === 'over' || phase.type === 'idle') return Infinity
    const stuckMs =
      this.#inHand === undefined || this.#isStuck
        ? Infinity
        : this.#inHandSinceMs + this.#parts.options.maxHandlingMs
    const others = Math.min(stuckMs, this.#commits.deadlineMs)
    switch (phase.type) {
      case 'waiting':
        return Math.min(others, phase.openAtMs)
      case 'joining':
        return Math.min(others, phase.sinceMs + JOIN_MS)
      case 'leaving':
        return Math.min(others, phase.sinceMs + LEAVE_MS)
      case 'joined':
        return Math.min(
          others,
          phase.confirmByMs,
          this.#commitAtMs,
          this.#lease.wakeMs,
          this.#commits.retryMs,
        )
    }
  }

  tick(nowMs: number): void {
    this.#commits.expire(nowMs)
    this.#noticeStuck(nowMs)
    const phase = this.#phase
    switch (phase.type) {
      case 'waiting':
        if (nowMs >= phase.openAtMs) this.#open(nowMs)
        return
      case 'joining':
        if (nowMs >= phase.sinceMs + JOIN_MS) this.#leaveNode('the node has not taken the member in', nowMs)
        return
      case 'leaving':
        if (nowMs < phase.sinceMs + LEAVE_MS) return
        this.#effects.push({ type: 'cut' })
        return this.#end(undefined)
      case 'joined':
        this.#dropUnconfirmed(phase.confirmByMs, nowMs)
        this.#commitInTurn(nowMs)
        return this.#keepLease(nowMs)
      case 'idle':
      case 'over':
        return
    }
  }

  /** What is to be done since the last time. */
  drain(nowMs: number): Effect[] {
    if (this.#phase.type === 'joined') {
      this.#release()
      for (const commit of this.#commits.toSend(nowMs)) this.#send({ commit })
      this.#sendOf(this.#holdings.resumable(), (names) => ({ resume: { partitions: names } }))
      const credit = this.#holdings.creditDue()
      if (credit !== undefined) this.#send({ credit })
    }
    const effects = this.#effects
    this.#effects = []
    return effects
  }

  #open(nowMs: number): void {
    this.#phase = { type: 'joining', sinceMs: nowMs }
    this.#effects.push({ type: 'open' })
    const { start } = this.#parts.options
    const credit = this.#holdings.restartCredit()
    this.#send({ start: { ...start, ...this.#subscription, ...this.#identity, credit } })
  }

  #leaveNode(why: string, nowMs: number): void {
    this.#effects.push({ type: 'cut' })
    this.closed(new FlotillaError('UNKNOWN_OUTCOME', `${why} in time`), nowMs)
  }

  #noticeStuck(nowMs: number): void {
    if (this.#inHand === undefined || this.#isStuck) return
    const forMs = nowMs - this.#inHandSinceMs
    if (forMs < this.#parts.options.maxHandlingMs) return
    this.#isStuck = true
    this.#lease.end()
    this.#effects.push({ type: 'stuck', partitions: [this.#inHand.name], forMs })
  }

  /** The node has had time to say what is still the member's. */
  #dropUnconfirmed(confirmByMs: number, nowMs: number): void {
    if (nowMs < confirmByMs) return
    this.#phase = { type: 'joined', confirmByMs: Infinity }
    const gone = this.#holdings.all.filter(({ isConfirmed }) => !isConfirmed)
    if (gone.length > 0) this.#lose(gone, taken(gone))
  }

  #commitInTurn(nowMs: number): void {
    if (nowMs < this.#commitAtMs) return
    this.#commitAtMs = nowMs + this.#parts.options.commitIntervalMs
    const behind = this.#holdings.all.filter(
      ({ handled, committing, isConfirmed }) => isConfirmed && handled > committing,
    )
    const positions = behind.map((held) => ({ held, offset: held.handled }))
    this.#commits.add(positions, Infinity, undefined)
  }

  #keepLease(nowMs: number): void {
    const due = this.#lease.tick(nowMs)
    if (due === 'silent') return this.#leaveNode('the node did not answer', nowMs)
    if (due === 'nothing') return
    this.#effects.push({ type: 'beat', message: { commit: this.#commits.probe() } })
  }

  #heartbeat(): NonNullable<ConsumeRequest['heartbeat']> {
    const held = this.#holdings.all.slice(0, GROUP_LIMITS.maxPositions)
    return { positions: held.map((each) => each.positionAt(each.handled)) }
  }

  // -- partitions ----------------------------------------------------------------------------------------------

  /** Gives back what is done: out of the loop's hands, let go by the listeners, and committed. */
  #release(): void {
    const done: HeldPartition[] = []
    for (const held of this.#holdings.revoking) {
      if (!held.isLetGo || !held.isConfirmed || held === this.#inHand) continue
      if (this.#parts.options.commit !== 'manual' && held.handled > held.committing) {
        this.#commits.add([{ held, offset: held.handled }], Infinity, undefined)
      }
      if (!this.#commits.concerns(held)) done.push(held)
    }
    for (const held of done) this.#holdings.remove(held)
    this.#sendOf(done, (names) => ({ release: { partitions: names } }))
  }

  #lose(partitions: readonly HeldPartition[], error: Error): void {
    if (partitions.length === 0) return
    for (const held of partitions) this.#holdings.remove(held)
    this.#effects.push({ type: 'lost', partitions: partitions.map(({ name }) => name), error })
    this.#commits.lost(new Set(partitions), error)
  }

  #sendOf(held: readonly HeldPartition[], message: (names: TopicPartition[]) => ConsumeRequest): void {
    if (held.length === 0 || this.#phase.type !== 'joined') return
    this.#send(message(held.map(({ name }) => name)))
  }

  #send(message: ConsumeRequest): void {
    this.#effects.push({ type: 'send', message })
  }

  #end(error: Error | undefined): void {
    this.#phase = { type: 'over', error }
    this.#lease.end()
    for (const held of this.#holdings.all) this.#holdings.remove(held)
    this.#commits.fail(error ?? ended())
    this.#effects.push({ type: 'over', error })
  }
}
