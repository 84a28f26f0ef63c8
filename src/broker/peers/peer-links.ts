import {
  RpcError,
  StatusCode,
  serverStreamHandler,
  type Clock,
  type Handler,
  type Logger,
  type Network,
  type Random,
  type StreamConnection,
} from '../../env/index.ts'
import type { GroupId } from '../../log/types.ts'
import type { Message, NodeId } from '../../raft/types.ts'
import { FlotillaError } from '../../wire/errors.ts'
import { fromRpcError, toRpcError } from '../../wire/index.ts'
import { EnvelopeEncoder } from './envelope-encoder.ts'
import { OutgoingLane } from './outgoing-lane.ts'
import {
  decodeEnvelope,
  inOnePiece,
  type EncodedEnvelope,
  type Envelope,
  type GroupMessage,
  type LeaderNotice,
  type QuietNotice,
  type Standing,
} from './peer-codec.ts'
import { PROTOCOL_VERSION, subscribeMethod, type Lane, type SubscribeRequest } from './subscribe.ts'

export interface PeerIdentity {
  readonly nodeId: NodeId
  readonly address: string
  readonly clusterName: string
  /** Ids of all nodes that the cluster starts with, sorted; empty for a node that joined. */
  readonly memberIds: readonly string[]
  standing(): Standing
  /** Under which life of its disk this node takes part in the metadata group; undefined where it doesn't yet. */
  life(): number | undefined
  /** Whether the node has left the cluster and its metadata group, and hasn't come again under this life as far as is known here. */
  isRemoved(nodeId: NodeId, life: number | undefined): boolean
  /** The newest life of its disk under which a node takes part, as far as is known here. */
  newestLife(nodeId: NodeId): number
  /** Empty until known. */
  clusterId(): string
}

export interface PeerEvents {
  onMessages(from: NodeId, messages: readonly GroupMessage[]): void
  onLeaders(notices: readonly LeaderNotice[]): void
  onQuiet(from: NodeId, notices: readonly QuietNotice[]): void
  /** Messages for this group could not be passed on; the core may probe again. */
  onUndelivered(to: NodeId, groupId: GroupId): void
  onReachable(node: NodeId, reachable: boolean): void
  /** What a peer says that it has of the metadata group. */
  onStanding(node: NodeId, standing: Standing): void
  /** One dials in that isn't known here, and belongs to the cluster of this name: it can take a node in that has lost its place. */
  onStranger(stranger: Pick<SubscribeRequest, 'nodeId' | 'address' | 'clusterId'>): void
  /** A peer refuses this node for good: another node has its id, it belongs to another cluster, or was removed. */
  onRefused(error: FlotillaError): void
  /** What a peer that just dialled in should know: the groups that this node leads. */
  leaderNotices(): readonly LeaderNotice[]
}

export interface PeerAddress {
  readonly nodeId: NodeId
  readonly address: string
}

interface Peer {
  readonly nodeId: NodeId
  readonly address: string
  readonly outgoing: Readonly<Record<Lane, OutgoingLane>>
  readonly incoming: Map<Lane, { cancel(): void }>
  readonly connections: Readonly<Record<Lane, StreamConnection>>
  reachable: boolean
  /** Ticks since anything came from it. */
  silentTicks: number
  attempts: number
  /** Waits for the next turn's flush. */
  readonly quiet: QuietNotice[]
  /** It is no peer any more. */
  dropped: boolean
}

const LANES: readonly Lane[] = ['control', 'bulk']
const RETRY_MS = 50
/**
 * Of both lanes: whoever dialled only listens, so nothing else tells it that the other's machine lost its power and has
 * started anew. Until it dials again, that node has no way to send it entries. Over real sockets that is every 5 s.
 */
const KEEPALIVE_MS = 2000
/** No other try will be answered otherwise. */
const FINAL_REFUSALS: ReadonlySet<string> = new Set(['DUPLICATE_NODE_ID', 'CLUSTER_MISMATCH', 'NODE_REMOVED'])
const MAX_RETRY_MS = 1000

/**
 * The links to the other nodes. Each node dials every other, and what it is told flows back on that stream: two
 * streams a direction, one for control messages and one for bulk. A lost stream is dialled again; messages that could
 * not be passed on are lost, which Raft allows for.
 */
