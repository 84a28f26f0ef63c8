import type { File, Files, Logger } from '../env/index.ts'
import { MalformedBytesError } from './errors.ts'
import { decodeTurnNumber, encodeTurnNumber } from './records.ts'

export const durableTurnName = 'turn'

/** What the number's checksum covers besides it. */
const seal = new TextEncoder().encode(durableTurnName)
/** The number and its checksum. */
const recordBytes = 12

/**
 * DIRECTORY/turn: the newest turn that is known to have been durable as a whole. It stands outside of LevelDB so that it
 * outlives whatever LevelDB loses: a start whose store has fewer turns than this knows that something acknowledged is gone.
 */
export class DurableTurnFile {
  readonly #file: File

  private constructor(file: File) {
    this.#file = file
  }

  static async open(files: Files, directory: string): Promise<DurableTurnFile> {
    return new DurableTurnFile(await files.open(`${directory}/${durableTurnName}`))
  }

  /** 0 where nothing was noted yet, or where it can't be read: the last turn then counts as uncertain, which is safe. */
  async read(logger: Logger): Promise<number> {
    const bytes = await this.#file.read(0, recordBytes)
    if (bytes.length === 0) return 0
    try {
      return decodeTurnNumber(bytes, seal)
    } catch (error) {
      if (!(error instanceof MalformedBytesError)) throw error
      logger.warn({ err: error }, 'the note of the last durable turn is damaged and is left out of account')
      return 0
    }
  }

  async write(turn: number, options: { readonly sync: boolean }): Promise<void> {
    await this.#file.write([encodeTurnNumber(turn, seal)], 0)
    if (options.sync) await this.#file.sync()
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}
