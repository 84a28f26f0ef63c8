import { RpcError, type Clock, type RpcMethod } from '../../env/index.ts'
import { asGroupId } from '../../log/types.ts'
import type { NodeId } from '../../raft/types.ts'
import { FlotillaError, fromRpcError } from '../../wire/index.ts'
import { METADATA_GROUP, type Node } from '../node.ts'
import {
  askPartitionMethod,
  beatGroupsMethod,
  changeGroupMethod,
  type GroupBeats,
  type PartitionAsk,
} from '../peers/peer-methods.ts'
import { FORWARDED } from '../routing/connections.ts'
import type { GroupCoordinator } from './coordinator.ts'
import type { GroupResult } from './decide.ts'
import type { GroupChangeCommand, GroupOutcome } from './types.ts'

/** Between two tries; all that is asked here may be asked twice. */
const RETRY_MS = 50
/** The longest that one try waits for an answer, so that a node that hangs doesn't hold the call. */
const TRY_MS = 3000

/**
 * What a node asks others about groups: the coordinator (the leader of the metadata group) and the leaders of partitions.
 * Goes after the leader while it moves, until the deadline.
 */
export class GroupCalls {
  readonly #node: Node
  readonly #clock: Clock
  readonly #coordinator: GroupCoordinator

  constructor(node: Node, coordinator: GroupCoordinator, clock: Clock) {
    this.#node = node
    this.#coordinator = coordinator
    this.#clock = clock
  }

  // -- asking others -------------------------------------------------------------------------------------------

  change(command: GroupChangeCommand, deadlineMs: number, signal?: AbortSignal): Promise<GroupResult> {
    return this.#persist(deadlineMs, signal, async (untilMs) => {
      const leader = await this.#leaderOf(METADATA_GROUP, 'the coordinator of groups', untilMs, signal)
      if (leader === this.#node.nodeId) return this.changeHere(command, untilMs)
      return this.#remote(leader, changeGroupMethod, command, untilMs)
    })
  }

  /** Tells the coordinator once; rejects where it isn't reached. */
  async beat(beats: GroupBeats, deadlineMs: number): Promise<void> {
    const leader = await this.#leaderOf(METADATA_GROUP, 'the coordinator of groups', deadlineMs)
    if (leader === this.#node.nodeId) this.beatHere(beats)
    else await this.#remote(leader, beatGroupsMethod, beats, deadlineMs)
  }

  ask(request: PartitionAsk, deadlineMs: number, signal?: AbortSignal): Promise<GroupOutcome> {
    return this.#persist(deadlineMs, signal, async (untilMs) => {
      const { place } = this.#node.view.partition(request.topic, request.partition)
      const groupId = asGroupId(place.groupId)
      const name = `partition ${request.partition} of "${request.topic}"`
      const leader = await this.#leaderOf(groupId, name, untilMs, signal)
      if (leader === this.#node.nodeId) return this.askHere(request, untilMs)
      return this.#remote(leader, askPartitionMethod, request, untilMs)
    })
  }

  // -- answering -----------------------------------------------------------------------------------------------

  async changeHere(command: GroupChangeCommand, deadlineMs: number): Promise<GroupResult> {
    const result = await this.#node.changeMetadata({ type: 'changeGroup', command }, deadlineMs)
    if (result.type !== 'group') throw new FlotillaError('INTERNAL', `changing a group gave ${result.type}`)
    return result.result
  }

  beatHere(beats: GroupBeats): void {
    if (!this.#coordinator.isActive)
      throw new FlotillaError('NOT_LEADER', `node ${this.#node.nodeId} coordinates no groups`)
    this.#coordinator.heard(beats)
  }

  async askHere({ topic, partition, ask }: PartitionAsk, deadlineMs: number): Promise<GroupOutcome> {
    const { place } = this.#node.view.partition(topic, partition)
    const hosted = this.#node.hosted(asGroupId(place.groupId))
    if (hosted === undefined || !hosted.replica.isLeader) {
      throw new FlotillaError(
        'NOT_LEADER',
        `node ${this.#node.nodeId} does not lead partition ${partition} of "${topic}"`,
      )
    }
    const { replica, machine } = hosted
    if (ask.type === 'fetch') {
      await replica.confirmLeadership(deadlineMs)
      return machine.groupOutcome(ask.group)
    }
    const submit = (): Promise<GroupOutcome> =>
      new Promise((resolve, reject) => {
        const done = (outcome: GroupOutcome | FlotillaError): void =>
          outcome instanceof FlotillaError ? reject(outcome) : resolve(outcome)
        machine.submitForGroup({ command: ask, reply: { deadlineMs, done } })
        replica.commandsQueued()
      })
    try {
      return await submit()
    } catch (error) {
      if (!(error instanceof FlotillaError) || !mayBeOutdated(error)) throw error
      // A leader that was deposed without knowing it hasn't heard of the newest owner.
      await replica.confirmLeadership(deadlineMs)
      return submit()
    }
  }

  // -- going after the leader ----------------------------------------------------------------------------------

  async #leaderOf(
    groupId: ReturnType<typeof asGroupId>,
    what: string,
    deadlineMs: number,
    signal?: AbortSignal,
  ): Promise<NodeId> {
    const leader = await this.#node.leaders.waitFor(groupId, deadlineMs, signal)
    if (leader === undefined) throw new FlotillaError('NO_LEADER', `${what} has no leader`)
    return leader
  }

  async #remote<Q, R>(
    leader: NodeId,
    method: RpcMethod<Q, R, 'unary'>,
    request: Q,
    deadlineMs: number,
  ): Promise<R> {
    const address = this.#node.addressOf(leader)
    if (address === undefined)
      throw new FlotillaError('NO_LEADER', `the address of node ${leader} isn't known`)
    return this.#node.connections
      .to(address)
      .unary(method, request, { deadlineMs, metadata: { [FORWARDED]: '1' } })
  }

  /** Tries until it has an answer, an error that another try won't mend, or no more time. */
  async #persist<R>(
    deadlineMs: number,
    signal: AbortSignal | undefined,
    attempt: (untilMs: number) => Promise<R>,
  ): Promise<R> {
    for (;;) {
      let failure: FlotillaError
      try {
        return await attempt(Math.min(deadlineMs, this.#clock.nowMs() + TRY_MS))
      } catch (error) {
        failure = error instanceof RpcError ? fromRpcError(error) : asFlotillaError(error)
      }
      const left = deadlineMs - this.#clock.nowMs()
      if (!failure.retryable || left <= RETRY_MS || signal?.aborted === true || this.#node.isStopping)
        throw failure
      await new Promise<void>(
        (resolve) => void this.#clock.setTimer(failure.retryDelayMs ?? RETRY_MS, resolve),
      )
    }
  }
}

function mayBeOutdated({ reason }: FlotillaError): boolean {
  return reason === 'PARTITION_NOT_OWNED' || reason === 'UNKNOWN_GROUP'
}

function asFlotillaError(error: unknown): FlotillaError {
  return error instanceof FlotillaError
    ? error
    : new FlotillaError('INTERNAL', String(error), { cause: error })
}