export class PeerLinks {
  readonly #peers = new Map<NodeId, Peer>()
  readonly #identity: PeerIdentity
  readonly #events: PeerEvents
  readonly #clock: Clock
  readonly #random: Random
  readonly #logger: Logger
  readonly #dirty = new Set<OutgoingLane>()
  readonly #encoder = new EnvelopeEncoder()
  readonly #quietDue = new Set<Peer>()
  readonly #network: Network
  /** Where this node is reached. */
  #address: string
  #started = false
  #closed = false

  constructor(
    env: {
      readonly network: Network
      readonly clock: Clock
      readonly random: Random
      readonly logger: Logger
    },
    identity: PeerIdentity,
    others: readonly PeerAddress[],
    events: PeerEvents,
  ) {
    this.#identity = identity
    this.#address = identity.address
    this.#network = env.network
    this.#events = events
    this.#clock = env.clock
    this.#random = env.random
    this.#logger = env.logger
    for (const other of others) this.#addPeer(other)
  }

  #addPeer({ nodeId, address }: PeerAddress): Peer {
    const lane = (name: Lane): OutgoingLane =>
      new OutgoingLane(nodeId, name, this.#encoder, (groupId) => this.#events.onUndelivered(nodeId, groupId))
    const peer: Peer = {
      nodeId,
      address,
      outgoing: { control: lane('control'), bulk: lane('bulk') },
      incoming: new Map(),
      connections: {
        control: this.#network.connectFramed(address, { keepaliveMs: KEEPALIVE_MS }),
        bulk: this.#network.connectFramed(address, { keepaliveMs: KEEPALIVE_MS }),
      },
      reachable: false,
      silentTicks: 0,
      attempts: 0,
      quiet: [],
      dropped: false,
    }
    this.#peers.set(nodeId, peer)
    return peer
  }

  /** Who the others are from now on: new ones are dialled; those that aren't named any more are dropped, but for `kept`. */
  setPeers(others: readonly PeerAddress[], kept: ReadonlySet<string>): void {
    const wanted = new Map(others.map((other) => [other.nodeId, other]))
    for (const peer of this.#peers.values()) {
      const address = wanted.get(peer.nodeId)?.address ?? (kept.has(peer.nodeId) ? peer.address : undefined)
      if (address !== peer.address) this.#dropPeer(peer)
    }
    for (const other of wanted.values()) {
      if (this.#peers.has(other.nodeId)) continue
      const peer = this.#addPeer(other)
      if (this.#started) for (const lane of LANES) this.#dial(peer, lane)
    }
  }

  #dropPeer(peer: Peer): void {
    peer.dropped = true
    this.#peers.delete(peer.nodeId)
    this.#quietDue.delete(peer)
    for (const lane of LANES) this.#dirty.delete(peer.outgoing[lane])
    this.#closePeer(peer)
    this.#setReachable(peer, false)
  }

  #closePeer(peer: Peer): void {
    for (const stream of peer.incoming.values()) stream.cancel()
    for (const lane of LANES) {
      peer.outgoing[lane].close()
      peer.connections[lane].close()
    }
  }

