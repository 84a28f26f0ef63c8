import type { PartitionerName } from '../../wire/messages.ts'
import { assert } from '../assert.ts'
import type { GroupChange } from '../groups/types.ts'

export interface PartitionPlace {
  readonly partition: number
  readonly groupId: number
  /** The first is the preferred leader. */
  readonly replicas: readonly string[]
  /** The first and last murmur2 hash that it owns (hash-range). */
  readonly hashFirst: number
  readonly hashLast: number
  /** Where its replicas shall be; absent where they are there. */
  readonly target?: readonly string[]
  /** How often it was given a target. Absent: never, so `replicas` is what the group was founded with. */
  readonly moves?: number
  /** Under which life of its disk a node takes part; 0 where it is absent. Of nodes that have left, too: a life never comes back. */
  readonly lives?: Readonly<Record<string, number>>
}

/** Every node that has, or may have, something of the group: where it is and where it goes. */
export function hostsOf({ replicas, target = [] }: PartitionPlace): readonly string[] {
  return [...new Set([...replicas, ...target])]
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
  /** With `life`: it starts with an empty disk, and takes part in all its groups under this life from now on. */
  | {
      readonly type: 'nodeRegistered'
      readonly node: NodeEntry
      readonly life?: number
      readonly requestId?: string
    }
  | { readonly type: 'nodeRemoved'; readonly nodeId: string }
  | { readonly type: 'topicCreated'; readonly topic: TopicLayout; readonly requestId: string }
  | { readonly type: 'topicDeleted'; readonly name: string; readonly requestId: string }
  /** The group's replicas shall be on these nodes. Those that weren't on it come under the life named here. */
  | {
      readonly type: 'replicasTargeted'
      readonly groupId: number
      readonly replicas: readonly string[]
      readonly lives: Readonly<Record<string, number>>
    }
  /** The group's configuration is its target. Whoever isn't in it may delete what it has of the group. */
  | { readonly type: 'replicasMoved'; readonly groupId: number; readonly replicas: readonly string[] }
  /** What a node had of one group can't be trusted: it starts with it anew, under this life. */
  | {
      readonly type: 'replicaRestarted'
      readonly groupId: number
      readonly nodeId: string
      readonly life: number
      readonly requestId: string
    }
  /** A consumer group is made or changed. */
  | {
      readonly type: 'groupChanged'
      readonly group: string
      /** The newest that was given, in any group. */
      readonly epoch: number
      readonly change: GroupChange
    }
  | { readonly type: 'groupDeleted'; readonly group: string }

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
  'nodeRemoved',
  'topicCreated',
  'topicDeleted',
  'replicasTargeted',
  'replicasMoved',
  'replicaRestarted',
  'groupChanged',
  'groupDeleted',
])

// The entry's checksum has held, so it is what a leader of this cluster wrote; an unknown kind is of a newer version.
function isEvent(value: unknown): value is MetadataEvent {
  return typeof value === 'object' && value !== null && 'type' in value && TYPES.has(String(value.type))
}
