import { assert } from '../assert.ts'
import { GroupsState, type EncodedGroups } from '../groups/state.ts'
import {
  hostsOf,
  type MetadataEvent,
  type NodeEntry,
  type PartitionPlace,
  type TopicLayout,
} from './events.ts'

import { IdRanges, type EncodedRange } from './id-ranges.ts'

/** What happened to a request that named itself, so that a retry is answered and not carried out again. */
export type RememberedRequest =
  | { readonly type: 'topicCreated'; readonly name: string; readonly topicId: string }
  | { readonly type: 'topicDeleted'; readonly name: string }
  | { readonly type: 'nodeEntered'; readonly nodeId: string; readonly life: number }
  | { readonly type: 'replicaRestarted'; readonly groupId: number; readonly life: number }

const VERSION = 1
/** The newest are remembered. */
const REMEMBERED_REQUESTS = 1000

interface Encoded {
  readonly version: number
  readonly clusterId: string
  readonly nextGroupId: number
  readonly nodes: readonly NodeEntry[]
  readonly topics: readonly TopicLayout[]
  readonly deletedGroupIds: readonly EncodedRange[]
  readonly requests: readonly (readonly [string, RememberedRequest])[]
  readonly metadataLives?: readonly (readonly [string, number])[]
  readonly removedNodes?: readonly string[]
  /** Missing in what the first release wrote. */
  readonly groups?: EncodedGroups
}

/** The cluster's own state: a fold over the events of the metadata group. */
export class MetadataState {
  /** Empty until the first leader has created the cluster. */
  clusterId = ''
  /** 0 is the metadata group itself. Ids are never used again. */
  nextGroupId = 1
  readonly nodes = new Map<string, NodeEntry>()
  readonly topics = new Map<string, TopicLayout>()
  /**
   * Only groups listed here may be removed from a disk: that a group isn't known is no reason to delete data. For ever, since
   * nobody knows when the last node that has one comes back; but each id is here or in a topic, so ranges stay few.
   */
  deletedGroupIds = new IdRanges()
  readonly requests = new Map<string, RememberedRequest>()
  /** Under which life of its disk a node takes part in the metadata group; 0 where it isn't here. */
  readonly metadataLives = new Map<string, number>()
  /** Nodes that have left: not taken in again with what they have. */
  readonly removedNodes = new Set<string>()
  readonly #topicOfGroup = new Map<number, string>()
  readonly groups = new GroupsState()

