import type { Clock, Random, RpcMethod } from '../../env/index.ts'
import type { GroupId } from '../../log/types.ts'
import { asLogIndex, type LogIndex } from '../../raft/types.ts'
import { FlotillaError } from '../../wire/errors.ts'
import type { MembershipCommand } from '../metadata/decide-membership.ts'
import { METADATA_GROUP } from '../metadata-group.ts'
import type { Node } from '../node.ts'
import {
  metadataIndexMethod,
  reportReplicasMethod,
  restartReplicaMethod,
  type ReportReplicasRequest,
  type RestartReplicaRequest,
} from '../peers/peer-methods.ts'
import { FORWARDED } from '../routing/connections.ts'

const CALL_MS = 5000

/** What a node has the leader of the metadata group do for its groups, wherever that leader is. */
export class MetadataLeader {
  readonly #node: Node
  readonly #clock: Clock
  readonly #random: Random
  /** One for each group in a run of this process, so that a call that is repeated gives the same life. */
  readonly #requestIds = new Map<GroupId, string>()

  constructor(node: Node, clock: Clock, random: Random) {
    this.#node = node
    this.#clock = clock
    this.#random = random
  }

  report(request: ReportReplicasRequest): Promise<unknown> {
    return this.#ask(reportReplicasMethod, request, (deadlineMs) => this.reportHere(request, deadlineMs))
  }

  async restart(groupId: GroupId): Promise<number> {
    const requestId = this.#requestIds.get(groupId) ?? Buffer.from(this.#random.bytes(16)).toString('hex')
    this.#requestIds.set(groupId, requestId)
    const request = { groupId, nodeId: this.#node.nodeId, requestId }
    const answer = await this.#ask(restartReplicaMethod, request, (deadlineMs) =>
      this.restartHere(request, deadlineMs),
    )
    return answer.life
  }

  async index(): Promise<LogIndex> {
    const answer = await this.#ask(metadataIndexMethod, {}, (deadlineMs) => this.indexHere(deadlineMs))
    return asLogIndex(answer.index)
  }

  // -- where this node is the leader ---------------------------------------------------------------------------

  async reportHere(request: ReportReplicasRequest, deadlineMs: number): Promise<Record<string, never>> {
    const { groupId, moves, nodeIds } = request
    await this.#change({ type: 'replicasMoved', groupId, moves, replicas: nodeIds }, deadlineMs)
    return {}
  }

  async restartHere(request: RestartReplicaRequest, deadlineMs: number): Promise<{ readonly life: number }> {
    const result = await this.#change({ type: 'restartReplica', ...request }, deadlineMs)
    if (result.type !== 'life') throw new FlotillaError('INTERNAL', `a new life gave ${result.type}`)
    return { life: result.life }
  }

  async indexHere(deadlineMs: number): Promise<{ readonly index: number }> {
    const { replica } = this.#node.metadata
    await replica.confirmLeadership(deadlineMs)
    return { index: replica.foldedIndex }
  }

  #change(command: MembershipCommand, deadlineMs: number): ReturnType<Node['changeMetadata']> {
    return this.#node.changeMetadata(command, deadlineMs)
  }

  async #ask<Q, R>(
    method: RpcMethod<Q, R, 'unary'>,
    request: Q,
    here: (deadlineMs: number) => Promise<R>,
  ): Promise<R> {
    const deadlineMs = this.#clock.nowMs() + CALL_MS
    const leader = await this.#node.leaders.waitFor(METADATA_GROUP, deadlineMs)
    if (leader === this.#node.nodeId) return here(deadlineMs)
    const address = leader === undefined ? undefined : this.#node.addressOf(leader)
    if (address === undefined) throw new FlotillaError('NO_LEADER', 'the metadata group has no leader')
    return this.#node.connections
      .to(address)
      .unary(method, request, { deadlineMs, metadata: { [FORWARDED]: '1' } })
  }
}
