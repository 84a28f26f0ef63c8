import type { Cancel, Env, Logger } from '../env/index.ts'
import { asGroupId, type GroupId, type LogStorage } from '../log/types.ts'
import { Raft, membersOf } from '../raft/index.ts'
import { asNodeId, type Bootstrap, type Message, type NodeId } from '../raft/types.ts'
import { FlotillaError } from '../wire/errors.ts'
import type { LeaderHint } from '../wire/errors.ts'
import { foldedMark } from './bootstrap-mark.ts'
import { ClusterView } from './cluster-view.ts'
import type { ServerConfig } from './config.ts'
import { handOver } from './hand-over.ts'
import type { HostedPartition } from './hosted-partition.ts'
import { Hosting } from './hosting.ts'
import { hostingHost } from './hosting-host.ts'
import { EntryReads, entryReadsHost } from './entry-reads.ts'
import { LeaderTable, leaderNotices } from './leaders.ts'
import { membershipHost } from './membership/driver-host.ts'
import { MembershipDriver } from './membership/driver.ts'
import type { Lives } from './membership/lives.ts'
import { MetadataLeader } from './membership/metadata-leader.ts'
import { Strangers } from './membership/strangers.ts'
import type { MetadataCommand, MetadataResult } from './metadata/decide.ts'
import type { MetadataEvent, NodeEntry } from './metadata/events.ts'
import { METADATA_GROUP } from './metadata-group.ts'
import { MetadataPlace, changeHere } from './metadata-place.ts'
import { MetadataReplay } from './metadata-replay.ts'
import { NodeLoop } from './node-loop.ts'
import type { GroupMessage, Standing } from './peers/peer-codec.ts'
import { hasLeft, peersOf } from './peers/peers-of.ts'
import { PeerLinks, type PeerEvents } from './peers/peer-links.ts'
import type { RegisterNodeResponse } from './peers/peer-methods.ts'
import { Replica, type ReplicaHost } from './replica.ts'
import { NodeConnections } from './routing/connections.ts'
import type { StateMachine } from './state-machine.ts'
import { Succession } from './succession.ts'
import { replicaTuning, type Tuning } from './tuning.ts'

export { METADATA_GROUP }

/** Members are looked at so often, in ticks. */
const DRIVE_TICKS = 2

/** One node: hosts the metadata group's replica and those of the partitions that are placed on it. */
export class Node {
  readonly nodeId: NodeId
  readonly leaders: LeaderTable
  readonly view: ClusterView
  readonly connections: NodeConnections
  readonly links: PeerLinks
  readonly loop: NodeLoop
  readonly storage: LogStorage
  readonly metadataLeader: MetadataLeader
  readonly metadata: MetadataPlace
  /** What the others say that they have of the metadata group. */
  readonly standings = new Map<NodeId, Standing>()

  readonly #env: Env
  readonly #config: ServerConfig
  readonly #tuning: Tuning
  readonly #logger: Logger
  readonly #onFailure: (error: Error) => void
  readonly #succession: Succession
  readonly #lives: Lives
  readonly #hosting: Hosting
  readonly #driver: MembershipDriver
  readonly #entryReads: EntryReads
  readonly #onStanding = new Set<() => void>()
  readonly #strangers = new Strangers()
  readonly strangers: ReadonlySet<string> = this.#strangers.addresses
  /** Nodes that this one was told of when it was let in. */
  #introduced: readonly NodeEntry[] = []
  readonly #replay: MetadataReplay
  #mayHost = false
  #isSettled = false
  /** One for all: with thousands of groups, closures of its own are much of what a replica costs. */
  readonly #replicaHost: ReplicaHost = this.#makeHost()
  /** Ticks since the start. */
  #age = 0
  #cancelTick: Cancel | undefined
  #stopping = false
  /** A leader of the metadata group was known at some time since the start. */
  #wasTakenIn = false

  constructor(
    env: Env,
    config: ServerConfig,
    tuning: Tuning,
    storage: LogStorage,
    lives: Lives,
    onFailure: (error: Error) => void,
  ) {
    this.#env = env
    this.#config = config
    this.#tuning = tuning
    this.#logger = env.logger
    this.#onFailure = onFailure
    this.storage = storage
    this.#lives = lives
    this.nodeId = asNodeId(config.nodeId)
    this.leaders = new LeaderTable(env.clock)
    this.connections = new NodeConnections(env.network)
    this.links = this.#makeLinks()
    this.loop = new NodeLoop({
      clock: env.clock,
      storage,
      logger: env.logger,
      windows: tuning.windows,
      flush: () => this.links.flush(),
      onFailure,
    })
    this.#succession = new Succession(this.nodeId, this.loop.replicas, (node) => this.links.isReachable(node))
    this.leaders.onChange((groupId) => {
      if (groupId === METADATA_GROUP && this.leaders.get(groupId)?.leader !== undefined)
        this.#wasTakenIn = true
    })
    this.view = new ClusterView(
      env.clock,
      this.leaders,
      () => this.metadata.machine.state,
      (node) => this.links.isReachable(node),
    )
    this.metadataLeader = new MetadataLeader(this, env.clock, env.random)
    this.#driver = new MembershipDriver(membershipHost(this), env.clock, this.#logger)
    this.#hosting = this.#makeHosting()
    this.#entryReads = new EntryReads(entryReadsHost(this), env.clock, this.#logger)
    this.metadata = this.#makeMetadata()
    const found = storage.recovered.get(METADATA_GROUP)
    const foundIndex = found?.ok === true ? found.bootstrap.last.index : 0
    this.#replay = new MetadataReplay(foundIndex, () => this.metadata.replica)
  }

