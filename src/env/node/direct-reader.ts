import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { BLOCK_BYTES } from '../disk.ts'
import { DirectStages, isDirectRefusal } from './direct-stages.ts'

/** For smaller reads the system's reading ahead is worth more. */
const LEAST_BYTES = 64 * 1024
/** Two: the next read may begin while the one before is copied. */
const STAGES = 2
const sharedStages = new DirectStages(STAGES)

/** What a reader needs of a file that was opened with O_DIRECT. */
export interface DirectReadHandle {
  read(
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>
  close(): Promise<void>
}

/**
 * Reads past the page cache (O_DIRECT of open(2)), for bytes that nobody else will read soon. Through the cache a gigabyte
 * costs a virtual machine 1.8 s of CPU where its host has to find each page first, in this way 0.1 to 0.5 (docs/performance.md).
 */
export class DirectReader {
  readonly #open: () => Promise<DirectReadHandle>
  readonly #stages: DirectStages
  #opening: Promise<DirectReadHandle | undefined> | undefined
  #refused = false

  constructor(open: () => Promise<DirectReadHandle>, stages: DirectStages = sharedStages) {
    this.#open = open
    this.#stages = stages
  }

  /** `length` bytes, or fewer at the end of the file; undefined where it can't, or where it isn't worth while. */
  async read(position: number, length: number): Promise<Uint8Array | undefined> {
    if (this.#refused || length < LEAST_BYTES) return undefined
    const handle = await (this.#opening ??= this.#begin())
    if (handle === undefined) return undefined
    const stage = await this.#stages.take()
    try {
      return await this.#readThrough(handle, stage, position, length)
    } catch (error) {
      if (!isDirectRefusal(error)) throw error
      this.#refused = true
      return undefined
    } finally {
      this.#stages.giveBack(stage)
    }
  }

  async #readThrough(
    handle: DirectReadHandle,
    stage: Uint8Array,
    position: number,
    length: number,
  ): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafeSlow(length)
    let filled = 0
    while (filled < length) {
      const at = position + filled
      const skipped = at % BLOCK_BYTES
      const wanted = Math.min(stage.length, wholeBlocks(skipped + length - filled))
      const { bytesRead } = await handle.read(stage, 0, wanted, at - skipped)
      const found = stage.subarray(skipped, Math.min(bytesRead, skipped + length - filled))
      bytes.set(found, filled)
      filled += found.length
      // The file's end. The system may bring less than was asked for before it, too.
      if (found.length === 0) break
    }
    return bytes.subarray(0, filled)
  }

  async close(): Promise<void> {
    this.#refused = true
    await (await this.#opening)?.close()
  }

  async #begin(): Promise<DirectReadHandle | undefined> {
    try {
      return await this.#open()
    } catch {
      // What is wrong with the file the read through the cache will tell.
      this.#refused = true
      return undefined
    }
  }
}

/** For a file that is open, whatever became of its name since: another file may have it. */
export function directReader({ fd }: { readonly fd: number }): DirectReader | undefined {
  // Not a word of every system's; those that have it have /proc, too, or the open fails and nothing is read in this way.
  const flag: number | undefined = constants.O_DIRECT
  if (flag === undefined) return undefined
  return new DirectReader(() => open(`/proc/self/fd/${fd}`, constants.O_RDONLY | flag))
}

function wholeBlocks(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES
}
