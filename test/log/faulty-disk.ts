import type { Disk, File, Files, Store, StoreOperation } from '../../src/env/index.ts'

/** What a test may do to a disk. Each is asked before the real thing happens; throwing makes the call fail. */
export interface Faults {
  beforeBatch?: (operations: readonly StoreOperation[], sync: boolean) => void
  beforeWrite?: (path: string, position: number, bytes: number) => void
  beforeSync?: (path: string) => void
  beforeRead?: (path: string) => void
  beforeRemove?: (path: string) => void
  beforeSyncDirectory?: (path: string) => void
  /** Operations of a batch that really reach the store. */
  keep?: (operation: StoreOperation) => boolean
  /** Awaited before each write, sync and batch: a disk that hangs. */
  stall?: () => Promise<void>
  /** Whether a write really reaches its file. */
  keepWrite?: (path: string) => boolean
}

/** A disk that fails where a test says. `faults` may be changed at any time. */
export function faultyDisk(disk: Disk, faults: Faults): Disk {
  return {
    async openStore(directory) {
      return faultyStore(await disk.openStore(directory), faults)
    },
    files: faultyFiles(disk.files, faults),
  }
}

function faultyStore(store: Store, faults: Faults): Store {
  return {
    get: (key) => store.get(key),
    iterate: (range) => store.iterate(range),
    clear: (range) => store.clear(range),
    compact: (range) => store.compact(range),
    close: () => store.close(),
    async batch(operations, options) {
      if (faults.stall !== undefined) await faults.stall()
      faults.beforeBatch?.(operations, options.sync)
      await store.batch(faults.keep === undefined ? operations : operations.filter(faults.keep), options)
    },
  }
}

function faultyFiles(files: Files, faults: Faults): Files {
  return {
    makeDirectory: (path) => files.makeDirectory(path),
    list: (path) => files.list(path),
    removeDirectory: (path) => files.removeDirectory(path),
    rename: (from, to) => files.rename(from, to),
    async open(path) {
      return faultyFile(await files.open(path), path, faults)
    },
    async remove(path) {
      faults.beforeRemove?.(path)
      await files.remove(path)
    },
    async syncDirectory(path) {
      faults.beforeSyncDirectory?.(path)
      await files.syncDirectory(path)
    },
  }
}

function faultyFile(file: File, path: string, faults: Faults): File {
  return {
    sizeBytes: () => file.sizeBytes(),
    truncate: (length) => file.truncate(length),
    close: () => file.close(),
    async write(chunks, position) {
      if (faults.stall !== undefined) await faults.stall()
      faults.beforeWrite?.(path, position, Buffer.concat(chunks).length)
      if (faults.keepWrite?.(path) === false) return
      await file.write(chunks, position)
    },
    async sync() {
      if (faults.stall !== undefined) await faults.stall()
      faults.beforeSync?.(path)
      await file.sync()
    },
    async read(position, length) {
      faults.beforeRead?.(path)
      return file.read(position, length)
    },
  }
}