  // -- life ----------------------------------------------------------------------------------------------------

  /** Reads what hosting needs and only a promise gives. */
  async load(): Promise<void> {
    await this.#hosting.load()
  }

  /** Hosts what the disk holds, and starts to take part. */
  start(address: string): void {
    this.#metadataChanged(undefined)
    this.links.start(address)
    this.#tick()
  }

  /** Hands over what this node leads and waits until others lead it, for at most `timeoutMs`. */
  async handOver(timeoutMs: number): Promise<void> {
    this.#stopping = true
    await handOver(this.loop.replicas, this.#env.clock, this.#tuning.tickMs, timeoutMs)
  }

  async close(): Promise<void> {
    this.#stopping = true
    this.#cancelTick?.()
    const stopping = (): FlotillaError =>
      new FlotillaError('SHUTTING_DOWN', `node ${this.nodeId} is stopping`, { effect: 'unknown' })
    this.#hosting.stop(stopping)
    this.metadata.replica.stop(stopping)
    await this.loop.close()
    await this.#lives.close()
    this.links.close()
    this.connections.close()
  }

  /** The cluster knows this node, so its view of topics and nodes isn't that of a start any more. */
  get isRegistered(): boolean {
    const { clusterId, nodes } = this.view.state
    return clusterId !== '' && nodes.has(this.nodeId)
  }

  get isStopping(): boolean {
    return this.#stopping
  }

  #tick(): void {
    this.#cancelTick = this.#env.clock.setTimer(this.#tuning.tickMs, () => {
      this.loop.tick()
      this.links.tick(this.#tuning.raft.electionTicks * 2)
      this.#age += 1
      if (this.#age % this.#tuning.raft.heartbeatTicks === 0) this.links.beat()
      this.#succession.tick()
      this.#settle()
      if (this.#age % DRIVE_TICKS === 0) this.#drive()
      this.#tick()
    })
  }

  /** Once what the start found is folded, and this node's present life with it, all that had to wait is done. */
  #settle(): void {
    if (this.#isSettled || !this.#mayHost || !this.#replay.isOver) return
    this.#isSettled = true
    this.#hosting.reconcile()
    for (const groupId of this.loop.replicas.keys()) this.#driver.look(groupId)
  }

  #drive(): void {
    // Whether it has folded all and may decide is nothing that anybody tells.
    this.#driver.look(METADATA_GROUP)
    this.#driver.tick()
  }

  // -- asking --------------------------------------------------------------------------------------------------

  hosted(groupId: GroupId): HostedPartition | undefined {
    return this.#hosting.get(groupId)
  }

  get partitions(): Iterable<HostedPartition> {
    return this.#hosting.all
  }

  /** Groups whose data can't be trusted, and why: they neither vote nor serve. */
  get damaged(): ReadonlyMap<GroupId, string> {
    return this.#hosting.damaged
  }

  leaderHint(groupId: GroupId): LeaderHint | undefined {
    const known = this.leaders.get(groupId)
    const address = known?.leader === undefined ? undefined : this.addressOf(known.leader)
    if (known?.leader === undefined || address === undefined) return undefined
    return { nodeId: known.leader, address, term: known.term }
  }

  /** From the layout; before a node has registered, from the settings. */
  addressOf(nodeId: NodeId): string | undefined {
    const listed = this.#config.cluster.find((member) => member.nodeId === nodeId)
    const introduced = this.#introduced.find((node) => node.nodeId === nodeId)
    return this.view.addressOf(nodeId) ?? listed?.address ?? introduced?.address
  }

  /** Decides on a change of the cluster's state here. Rejects with NOT_LEADER where this node doesn't lead the metadata group. */
  changeMetadata(command: MetadataCommand, deadlineMs: number): Promise<MetadataResult> {
    return changeHere(this.metadata, command, deadlineMs, () => this.#notLeader())
  }

  #notLeader(): FlotillaError {
    const leader = this.leaderHint(METADATA_GROUP)
    const text = `node ${this.nodeId} does not lead the metadata group`
    return new FlotillaError('NOT_LEADER', text, leader === undefined ? {} : { leader })
  }

