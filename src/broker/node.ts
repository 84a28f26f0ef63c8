import type { Cancel, Env, Logger } from '../env/index.ts'
import { asGroupId, type GroupId, type GroupWrite, type LogStorage } from '../log/types.ts'
import { Raft, emptyBootstrap } from '../raft/index.ts'
import {
  asNodeId,
  type Bootstrap,
  type Configuration,
  type LogMark,
  type Message,
  type NodeId,
} from '../raft/types.ts'
import { FlotillaError } from '../wire/errors.ts'
import type { LeaderHint } from '../wire/errors.ts'
import { ClusterView } from './cluster-view.ts'
import type { ServerConfig } from './config.ts'
import { HostedPartition } from './hosted-partition.ts'
import { LeaderTable } from './leaders.ts'
import type { MetadataCommand, MetadataResult } from './metadata/decide.ts'
import type { MetadataEvent, PartitionPlace } from './metadata/events.ts'
import { MetadataMachine } from './metadata/machine.ts'
import { NewPartitions } from './new-partitions.ts'
import { NodeLoop } from './node-loop.ts'
import { PartitionMachine } from './partition/machine.ts'
import type { GroupMessage, LeaderNotice } from './peers/peer-codec.ts'
import { PeerLinks } from './peers/peer-links.ts'
import { Replica, type ReplicaHost, type ReplicaLimits } from './replica.ts'
import { NodeConnections } from './routing/connections.ts'
import type { StateMachine } from './state-machine.ts'
import { Succession } from './succession.ts'
import type { Tuning } from './tuning.ts'

export const METADATA_GROUP: GroupId = asGroupId(0)

const NO_STATE = new Uint8Array(0)

/** One node: hosts the metadata group's replica and those of the partitions that are placed on it. */
export class Node {
  readonly nodeId: NodeId
  readonly leaders: LeaderTable
  readonly view: ClusterView
  readonly connections: NodeConnections
  readonly links: PeerLinks
  readonly loop: NodeLoop
  readonly storage: LogStorage
  readonly metadata: { readonly replica: Replica; readonly machine: MetadataMachine }
  /** Groups whose data can't be trusted, and why: they neither vote nor serve. */
  readonly damaged = new Map<GroupId, string>()

