import type { PartitionerName } from '../../wire/messages.ts'
import { assert } from '../assert.ts'

export interface PartitionPlace {
  readonly partition: number
  readonly groupId: number
  /** The first is the preferred leader. */
  readonly replicas: readonly string[]
  /** The first and last murmur2 hash that it owns (hash-range). */
  readonly hashFirst: number
  readonly hashLast: number
}

export interface TopicLayout {
  readonly name: string
  readonly topicId: string
  readonly partitioner: Exclude<PartitionerName, 'PARTITIONER_UNSPECIFIED'>
  readonly replicationFactor: number
  readonly createTimeMs: number
  readonly partitions: readonly PartitionPlace[]
}

export interface NodeEntry {
  readonly nodeId: string
  /** HOST:PORT */
  readonly address: string
  readonly hostLabel: string
}

/** Everything that ever changes the cluster's own state. Kept for ever: only new kinds and optional fields may be added. */
export type MetadataEvent =
  | { readonly type: 'clusterCreated'; readonly clusterId: string; readonly timeMs: number }
  | { readonly type: 'nodeRegistered'; readonly node: NodeEntry }
  | { readonly type: 'topicCreated'; readonly topic: TopicLayout; readonly requestId: string }
  | { readonly type: 'topicDeleted'; readonly name: string; readonly requestId: string }

const VERSION = 1

/** Header of a metadata entry: its version. The event is JSON in the payload: rare, small, and readable with any tool. */
export const METADATA_HEADER = Uint8Array.of(VERSION)

export function encodeEvent(event: MetadataEvent): Uint8Array {
  return Buffer.from(JSON.stringify(event))
}

export function decodeEvent(header: Uint8Array, payload: readonly Uint8Array[]): MetadataEvent {
  assert(header.byteLength === 1 && header[0] === VERSION, 'metadata.event-version', `${header[0]}`)
  const event: unknown = JSON.parse(Buffer.concat(payload).toString('utf8'))
  assert(isEvent(event), 'metadata.event-known')
  return event
}

const TYPES: ReadonlySet<string> = new Set<MetadataEvent['type']>([
  'clusterCreated',
  'nodeRegistered',
  'topicCreated',
  'topicDeleted',
])

// The entry's checksum has held, so it is what a leader of this cluster wrote; an unknown kind is of a newer version.
function isEvent(value: unknown): value is MetadataEvent {
  return typeof value === 'object' && value !== null && 'type' in value && TYPES.has(String(value.type))
}