  // -- being let in --------------------------------------------------------------------------------------------

  /** Takes part in the metadata group. */
  get isHosting(): boolean {
    return this.metadata.isHeld
  }

  /** Has never had anything: it may be one of those that begin a cluster. */
  get mayFound(): boolean {
    return this.metadata.standing === 'fresh'
  }

  onStanding(listener: () => void): Cancel {
    this.#onStanding.add(listener)
    return () => this.#onStanding.delete(listener)
  }

  /** Begins the cluster together with the others of the list. */
  found(): void {
    this.metadata.found()
    this.links.announceStanding()
  }

  /** Takes part in the cluster that has taken this node in, from nothing. */
  async enter({ clusterId, life, nodes }: RegisterNodeResponse): Promise<void> {
    if (this.#stopping) return
    this.#introduced = nodes
    await this.metadata.enter(clusterId, life)
    this.links.announceStanding()
  }

  learnNodes(nodes: readonly NodeEntry[]): void {
    this.#introduced = nodes
    this.#peersChanged()
  }

  fail(error: Error): void {
    this.#onFailure(error)
  }

  // -- hosting -------------------------------------------------------------------------------------------------

  #makeMetadata(): MetadataPlace {
    return new MetadataPlace({
      nodeId: this.nodeId,
      config: this.#config,
      limits: this.#tuning.metadata,
      storage: this.storage,
      lives: this.#lives,
      loop: this.loop,
      succession: this.#succession,
      clock: this.#env.clock,
      logger: this.#logger,
      makeReplica: (bootstrap, life, machine) => this.#newReplica(METADATA_GROUP, bootstrap, life, machine),
      onChange: (event) => this.#metadataChanged(event),
      fail: (error) => this.#onFailure(error),
    })
  }

  #newReplica(groupId: GroupId, bootstrap: Bootstrap, life: number, machine: StateMachine): Replica {
    const { raft, limits } = replicaTuning(this.#tuning, groupId)
    const core = new Raft({ ...raft, life }, bootstrap, (bound) => this.#env.random.below(bound))
    return new Replica(
      groupId,
      core,
      machine,
      this.#replicaHost,
      limits,
      bootstrap.applied,
      foldedMark(bootstrap),
      this.#logger,
    )
  }

  #makeHost(): ReplicaHost {
    return {
      wake: (replica) => this.loop.wake(replica),
      send: (groupId, messages: readonly Message[]) => this.links.send(groupId, messages),
      leadershipChanged: (replica) => this.#leadershipChanged(replica),
      configurationChanged: (replica) => {
        if (replica.groupId === METADATA_GROUP) this.#peersChanged()
      },
      isReachable: (node) => this.links.isReachable(node),
      sendQuiet: (to, notice) => {
        this.links.sendQuiet(to, notice)
        this.loop.schedule()
      },
      readEntries: (...range) => this.#entryReads.read(...range),
      readLowEnd: (groupId) => this.storage.readLowEnd(groupId),
      fail: (error) => this.#onFailure(error),
    }
  }

