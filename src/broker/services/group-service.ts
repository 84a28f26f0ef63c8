import {
  duplexHandler,
  type CallContext,
  type Cancel,
  type Clock,
  type FlowControl,
  type Handler,
  type Logger,
  type Random,
  type Receiver,
  type Sink,
} from '../../env/index.ts'
import {
  FlotillaError,
  GROUP_LIMITS,
  durationOf,
  embeddedError,
  groupMethods,
  millisecondsOf,
  timestampOf,
  type CommitOffsetsRequest,
  type CommitOffsetsResponse,
  type ConsumeRequest,
  type ConsumeResponse,
  type DeleteGroupRequest,
  type DescribeGroupRequest,
  type DescribeGroupResponse,
  type FetchOffsetsRequest,
  type FetchOffsetsResponse,
  type FetchedOffset,
  type GroupPartition,
  type GroupPartitionStateName,
  type ListGroupsRequest,
  type ListGroupsResponse,
  type TopicPartition,
} from '../../wire/index.ts'
import { ConsumeSession } from '../groups/consume-session.ts'
import type { ConsumeSessions } from '../groups/consume-sessions.ts'
import { strategyName } from '../groups/consume-start.ts'
import { unknownGroup, unknownMember } from '../groups/decide.ts'
import type { GroupCalls } from '../groups/group-calls.ts'
import type { GroupReset } from '../groups/group-reset.ts'
import { type Assignment, type Group } from '../groups/types.ts'
import { METADATA_GROUP, type Node } from '../node.ts'
import { askPartitionMethod, beatGroupsMethod, changeGroupMethod } from '../peers/peer-methods.ts'
import type { MetadataCalls } from '../routing/metadata-calls.ts'
import { answering, asRpcError } from './answering.ts'
import type { OpenStreams } from './open-streams.ts'

const DEFAULT_PAGE = 100
const MAX_PAGE = 1000
const DEFAULT_STALLED_MS = 60_000
/** A partition whose leader doesn't answer by then is shown without figures. */
const FETCH_MS = 2000
/** Leaders that are asked at once for one description. */
const ASKED_AT_ONCE = 64

/** flotilla.v1.GroupService, and the calls between nodes that go with it. */
export class GroupService {
  readonly #node: Node
  readonly #calls: GroupCalls
  readonly #metadata: MetadataCalls
  readonly #reset: GroupReset
  readonly #sessions: ConsumeSessions
  readonly #streams: OpenStreams
  readonly #clock: Clock
  readonly #random: Random
  readonly #logger: Logger

  constructor(parts: {
    readonly node: Node
    readonly calls: GroupCalls
    readonly metadata: MetadataCalls
    readonly reset: GroupReset
    readonly sessions: ConsumeSessions
    readonly streams: OpenStreams
    readonly clock: Clock
    readonly random: Random
    readonly logger: Logger
  }) {
    this.#node = parts.node
    this.#calls = parts.calls
    this.#metadata = parts.metadata
    this.#reset = parts.reset
    this.#sessions = parts.sessions
    this.#streams = parts.streams
    this.#clock = parts.clock
    this.#random = parts.random
    this.#logger = parts.logger
  }

