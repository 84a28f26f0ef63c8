import type { CallContext, Handler } from '../../env/index.ts'
import { asNodeId } from '../../raft/types.ts'
import { FlotillaError, clusterMethods } from '../../wire/index.ts'
import type {
  DrainNodeRequest,
  DrainNodeResponse,
  MoveReplicasRequest,
  RemoveNodeRequest,
} from '../../wire/messages.ts'
import { planDrain } from '../metadata/decide-membership.ts'
import type { Node } from '../node.ts'
import {
  metadataIndexMethod,
  registerNodeMethod,
  reportReplicasMethod,
  restartReplicaMethod,
  type RegisterNodeRequest,
  type RegisterNodeResponse,
} from '../peers/peer-methods.ts'
import type { MetadataCalls } from '../routing/metadata-calls.ts'
import { answering } from './answering.ts'

/** The calls of flotilla.v1.ClusterService and of the PeerService that change who takes part. */
export class MembershipService {
  readonly #node: Node
  readonly #calls: MetadataCalls
  readonly #clusterName: string

  constructor(node: Node, calls: MetadataCalls, clusterName: string) {
    this.#node = node
    this.#calls = calls
    this.#clusterName = clusterName
  }

  handlers(): Handler[] {
    const { metadataLeader } = this.#node
    const deadlineOf = (call: CallContext): number => this.#calls.deadlineOf(call)
    return [
      answering(clusterMethods.moveReplicas, (request, call) => this.#move(request, call)),
      answering(clusterMethods.drainNode, (request, call) => this.#drain(request, call)),
      answering(clusterMethods.removeNode, (request, call) => this.#remove(request, call)),
      answering(registerNodeMethod, (request, call) => this.#register(request, call)),
      answering(reportReplicasMethod, (request, call) =>
        metadataLeader.reportHere(request, deadlineOf(call)),
      ),
      answering(restartReplicaMethod, (request, call) =>
        metadataLeader.restartHere(request, deadlineOf(call)),
      ),
      answering(metadataIndexMethod, (_request, call) => metadataLeader.indexHere(deadlineOf(call))),
    ]
  }

  #move(request: MoveReplicasRequest, call: CallContext): Promise<Record<string, never>> {
    const { topic, partition, replicaNodeIds: replicas } = request
    return this.#calls.onLeader(clusterMethods.moveReplicas, request, call, async (deadlineMs) => {
      await this.#calls.change({ type: 'moveReplicas', topic, partition, replicas }, deadlineMs)
      return {}
    })
  }

  #drain(request: DrainNodeRequest, call: CallContext): Promise<DrainNodeResponse> {
    return this.#calls.onLeader(clusterMethods.drainNode, request, call, async (deadlineMs) => {
      await this.#node.metadata.replica.confirmLeadership(deadlineMs)
      const { moves, moving } = planDrain(this.#node.view.state, request.nodeId, (id) =>
        this.#node.links.isReachable(asNodeId(id)),
      )
      for (const move of moves) await this.#calls.change({ type: 'moveReplicas', ...move }, deadlineMs)
      return { remaining: moves.length + moving }
    })
  }

  #remove(request: RemoveNodeRequest, call: CallContext): Promise<Record<string, never>> {
    return this.#calls.onLeader(clusterMethods.removeNode, request, call, async (deadlineMs) => {
      await this.#calls.change({ type: 'removeNode', nodeId: request.nodeId }, deadlineMs)
      return {}
    })
  }

  async #register(request: RegisterNodeRequest, call: CallContext): Promise<RegisterNodeResponse> {
    const { nodeId, address, hostLabel, freshRequestId, knownLife = 0, clusterName = '' } = request
    if (clusterName !== '' && clusterName !== this.#clusterName) {
      throw new FlotillaError(
        'CLUSTER_MISMATCH',
        `node ${this.#node.nodeId} belongs to the cluster "${this.#clusterName}", node ${nodeId} to "${clusterName}"`,
      )
    }
    const node = { nodeId, address, hostLabel }
    return this.#calls.onLeader(registerNodeMethod, request, call, async (deadlineMs) => {
      if (freshRequestId === undefined) {
        await this.#calls.change({ type: 'registerNode', node }, deadlineMs)
        return this.#introduction(0)
      }
      this.#refuseDouble(nodeId, address)
      const command = { type: 'enterNode', node, requestId: freshRequestId, knownLife } as const
      const result = await this.#calls.change(command, deadlineMs)
      if (result.type === 'isLate') return this.#introduction(result.life, true)
      if (result.type !== 'life') throw new FlotillaError('INTERNAL', `a new node gave ${result.type}`)
      return this.#introduction(result.life)
    })
  }

  /** A node that is there under this id hasn't lost its disk: this is another one. */
  #refuseDouble(nodeId: string, address: string): void {
    const { clusterId, nodes } = this.#node.view.state
    if (clusterId === '') throw new FlotillaError('NO_LEADER', 'the cluster is only just beginning')
    const known = nodes.get(nodeId)
    const isOther = known !== undefined && known.address !== address
    if (nodeId !== this.#node.nodeId && !(isOther && this.#node.links.isReachable(asNodeId(nodeId)))) return
    throw new FlotillaError(
      'DUPLICATE_NODE_ID',
      `node id ${nodeId} belongs to ${known?.address}, but ${address} uses it too`,
    )
  }

  #introduction(life: number, isLate = false): RegisterNodeResponse {
    const { clusterId, nodes } = this.#node.view.state
    return { clusterId, life, nodes: [...nodes.values()], isLate }
  }
}
