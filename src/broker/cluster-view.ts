import type { Cancel, Clock } from '../env/index.ts'
import { asGroupId, type GroupId } from '../log/types.ts'
import type { NodeId } from '../raft/types.ts'
import { FlotillaError } from '../wire/errors.ts'
import { partitionForKey } from '../wire/index.ts'
import type { NodeMessage, PartitionMessage, TopicMessage, WatchLayoutResponse } from '../wire/messages.ts'
import type { LeaderTable } from './leaders.ts'
import { survivableLosses, unknownTopic } from './metadata/decide.ts'
import type { MetadataEvent, PartitionPlace, TopicLayout } from './metadata/events.ts'
import type { MetadataState } from './metadata/state.ts'

interface Watcher {
  readonly listener: (change: WatchLayoutResponse) => void
  snapshotDue: boolean
  nodesChanged: boolean
  readonly topics: Set<string>
}

/** A partition, and the topic that it belongs to. */
export interface LocatedPartition {
  readonly topic: TopicLayout
  readonly place: PartitionPlace
}

/**
 * The cluster as this node sees it: the metadata group's folded state, joined with who leads what and who can be
 * reached. Tells watchers what changed, at most once a turn.
 */
export class ClusterView {
  readonly #clock: Clock
  readonly #leaders: LeaderTable
  readonly #metadata: () => MetadataState
  readonly #isReachable: (node: NodeId) => boolean
  readonly #topicOfGroup = new Map<GroupId, { readonly topic: string; readonly partition: number }>()
  readonly #watchers = new Set<Watcher>()
  readonly #groupListeners = new Map<string, Set<() => void>>()
  #epoch = 1
  #telling = false

  constructor(
    clock: Clock,
    leaders: LeaderTable,
    metadata: () => MetadataState,
    isReachable: (node: NodeId) => boolean,
  ) {
    this.#clock = clock
    this.#leaders = leaders
    this.#metadata = metadata
    this.#isReachable = isReachable
    leaders.onChange((groupId) => {
      const place = this.#topicOfGroup.get(groupId)
      if (place !== undefined) this.#changed((watcher) => watcher.topics.add(place.topic))
    })
  }

  get state(): MetadataState {
    return this.#metadata()
  }

  // -- asking --------------------------------------------------------------------------------------------------

  topic(name: string): TopicLayout {
    const topic = this.#metadata().topics.get(name)
    if (topic === undefined) throw unknownTopic(name)
    return topic
  }

  partition(topicName: string, partition: number): LocatedPartition {
    const topic = this.topic(topicName)
    const place = topic.partitions[partition]
    if (place === undefined) {
      throw new FlotillaError(
        'UNKNOWN_PARTITION',
        `topic "${topicName}" has no partition ${partition}; it has 0 to ${topic.partitions.length - 1}`,
      )
    }
    return { topic, place }
  }

  partitionForKey(topic: TopicLayout, key: Uint8Array): PartitionPlace {
    const place = topic.partitions[partitionForKey(topic, key)]
    if (place === undefined)
      throw new FlotillaError('INTERNAL', `no partition of "${topic.name}" owns the key`)
    return place
  }

  /** The topic and partition of a group; undefined for the metadata group and for what this node hasn't heard of yet. */
  placeOfGroup(groupId: GroupId): { readonly topic: string; readonly partition: number } | undefined {
    return this.#topicOfGroup.get(groupId)
  }

  addressOf(node: string): string | undefined {
    return this.#metadata().nodes.get(node)?.address
  }

  topicMessage(topic: TopicLayout): TopicMessage {
    return {
      name: topic.name,
      topicId: topic.topicId,
      partitioner: topic.partitioner,
      replicationFactor: topic.replicationFactor,
      partitions: topic.partitions.map((place) => this.partitionMessage(place)),
      createTime: {
        seconds: Math.floor(topic.createTimeMs / 1000),
        nanos: (topic.createTimeMs % 1000) * 1_000_000,
      },
      survivableLosses: survivableLosses(topic.replicationFactor),
    }
  }

  partitionMessage(place: PartitionPlace): PartitionMessage {
    const known = this.#leaders.get(asGroupId(place.groupId))
    return {
      partition: place.partition,
      groupId: place.groupId,
      replicaNodeIds: place.replicas,
      ...(known?.leader === undefined ? {} : { leaderNodeId: known.leader }),
      leaderTerm: known?.term ?? 0,
      hashFirst: place.hashFirst,
      hashLast: place.hashLast,
      targetNodeIds: place.target ?? [],
    }
  }

