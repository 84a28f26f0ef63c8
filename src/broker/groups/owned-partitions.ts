import type { Clock, Logger } from '../../env/index.ts'
import {
  FlotillaError,
  durationOf,
  embeddedError,
  type AssignedPartition,
  type CommitPosition,
  type CommitResult,
  type ConsumeResponse,
  type TopicPartition,
} from '../../wire/index.ts'
import type { Node } from '../node.ts'
import type { CheckedStart } from './consume-start.ts'
import type { GroupCalls } from './group-calls.ts'
import { PartitionFeed } from './partition-feed.ts'
import { RecordSource } from './record-source.ts'
import { partitionKey, type Assignment, type GivenEpoch, type Group, type Member } from './types.ts'

/** To take a partition, to commit, to release: each is tried again until then. */
const CALL_MS = 30_000
const TAKE_RETRY_MS = 500

export interface OwnedParts {
  readonly node: Node
  readonly calls: GroupCalls
  readonly clock: Clock
  readonly logger: Logger
  readonly start: CheckedStart
  readonly memberId: string
  /** Aborted when the member's stream is over. */
  readonly signal: AbortSignal
  send(response: ConsumeResponse): void
  fail(error: FlotillaError): void
  /** Something may be sent that could not be before. */
  onReady(): void
}

/**
 * The partitions that one member has through this node. Follows what the group's state gives: takes each partition from its
 * leader, which fences the owner before, then reads it; says what is revoked and lost; passes commits on.
 */
export class OwnedPartitions {
  readonly #parts: OwnedParts
  readonly #feeds = new Map<string, PartitionFeed>()
  #assigned: AssignedPartition[] = []
  #isClosed = false

  constructor(parts: OwnedParts) {
    this.#parts = parts
  }

  get feeds(): Iterable<PartitionFeed> {
    return this.#feeds.values()
  }

  get size(): number {
    return this.#feeds.size
  }

