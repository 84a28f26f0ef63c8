import type { File, Files } from '../env/index.ts'
import { assert } from './assert.ts'
import { FolderDamagedError, MalformedBytesError } from './errors.ts'
import { decodeTurnNumber, encodeTurnNumber } from './records.ts'

export const durableTurnName = 'turn'

/** What the number's checksum covers besides it. */
const seal = new TextEncoder().encode(durableTurnName)
/** The number and its checksum; twice, so that a flipped bit costs one of them. */
const copyBytes = 12
const copies = 2

/**
 * DIRECTORY/turn: the newest turn that is known to have been durable as a whole. It stands outside of LevelDB so that it
 * outlives whatever LevelDB loses: a start whose store has fewer turns than this knows that something acknowledged is gone.
 */
export class DurableTurnFile {
  readonly #file: File
  readonly #directory: string
  /** The newest turn that was read or written here. */
  #newest = 0
  /** The copy that was found broken: a write of both was cut off, or a bit flipped. */
  #broken: number | undefined
  /** The file is new: it has no room for two copies, or had none when it was read. */
  #isShort = false

  private constructor(file: File, directory: string) {
    this.#file = file
    this.#directory = directory
  }

  static async open(files: Pick<Files, 'open'>, directory: string): Promise<DurableTurnFile> {
    return new DurableTurnFile(await files.open(`${directory}/${durableTurnName}`), directory)
  }

  /**
   * 0 where nothing was noted yet. Throws FolderDamagedError where the file holds something else: then nobody knows what
   * the store must have.
   */
  async read(): Promise<number> {
    const bytes = await this.#file.read(0, copies * copyBytes)
    // Where the file was new, a power cut may leave it empty or with zeros.
    if (bytes.every(isZero)) {
      this.#isShort = bytes.length < copies * copyBytes
      return 0
    }
    let newest: number | undefined
    for (let at = 0; at < bytes.length; at += copyBytes) {
      const turn = turnIn(bytes.subarray(at, at + copyBytes))
      if (turn === undefined) this.#broken = at
      else newest = Math.max(turn, newest ?? 0)
    }
    if (newest !== undefined) {
      this.#newest = Math.max(this.#newest, newest)
      return newest
    }
    throw new FolderDamagedError(
      this.#directory,
      `has a file ${durableTurnName} that isn't what the node wrote, so nobody can tell whether its store has all that it must ` +
        'have; put the file back, or move the folder away and let the node come back from the others',
    )
  }

  /** Before the first note: says in two copies that there is none yet, or a first one that is cut off would look like damage. */
  async prepare(): Promise<void> {
    assert(this.#newest === 0 || !this.#isShort, 'log.noted-short', () => `${this.#newest}`)
    if (this.#isShort) await this.#file.write([new Uint8Array(copies * copyBytes)], 0)
    this.#isShort = false
  }

  async write(turn: number, options: { readonly sync: boolean }): Promise<void> {
    assert(turn >= this.#newest, 'log.noted-turn-back', () => `${turn} after ${this.#newest}`)
    this.#newest = turn
    const copy = encodeTurnNumber(turn, seal)
    assert(copy.length === copyBytes, 'log.noted-turn-bytes', () => `${copy.length} bytes`)
    if (this.#broken !== undefined) {
      // Alone at first: a write of both that is cut off as well would break the copy that is whole.
      await this.#file.write([copy], this.#broken)
      this.#broken = undefined
    }
    await this.#file.write(Array<Uint8Array>(copies).fill(copy), 0)
    if (options.sync) await this.#file.sync()
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

const isZero = (byte: number): boolean => byte === 0

/** Undefined: this isn't a copy as it was written. */
function turnIn(bytes: Uint8Array): number | undefined {
  if (bytes.length === copyBytes && bytes.every(isZero)) return 0
  try {
    return decodeTurnNumber(bytes, seal)
  } catch (error) {
    if (error instanceof MalformedBytesError) return undefined
    throw error
  }
}