  nodeMessages(): NodeMessage[] {
    return [...this.#metadata().nodes.values()]
      .toSorted((a, b) => (a.nodeId < b.nodeId ? -1 : 1))
      .map((node) => ({ ...node, reachable: this.#isReachable(node.nodeId as NodeId) }))
  }

  // -- being told of changes -----------------------------------------------------------------------------------

  /** An event of the metadata group was folded; undefined: everything may be different. */
  metadataChanged(event: MetadataEvent | undefined): void {
    switch (event?.type) {
      case undefined:
        this.#topicOfGroup.clear()
        for (const topic of this.#metadata().topics.values()) this.#addGroups(topic)
        this.#changed((watcher) => (watcher.snapshotDue = true))
        for (const group of this.#groupListeners.keys()) this.#groupChanged(group)
        break
      case 'clusterCreated':
        break
      case 'nodeRegistered':
      case 'nodeRemoved':
        this.nodesChanged()
        break
      case 'topicCreated':
        this.#addGroups(event.topic)
        this.#changed((watcher) => watcher.topics.add(event.topic.name))
        break
      case 'topicDeleted':
        for (const [groupId, place] of this.#topicOfGroup) {
          if (place.topic === event.name) this.#topicOfGroup.delete(groupId)
        }
        this.#changed((watcher) => watcher.topics.add(event.name))
        for (const group of this.#groupListeners.keys()) this.#groupChanged(group)
        break
      case 'groupChanged':
      case 'groupDeleted':
        this.#groupChanged(event.group)
        break
      case 'replicasTargeted':
      case 'replicasMoved':
      case 'replicaRestarted': {
        const place = this.#topicOfGroup.get(asGroupId(event.groupId))
        if (place !== undefined) this.#changed((watcher) => watcher.topics.add(place.topic))
        break
      }
    }
  }

  /** Calls `listener` when the group may be another, also because a topic was deleted. Nothing may be changed in it. */
  onGroup(group: string, listener: () => void): Cancel {
    const listeners = this.#groupListeners.get(group) ?? new Set()
    this.#groupListeners.set(group, listeners)
    listeners.add(listener)
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0 && this.#groupListeners.get(group) === listeners)
        this.#groupListeners.delete(group)
    }
  }

  #groupChanged(group: string): void {
    for (const listener of this.#groupListeners.get(group) ?? []) listener()
  }

  nodesChanged(): void {
    this.#changed((watcher) => (watcher.nodesChanged = true))
  }

  #addGroups(topic: TopicLayout): void {
    for (const { groupId, partition } of topic.partitions) {
      this.#topicOfGroup.set(asGroupId(groupId), { topic: topic.name, partition })
    }
  }

  // -- watching ------------------------------------------------------------------------------------------------

  /** Tells `listener` the layout now, and what changes from then on. */
  watch(listener: (change: WatchLayoutResponse) => void): Cancel {
    const watcher: Watcher = { listener, snapshotDue: true, nodesChanged: false, topics: new Set() }
    this.#watchers.add(watcher)
    this.#tell(watcher)
    return () => this.#watchers.delete(watcher)
  }

  #changed(note: (watcher: Watcher) => unknown): void {
    this.#epoch += 1
    for (const watcher of this.#watchers) note(watcher)
    if (this.#telling || this.#watchers.size === 0) return
    this.#telling = true
    this.#clock.defer(() => {
      this.#telling = false
      for (const watcher of this.#watchers) this.#tell(watcher)
    })
  }

  #tell(watcher: Watcher): void {
    const { topics } = this.#metadata()
    const names = watcher.snapshotDue ? [...topics.keys()] : [...watcher.topics]
    const snapshot = watcher.snapshotDue
    const nodes = snapshot || watcher.nodesChanged ? this.nodeMessages() : []
    if (!snapshot && names.length === 0 && nodes.length === 0) return
    watcher.snapshotDue = false
    watcher.nodesChanged = false
    watcher.topics.clear()
    const present = names.flatMap((name) => topics.get(name) ?? [])
    watcher.listener({
      epoch: this.#epoch,
      snapshot,
      nodes,
      topics: present.map((topic) => this.topicMessage(topic)),
      deletedTopics: names.filter((name) => !topics.has(name)),
    })
  }
}
