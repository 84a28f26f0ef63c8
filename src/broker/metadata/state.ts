import { assert } from '../assert.ts'
import type { MetadataEvent, NodeEntry, TopicLayout } from './events.ts'

/** What happened to a request that named itself, so that a retry is answered and not carried out again. */
export type RememberedRequest =
  | { readonly type: 'topicCreated'; readonly name: string; readonly topicId: string }
  | { readonly type: 'topicDeleted'; readonly name: string }

const VERSION = 1
/** The newest are remembered. */
const REMEMBERED_REQUESTS = 1000

interface Encoded {
  readonly version: number
  readonly clusterId: string
  readonly nextGroupId: number
  readonly nodes: readonly NodeEntry[]
  readonly topics: readonly TopicLayout[]
  readonly deletedGroupIds: readonly number[]
  readonly requests: readonly (readonly [string, RememberedRequest])[]
}

/** The cluster's own state: a fold over the events of the metadata group. */
export class MetadataState {
  /** Empty until the first leader has created the cluster. */
  clusterId = ''
  /** 0 is the metadata group itself. Ids are never used again. */
  nextGroupId = 1
  readonly nodes = new Map<string, NodeEntry>()
  readonly topics = new Map<string, TopicLayout>()
  /** Only groups listed here may be removed from a disk: that a group isn't known is no reason to delete data. */
  readonly deletedGroupIds = new Set<number>()
  readonly requests = new Map<string, RememberedRequest>()

  /** Can't fail on an event that a leader decided. */
  fold(event: MetadataEvent): void {
    switch (event.type) {
      case 'clusterCreated':
        assert(this.clusterId === '', 'metadata.created-once')
        this.clusterId = event.clusterId
        break
      case 'nodeRegistered':
        this.nodes.set(event.node.nodeId, event.node)
        break
      case 'topicCreated':
        this.#topicCreated(event.topic, event.requestId)
        break
      case 'topicDeleted':
        this.#topicDeleted(event.name, event.requestId)
        break
    }
  }

  #topicCreated(topic: TopicLayout, requestId: string): void {
    assert(!this.topics.has(topic.name), 'metadata.topic-new', topic.name)
    this.topics.set(topic.name, topic)
    for (const { groupId } of topic.partitions) {
      assert(groupId === this.nextGroupId, 'metadata.group-ids-dense', `${groupId} for ${this.nextGroupId}`)
      this.nextGroupId += 1
    }
    this.#remember(requestId, { type: 'topicCreated', name: topic.name, topicId: topic.topicId })
  }

  #topicDeleted(name: string, requestId: string): void {
    const topic = this.topics.get(name)
    assert(topic !== undefined, 'metadata.deleted-topic-known', name)
    this.topics.delete(name)
    for (const { groupId } of topic.partitions) this.deletedGroupIds.add(groupId)
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
      deletedGroupIds: [...this.deletedGroupIds],
      requests: [...this.requests],
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
    for (const topic of encoded.topics) state.topics.set(topic.name, topic)
    for (const groupId of encoded.deletedGroupIds) state.deletedGroupIds.add(groupId)
    for (const [requestId, request] of encoded.requests) state.requests.set(requestId, request)
    return state
  }

  clone(): MetadataState {
    return MetadataState.decode(this.encode())
  }
}