  readonly #env: Env
  readonly #config: ServerConfig
  readonly #tuning: Tuning
  readonly #logger: Logger
  readonly #onFailure: (error: Error) => void
  readonly #partitions = new Map<GroupId, HostedPartition>()
  readonly #succession: Succession
  readonly #newPartitions: NewPartitions
  /** Deleted groups whose data this node has given up since its start. */
  readonly #destroyed = new Set<GroupId>()
  /** States at the low ends of the logs that the start found. */
  readonly #lowStates = new Map<GroupId, Uint8Array>()
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
    onFailure: (error: Error) => void,
  ) {
    this.#env = env
    this.#config = config
    this.#tuning = tuning
    this.#logger = env.logger
    this.#onFailure = onFailure
    this.storage = storage
    this.nodeId = asNodeId(config.nodeId)
    this.leaders = new LeaderTable(env.clock)
    this.connections = new NodeConnections(env.network)
    this.links = this.#makeLinks()
    this.loop = new NodeLoop({
      clock: env.clock,
      storage,
      logger: env.logger,
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
    this.metadata = this.#hostMetadata()
    const found = storage.recovered.get(METADATA_GROUP)
    const foundIndex = found?.ok === true ? found.bootstrap.last.index : 0
    this.#newPartitions = new NewPartitions(foundIndex, () => this.metadata.replica)
  }

  // -- life ----------------------------------------------------------------------------------------------------

  /** Reads what hosting needs and only a promise gives. */
  async load(): Promise<void> {
    for (const recovered of this.storage.recovered.values()) {
      if (!recovered.ok || recovered.bootstrap.lowEnd.index === 0) continue
      this.#lowStates.set(recovered.groupId, (await this.storage.readLowEnd(recovered.groupId)).state)
    }
  }

  /** Hosts what the disk holds, and starts to take part. */
  start(): void {
    this.#metadataChanged(undefined)
    this.links.start()
    this.#tick()
  }

  /** Hands over what this node leads and waits until others lead it, for at most `timeoutMs`. */
  async handOver(timeoutMs: number): Promise<void> {
    this.#stopping = true
    const { clock } = this.#env
    const deadlineMs = clock.nowMs() + timeoutMs
    for (;;) {
      const led = [...this.loop.replicas.values()].filter((replica) => replica.isLeader)
      // One without a live follower can't be handed to anybody.
      const movable = led.filter((replica) => replica.status().followers.some((each) => each.recentlyActive))
      if (movable.length === 0 || clock.nowMs() >= deadlineMs) return
      for (const replica of movable) replica.step({ type: 'transfer', to: undefined })
      await new Promise<void>((resolve) => void clock.setTimer(this.#tuning.tickMs, resolve))
    }
  }

  async close(): Promise<void> {
    this.#stopping = true
    this.#cancelTick?.()
    const stopping = (): FlotillaError =>
      new FlotillaError('SHUTTING_DOWN', `node ${this.nodeId} is stopping`, { effect: 'unknown' })
    for (const hosted of this.#partitions.values()) hosted.stop(stopping)
    this.metadata.replica.stop(stopping)
    await this.loop.close()
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
      for (const { topic, place } of this.#newPartitions.take()) this.#hostPartition(topic, place)
      this.loop.tick()
      this.links.tick(this.#tuning.raft.electionTicks * 2)
      this.#age += 1
      if (this.#age % this.#tuning.raft.heartbeatTicks === 0) this.links.beat()
      this.#succession.tick()
      this.#tick()
    })
  }

  // -- asking --------------------------------------------------------------------------------------------------

  hosted(groupId: GroupId): HostedPartition | undefined {
    return this.#partitions.get(groupId)
  }

  get partitions(): Iterable<HostedPartition> {
    return this.#partitions.values()
  }

  leaderHint(groupId: GroupId): LeaderHint | undefined {
    const known = this.leaders.get(groupId)
    const address = known?.leader === undefined ? undefined : this.addressOf(known.leader)
    if (known?.leader === undefined || address === undefined) return undefined
    return { nodeId: known.leader, address, term: known.term }
  }

  /** From the layout; before a node has registered, from the settings. */
  addressOf(nodeId: NodeId): string | undefined {
    return (
      this.view.addressOf(nodeId) ?? this.#config.cluster.find((member) => member.nodeId === nodeId)?.address
    )
  }

  /** Decides on a change of the cluster's state here. Rejects with NOT_LEADER where this node doesn't lead the metadata group. */
  changeMetadata(command: MetadataCommand, deadlineMs: number): Promise<MetadataResult> {
    const { replica, machine } = this.metadata
    return new Promise((resolve, reject) => {
      if (!replica.isLeader) {
        const hint = this.leaderHint(METADATA_GROUP)
        reject(
          new FlotillaError(
            'NOT_LEADER',
            `node ${this.nodeId} does not lead the metadata group`,
            hint === undefined ? {} : { leader: hint },
          ),
        )
        return
      }
      const done = (outcome: MetadataResult | FlotillaError): void =>
        outcome instanceof FlotillaError ? reject(outcome) : resolve(outcome)
      machine.submit(command, { deadlineMs, done })
      replica.commandsQueued()
    })
  }

  // -- hosting -------------------------------------------------------------------------------------------------

  #hostMetadata(): { replica: Replica; machine: MetadataMachine } {
    const configuration = configurationOf(this.#config.cluster.map((member) => member.nodeId))
    const recovered = this.storage.recovered.get(METADATA_GROUP)
    if (recovered !== undefined && !recovered.ok) {
      throw new Error(`the metadata group in ${this.#config.dataDirectory} is damaged: ${recovered.damage}`)
    }
    const bootstrap = recovered?.bootstrap ?? emptyBootstrap(configuration)
    if (recovered === undefined) this.#writeNewGroup(METADATA_GROUP, configuration)
    const machine = new MetadataMachine(
      this.#env.clock,
      { ...this.#tuning.metadata, memberCount: this.#config.cluster.length },
      recovered?.appliedState ?? NO_STATE,
      (event) => this.#metadataChanged(event),
    )
    const replica = this.#makeReplica(METADATA_GROUP, bootstrap, machine, this.#tuning.metadataReplica)
    return { replica, machine }
  }

  #hostPartition(topic: string, place: PartitionPlace): void {
    const groupId = asGroupId(place.groupId)
    if (this.#partitions.has(groupId) || this.damaged.has(groupId)) return
    const recovered = this.storage.recovered.get(groupId)
    if (recovered !== undefined && !recovered.ok) {
      this.damaged.set(groupId, recovered.damage)
      this.#logger.error(
        { topic, partition: place.partition, group: groupId, damage: recovered.damage },
        'replica is damaged and is not served',
      )
      return
    }
    if (recovered === undefined && this.#newPartitions.mustWait) {
      this.#newPartitions.add({ topic, place })
      return
    }
    const configuration = configurationOf(place.replicas)
    const bootstrap = recovered?.bootstrap ?? emptyBootstrap(configuration)
    if (recovered === undefined) {
      this.#writeNewGroup(groupId, configuration)
      if (place.replicas[0] === this.nodeId) this.#succession.stand(groupId)
    }
    const machine = new PartitionMachine(
      place.partition,
      this.#env.clock,
      this.#tuning.partition,
      recovered?.appliedState ?? NO_STATE,
      this.#lowStates.get(groupId) ?? NO_STATE,
    )
    const replica = this.#makeReplica(groupId, bootstrap, machine, this.#tuning.dataReplica)
    this.#partitions.set(groupId, new HostedPartition(topic, replica, machine))
  }

  #makeReplica(
    groupId: GroupId,
    bootstrap: Bootstrap,
    machine: StateMachine,
    limits: ReplicaLimits,
  ): Replica {
    const core = new Raft(this.#tuning.raft, bootstrap, (bound) => this.#env.random.below(bound))
    const replica = new Replica(
      groupId,
      core,
      machine,
      this.#host(),
      limits,
      bootstrap.applied,
      foldedMark(bootstrap),
      this.#logger,
    )
    this.loop.add(replica)
    return replica
  }

  #writeNewGroup(groupId: GroupId, configuration: Configuration): void {
    const { lowEnd } = emptyBootstrap(configuration)
    const write: GroupWrite = { groupId, create: { ...lowEnd, state: NO_STATE } }
    this.loop.write(write)
  }

  #dropGroup(groupId: GroupId, topic: string): void {
    const hosted = this.#partitions.get(groupId)
    if (hosted !== undefined) {
      // What was proposed may have been committed, and read, before the deletion.
      hosted.stop(
        () => new FlotillaError('UNKNOWN_TOPIC', `topic "${topic}" was deleted`, { effect: 'unknown' }),
      )
      this.#partitions.delete(groupId)
      this.loop.remove(hosted.replica)
    }
    this.#succession.forget(groupId)
    this.damaged.delete(groupId)
    this.leaders.forgetGroup(groupId)
    const isStored = hosted !== undefined || this.storage.recovered.has(groupId)
    if (!isStored || this.#destroyed.has(groupId)) return
    // Storage takes the end of a group once; a snapshot of the metadata group may name it again.
    this.#destroyed.add(groupId)
    this.loop.write({ groupId, destroy: true })
  }

  #host(): ReplicaHost {
    return {
      wake: (replica) => this.loop.wake(replica),
      send: (groupId, messages: readonly Message[]) => this.links.send(groupId, messages),
      leadershipChanged: (replica) => this.#leadershipChanged(replica),
      isReachable: (node) => this.links.isReachable(node),
      sendQuiet: (to, notice) => {
        this.links.sendQuiet(to, notice)
        this.loop.schedule()
      },
      readEntries: (groupId, from, to, maxBytes) => this.storage.readEntries(groupId, from, to, maxBytes),
      readLowEnd: (groupId) => this.storage.readLowEnd(groupId),
      fail: (error) => this.#onFailure(error),
    }
  }

  // -- changes of the cluster's state --------------------------------------------------------------------------

  #metadataChanged(event: MetadataEvent | undefined): void {
    const { state } = this.metadata.machine
    switch (event?.type) {
      case undefined:
        this.#reconcile()
        break
      case 'clusterCreated':
        break
      case 'nodeRegistered':
        break
      case 'topicCreated':
        for (const place of event.topic.partitions) {
          if (place.replicas.includes(this.nodeId)) this.#hostPartition(event.topic.name, place)
        }
        break
      case 'topicDeleted':
        this.#newPartitions.forgetTopic(event.name)
        for (const [groupId, hosted] of this.#partitions) {
          if (hosted.topic === event.name) this.#dropGroup(groupId, event.name)
        }
        for (const groupId of this.damaged.keys()) {
          if (state.deletedGroupIds.has(groupId)) this.#dropGroup(groupId, event.name)
        }
        break
    }
    if (state.clusterId !== '') this.#learnClusterId(state.clusterId)
    this.view.metadataChanged(event)
  }

  /** The whole state may be different: host what is placed here, drop what is listed as deleted, keep the rest. */
  #reconcile(): void {
    const { state } = this.metadata.machine
    this.#newPartitions.forgetAll()
    for (const topic of state.topics.values()) {
      for (const place of topic.partitions) {
        if (place.replicas.includes(this.nodeId)) this.#hostPartition(topic.name, place)
      }
    }
    for (const groupId of new Set([...this.storage.recovered.keys(), ...this.#partitions.keys()])) {
      if (groupId === METADATA_GROUP) continue
      if (state.deletedGroupIds.has(groupId))
        this.#dropGroup(groupId, this.#partitions.get(groupId)?.topic ?? '')
    }
  }

  #learnClusterId(clusterId: string): void {
    if (this.storage.clusterId === clusterId) return
    if (this.storage.clusterId !== undefined) {
      this.#onFailure(
        new FlotillaError(
          'CLUSTER_MISMATCH',
          `the data folder ${this.#config.dataDirectory} belongs to the cluster with id ${this.storage.clusterId}, not to ${clusterId}`,
        ),
      )
      return
    }
    this.storage
      .setClusterId(clusterId)
      .catch((error: unknown) => this.#onFailure(new Error(String(error), { cause: error })))
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
          if (!reachable) this.#lost(node)
          this.view.nodesChanged()
        },
        onRefused: (error) => this.#refused(error),
        leaderNotices: () => this.#leaderNotices(),
      },
    )
  }

  #received(messages: readonly GroupMessage[]): void {
    // A message for a group that isn't here yet (or any more) is lost, which Raft allows for.
    for (const { groupId, message } of messages)
      this.loop.replicas.get(groupId)?.step({ type: 'message', message })
  }

  #lost(node: NodeId): void {
    this.leaders.forgetNode(node)
    this.#succession.nodeLost(node)
  }

  /** Only a node that nobody has taken in yet gives up: one wrong node must not stop a cluster that works. */
  #refused(error: FlotillaError): void {
    if (!this.#wasTakenIn) this.#onFailure(error)
  }

  #leaderNotices(): LeaderNotice[] {
    const notices: LeaderNotice[] = []
    for (const replica of this.loop.replicas.values()) {
      if (replica.isLeader)
        notices.push({ groupId: replica.groupId, term: replica.status().term, leader: this.nodeId })
    }
    return notices
  }

  #leadershipChanged(replica: Replica): void {
    const { term, leader } = replica.status()
    this.leaders.learn(replica.groupId, term, leader)
    if (replica.isLeader) this.links.announce([{ groupId: replica.groupId, term, leader: this.nodeId }])
  }
}

function configurationOf(nodeIds: readonly string[]): Configuration {
  return { voters: nodeIds.map(asNodeId).toSorted(), votersOutgoing: [], learners: [] }
}

/** The mark of the newest entry that the stored state holds; undefined where the start didn't load that entry. */
function foldedMark(bootstrap: Bootstrap): LogMark | undefined {
  const { applied, lowEnd, last, tail } = bootstrap
  if (applied === lowEnd.index) return lowEnd
  if (applied === last.index) return last
  const entry = tail.find(({ index }) => index === applied)
  // The mark alone: the entry holds its payload.
  return entry === undefined ? undefined : { index: entry.index, term: entry.term, digest: entry.digest }
}
