import type { Cancel, Clock, Logger, Random, RpcError } from '../../env/index.ts'
import { asNodeId, type NodeId } from '../../raft/types.ts'
import { FlotillaError } from '../../wire/errors.ts'
import { fromRpcError } from '../../wire/index.ts'
import type { ClusterMember } from '../config.ts'
import type { NodeEntry } from '../metadata/events.ts'
import type { Standing } from '../peers/peer-codec.ts'
import { registerNodeMethod, type RegisterNodeResponse } from '../peers/peer-methods.ts'
import type { NodeConnections } from '../routing/connections.ts'

const RETRY_MS = 200
const CALL_MS = 3000
const TELL_MS = 5000
/** No other try will be answered otherwise. */
const FINAL_REFUSALS: ReadonlySet<string> = new Set([
  'DUPLICATE_NODE_ID',
  'CLUSTER_MISMATCH',
  'INVALID_NAME',
  'NODE_REMOVED',
])

/** What a node without a place in the metadata group does next. */
export type AdmissionStep =
  /** All that the cluster starts with are there, and nobody has anything yet. */
  | { readonly type: 'found' }
  /** The cluster exists: be taken in, through one of these addresses. */
  | { readonly type: 'enter'; readonly addresses: readonly string[] }
  | { readonly type: 'wait'; readonly missing: readonly string[] }

/**
 * Pure. A node with an empty disk may be one of a cluster that begins, or one that has lost its disk; what it promised
 * then, it no longer knows. So it founds only when it hears from every member of the list and none of them belongs to a
 * cluster already; one that does is asked to take it in. So is one that isn't on the list and dials in, as the cluster knows this
 * node: those of the list may all have left since.
 */
export function nextAdmissionStep(
  others: readonly ClusterMember[],
  standings: ReadonlyMap<NodeId, Standing>,
  mayFound: boolean,
  strangers: ReadonlySet<string>,
): AdmissionStep {
  const addresses = [...establishedAddresses(others, standings), ...strangers]
  if (addresses.length > 0) return { type: 'enter', addresses }
  const missing = others.map(({ nodeId }) => nodeId).filter((nodeId) => !standings.has(asNodeId(nodeId)))
  return mayFound && missing.length === 0 ? { type: 'found' } : { type: 'wait', missing }
}

/** Where those of the list are that know the cluster. */
function establishedAddresses(
  others: readonly ClusterMember[],
  standings: ReadonlyMap<NodeId, Standing>,
): string[] {
  return others
    .filter(({ nodeId }) => standings.get(asNodeId(nodeId)) === 'established')
    .map(({ address }) => address)
}

export interface AdmissionNode {
  /** Takes part in the metadata group. */
  readonly isHosting: boolean
  readonly isRegistered: boolean
  readonly mayFound: boolean
  readonly standings: ReadonlyMap<NodeId, Standing>
  /** Addresses of nodes that have dialled in, aren't known here, and belong to the cluster. */
  readonly strangers: ReadonlySet<string>
  readonly connections: NodeConnections
  onStanding(listener: () => void): Cancel
  found(): void
  enter(answer: RegisterNodeResponse): Promise<void>
  /** Where other nodes are, as one of them says. */
  learnNodes(nodes: readonly NodeEntry[]): void
  fail(error: Error): void
}

/** How a node gets its place in the metadata group, where its disk holds none. */
export class Admission {
  readonly #node: AdmissionNode
  readonly #entry: NodeEntry
  readonly #clusterName: string
  readonly #others: readonly ClusterMember[]
  readonly #join: readonly string[]
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #requestId: string
  /** The newest life that the cluster says this node had. */
  #knownLife = 0
  #cancelTimer: Cancel | undefined
  #cancelListener: Cancel | undefined
  #busy = false
  #closed = false
  #toldAtMs: number

  constructor(
    node: AdmissionNode,
    entry: NodeEntry,
    settings: {
      readonly clusterName: string
      readonly cluster: readonly ClusterMember[]
      readonly join?: readonly string[]
    },
    env: { readonly clock: Clock; readonly random: Random; readonly logger: Logger },
  ) {
    this.#node = node
    this.#entry = entry
    this.#clusterName = settings.clusterName
    this.#others = settings.cluster.filter(({ nodeId }) => nodeId !== entry.nodeId)
    this.#join = settings.join ?? []
    this.#clock = env.clock
    this.#logger = env.logger
    this.#requestId = Buffer.from(env.random.bytes(16)).toString('hex')
    this.#toldAtMs = env.clock.nowMs()
  }

