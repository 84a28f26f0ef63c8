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