  handlers(): Handler[] {
    const onLeader = this.#onLeader()
    return [
      duplexHandler(groupMethods.consume, (sink, flow, call) => this.#consume(sink, flow, call)),
      answering(groupMethods.heartbeat, async ({ members }) => {
        checkCount('a heartbeat', 'members', members, GROUP_LIMITS.maxHeartbeatMembers)
        return { notHere: this.#sessions.heard(members) }
      }),
      answering(groupMethods.listGroups, async (request, call) => {
        await this.#metadata.untilRegistered(this.#metadata.deadlineOf(call))
        return this.#list(request)
      }),
      answering(groupMethods.describeGroup, (request, call) =>
        onLeader(groupMethods.describeGroup, request, call, () => this.#describe(request)),
      ),
      answering(groupMethods.deleteGroup, (request, call) =>
        onLeader(groupMethods.deleteGroup, request, call, (deadlineMs) => this.#delete(request, deadlineMs)),
      ),
      answering(groupMethods.resetGroupOffsets, (request, call) =>
        onLeader(groupMethods.resetGroupOffsets, request, call, (deadlineMs) =>
          this.#reset.reset(request, call, deadlineMs),
        ),
      ),
      answering(groupMethods.commitOffsets, (request, call) =>
        this.#commit(request, this.#metadata.deadlineOf(call)),
      ),
      answering(groupMethods.fetchOffsets, (request, call) =>
        onLeader(groupMethods.fetchOffsets, request, call, () => this.#fetch(request)),
      ),
      answering(changeGroupMethod, (command, call) =>
        this.#calls.changeHere(command, this.#metadata.deadlineOf(call)),
      ),
      answering(beatGroupsMethod, (beats) => {
        this.#calls.beatHere(beats)
        return Promise.resolve({})
      }),
      answering(askPartitionMethod, (request, call) =>
        this.#calls.askHere(request, this.#metadata.deadlineOf(call)),
      ),
    ]
  }

  /** Ends the members' streams; they go on at another node. */
  close(): void {
    this.#sessions.close(new FlotillaError('SHUTTING_DOWN', `node ${this.#node.nodeId} is stopping`))
  }

  /** Calls that are answered where the group's state is sure to be the newest. */
  #onLeader(): MetadataCalls['onLeader'] {
    return (method, request, call, local) =>
      this.#metadata.onLeader(method, request, call, async (deadlineMs) => {
        // Just elected, it may not have folded its whole log yet.
        await this.#node.metadata.replica.confirmLeadership(deadlineMs)
        return local(deadlineMs)
      })
  }

  #consume(sink: Sink<ConsumeResponse>, flow: FlowControl, call: CallContext): Receiver<ConsumeRequest> {
    let leave: Cancel
    try {
      leave = this.#streams.enter()
    } catch (error) {
      sink.fail(asRpcError(error))
      return { onMessage: () => undefined, onEnd: () => undefined, onClose: () => undefined }
    }
    const session = new ConsumeSession({
      node: this.#node,
      calls: this.#calls,
      metadata: this.#metadata,
      clock: this.#clock,
      random: this.#random,
      logger: this.#logger,
      sink,
      flow,
      call,
      onJoined: (joined, member) => this.#sessions.joined(joined, member),
      onClosed: (closed) => {
        leave()
        this.#sessions.remove(closed)
      },
    })
    this.#sessions.add(session)
    return session
  }

  // -- asking --------------------------------------------------------------------------------------------------

  #list({ pageSize = 0, pageToken = '' }: ListGroupsRequest): ListGroupsResponse {
    if (pageSize < 0 || pageSize > MAX_PAGE) {
      throw new FlotillaError('INVALID_ARGUMENT', `page_size is ${pageSize}, but has to be 0 to ${MAX_PAGE}`)
    }
    const after = Buffer.from(pageToken, 'base64url').toString('utf8')
    const groups = [...this.#node.view.state.groups.all()]
      .filter(({ name }) => name > after)
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    const page = groups.slice(0, pageSize === 0 ? DEFAULT_PAGE : pageSize)
    const last = page.at(-1)
    return {
      groups: page.map(({ name, members, assignments, strategy }) => ({
        group: name,
        memberCount: members.size,
        topics: [...new Set([...assignments.values()].map(({ topic }) => topic))].toSorted(),
        strategy: strategyName(strategy),
      })),
      nextPageToken:
        last === undefined || page.length === groups.length
          ? ''
          : Buffer.from(last.name).toString('base64url'),
    }
  }

  #group(name: string): Group {
    const group = this.#node.view.state.groups.get(name)
    if (group === undefined) throw unknownGroup(name)
    return group
  }

  async #describe({ group: name, stalledAfter }: DescribeGroupRequest): Promise<DescribeGroupResponse> {
    const group = this.#group(name)
    const stalledMs =
      stalledAfter === undefined || stalledAfter === null ? DEFAULT_STALLED_MS : millisecondsOf(stalledAfter)
    const assignments = [...group.assignments.values()].toSorted(
      (a, b) => (a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : 0) || a.partition - b.partition,
    )
    const offsets = await this.#offsetsOf(name, assignments)
    const leader = this.#node.leaders.get(METADATA_GROUP)?.leader
    return {
      group: name,
      strategy: strategyName(group.strategy),
      members: [...group.members.values()].map((member) => ({
        memberId: member.memberId,
        incarnation: member.incarnation,
        isStatic: member.isStatic,
        topics: member.topics,
        manualPartitions: member.partitions,
        weight: member.weight,
        sessionTimeout: durationOf(member.sessionTimeoutMs),
        clientAddress: member.clientAddress,
      })),
      partitions: assignments.map((assignment, at) =>
        describePartition(assignment, offsets[at]!, this.#clock.wallMs(), stalledMs),
      ),
      ...(leader === undefined ? {} : { coordinatorNodeId: leader }),
    }
  }

  async #fetch({ group: name, partitions = [] }: FetchOffsetsRequest): Promise<FetchOffsetsResponse> {
    const group = this.#group(name)
    for (const { topic, partition } of partitions) this.#node.view.partition(topic, partition)
    const asked = partitions.length > 0 ? partitions : [...group.assignments.values()]
    return { offsets: await this.#offsetsOf(name, asked) }
  }