  /** Tells all peers that this node's standing has changed. */
  announceStanding(): void {
    for (const peer of this.#peers.values()) peer.outgoing.control.sendStanding(this.#identity.standing())
  }

  /** Serves the others' Subscribe. */
  handler(): Handler {
    return serverStreamHandler(subscribeMethod, (request, sink, call) => {
      const refusal = this.#refuse(request)
      const peer = this.#peers.get(request.nodeId)
      if (refusal !== undefined || peer === undefined) {
        if (refusal === undefined && request.standing === 'established') this.#events.onStranger(request)
        this.#logger.warn(
          { from: request.nodeId, address: request.address, reason: refusal?.message },
          'peer refused',
        )
        sink.fail(
          toRpcError(
            refusal ??
              new FlotillaError(
                'UNKNOWN_NODE',
                `node ${this.#identity.nodeId} knows no node ${request.nodeId}: it wasn't taken in yet`,
              ),
          ),
        )
        return
      }
      const lane = peer.outgoing[request.lane]
      const detach = lane.attach(sink, this.#identity.nodeId, this.#identity.standing())
      if (request.lane === 'control' && request.standing !== undefined)
        this.#events.onStanding(request.nodeId, request.standing)
      if (request.lane === 'control') lane.sendLeaders(this.#events.leaderNotices())
      call.signal.addEventListener('abort', detach)
    })
  }

  /** `address`: where this node is reached, where that wasn't known before it listened. */
  start(address: string = this.#address): void {
    this.#address = address
    this.#started = true
    for (const peer of this.#peers.values()) for (const lane of LANES) this.#dial(peer, lane)
  }

  /** Queues messages of a turn; they leave with flush(). */
  send(groupId: GroupId, messages: readonly Message[]): void {
    for (const message of messages) {
      const peer = this.#peers.get(message.to)
      if (peer === undefined) continue
      const bulk = message.type === 'append' || message.type === 'snapshot'
      const lane = peer.outgoing[bulk ? 'bulk' : 'control']
      lane.queue({ groupId, message })
      this.#dirty.add(lane)
    }
  }

  /** One message a lane carries all of a turn. */
  flush(): void {
    for (const lane of this.#dirty) lane.flush()
    this.#dirty.clear()
    this.#encoder.forget()
    for (const peer of this.#quietDue) peer.outgoing.control.sendQuiet(peer.quiet.splice(0))
    this.#quietDue.clear()
  }

  announce(notices: readonly LeaderNotice[]): void {
    for (const peer of this.#peers.values()) peer.outgoing.control.sendLeaders(notices)
  }

  /** Tells a follower's node that a group has gone quiet; leaves with flush(). */
  sendQuiet(to: NodeId, notice: QuietNotice): void {
    const peer = this.#peers.get(to)
    if (peer === undefined) return
    peer.quiet.push(notice)
    this.#quietDue.add(peer)
  }

  /** Tells every peer that this node is alive: one small message a pair of nodes, however many groups they share. */
  beat(): void {
    for (const peer of this.#peers.values()) peer.outgoing.control.beat()
  }

  /**
   * Once a tick: a peer that says nothing for `silentTicks` counts as lost, though its connection still stands. Counted
   * in ticks and not by the clock, so that a pause of this process isn't taken for the silence of all others.
   */
  tick(silentTicks: number): void {
    for (const peer of this.#peers.values()) {
      if (!peer.reachable) continue
      peer.silentTicks += 1
      if (peer.silentTicks > silentTicks) {
        this.#setReachable(peer, false)
        peer.incoming.get('control')?.cancel()
      }
    }
  }

  isReachable(node: NodeId): boolean {
    return node === this.#identity.nodeId || (this.#peers.get(node)?.reachable ?? false)
  }

  close(): void {
    this.#closed = true
    for (const peer of this.#peers.values()) this.#closePeer(peer)
  }

  // -- being dialled -------------------------------------------------------------------------------------------

  #refuse(request: SubscribeRequest): FlotillaError | undefined {
    const own = this.#identity
    if (request.protocolVersion !== PROTOCOL_VERSION) {
      return new FlotillaError(
        'CLUSTER_MISMATCH',
        `node ${own.nodeId} speaks peer protocol ${PROTOCOL_VERSION}, node ${request.nodeId} speaks ${request.protocolVersion}; run the same version on both`,
      )
    }
    if (request.clusterName !== own.clusterName) {
      return new FlotillaError(
        'CLUSTER_MISMATCH',
        `node ${own.nodeId} belongs to the cluster "${own.clusterName}", node ${request.nodeId} to "${request.clusterName}"`,
      )
    }
    const clusterId = own.clusterId()
    if (clusterId !== '' && request.clusterId !== '' && clusterId !== request.clusterId) {
      return new FlotillaError(
        'CLUSTER_MISMATCH',
        `node ${own.nodeId} belongs to the cluster with id ${clusterId}, the data folder of node ${request.nodeId} to ${request.clusterId}`,
      )
    }
    const known = request.nodeId === own.nodeId ? { address: this.#address } : this.#peers.get(request.nodeId)
    if (known === undefined && own.isRemoved(request.nodeId, request.life)) {
      return new FlotillaError('NODE_REMOVED', `node ${request.nodeId} was removed from the cluster`)
    }
    const newestLife = own.newestLife(request.nodeId)
    if (request.life !== undefined && request.life < newestLife) {
      return new FlotillaError(
        'NODE_REMOVED',
        `node ${request.nodeId} has come in with another disk since: this one is of life ${request.life}, and the cluster knows life ${newestLife}; use the other data folder, or an empty one`,
      )
    }
    if (request.nodeId === own.nodeId || (known !== undefined && known.address !== request.address)) {
      return new FlotillaError(
        'DUPLICATE_NODE_ID',
        `node id ${request.nodeId} belongs to ${known?.address}, but ${request.address} uses it too`,
      )
    }
    // What a cluster starts with has to be agreed on; later its own state says who belongs to it.
    const isFounding = request.standing !== 'established' || own.standing() !== 'established'
    const bothListed = request.memberIds.length > 0 && own.memberIds.length > 0
    if (isFounding && bothListed && request.memberIds.join() !== own.memberIds.join()) {
      return new FlotillaError(
        'CLUSTER_MISMATCH',
        `node ${own.nodeId} was started with the cluster list ${own.memberIds.join()}, node ${request.nodeId} with ${request.memberIds.join()}`,
      )
    }
    return undefined
  }

  // -- dialling ------------------------------------------------------------------------------------------------

  #dial(peer: Peer, lane: Lane): void {
    if (this.#closed || peer.dropped) return
    const { nodeId, clusterName, memberIds } = this.#identity
    const request: SubscribeRequest = {
      nodeId,
      address: this.#address,
      clusterName,
      clusterId: this.#identity.clusterId(),
      lane,
      protocolVersion: PROTOCOL_VERSION,
      memberIds,
      standing: this.#identity.standing(),
      life: this.#identity.life(),
    }
    // Nothing counts before the other side has said who it is, or another node's vote could pass for this peer's.
    let isPeer = false
    const stream = peer.connections[lane].serverStream(subscribeMethod, request, {
      onMessage: (encoded) => {
        const envelope = this.#closed || peer.dropped ? undefined : this.#decode(peer, lane, encoded)
        if (envelope === undefined) return
        isPeer ||= this.#identified(peer, lane, envelope.nodeId)
        if (isPeer) this.#received(peer, envelope)
      },
      onEnd: () => undefined,
      onClose: (error) => this.#lost(peer, lane, error),
    })
    peer.incoming.set(lane, stream)
  }

  #decode(peer: Peer, lane: Lane, encoded: EncodedEnvelope): Envelope | undefined {
    try {
      return decodeEnvelope(inOnePiece(encoded), peer.nodeId, this.#identity.nodeId)
    } catch (error) {
      // Whatever it was, it counts as lost; the stream starts anew.
      this.#logger.warn({ from: peer.nodeId, lane, error: String(error) }, 'malformed message from a peer')
      peer.incoming.get(lane)?.cancel()
      return undefined
    }
  }

  /** Whether the stream's first message comes from the peer that was dialled. */
  #identified(peer: Peer, lane: Lane, nodeId: NodeId | undefined): boolean {
    if (nodeId !== peer.nodeId) {
      peer.incoming.get(lane)?.cancel()
      if (nodeId === undefined) return false
      const text = `${peer.address} is node ${nodeId}, but the cluster list says ${peer.nodeId}`
      this.#events.onRefused(new FlotillaError('CLUSTER_MISMATCH', text))
      return false
    }
    peer.attempts = 0
    if (lane === 'control') this.#setReachable(peer, true)
    return true
  }

  #received(peer: Peer, envelope: Envelope): void {
    peer.silentTicks = 0
    if (envelope.standing !== undefined) this.#events.onStanding(peer.nodeId, envelope.standing)
    if (envelope.quiet.length > 0) this.#events.onQuiet(peer.nodeId, envelope.quiet)
    if (envelope.leaders.length > 0) this.#events.onLeaders(envelope.leaders)
    if (envelope.messages.length > 0) this.#events.onMessages(peer.nodeId, envelope.messages)
  }

  #lost(peer: Peer, lane: Lane, error: RpcError | undefined): void {
    peer.incoming.delete(lane)
    if (this.#closed || peer.dropped) return
    if (lane === 'control') this.#setReachable(peer, false)
    if (error !== undefined && error.code !== StatusCode.unavailable && error.code !== StatusCode.cancelled) {
      const cause = fromRpcError(error)
      this.#logger.warn({ peer: peer.nodeId, lane, reason: cause.reason }, cause.message)
      if (FINAL_REFUSALS.has(cause.reason)) this.#events.onRefused(cause)
    }
    peer.attempts += 1
    const ceiling = Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** Math.min(peer.attempts, 10))
    this.#clock.setTimer(ceiling / 2 + this.#random.below(ceiling), () => this.#dial(peer, lane))
  }

  #setReachable(peer: Peer, reachable: boolean): void {
    if (peer.reachable === reachable) return
    peer.reachable = reachable
    this.#logger.info(
      { peer: peer.nodeId, address: peer.address },
      reachable ? 'peer reachable' : 'peer lost',
    )
    this.#events.onReachable(peer.nodeId, reachable)
  }
}