  /** Can't fail on an event that a leader decided. */
  fold(event: MetadataEvent): void {
    switch (event.type) {
      case 'clusterCreated':
        assert(this.clusterId === '', 'metadata.created-once')
        this.clusterId = event.clusterId
        break
      case 'nodeRegistered':
        this.#nodeRegistered(event)
        break
      case 'nodeRemoved':
        this.nodes.delete(event.nodeId)
        this.removedNodes.add(event.nodeId)
        break
      case 'topicCreated':
        this.#topicCreated(event.topic, event.requestId)
        break
      case 'topicDeleted':
        this.#topicDeleted(event.name, event.requestId)
        break
      case 'replicasTargeted':
        this.#changePlace(event.groupId, (place) => ({
          ...place,
          target: event.replicas,
          moves: (place.moves ?? 0) + 1,
          lives: { ...place.lives, ...event.lives },
        }))
        break
      case 'replicasMoved':
        this.#changePlace(event.groupId, ({ target: _reached, ...place }) => ({
          ...place,
          replicas: event.replicas,
        }))
        break
      case 'replicaRestarted':
        this.#changePlace(event.groupId, (place) => withLife(place, event.nodeId, event.life))
        this.#remember(event.requestId, {
          type: 'replicaRestarted',
          groupId: event.groupId,
          life: event.life,
        })
        break
      case 'groupChanged':
        this.groups.changed(event.group, event.epoch, event.change)
        break
      case 'groupDeleted':
        this.groups.deleted(event.group)
        break
    }
  }

  /** The group's topic and place; undefined for the metadata group and for groups that are deleted. */
  placeOf(groupId: number): { readonly topic: TopicLayout; readonly place: PartitionPlace } | undefined {
    const topic = this.topics.get(this.#topicOfGroup.get(groupId) ?? '')
    const [first] = topic?.partitions ?? []
    if (topic === undefined || first === undefined) return undefined
    // A topic's groups have ids in a row.
    const place = topic.partitions[groupId - first.groupId]
    assert(place?.groupId === groupId, 'metadata.groups-in-a-row', `${groupId} of ${topic.name}`)
    return { topic, place }
  }

  /** A node that has come again under a later life than is known here isn't one that has left. */
  isRemoved(nodeId: string, life = 0): boolean {
    return this.removedNodes.has(nodeId) && life <= (this.metadataLives.get(nodeId) ?? 0)
  }

  /** The highest life that this node ever had in any group. */
  newestLifeOf(nodeId: string): number {
    let newest = this.metadataLives.get(nodeId) ?? 0
    for (const { partitions } of this.topics.values()) {
      for (const { lives } of partitions) newest = Math.max(newest, lives?.[nodeId] ?? 0)
    }
    return newest
  }

  #nodeRegistered({ node, life, requestId = '' }: MetadataEvent & { readonly type: 'nodeRegistered' }): void {
    this.nodes.set(node.nodeId, node)
    this.removedNodes.delete(node.nodeId)
    if (life === undefined) return
    this.metadataLives.set(node.nodeId, life)
    const { nodeId } = node
    for (const topic of this.topics.values()) {
      const partitions = topic.partitions.map((place) =>
        hostsOf(place).includes(nodeId) ? withLife(place, nodeId, life) : place,
      )
      this.topics.set(topic.name, { ...topic, partitions })
    }
    this.#remember(requestId, { type: 'nodeEntered', nodeId: node.nodeId, life })
  }

  #changePlace(groupId: number, change: (place: PartitionPlace) => PartitionPlace): void {
    const found = this.placeOf(groupId)
    assert(found !== undefined, 'metadata.group-known', `${groupId}`)
    const { topic, place } = found
    const partitions = topic.partitions.map((each) => (each === place ? change(each) : each))
    this.topics.set(topic.name, { ...topic, partitions })
  }

  #topicCreated(topic: TopicLayout, requestId: string): void {
    assert(!this.topics.has(topic.name), 'metadata.topic-new', topic.name)
    this.topics.set(topic.name, topic)
    for (const { groupId } of topic.partitions) {
      assert(groupId === this.nextGroupId, 'metadata.group-ids-dense', `${groupId} for ${this.nextGroupId}`)
      this.nextGroupId += 1
      this.#topicOfGroup.set(groupId, topic.name)
    }
    this.#remember(requestId, { type: 'topicCreated', name: topic.name, topicId: topic.topicId })
  }

  #topicDeleted(name: string, requestId: string): void {
    const topic = this.topics.get(name)
    assert(topic !== undefined, 'metadata.deleted-topic-known', name)
    this.topics.delete(name)
    for (const { groupId } of topic.partitions) {
      this.deletedGroupIds.add(groupId)
      this.#topicOfGroup.delete(groupId)
    }
    this.groups.topicDeleted(name)
    const { rangeCount } = this.deletedGroupIds
    assert(rangeCount <= this.topics.size + 1, 'metadata.deleted-ranges', `${rangeCount}`)
    this.#remember(requestId, { type: 'topicDeleted', name })
  }

  #remember(requestId: string, request: RememberedRequest): void {
    if (requestId === '') return
    this.requests.set(requestId, request)
    if (this.requests.size > REMEMBERED_REQUESTS) {
      for (const oldest of this.requests.keys()) {
        this.requests.delete(oldest)
        break
      }
    }
  }

  encode(): Uint8Array {
    const encoded: Encoded = {
      version: VERSION,
      clusterId: this.clusterId,
      nextGroupId: this.nextGroupId,
      nodes: [...this.nodes.values()],
      topics: [...this.topics.values()],
      deletedGroupIds: this.deletedGroupIds.encode(),
      requests: [...this.requests],
      ...(this.metadataLives.size === 0 ? {} : { metadataLives: [...this.metadataLives] }),
      ...(this.removedNodes.size === 0 ? {} : { removedNodes: [...this.removedNodes] }),
      groups: this.groups.encode(),
    }
    return Buffer.from(JSON.stringify(encoded))
  }

  static decode(bytes: Uint8Array): MetadataState {
    const state = new MetadataState()
    if (bytes.byteLength === 0) return state
    const encoded = JSON.parse(Buffer.from(bytes).toString('utf8')) as Encoded
    assert(encoded.version === VERSION, 'metadata.state-version', `${encoded.version}`)
    state.clusterId = encoded.clusterId
    state.nextGroupId = encoded.nextGroupId
    for (const node of encoded.nodes) state.nodes.set(node.nodeId, node)
    for (const topic of encoded.topics) {
      state.topics.set(topic.name, topic)
      for (const { groupId } of topic.partitions) state.#topicOfGroup.set(groupId, topic.name)
    }
    state.deletedGroupIds = IdRanges.decode(encoded.deletedGroupIds)
    for (const [requestId, request] of encoded.requests) state.requests.set(requestId, request)
    for (const [nodeId, life] of encoded.metadataLives ?? []) state.metadataLives.set(nodeId, life)
    for (const nodeId of encoded.removedNodes ?? []) state.removedNodes.add(nodeId)
    if (encoded.groups !== undefined) state.groups.restore(encoded.groups)
    return state
  }

  clone(): MetadataState {
    return MetadataState.decode(this.encode())
  }
}

function withLife(place: PartitionPlace, nodeId: string, life: number): PartitionPlace {
  return { ...place, lives: { ...place.lives, [nodeId]: life } }
}
