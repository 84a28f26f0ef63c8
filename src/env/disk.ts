/** A node's disk: an ordered key-value store (LevelDB) and plain files. */
export interface Disk {
  /**
   * Opens or creates the store in `directory`. Throws StoreLockedError where another process has it open, StoreDamagedError
   * where its own files aren't what was written.
   */
  openStore(directory: string): Promise<Store>
  readonly files: Files
}

export type StoreOperation =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: Uint8Array }

export interface KeyRange {
  readonly gte: Uint8Array
  readonly lt: Uint8Array
  readonly reverse?: boolean
  /** The most pairs to return; default all. */
  readonly limit?: number
}

export type KeyValue = readonly [key: Uint8Array, value: Uint8Array]

/**
 * LevelDB as the code sees it. Keys are ordered by their bytes. A batch is atomic. With `sync` it is on stable
 * storage when the promise resolves, and so is every synced batch before it; an unsynced batch may be lost, alone,
 * even where a later one isn't. A failed write is final: every later write fails too.
 */
export interface Store {
  get(key: Uint8Array): Promise<Uint8Array | undefined>
  batch(operations: readonly StoreOperation[], options: { readonly sync: boolean }): Promise<void>
  /** Pairs in a range, read in chunks of a bounded number of bytes. */
  iterate(range: KeyRange): AsyncIterable<KeyValue>
  /** Deletes a range, in bounded batches; not atomic. */
  clear(range: { readonly gte: Uint8Array; readonly lt: Uint8Array }): Promise<void>
  /** Gives the space of what was deleted in a range back to the file system. May take long; other calls go on. */
  compact(range: { readonly gte: Uint8Array; readonly lt: Uint8Array }): Promise<void>
  close(): Promise<void>
}

export interface Files {
  makeDirectory(path: string): Promise<void>
  /** Names in a directory, sorted; empty where it doesn't exist. */
  list(path: string): Promise<string[]>
  /** Opens for reading and writing, creating it where it isn't there. */
  open(path: string): Promise<File>
  /** Removes a file; no error where it isn't there. */
  remove(path: string): Promise<void>
  /** Removes a directory and all in it; no error where it isn't there. */
  removeDirectory(path: string): Promise<void>
  /** Gives a file or directory another name in the same folder tree. What stands under `to` is replaced where it's a file. */
  rename(from: string, to: string): Promise<void>
  /** Makes created and removed names in the directory durable. */
  syncDirectory(path: string): Promise<void>
}

/** Disks write whole blocks of at most so many bytes. */
export const BLOCK_BYTES = 4096

/**
 * Who will read the same bytes of a file: many, as consumers do (the default), so that a copy in the system's cache is worth its
 * cost; or one alone, as a follower that catches up.
 */
export type Readers = 'many' | 'one'

export interface File {
  sizeBytes(): Promise<number>
  /**
   * Writes the chunks one after the other from `position` on, all of them. Where position and length are whole blocks,
   * they may go to the disk past the system's cache, which costs less.
   */
  write(chunks: readonly Uint8Array[], position: number): Promise<void>
  /** What was written before is on stable storage when it resolves (fdatasync). */
  sync(): Promise<void>
  /** `length` bytes, or fewer at the end of the file. */
  read(position: number, length: number, readers?: Readers): Promise<Uint8Array>
  truncate(length: number): Promise<void>
  close(): Promise<void>
}

export class StoreLockedError extends Error {
  override readonly name = 'StoreLockedError'
  readonly directory: string
  constructor(directory: string, options?: ErrorOptions) {
    super(
      `the data folder ${directory} is in use by another process; stop it, or choose another folder with --data`,
      options,
    )
    this.directory = directory
  }
}

/** The store's own files aren't what was written. It wasn't opened and nothing was changed. */
export class StoreDamagedError extends Error {
  override readonly name = 'StoreDamagedError'
  readonly directory: string
  constructor(directory: string, detail: string) {
    super(
      `the LevelDB store in ${directory} is damaged: ${detail}; nothing was changed: move the node's data folder away and ` +
        'let the node come back from the others, or put the file back from a copy',
    )
    this.directory = directory
  }
}