  #makeHosting(): Hosting {
    const host = hostingHost(
      this,
      () => this.#replay.isOver,
      (groupId, bootstrap, life, machine) => {
        const replica = this.#newReplica(groupId, bootstrap, life, machine)
        this.loop.add(replica)
        return replica
      },
    )
    return new Hosting(host, {
      loop: this.loop,
      storage: this.storage,
      lives: this.#lives,
      succession: this.#succession,
      limits: this.#tuning.partition,
      clock: this.#env.clock,
      logger: this.#logger,
    })
  }

  // -- changes of the cluster's state --------------------------------------------------------------------------

  #metadataChanged(event: MetadataEvent | undefined): void {
    switch (event?.type) {
      case undefined:
        this.#mayHost = this.metadata.knowsOwnLife
        if (this.#mayHost) this.#hosting.reconcile()
        for (const groupId of this.loop.replicas.keys()) this.#driver.look(groupId)
        this.#peersChanged()
        break
      case 'clusterCreated':
        break
      case 'nodeRegistered':
        if (!this.#mayHost && this.metadata.knowsOwnLife) {
          this.#mayHost = true
          this.#hosting.reconcile()
        }
        if (event.life !== undefined) {
          for (const groupId of this.loop.replicas.keys()) this.#driver.look(groupId)
        }
        this.#driver.look(METADATA_GROUP)
        this.#peersChanged()
        break
      case 'nodeRemoved':
        if (event.nodeId === this.nodeId)
          this.#logger.warn(
            { node: this.nodeId },
            'this node was removed from the cluster; it ends by itself once the others need it no more',
          )
        this.#driver.look(METADATA_GROUP)
        this.#peersChanged()
        break
      case 'topicCreated':
        for (const place of event.topic.partitions) this.#placeChanged(place.groupId)
        break
      case 'topicDeleted':
        if (this.#mayHost) this.#hosting.topicDeleted()
        break
      case 'replicasTargeted':
      case 'replicasMoved':
      case 'replicaRestarted':
        this.#placeChanged(event.groupId)
        break
      case 'groupChanged':
      case 'groupDeleted':
        break
    }
    if (this.metadata.learnClusterId()) this.links.announceStanding()
    this.view.metadataChanged(event)
  }

  #placeChanged(groupId: number): void {
    const found = this.metadata.machine.state.placeOf(groupId)
    if (found === undefined || !this.#mayHost) return
    this.#hosting.placeChanged(found.topic.name, found.place)
    this.#driver.look(asGroupId(groupId))
  }

  // -- peers ---------------------------------------------------------------------------------------------------

  #makeLinks(): PeerLinks {
    const { cluster, nodeId, clusterName } = this.#config
    const address = cluster.find((member) => member.nodeId === nodeId)?.address ?? this.#config.listen
    return new PeerLinks(
      this.#env,
      {
        nodeId: this.nodeId,
        address,
        clusterName,
        memberIds: cluster.map((member) => member.nodeId).toSorted(),
        clusterId: () => this.storage.clusterId ?? '',
        standing: () => this.metadata.standing,
        life: () => (this.metadata.isHeld ? this.metadata.life : undefined),
        isRemoved: (node, life) => hasLeft(this.metadata, node, life),
        newestLife: (node) => this.metadata.machine.state.metadataLives.get(node) ?? 0,
      },
      cluster
        .filter((member) => member.nodeId !== nodeId)
        .map((member) => ({ ...member, nodeId: asNodeId(member.nodeId) })),
      {
        onMessages: (_from, messages) => this.#received(messages),
        onLeaders: (notices) => {
          for (const { groupId, term, leader } of notices) this.leaders.learn(groupId, term, leader)
        },
        onUndelivered: (to, groupId) => this.loop.replicas.get(groupId)?.step({ type: 'unreachable', to }),
        onQuiet: (from, notices) => {
          for (const notice of notices) this.loop.replicas.get(notice.groupId)?.leaderIsQuiet(from, notice)
        },
        onReachable: (node, reachable) => {
          if (reachable) this.leaders.rememberNode(node)
          if (reachable) this.#succession.nodeFound(node)
          else this.#lost(node)
          this.view.nodesChanged()
        },
        onStanding: (node, standing) => {
          this.standings.set(node, standing)
          for (const listener of this.#onStanding) listener()
        },
        onStranger: (stranger) => this.#strangerCame(stranger),
        onRefused: (error) => this.#refused(error),
        leaderNotices: () => leaderNotices(this.loop.replicas, this.nodeId),
      },
    )
  }

  #peersChanged(): void {
    const { machine, replica } = this.metadata
    const members = new Set<string>(membersOf(replica.status().configuration))
    const known = { introduced: this.#introduced, listed: this.#config.cluster, members }
    this.links.setPeers(peersOf(this.nodeId, machine.state, known), members)
  }

  #received(messages: readonly GroupMessage[]): void {
    // A message for a group that isn't here yet (or any more) is lost, which Raft allows for.
    for (const { groupId, message } of messages)
      this.loop.replicas.get(groupId)?.step({ type: 'message', message })
  }

  #strangerCame({ nodeId, address, clusterId }: Parameters<PeerEvents['onStranger']>[0]): void {
    // What this node has folded may be older than the other's coming; the group may have no leader without the two of them.
    const isOurs = clusterId !== '' && clusterId === this.storage.clusterId
    if (this.metadata.isHeld && isOurs)
      this.learnNodes([...this.#introduced, { nodeId, address, hostLabel: '' }])
    this.#strangers.came(address)
    for (const listener of this.#onStanding) listener()
  }

  #lost(node: NodeId): void {
    this.leaders.forgetNode(node)
    this.#succession.nodeLost(node)
  }

  /** Only a node that nobody has taken in yet, or any more, gives up: one wrong node must not stop a cluster that works. */
  #refused(error: FlotillaError): void {
    if (!this.#wasTakenIn || error.reason === 'NODE_REMOVED') this.#onFailure(error)
  }

  #leadershipChanged(replica: Replica): void {
    const { term, leader } = replica.status()
    this.leaders.learn(replica.groupId, term, leader)
    if (!replica.isLeader) return
    this.#driver.look(replica.groupId)
    this.links.announce([{ groupId: replica.groupId, term, leader: this.nodeId }])
  }
}
