import type {
  CallContext,
  Cancel,
  Clock,
  FlowControl,
  Logger,
  Random,
  Receiver,
  RpcError,
  Sink,
} from '../../env/index.ts'
import {
  FlotillaError,
  GROUP_LIMITS,
  durationOf,
  toRpcError,
  type ConsumeCommit,
  type ConsumeCredit,
  type ConsumeRequest,
  type ConsumeResponse,
  type ConsumeStart,
  type ConsumeSubscribe,
} from '../../wire/index.ts'
import type { Node } from '../node.ts'
import type { MetadataCalls } from '../routing/metadata-calls.ts'
import { checkCredit, checkStart, subscriptionOf, type CheckedStart } from './consume-start.ts'
import { fenced, unknownMember } from './decide.ts'
import type { GroupCalls } from './group-calls.ts'
import { OwnedPartitions } from './owned-partitions.ts'
import type { PartitionFeed } from './partition-feed.ts'
import type { Member, Subscription } from './types.ts'

/** To join, to change what is wanted, to leave: each is tried again until then. */
const CALL_MS = 30_000
/** Positions under way of one member; above this its stream is read no further. */
const MAX_POSITIONS_UNDER_WAY = 10_000
/** A client that gives a stream up may seem to end it: HTTP/2 sends the end of what it had to say before the reset. */
const RESET_AFTER_END_MS = 500

export interface SessionParts {
  readonly node: Node
  readonly calls: GroupCalls
  readonly metadata: Pick<MetadataCalls, 'ensureTopic'>
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly sink: Sink<ConsumeResponse>
  readonly flow: FlowControl
  readonly call: CallContext
  readonly onJoined: (session: ConsumeSession, member: MemberId) => void
  readonly onClosed: (session: ConsumeSession) => void
}

/** What a stream has once it has joined. */
interface Place {
  readonly member: Member
  readonly owned: OwnedPartitions
  /** This node's view of the group has the member. Before that its absence means nothing. */
  isVisible: boolean
}

export interface MemberId {
  readonly group: string
  readonly memberId: string
}

/** A member that was heard. */
export interface Beat extends MemberId {
  readonly incarnation: number
  readonly heardMs: number
}

/**
 * One member's Consume stream: joins the group, follows what the group's state gives to the member, sends under the client's
 * credits, passes commits on. It holds no truth: that is in the group's state and in the partitions' logs.
 */
export class ConsumeSession implements Receiver<ConsumeRequest> {
  readonly #parts: SessionParts
  readonly #ended = new AbortController()
  #start: CheckedStart | undefined
  #place: Place | undefined
  #stopWatching: Cancel | undefined
  #isFollowingSoon = false
  #creditRecords = 0
  #creditBytes = 0
  #isBlocked = false
  #isPumping = false
  #rotation = 0
  #cancelPump: Cancel | undefined
  #cancelLeave: Cancel | undefined
  #positionsUnderWay = 0
  #isFlowPaused = false
  #heardMs: number
  /** When the client was heard last, of what the coordinator has been told. */
  #confirmedMs: number
  #isSuspended = false
  #isLeaving = false

  constructor(parts: SessionParts) {
    this.#parts = parts
    this.#heardMs = parts.clock.nowMs()
    this.#confirmedMs = this.#heardMs
    parts.sink.onDrain(() => {
      this.#isBlocked = false
      this.#pump()
    })
  }

  // -- for the registry ----------------------------------------------------------------------------------------

