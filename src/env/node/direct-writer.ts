import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { BLOCK_BYTES } from '../disk.ts'
import { DirectStages, isDirectRefusal } from './direct-stages.ts'

/** libuv has four threads for files, so more writes than that aren't under way at once. */
const STAGES = 4
const sharedStages = new DirectStages(STAGES)

/** What a writer needs of a file that was opened with O_DIRECT. */
export interface DirectHandle {
  write(
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesWritten: number }>
  close(): Promise<void>
}

/**
 * Writes whole blocks past the page cache (O_DIRECT of open(2)). What a log appends is read from memory by all who keep up,
 * so a copy in the page cache serves few, and it costs: the copy itself, the pages, and on a virtual machine whose host
 * takes free memory back, 3 s of CPU a gigabyte for pages that it has to find first (docs/performance.md).
 *
 * What it has written is on stable storage (O_DSYNC): a write and a sync of its own would be two trips to libuv's threads,
 * and on a virtual machine waking one of them costs more than all that the main thread has to do for a small turn.
 */
export class DirectWriter {
  readonly #open: () => Promise<DirectHandle>
  readonly #stages: DirectStages
  #opening: Promise<DirectHandle | undefined> | undefined
  /** The file system doesn't do it, or the memory isn't as it wants it. */
  #refused = false

  constructor(open: () => Promise<DirectHandle>, stages: DirectStages = sharedStages) {
    this.#open = open
    this.#stages = stages
  }

  /** Returns how many of the bytes it has made durable, from the first one on: where it can't, none, and whoever asks has to. */
  async write(chunks: readonly Uint8Array[], position: number): Promise<number> {
    const total = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    if (this.#refused || total === 0 || position % BLOCK_BYTES !== 0 || total % BLOCK_BYTES !== 0) return 0
    const handle = await (this.#opening ??= this.#begin())
    if (handle === undefined) return 0
    const stage = await this.#stages.take()
    try {
      return await this.#writeThrough(handle, stage, chunks, total, position)
    } finally {
      this.#stages.giveBack(stage)
    }
  }

  async #writeThrough(
    handle: DirectHandle,
    stage: Uint8Array,
    chunks: readonly Uint8Array[],
    total: number,
    position: number,
  ): Promise<number> {
    const source = new ChunkSource(chunks)
    let done = 0
    while (done < total) {
      const length = source.copyTo(stage)
      const written = await this.#writeOnce(handle, stage, length, position + done)
      done += written
      // The rest needn't begin on a block any more.
      if (written < length) break
    }
    return done
  }

  async #writeOnce(
    handle: DirectHandle,
    stage: Uint8Array,
    length: number,
    position: number,
  ): Promise<number> {
    try {
      return (await handle.write(stage, 0, length, position)).bytesWritten
    } catch (error) {
      if (!isDirectRefusal(error)) throw error
      this.#refused = true
      return 0
    }
  }

  async close(): Promise<void> {
    this.#refused = true
    // Where it could not be opened, a write has told.
    await (await this.#opening?.catch(() => undefined))?.close()
  }

  async #begin(): Promise<DirectHandle | undefined> {
    try {
      return await this.#open()
    } catch (error) {
      if (!isDirectRefusal(error)) throw error
      this.#refused = true
      return undefined
    }
  }
}

/** For a file that is there. */
export function directWriter(path: string): DirectWriter | undefined {
  // Not a word of every system's.
  const flag: number | undefined = constants.O_DIRECT
  if (flag === undefined) return undefined
  return new DirectWriter(() => open(path, constants.O_WRONLY | constants.O_DSYNC | flag))
}

/** Takes bytes out of chunks as if they were one. */
class ChunkSource {
  readonly #chunks: readonly Uint8Array[]
  #next = 0
  #offset = 0

  constructor(chunks: readonly Uint8Array[]) {
    this.#chunks = chunks
  }

  /** Fills `target` as far as there is something left, and returns how far. */
  copyTo(target: Uint8Array): number {
    let filled = 0
    while (filled < target.length && this.#next < this.#chunks.length) {
      const chunk = this.#chunks[this.#next]!
      const count = Math.min(chunk.length - this.#offset, target.length - filled)
      target.set(chunk.subarray(this.#offset, this.#offset + count), filled)
      filled += count
      this.#offset += count
      if (this.#offset < chunk.length) break
      this.#next += 1
      this.#offset = 0
    }
    return filled
  }
}