  /** Each from the leader of its partition. */
  async #offsetsOf(group: string, partitions: readonly TopicPartition[]): Promise<FetchedOffset[]> {
    const deadlineMs = this.#clock.nowMs() + FETCH_MS
    const offsets: FetchedOffset[] = []
    for (let at = 0; at < partitions.length; at += ASKED_AT_ONCE) {
      const some = partitions.slice(at, at + ASKED_AT_ONCE)
      offsets.push(...(await Promise.all(some.map((each) => this.#offsetOf(group, each, deadlineMs)))))
    }
    return offsets
  }

  async #offsetOf(
    group: string,
    { topic, partition }: TopicPartition,
    deadlineMs: number,
  ): Promise<FetchedOffset> {
    try {
      const ask = { type: 'fetch', group } as const
      const { position, lowOffset, highWatermark } = await this.#calls.ask(
        { topic, partition, ask },
        deadlineMs,
      )
      return {
        topic,
        partition,
        lowOffset,
        highWatermark,
        epoch: position?.epoch ?? 0,
        ...(position?.committedOffset === undefined
          ? {}
          : { committedOffset: position.committedOffset, commitTime: timestampOf(position.commitTimeMs) }),
        ...(position === undefined || position.owner === '' ? {} : { ownerMemberId: position.owner }),
      }
    } catch (error) {
      const failure = error instanceof FlotillaError ? error : new FlotillaError('INTERNAL', String(error))
      return { topic, partition, lowOffset: 0, highWatermark: 0, epoch: 0, error: embeddedError(failure) }
    }
  }

  // -- changing ------------------------------------------------------------------------------------------------

  async #delete({ group }: DeleteGroupRequest, deadlineMs: number): Promise<Record<string, never>> {
    const result = await this.#calls.change({ type: 'delete', group }, deadlineMs)
    if (result.type !== 'deleted') throw new FlotillaError('INTERNAL', `deleting a group gave ${result.type}`)
    const beforeEpoch = result.epoch
    const forgotten = result.partitions.map(async ({ topic, partition }) => {
      const ask = { type: 'forget', group, beforeEpoch } as const
      await this.#calls.ask({ topic, partition, ask }, Math.min(deadlineMs, this.#clock.nowMs() + FETCH_MS))
    })
    // A partition that isn't reached keeps an offset that nobody can use: a new group of this name begins without it.
    const failed = (await Promise.allSettled(forgotten)).filter(({ status }) => status === 'rejected')
    if (failed.length > 0)
      this.#logger.warn({ group, partitions: failed.length }, 'partitions keep the offset of a deleted group')
    return {}
  }

  async #commit(
    { group: name, memberId, positions }: CommitOffsetsRequest,
    deadlineMs: number,
  ): Promise<CommitOffsetsResponse> {
    checkCount('a commit', 'positions', positions, GROUP_LIMITS.maxPositions)
    await this.#metadata.untilRegistered(deadlineMs)
    const group = this.#node.view.state.groups.get(name)
    if (group === undefined) throw unknownGroup(name)
    if (!group.members.has(memberId)) throw unknownMember(name, memberId)
    const results = positions.map(async ({ topic, partition, offset, epoch }) => {
      try {
        const ask = { type: 'commit', group: name, epoch, owner: memberId, offset } as const
        const { position } = await this.#calls.ask({ topic, partition, ask }, deadlineMs)
        return { topic, partition, committedOffset: position?.committedOffset ?? offset }
      } catch (error) {
        const failure = error instanceof FlotillaError ? error : new FlotillaError('INTERNAL', String(error))
        return { topic, partition, error: embeddedError(failure) }
      }
    })
    return { results: await Promise.all(results) }
  }
}

function checkCount(what: string, things: string, { length }: readonly unknown[], limit: number): void {
  if (length <= limit) return
  throw new FlotillaError('INVALID_ARGUMENT', `${what} names ${length} ${things}, the limit is ${limit}`)
}

function describePartition(
  { topic, partition, owner, isRevoking, epoch }: Assignment,
  offset: FetchedOffset,
  nowMs: number,
  stalledMs: number,
): GroupPartition {
  const { committedOffset, lowOffset, highWatermark, commitTime, error } = offset
  const lag = Math.max(0, highWatermark - (committedOffset ?? lowOffset))
  const sinceCommitMs =
    commitTime === undefined || commitTime === null
      ? Number.POSITIVE_INFINITY
      : nowMs - millisecondsOf(commitTime)
  const state = ((): GroupPartitionStateName => {
    if (error !== undefined && error !== null) return 'GROUP_PARTITION_STATE_UNREACHABLE'
    if (isRevoking) return 'GROUP_PARTITION_STATE_REVOKING'
    if (owner === undefined) return lag > 0 ? 'GROUP_PARTITION_STATE_UNOWNED' : 'GROUP_PARTITION_STATE_IDLE'
    return lag > 0 && sinceCommitMs > stalledMs
      ? 'GROUP_PARTITION_STATE_STALLED'
      : 'GROUP_PARTITION_STATE_ACTIVE'
  })()
  return {
    topic,
    partition,
    state,
    ...(owner === undefined ? {} : { ownerMemberId: owner }),
    epoch,
    ...(committedOffset === undefined ? {} : { committedOffset }),
    lowOffset,
    highWatermark,
    lag,
    commitTime: commitTime ?? null,
  }
}
