import type { LogIndex } from '../raft/types.ts'
import type { GroupId } from './types.ts'

/** A write or a sync failed. Final: the storage takes nothing more, and the node must step down from everything. */
export class StorageFailedError extends Error {
  override readonly name = 'StorageFailedError'
  constructor(cause: unknown) {
    super(
      `the node's storage failed and takes no more writes: ${cause instanceof Error ? cause.message : String(cause)}; ` +
        'look at the disk, then restart the node',
      { cause },
    )
  }
}

/** Entries below the log's low end were asked for. */
export class EntriesCompactedError extends Error {
  override readonly name = 'EntriesCompactedError'
  readonly groupId: GroupId
  readonly from: LogIndex
  /** The log now starts after this. */
  readonly lowEnd: LogIndex
  constructor(groupId: GroupId, from: LogIndex, lowEnd: LogIndex) {
    super(
      `group ${groupId}: entry ${from} was asked for, but the log starts at ${lowEnd + 1}; ` +
        "take the snapshot at the log's low end instead",
    )
    this.groupId = groupId
    this.from = from
    this.lowEnd = lowEnd
  }
}

/** Stored bytes aren't what was written. */
export class DamagedEntryError extends Error {
  override readonly name = 'DamagedEntryError'
  readonly groupId: GroupId
  readonly index: LogIndex
  /** The segment file that holds the payload, as messages name it; undefined where it's in LevelDB. */
  readonly segment: string | undefined
  constructor(
    groupId: GroupId,
    index: LogIndex,
    segment: string | undefined,
    detail: string,
    options?: ErrorOptions,
  ) {
    const place = segment === undefined ? '' : ` in ${segment}`
    super(`group ${groupId}: entry ${index}${place} is damaged: ${detail}`, options)
    this.groupId = groupId
    this.index = index
    this.segment = segment
  }
}

/** The data folder isn't one that this node may use. The message has both values, the rule and the way out. */
export class FolderMismatchError extends Error {
  override readonly name = 'FolderMismatchError'
  readonly directory: string
  constructor(directory: string, detail: string) {
    super(`the data folder ${directory} ${detail}`)
    this.directory = directory
  }
}

/** Something that concerns the whole data folder isn't what was written. Nothing was changed. */
export class FolderDamagedError extends Error {
  override readonly name = 'FolderDamagedError'
  readonly directory: string
  constructor(directory: string, detail: string) {
    super(`the data folder ${directory} ${detail}`)
    this.directory = directory
  }
}

/** Bytes that aren't what they should be: cut short, of an unknown version, or with a wrong checksum. */
export class MalformedBytesError extends Error {
  override readonly name = 'MalformedBytesError'
}
