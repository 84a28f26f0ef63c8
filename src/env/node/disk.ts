import { constants } from 'node:fs'
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import type { Disk, File, Files, Readers } from '../disk.ts'
import { directReader, type DirectReader } from './direct-reader.ts'
import { directWriter, type DirectWriter } from './direct-writer.ts'
import { openLevelStore } from './store.ts'

/** LevelDB (through `level`) and the file system. */
export function nodeDisk(): Disk {
  return { openStore: openLevelStore, files: nodeFiles }
}

export const nodeFiles: Files = {
  async makeDirectory(path) {
    await mkdir(path, { recursive: true })
  },
  async list(path) {
    try {
      return (await readdir(path)).sort()
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return []
      throw error
    }
  },
  async open(path) {
    const handle = await open(path, constants.O_RDWR | constants.O_CREAT, 0o644)
    return new NodeFile(handle, directWriter(path), directReader(handle))
  },
  async remove(path) {
    await rm(path, { force: true })
  },
  async removeDirectory(path) {
    await rm(path, { force: true, recursive: true })
  },
  async rename(from, to) {
    await rename(from, to)
  },
  async syncDirectory(path) {
    const handle = await open(path, constants.O_RDONLY)
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
}

export class NodeFile implements File {
  readonly #handle: FileHandle
  readonly #direct: DirectWriter | undefined
  readonly #directReader: DirectReader | undefined
  /** Something may not be on stable storage: what went through the page cache, or came from another process. */
  #isUnsynced = true

  constructor(handle: FileHandle, direct?: DirectWriter, directReader?: DirectReader) {
    this.#handle = handle
    this.#direct = direct
    this.#directReader = directReader
  }

  async sizeBytes(): Promise<number> {
    return (await this.#handle.stat()).size
  }

  async write(chunks: readonly Uint8Array[], position: number): Promise<void> {
    const past = (await this.#direct?.write(chunks, position)) ?? 0
    const rest = withoutBytes(chunks, past).filter((chunk) => chunk.length > 0)
    if (rest.length === 0) return
    try {
      await this.#writeCached(rest, position + past)
    } finally {
      this.#isUnsynced = true
    }
  }

  async #writeCached(chunks: readonly Uint8Array[], position: number): Promise<void> {
    let rest = chunks
    for (let at = position; rest.length > 0;) {
      const { bytesWritten } = await this.#handle.writev(rest, at)
      if (bytesWritten === 0) throw new Error(`a write at position ${at} wrote no byte; is the disk full?`)
      at += bytesWritten
      rest = withoutBytes(rest, bytesWritten)
    }
  }

  /** Nothing is left to do where all was written past the page cache. */
  async sync(): Promise<void> {
    if (!this.#isUnsynced) return
    // Before it begins: what is written meanwhile may be missing in it.
    this.#isUnsynced = false
    try {
      await this.#handle.datasync()
    } catch (error) {
      this.#isUnsynced = true
      throw error
    }
  }

  async read(position: number, length: number, readers: Readers = 'many'): Promise<Uint8Array> {
    const past = readers === 'one' ? await this.#directReader?.read(position, length) : undefined
    if (past !== undefined) return past
    const bytes = Buffer.allocUnsafeSlow(length)
    let filled = 0
    while (filled < length) {
      const { bytesRead } = await this.#handle.read(bytes, filled, length - filled, position + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    return bytes.subarray(0, filled)
  }

  async truncate(length: number): Promise<void> {
    try {
      await this.#handle.truncate(length)
    } finally {
      this.#isUnsynced = true
    }
  }

  async close(): Promise<void> {
    try {
      await Promise.all([this.#direct?.close(), this.#directReader?.close()])
    } finally {
      await this.#handle.close()
    }
  }
}

/** What is left of the chunks after a write of `count` bytes, which may end inside a chunk. */
export function withoutBytes(chunks: readonly Uint8Array[], count: number): Uint8Array[] {
  let left = count
  for (let i = 0; i < chunks.length; i++) {
    const chunk = chunks[i]!
    if (left < chunk.length) return [chunk.subarray(left), ...chunks.slice(i + 1)]
    left -= chunk.length
  }
  return []
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
