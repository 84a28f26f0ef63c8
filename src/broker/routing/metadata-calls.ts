import { RpcError, type CallContext, type Clock, type RpcMethod } from '../../env/index.ts'
import { FlotillaError, fromRpcError, topicMethods } from '../../wire/index.ts'
import { unknownTopic, type MetadataCommand, type MetadataResult } from '../metadata/decide.ts'
import { METADATA_GROUP, type Node } from '../node.ts'
import { FORWARDED } from './connections.ts'

/** How long a call waits for the metadata group to get a leader, at most. */
const LEADER_WAIT_MS = 5000
/** How long a node waits for its own replica to fold what the leader has answered already. */
const CATCH_UP_MS = 5000
export const DEFAULT_CALL_MS = 30_000

/** Calls about the cluster's own state: decided here where this node leads the metadata group, else passed on. */
export class MetadataCalls {
  readonly #node: Node
  readonly #clock: Clock

  constructor(node: Node, clock: Clock) {
    this.#node = node
    this.#clock = clock
  }

  deadlineOf(call: CallContext): number {
    return call.deadlineMs ?? this.#clock.nowMs() + DEFAULT_CALL_MS
  }

  /** Has the leader of the metadata group decide on a command: `local` where that is here, `request` where it isn't. */
  async onLeader<Q, R>(
    method: RpcMethod<Q, R, 'unary'>,
    request: Q,
    call: CallContext,
    local: (deadlineMs: number) => Promise<R>,
  ): Promise<R> {
    const deadlineMs = this.deadlineOf(call)
    if (call.metadata.has(FORWARDED)) return local(deadlineMs)
    const waitUntil = Math.min(deadlineMs, this.#clock.nowMs() + LEADER_WAIT_MS)
    const leader = await this.#node.leaders.waitFor(METADATA_GROUP, waitUntil, call.signal)
    if (leader === this.#node.nodeId) return local(deadlineMs)
    const address = leader === undefined ? undefined : this.#node.addressOf(leader)
    if (leader === undefined || address === undefined) {
      throw new FlotillaError(
        'NO_LEADER',
        'the metadata group has no leader; a majority of the nodes is needed for it',
      )
    }
    return this.#node.connections
      .to(address)
      .unary(method, request, { deadlineMs, signal: call.signal, metadata: { [FORWARDED]: '1' } })
  }

  change(command: MetadataCommand, deadlineMs: number): Promise<MetadataResult> {
    return this.#node.changeMetadata(command, deadlineMs)
  }

  /**
   * Resolves once this node knows the topic; rejects with UNKNOWN_TOPIC only after the leader has said so. A call that
   * was passed on already is answered here or refused: two nodes that take each other for the leader must not bounce it.
   */
  async ensureTopic(name: string, deadlineMs: number, forwarded = false): Promise<void> {
    if (this.#node.view.state.topics.has(name)) return
    const waitUntil = Math.min(deadlineMs, this.#clock.nowMs() + LEADER_WAIT_MS)
    const leader = await this.#node.leaders.waitFor(METADATA_GROUP, waitUntil)
    if (leader === this.#node.nodeId) {
      // Just elected, it may not have folded its whole log yet: that it knows nothing proves nothing before this.
      await this.#node.metadata.replica.confirmLeadership(waitUntil)
      if (this.#node.view.state.topics.has(name)) return
      throw unknownTopic(name)
    }
    if (forwarded) {
      throw new FlotillaError('NOT_LEADER', `node ${this.#node.nodeId} does not lead the metadata group`)
    }
    const address = leader === undefined ? undefined : this.#node.addressOf(leader)
    if (address === undefined) {
      throw new FlotillaError(
        'NO_LEADER',
        `node ${this.#node.nodeId} doesn't know topic "${name}", and the metadata group has no leader to ask`,
      )
    }
    try {
      await this.#node.connections
        .to(address)
        .unary(topicMethods.getTopic, { name }, { deadlineMs: waitUntil, metadata: { [FORWARDED]: '1' } })
    } catch (error) {
      throw error instanceof RpcError ? fromRpcError(error) : error
    }
    await this.untilFolded(() => this.#node.view.state.topics.has(name), deadlineMs)
    if (this.#node.view.state.topics.has(name)) return
    throw new FlotillaError(
      'REPLICA_UNAVAILABLE',
      `topic "${name}" exists, but node ${this.#node.nodeId} hasn't caught up with that yet`,
    )
  }

  /** A node that has just started knows too little to list anything. Rejects with NO_LEADER where that lasts. */
  async untilRegistered(deadlineMs: number): Promise<void> {
    await this.untilFolded(() => this.#node.isRegistered, deadlineMs)
    if (this.#node.isRegistered) return
    throw new FlotillaError(
      'NO_LEADER',
      `node ${this.#node.nodeId} has started but can't reach a majority of the cluster`,
    )
  }

  /** Waits until this node's own state shows what the leader answered, so that a caller reads what it wrote. */
  untilFolded(shows: () => boolean, deadlineMs: number): Promise<void> {
    if (shows()) return Promise.resolve()
    return new Promise((resolve) => {
      const stop = this.#node.view.watch(() => {
        if (shows()) finish()
      })
      const waitUntil = Math.min(deadlineMs, this.#clock.nowMs() + CATCH_UP_MS)
      const cancelTimer = this.#clock.setTimer(Math.max(0, waitUntil - this.#clock.nowMs()), () => finish())
      function finish(): void {
        cancelTimer()
        stop()
        resolve()
      }
    })
  }
}