  /** Resolves when the commits that are under way have their answers. */
  async settled(): Promise<void> {
    await Promise.all([...this.#feeds.values()].map(({ commits }) => commits.settled()))
  }

  /** Nothing more is read. Commits are still answered. */
  close(): void {
    this.#isClosed = true
    for (const feed of this.#feeds.values()) feed.end()
  }

  /** All is lost. */
  expelled(error: FlotillaError): void {
    const partitions = [...this.#feeds.values()].map(nameOf)
    if (partitions.length > 0) this.#parts.send({ lost: { partitions, error: embeddedError(error) } })
  }

  setPaused(partitions: readonly TopicPartition[], isPaused: boolean): void {
    for (const each of partitions) {
      const feed = this.#feeds.get(partitionKey(each))
      // One that was lost meanwhile needs no pause.
      if (feed !== undefined) feed.isPaused = isPaused
    }
  }

  // -- what the group's state gives ----------------------------------------------------------------------------

  follow(group: Group, member: Member): void {
    this.#dropLost(group)
    this.#takeGiven(group, member)
  }

  #dropLost(group: Group): void {
    const { topics } = this.#parts.node.view.state
    for (const [key, feed] of this.#feeds) {
      const assignment = group.assignments.get(key)
      if (assignment?.owner === this.#parts.memberId && assignment?.epoch === feed.epoch) continue
      feed.end()
      this.#feeds.delete(key)
      // What was never announced, or was given back, need not be called lost.
      if (feed.state === 'taking' || feed.state === 'released') continue
      const error = topics.has(feed.topic)
        ? new FlotillaError(
            'STALE_GROUP_EPOCH',
            `partition ${feed.partition} of "${feed.topic}" was taken from the member`,
          )
        : new FlotillaError('UNKNOWN_TOPIC', `topic "${feed.topic}" was deleted`)
      this.#parts.send({ lost: { partitions: [nameOf(feed)], error: embeddedError(error) } })
    }
  }

  #takeGiven(group: Group, member: Member): void {
    const revoked: TopicPartition[] = []
    for (const [key, assignment] of group.assignments) {
      if (assignment.owner !== member.memberId) continue
      let feed = this.#feeds.get(key)
      if (feed === undefined) {
        feed = new PartitionFeed(assignment, this.#parts.start.fetch.maxBytes, (offset) =>
          this.#commitOne(assignment, offset),
        )
        this.#feeds.set(key, feed)
        // A stream that is new may be told to give back what an earlier one was given.
        if (assignment.isRevoking) {
          feed.revoke()
          revoked.push(nameOf(feed))
        } else void this.#take(feed, assignment, group.sinceEpoch)
      } else if (assignment.isRevoking && feed.state === 'taking') {
        feed.revoke()
        this.release([feed])
      } else if (assignment.isRevoking && feed.state === 'reading') {
        feed.revoke()
        revoked.push(nameOf(feed))
      }
    }
    if (revoked.length > 0)
      this.#parts.send({ revoked: { partitions: revoked, timeout: durationOf(member.revokeTimeoutMs) } })
  }

  // -- taking and reading --------------------------------------------------------------------------------------

  #isCurrent(feed: PartitionFeed): boolean {
    return this.#feeds.get(partitionKey(feed)) === feed && !this.#isClosed
  }

  /** Fences the owner before in the partition's log; only then is anything of it read. */
  async #take(feed: PartitionFeed, { epoch, reset }: Assignment, sinceEpoch: number): Promise<void> {
    const { calls, clock, logger } = this.#parts
    const { topic, partition } = feed
    const group = this.#parts.start.group
    const owner = this.#parts.memberId
    while (this.#isCurrent(feed) && feed.state === 'taking') {
      try {
        const ask = { type: 'take', group, epoch, owner, sinceEpoch, reset } as const
        const taken = await calls.ask({ topic, partition, ask }, clock.nowMs() + CALL_MS, this.#parts.signal)
        if (!this.#isCurrent(feed) || feed.state !== 'taking') return
        const committed = taken.position?.committedOffset
        await this.#startReading(feed, committed, taken)
        return
      } catch (error) {
        if (!(error instanceof FlotillaError)) throw error
        if (!this.#isCurrent(feed)) return
        if (error.reason === 'OFFSET_OUT_OF_RANGE' || error.reason === 'LIMIT_EXCEEDED')
          return this.#parts.fail(error)
        // Somebody newer has it, and this node will hear of that; or nobody leads it for now.
        logger.debug({ group, topic, partition, error: error.message }, 'a partition could not be taken yet')
        await new Promise<void>((resolve) => void clock.setTimer(TAKE_RETRY_MS, resolve))
      }
    }
  }

  async #startReading(
    feed: PartitionFeed,
    committed: number | undefined,
    { lowOffset, highWatermark }: { readonly lowOffset: number; readonly highWatermark: number },
  ): Promise<void> {
    if (committed !== undefined) feed.commits.knows(committed)
    let offset = committed ?? (this.#parts.start.from === 'end' ? highWatermark : lowOffset)
    // Else a member that takes over before the first commit would begin at another end, and skip what came between.
    if (committed === undefined && this.#parts.start.from === 'end') {
      await feed.commits.commit(offset)
      if (!this.#isCurrent(feed) || feed.state !== 'taking') return
    }
    if (offset < lowOffset) offset = this.#outOfRange(feed, offset, lowOffset, highWatermark)
    feed.begin(offset, highWatermark)
    this.#announce({
      ...nameOf(feed),
      epoch: feed.epoch,
      startOffset: offset,
      ...(committed === undefined ? {} : { committedOffset: committed }),
      highWatermark,
    })
    this.#openSource(feed)
  }

  #openSource(feed: PartitionFeed): void {
    const { node, clock } = this.#parts
    const { topic, partition, nextOffset, highWatermark, boundBytes } = feed
    feed.source = new RecordSource(
      node,
      clock,
      { topic, partition, offset: nextOffset, highWatermark, maxBytes: boundBytes },
      {
        onRead: (response) => {
          feed.add(response, clock.nowMs())
          if (response.batches.length > 0) this.#parts.onReady()
          else if (feed.isEmpty) this.#tellPosition(feed)
          return !feed.isBlocked
        },
        onOutOfRange: (error) => {
          const { lowOffset = 0, highWatermark = 0 } = error.offsetRange ?? {}
          try {
            const offset = this.#outOfRange(feed, feed.nextOffset, lowOffset, highWatermark)
            feed.begin(offset, highWatermark)
            this.#openSource(feed)
          } catch (failure) {
            if (!(failure instanceof FlotillaError)) throw failure
            this.#parts.fail(failure)
          }
        },
      },
    )
  }

  /** Where to go on where retention has passed the group. Throws OFFSET_OUT_OF_RANGE if the member wants to know. */
  #outOfRange(feed: PartitionFeed, offset: number, lowOffset: number, highWatermark: number): number {
    switch (this.#parts.start.outOfRange) {
      case 'earliest':
        return lowOffset
      case 'latest':
        return highWatermark
      case 'fail':
        throw new FlotillaError(
          'OFFSET_OUT_OF_RANGE',
          `group "${this.#parts.start.group}" needs offset ${offset} of partition ${feed.partition} of "${feed.topic}", which is no longer kept; ` +
            `it holds ${lowOffset} to ${highWatermark} (the end): reset the group, or consume with another policy`,
          { offsetRange: { lowOffset, highWatermark } },
        )
    }
  }

  /** Partitions that are taken in one turn are announced together, and before any of their records. */
  #announce(partition: AssignedPartition): void {
    this.#assigned.push(partition)
    if (this.#assigned.length === 1) this.#parts.clock.defer(() => this.flushAssigned())
  }

  /** Before any of their records. */
  flushAssigned(): void {
    if (this.#assigned.length === 0) return
    const partitions = this.#assigned
    this.#assigned = []
    this.#parts.send({ assigned: { partitions } })
  }

  /** Once, when all that was there has been sent. */
  tellCaughtUp(feed: PartitionFeed): void {
    if (feed.isCaughtUp || feed.nextOffset < feed.highWatermark) return
    feed.isCaughtUp = true
    this.#parts.send({ caughtUp: { ...nameOf(feed), offset: feed.nextOffset } })
  }

  /** An idle partition has nothing to tell, and there may be thousands. */
  #tellPosition(feed: PartitionFeed): void {
    if (feed.state !== 'reading') return
    const position = feed.news()
    if (position === undefined) return
    this.flushAssigned()
    this.tellCaughtUp(feed)
    this.#parts.send({ position })
  }

  // -- committing and giving back ------------------------------------------------------------------------------

  async commit(position: CommitPosition): Promise<CommitResult> {
    const { topic, partition } = position
    const feed = this.#feeds.get(partitionKey(position))
    if (feed === undefined || feed.epoch !== position.epoch || feed.state === 'released') {
      const error = notOwned(position, feed?.epoch)
      return { topic, partition, error: embeddedError(error) }
    }
    try {
      return { topic, partition, committedOffset: await feed.commits.commit(position.offset) }
    } catch (error) {
      const failure = error instanceof FlotillaError ? error : new FlotillaError('INTERNAL', String(error))
      return { topic, partition, error: embeddedError(failure) }
    }
  }

  async #commitOne({ topic, partition, epoch }: GivenEpoch, offset: number): Promise<number> {
    const { calls, clock } = this.#parts
    const group = this.#parts.start.group
    const owner = this.#parts.memberId
    const ask = { type: 'commit', group, epoch, owner, offset } as const
    const { position } = await calls.ask({ topic, partition, ask }, clock.nowMs() + CALL_MS)
    return position?.committedOffset ?? offset
  }

