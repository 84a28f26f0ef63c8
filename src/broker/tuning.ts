import { defaultRaftConfig } from '../raft/index.ts'
import type { NodeId, RaftConfig } from '../raft/types.ts'
import type { GroupId, LogLimits } from '../log/types.ts'
import { LIMITS, type RecordLimits } from '../wire/index.ts'
import type { ServerLimits } from './config.ts'
import { METADATA_GROUP } from './metadata-group.ts'
import type { MetadataLimits } from './metadata/decide.ts'
import type { PartitionLimits } from './partition/machine.ts'
import type { ReplicaLimits } from './replica.ts'
import type { WindowLimits } from './window-share.ts'

/** A node's settings with every default filled in, by the part that they are for. */
export interface Tuning {
  readonly tickMs: number
  readonly raft: RaftConfig
  readonly log: LogLimits
  readonly windows: WindowLimits
  readonly records: RecordLimits
  readonly metadata: Omit<MetadataLimits, 'memberCount'>
  readonly partition: PartitionLimits
  readonly dataReplica: ReplicaLimits
  readonly metadataReplica: ReplicaLimits
  readonly maxInflightBytesPerConnection: number
  /** Of appends without an answer yet, over all connections. */
  readonly maxInflightBytesPerNode: number
  readonly maxOpenStreams: number
  readonly shutdownMs: number
  /** The longest that a node keeps an append waiting for its outcome. */
  readonly appendTimeoutMs: number
  /**
   * For so long a transfer of leadership is waited for. Whoever shall lead has one election timeout in which to catch up and
   * stand (thesis §3.10), then the leader goes on; the rest is for hearing of it.
   */
  readonly transferMs: number
}

const KIB = 1024
const MIB = 1024 * KIB

/** With a hundred busy partitions a commit index with each entry would be half of all that LevelDB has to sort in. */
const DATA_COMMIT_ENTRIES = 64
/** From what is committed in the metadata group a start learns whom it has to talk to. */
const METADATA_COMMIT_ENTRIES = 1

/** What a replica of that group gets. */
export function replicaTuning(
  tuning: Tuning,
  groupId: GroupId,
): { readonly raft: RaftConfig; readonly limits: ReplicaLimits } {
  const { raft, metadataReplica, dataReplica } = tuning
  return groupId === METADATA_GROUP
    ? { raft: { ...raft, commitEntries: METADATA_COMMIT_ENTRIES }, limits: metadataReplica }
    : { raft: { ...raft, commitEntries: DATA_COMMIT_ENTRIES }, limits: dataReplica }
}

export function tuningOf(nodeId: NodeId, limits: ServerLimits = {}): Tuning {
  const tickMs = limits.tickMs ?? 50
  const ticks = (milliseconds: number): number => Math.max(1, Math.round(milliseconds / tickMs))
  const windowBytes = limits.windowBytes ?? 8 * MIB
  const electionTimeoutMs = limits.electionTimeoutMs ?? 500
  return {
    tickMs,
    transferMs: Math.max(3000, 3 * electionTimeoutMs),
    raft: {
      ...defaultRaftConfig(nodeId),
      electionTicks: ticks(electionTimeoutMs),
      heartbeatTicks: ticks(limits.heartbeatMs ?? 100),
      stalledDiskTicks: ticks(limits.stalledDiskMs ?? 5000),
      windowBytes,
    },
    log: {
      segmentThresholdBytes: limits.segmentThresholdBytes ?? 4 * KIB,
      segmentBytes: limits.segmentBytes ?? 64 * MIB,
      crowdedAboveGroups: limits.crowdedAboveGroups ?? 4,
      sharedThresholdBytes: limits.sharedThresholdBytes ?? KIB,
      sharedSegmentBytes: limits.sharedSegmentBytes ?? 16 * MIB,
      sharedBytes: limits.sharedBytes ?? 1024 * MIB,
      tailBytes: Math.min(MIB, Math.floor(windowBytes / 4)),
    },
    windows: {
      perReplicaBytes: windowBytes,
      perNodeBytes: limits.windowBytesPerNode ?? 16 * MIB,
    },
    records: {
      ...LIMITS,
      maxRecordBytes: limits.maxRecordBytes ?? LIMITS.maxRecordBytes,
      maxBatchBytes: limits.maxBatchBytes ?? LIMITS.maxBatchBytes,
    },
    metadata: {
      maxPartitionsPerTopic: limits.maxPartitionsPerTopic ?? 1024,
      maxTopics: 10_000,
      maxReplicasPerNode: limits.maxReplicasPerNode ?? 10_000,
    },
    partition: {
      maxEntryBytes: MIB,
      maxPendingBytes: limits.maxInflightBytesPerPartition ?? 64 * MIB,
    },
    dataReplica: {
      saveStateEntries: limits.saveStateEntries ?? 2000,
      saveStateBytes: 16 * MIB,
      compactEntries: undefined,
      maxUnsyncedEntries: 1,
    },
    metadataReplica: {
      saveStateEntries: limits.metadataCompactEntries ?? 1000,
      saveStateBytes: 4 * MIB,
      compactEntries: limits.metadataCompactEntries ?? 1000,
      maxUnsyncedEntries: 8,
    },
    maxInflightBytesPerConnection: limits.maxInflightBytesPerConnection ?? 16 * MIB,
    maxInflightBytesPerNode: limits.maxInflightBytesPerNode ?? 256 * MIB,
    maxOpenStreams: limits.maxOpenStreams ?? 4096,
    shutdownMs: limits.shutdownMs ?? 5000,
    appendTimeoutMs: limits.appendTimeoutMs ?? 30_000,
  }
}