  /** undefined before it has joined. */
  get member(): MemberId | undefined {
    if (this.#place === undefined || this.#start === undefined) return undefined
    return { group: this.#start.group, memberId: this.#place.member.memberId }
  }

  /** undefined before it has joined, and while nothing was heard since the last report. */
  get beat(): Beat | undefined {
    if (this.#place === undefined || this.#start === undefined || this.#heardMs === this.#confirmedMs)
      return undefined
    const { memberId, incarnation } = this.#place.member
    return { group: this.#start.group, memberId, incarnation, heardMs: this.#heardMs }
  }

  /** Its client has renewed the lease beside the stream. False: it meant another incarnation. */
  heard(incarnation: number): boolean {
    if (this.#place?.member.incarnation !== incarnation || this.#isLeaving) return false
    this.#heardMs = this.#parts.clock.nowMs()
    return true
  }

  /** The coordinator has heard that the member was alive at `heardMs`. */
  confirmed(heardMs: number): void {
    this.#confirmedMs = Math.max(this.#confirmedMs, heardMs)
  }

  /** A member that can't know whether it still has its place is sent nothing more. */
  tick(nowMs: number): void {
    if (this.#place === undefined) return
    const wasSuspended = this.#isSuspended
    this.#isSuspended = nowMs > this.#confirmedMs + this.#place.member.sessionTimeoutMs
    if (wasSuspended && !this.#isSuspended) this.#pump()
  }

  stop(error: FlotillaError): void {
    this.#fail(error)
  }

  // -- the client ----------------------------------------------------------------------------------------------

  onMessage(request: ConsumeRequest): void {
    this.#heardMs = this.#parts.clock.nowMs()
    try {
      this.#handle(request)
    } catch (error) {
      this.#failWith(error)
    }
  }

  onEnd(): void {
    if (this.#place?.member.isStatic !== false) return this.#finish()
    // Whoever left a node that hung has its place at another by now, which this end isn't to take from it.
    this.#cancelLeave ??= this.#parts.clock.setTimer(RESET_AFTER_END_MS, () => this.#leave())
  }

  onClose(_error: RpcError | undefined): void {
    this.#close()
  }

  #handle(request: ConsumeRequest): void {
    if (this.#ended.signal.aborted || this.#isLeaving) return
    const { start, credit, commit, release, subscribe, pause, resume, leave, heartbeat } = request
    if (start !== undefined) return this.#begin(start)
    if (this.#start === undefined) throw invalid('the first message of a Consume stream has to be start')
    if (heartbeat !== undefined) return
    if (credit !== undefined) return this.#grant(credit)
    if (leave !== undefined) return this.#leave()
    if (this.#place === undefined) {
      throw invalid('until joined has come, a Consume stream takes credit, heartbeat and leave alone')
    }
    const { owned, member } = this.#place
    if (commit !== undefined) return this.#commit(owned, commit)
    if (release !== undefined) return owned.release(release.partitions)
    if (subscribe !== undefined) return this.#subscribe(member, subscribe)
    if (pause !== undefined) return owned.setPaused(pause.partitions, true)
    if (resume === undefined) throw invalid('a message of a Consume stream is none that this version knows')
    owned.setPaused(resume.partitions, false)
    this.#pump()
  }

  // -- joining and leaving -------------------------------------------------------------------------------------

  #begin(message: ConsumeStart): void {
    if (this.#start !== undefined) throw invalid('start was sent twice on a Consume stream')
    const start = checkStart(message)
    this.#start = start
    if (start.credit !== undefined) this.#grant(start.credit)
    this.#join(start).catch((error: unknown) => this.#failWith(error))
  }

  async #join(start: CheckedStart): Promise<void> {
    const { calls, clock, random, call } = this.#parts
    const { group, subscription, strategy, weight, incarnation, sessionTimeoutMs, revokeTimeoutMs } = start
    const deadlineMs = clock.nowMs() + CALL_MS
    await this.#ensureTopics(subscription, deadlineMs)
    const memberId = start.memberId ?? `member-${Buffer.from(random.bytes(8)).toString('hex')}`
    const isStatic = start.memberId !== undefined
    const identity = { memberId, incarnation, isStatic, clientAddress: call.peer }
    const joining = { ...identity, ...subscription, weight, sessionTimeoutMs, revokeTimeoutMs }
    const askedMs = clock.nowMs()
    const command = { type: 'join', group, member: joining, strategy } as const
    const result = await calls.change(command, deadlineMs, this.#ended.signal)
    if (result.type !== 'joined') throw new FlotillaError('INTERNAL', `joining a group gave ${result.type}`)
    const { member } = result
    if (this.#ended.signal.aborted || this.#isLeaving) {
      // The client went while it joined. One that doesn't know its id can't come back under it.
      if (!isStatic || this.#isLeaving) await this.#tellLeaving(group, member)
      this.#finish()
      return
    }
    this.#confirmedMs = askedMs
    this.#place = { member, owned: this.#ownedBy(start, member), isVisible: false }
    this.#parts.onJoined(this, { group, memberId: member.memberId })
    const sessionTimeout = durationOf(member.sessionTimeoutMs)
    this.#send({ joined: { memberId: member.memberId, incarnation: member.incarnation, sessionTimeout } })
    this.#stopWatching = this.#parts.node.view.onGroup(group, () => this.#followSoon())
    this.#follow()
  }

  #ownedBy(start: CheckedStart, { memberId }: Member): OwnedPartitions {
    const { node, calls, clock, logger } = this.#parts
    return new OwnedPartitions({
      node,
      calls,
      clock,
      logger,
      start,
      memberId,
      signal: this.#ended.signal,
      send: (response) => this.#send(response),
      fail: (error) => this.#fail(error),
      onReady: () => this.#pump(),
    })
  }

  /** This node may not have heard yet of a topic that was just made through another. */
  async #ensureTopics({ topics, partitions }: Subscription, deadlineMs: number): Promise<void> {
    const names = new Set([...topics, ...partitions.map(({ topic }) => topic)])
    for (const name of names) await this.#parts.metadata.ensureTopic(name, deadlineMs)
  }

  #subscribe({ memberId, incarnation }: Member, message: ConsumeSubscribe): void {
    const subscription = subscriptionOf(message)
    const group = this.#start?.group ?? ''
    const deadlineMs = this.#parts.clock.nowMs() + CALL_MS
    const command = { type: 'subscribe', group, memberId, incarnation, subscription } as const
    this.#ensureTopics(subscription, deadlineMs)
      .then(() => this.#parts.calls.change(command, deadlineMs, this.#ended.signal))
      .catch((error: unknown) => this.#failWith(error))
  }

  #leave(): void {
    if (this.#isLeaving) return
    this.#isLeaving = true
    const group = this.#start?.group
    // One that hasn't joined yet leaves as soon as it has.
    if (this.#place === undefined || group === undefined) return
    const { member, owned } = this.#place
    owned.close()
    // Commits that are under way go before: after the place is given up they would be refused.
    void owned
      .settled()
      .then(() => this.#tellLeaving(group, member))
      .then(() => this.#finish())
  }

  /** Where it isn't heard, the lease ends the place. */
  async #tellLeaving(group: string, { memberId, incarnation }: Member): Promise<void> {
    const { calls, clock, logger } = this.#parts
    try {
      await calls.change({ type: 'leave', group, memberId, incarnation }, clock.nowMs() + CALL_MS)
    } catch (error) {
      logger.debug({ group, member: memberId, error: String(error) }, 'a member left unheard')
    }
  }

  #finish(): void {
    if (this.#ended.signal.aborted) return
    this.#parts.sink.end()
    this.#close()
  }

  #failWith(error: unknown): void {
    this.#fail(
      error instanceof FlotillaError ? error : new FlotillaError('INTERNAL', String(error), { cause: error }),
    )
  }

  #fail(error: FlotillaError): void {
    if (this.#ended.signal.aborted) return
    this.#parts.sink.fail(toRpcError(error))
    this.#close()
  }

  #close(): void {
    if (this.#ended.signal.aborted) return
    this.#ended.abort()
    this.#stopWatching?.()
    this.#cancelPump?.()
    this.#cancelLeave?.()
    this.#place?.owned.close()
    this.#parts.onClosed(this)
  }

  // -- following the group's state -----------------------------------------------------------------------------

  #followSoon(): void {
    if (this.#isFollowingSoon) return
    this.#isFollowingSoon = true
    this.#parts.clock.defer(() => {
      this.#isFollowingSoon = false
      this.#follow()
    })
  }

  #follow(): void {
    if (this.#ended.signal.aborted || this.#isLeaving) return
    if (this.#place === undefined || this.#start === undefined) return
    const { owned, member } = this.#place
    const { groups, topics } = this.#parts.node.view.state
    const group = groups.get(this.#start.group)
    const known = group?.members.get(member.memberId)
    if (known !== undefined && known.incarnation >= member.incarnation) this.#place.isVisible = true
    if (!this.#place.isVisible) return
    if (group === undefined || known === undefined) {
      this.#expel(owned, unknownMember(this.#start.group, member.memberId))
    } else if (known.incarnation > member.incarnation) {
      this.#expel(owned, fenced(group.name, known, member.incarnation))
    } else {
      owned.follow(group, known)
      const names = [...known.topics, ...known.partitions.map(({ topic }) => topic)]
      if (names.some((name) => topics.has(name))) return
      const text = `topic "${names[0] ?? ''}" was deleted, so there is nothing left to consume`
      this.#expel(owned, new FlotillaError('UNKNOWN_TOPIC', text))
      // Nobody comes back to a place with nothing to consume: it isn't kept for the rest of the lease.
      void this.#tellLeaving(group.name, member)
    }
  }

  #expel(owned: OwnedPartitions, error: FlotillaError): void {
    owned.expelled(error)
    this.#fail(error)
  }

  // -- sending -------------------------------------------------------------------------------------------------

  #grant(message: ConsumeCredit): void {
    const { records, bytes } = checkCredit(message)
    this.#creditRecords += records
    this.#creditBytes += bytes
    const { maxCreditRecords, maxCreditBytes } = GROUP_LIMITS
    if (this.#creditRecords > maxCreditRecords || this.#creditBytes > maxCreditBytes) {
      throw invalid(
        `the credit is ${this.#creditRecords} records and ${this.#creditBytes} bytes in all, but may be ${maxCreditRecords} records and ${maxCreditBytes} bytes`,
      )
    }
    this.#pump()
  }

  #maySend(): boolean {
    return (
      this.#creditRecords > 0 &&
      this.#creditBytes > 0 &&
      !this.#isBlocked &&
      !this.#isSuspended &&
      !this.#isLeaving &&
      !this.#ended.signal.aborted
    )
  }

  /** Sends what is due, one message of each partition in turn, so that none starves. */
  #pump(): void {
    const fetch = this.#start?.fetch
    const feeds = [...(this.#place?.owned.feeds ?? [])]
    // A source that is let go on while this sends brings more at once: it comes behind what is being sent.
    if (fetch === undefined || feeds.length === 0 || this.#isPumping) return
    this.#isPumping = true
    const nowMs = this.#parts.clock.nowMs()
    let nextMs = Number.POSITIVE_INFINITY
    for (let idle = 0; idle < feeds.length && this.#maySend(); this.#rotation++) {
      const feed = feeds[this.#rotation % feeds.length]!
      const dueMs = feed.dueMs(fetch)
      if (dueMs !== undefined && dueMs <= nowMs) {
        idle = 0
        this.#sendRecords(feed, nowMs)
        continue
      }
      idle += 1
      nextMs = Math.min(nextMs, dueMs ?? nextMs)
    }
    this.#isPumping = false
    this.#cancelPump?.()
    this.#cancelPump = undefined
    if (nextMs < Number.POSITIVE_INFINITY && this.#maySend())
      this.#cancelPump = this.#parts.clock.setTimer(Math.max(1, nextMs - nowMs), () => this.#pump())
  }

  #sendRecords(feed: PartitionFeed, nowMs: number): void {
    const { maxRecords, maxBytes } = this.#start!.fetch
    const records = feed.take(
      Math.min(maxRecords, this.#creditRecords),
      Math.min(maxBytes, this.#creditBytes),
      nowMs,
    )
    for (const batch of records.batches) {
      this.#creditRecords -= batch.recordCount
      for (const chunk of batch.records) this.#creditBytes -= chunk.byteLength
    }
    this.#place?.owned.flushAssigned()
    this.#send({ records })
    this.#place?.owned.tellCaughtUp(feed)
    feed.resumeSource()
  }

  #send(response: ConsumeResponse): void {
    if (!this.#parts.sink.send(response)) this.#isBlocked = true
  }

  // -- committing ----------------------------------------------------------------------------------------------

  #commit(owned: OwnedPartitions, { correlationId, positions }: ConsumeCommit): void {
    if (positions.length > GROUP_LIMITS.maxPositions) {
      throw invalid(`a commit names ${positions.length} positions, the limit is ${GROUP_LIMITS.maxPositions}`)
    }
    this.#positionsUnderWay += positions.length
    this.#updateFlow()
    void Promise.all(positions.map((position) => owned.commit(position))).then((results) => {
      this.#positionsUnderWay -= positions.length
      this.#updateFlow()
      this.#send({ committed: { correlationId, results } })
    })
  }

  #updateFlow(): void {
    if (!this.#isFlowPaused && this.#positionsUnderWay > MAX_POSITIONS_UNDER_WAY) {
      this.#isFlowPaused = true
      this.#parts.flow.pause()
    } else if (this.#isFlowPaused && this.#positionsUnderWay <= MAX_POSITIONS_UNDER_WAY / 2) {
      this.#isFlowPaused = false
      this.#parts.flow.resume()
    }
  }
}

function invalid(text: string): FlotillaError {
  return new FlotillaError('INVALID_ARGUMENT', text)
}