  /** Where it isn't heard, the coordinator takes the partitions when the time for it is over. */
  release(partitions: readonly TopicPartition[]): void {
    const { calls, clock, node, logger } = this.#parts
    const group = this.#parts.start.group
    const given: GivenEpoch[] = []
    for (const each of partitions) {
      const feed = this.#feeds.get(partitionKey(each))
      // It may have been taken and given anew while the release was on its way: that giving isn't meant.
      if (feed?.state !== 'revoking') continue
      feed.state = 'released'
      given.push({ ...nameOf(feed), epoch: feed.epoch })
    }
    if (given.length === 0) return
    calls
      .change({ type: 'release', group, partitions: given }, clock.nowMs() + CALL_MS)
      .catch((error: unknown) => {
        if (!node.isStopping) logger.debug({ group, error: String(error) }, 'a release was not heard')
      })
  }
}

function nameOf({ topic, partition }: TopicPartition): TopicPartition {
  return { topic, partition }
}

function notOwned({ topic, partition, epoch }: CommitPosition, owned: number | undefined): FlotillaError {
  const name = `partition ${partition} of "${topic}"`
  if (owned !== undefined && epoch < owned) {
    return new FlotillaError(
      'STALE_GROUP_EPOCH',
      `the commit for ${name} names epoch ${epoch}, but it was assigned anew under ${owned}`,
    )
  }
  const text = owned === undefined ? 'which this member does not own' : `but it was assigned under ${owned}`
  return new FlotillaError('PARTITION_NOT_OWNED', `the commit names epoch ${epoch} of ${name}, ${text}`)
}