  start(): void {
    if (this.#node.isHosting && this.#node.isRegistered) return
    this.#cancelListener = this.#node.onStanding(() => this.#check())
    this.#tick()
  }

  close(): void {
    this.#closed = true
    this.#cancelTimer?.()
    this.#cancelListener?.()
  }

  #tick(): void {
    this.#check()
    if (this.#closed) return
    this.#cancelTimer = this.#clock.setTimer(RETRY_MS, () => this.#tick())
  }

  #check(): void {
    if (this.#closed || this.#busy) return
    if (this.#node.isHosting) {
      if (this.#node.isRegistered) return this.close()
      // One that was taken in may have been stopped before it had learnt where the others are, the leader among them.
      const { standings, strangers } = this.#node
      const known = this.#join.length > 0 ? this.#join : establishedAddresses(this.#others, standings)
      void this.#ask([...known, ...strangers], false)
      return
    }
    const step: AdmissionStep =
      this.#join.length > 0
        ? { type: 'enter', addresses: this.#join }
        : nextAdmissionStep(this.#others, this.#node.standings, this.#node.mayFound, this.#node.strangers)
    switch (step.type) {
      case 'found':
        this.#logger.info({ node: this.#entry.nodeId }, 'founding a cluster')
        this.#node.found()
        this.close()
        return
      case 'enter':
        void this.#ask(step.addresses, true)
        return
      case 'wait':
        this.#tell(
          step.missing.length > 0
            ? `waiting for ${step.missing.join(', ')}: a cluster begins when all nodes of its list are there`
            : 'waiting for a node that knows the cluster: this one has lost its place in it',
        )
    }
  }

  async #ask(addresses: readonly string[], fresh: boolean): Promise<void> {
    this.#busy = true
    try {
      for (const address of addresses) {
        const answer = await this.#askKnowing(address, fresh)
        if (answer === undefined || this.#closed) continue
        if (fresh) await this.#node.enter(answer)
        else this.#node.learnNodes(answer.nodes)
        return
      }
    } catch (error) {
      if (this.#closed) return
      this.#node.fail(error instanceof Error ? error : new Error(String(error)))
      this.close()
    } finally {
      this.#busy = false
    }
  }

  /** At first it doesn't know which lives it had; whoever says so is asked again. */
  async #askKnowing(address: string, fresh: boolean): Promise<RegisterNodeResponse | undefined> {
    const answer = await this.#askOne(address, fresh)
    if (answer?.isLate !== true || this.#closed) return answer
    this.#knownLife = answer.life
    const again = await this.#askOne(address, fresh)
    return again?.isLate === true ? undefined : again
  }

  async #askOne(address: string, fresh: boolean): Promise<RegisterNodeResponse | undefined> {
    const request = {
      ...this.#entry,
      clusterName: this.#clusterName,
      ...(fresh ? { freshRequestId: this.#requestId, knownLife: this.#knownLife } : {}),
    }
    const deadlineMs = this.#clock.nowMs() + CALL_MS
    try {
      return await this.#node.connections.to(address).unary(registerNodeMethod, request, { deadlineMs })
    } catch (error) {
      const cause = error instanceof FlotillaError ? error : fromRpcError(error as RpcError)
      // One that was removed and votes in the metadata group still is needed there until it is out of it; then its peers say so.
      const votesStill = !fresh && cause.reason === 'NODE_REMOVED'
      if (FINAL_REFUSALS.has(cause.reason) && !votesStill) throw cause
      this.#tell(`not taken in yet by ${address}: ${cause.message}`)
      return undefined
    }
  }

  /** Every few seconds. */
  #tell(text: string): void {
    const nowMs = this.#clock.nowMs()
    if (nowMs - this.#toldAtMs < TELL_MS) return
    this.#toldAtMs = nowMs
    this.#logger.warn({ node: this.#entry.nodeId }, text)
  }
}
