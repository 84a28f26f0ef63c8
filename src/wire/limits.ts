/** The bounds of what is appended. Servers refuse what exceeds them, clients before they send it. */
export interface RecordLimits {
  /** Of one encoded record, without its own tag and length. */
  readonly maxRecordBytes: number
  readonly maxKeyBytes: number
  /** Names and values of a record's headers together. */
  readonly maxHeadersBytes: number
  /** Of one encoded record set. */
  readonly maxBatchBytes: number
  readonly maxBatchRecords: number
}

/** What consumer groups are bound by. Part of what replicas agree on, so not settings. */
export const GROUP_LIMITS = {
  maxGroups: 10_000,
  maxMembersPerGroup: 1000,
  /** Topics and partitions that a member names. */
  maxTopicsPerMember: 1000,
  /** Groups of which a partition keeps offsets. */
  maxGroupsPerPartition: 1000,
  minSessionTimeoutMs: 1000,
  maxSessionTimeoutMs: 30 * 60 * 1000,
  defaultSessionTimeoutMs: 10_000,
  maxRevokeTimeoutMs: 30 * 60 * 1000,
  defaultRevokeTimeoutMs: 30_000,
  maxWeight: 1000,
  /** Of a grant, and of what is open in all. */
  maxCreditRecords: 1_000_000,
  maxCreditBytes: 256 * 1024 * 1024,
  /** Positions of one commit. */
  maxPositions: 10_000,
  /** Members whose leases are renewed by one call. */
  maxHeartbeatMembers: 10_000,
  maxFetchWaitMs: 60_000,
  defaultFetch: { minBytes: 1, maxBytes: 10_000_000, maxWaitMs: 1000, maxRecords: 10_000 },
} as const

export const LIMITS = {
  maxRecordBytes: 1024 * 1024,
  maxKeyBytes: 64 * 1024,
  maxHeadersBytes: 64 * 1024,
  maxBatchBytes: 4 * 1024 * 1024,
  maxBatchRecords: 100_000,
  /** Of a topic's or node's name, in characters. */
  maxNameLength: 249,
  maxProducerIdBytes: 64,
} as const satisfies RecordLimits & Record<string, number>
