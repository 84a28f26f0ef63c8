import { crc32 } from 'node:zlib'
import type { Files } from '../../env/index.ts'
import { asGroupId, type GroupId } from '../../log/types.ts'

const NAME = 'lives'
const MOST_BYTES = 16 * 1024 * 1024

/**
 * Under which life of its disk this node takes part in a group; 0, as one of the group's founders, where nothing else is
 * known. Kept in a file of the data folder, on stable storage before the first thing is written under that life: what a
 * replica has been told by its group may be older than the life that it is in. docs/storage-format.md has the form.
 */
export class Lives {
  readonly #files: Files
  readonly #directory: string
  readonly #lives: Map<GroupId, number>
  #writing: Promise<void> = Promise.resolve()
  #closed = false

  private constructor(files: Files, directory: string, lives: Map<GroupId, number>) {
    this.#files = files
    this.#directory = directory
    this.#lives = lives
  }

  /** Throws where the file is there and isn't what was written. */
  static async open(files: Files, directory: string): Promise<Lives> {
    const names = await files.list(directory)
    if (!names.includes(NAME)) return new Lives(files, directory, new Map())
    const file = await files.open(`${directory}/${NAME}`)
    try {
      return new Lives(files, directory, decode(await file.read(0, MOST_BYTES), `${directory}/${NAME}`))
    } finally {
      await file.close()
    }
  }

  of(groupId: GroupId): number {
    return this.#lives.get(groupId) ?? 0
  }

  /** Resolves when the life is on stable storage; rejects after close(). A life never goes back. */
  raise(groupId: GroupId, life: number): Promise<void> {
    if (this.#closed) return Promise.reject(new Error(`the lives in ${this.#directory} are closed`))
    if (life > this.of(groupId)) {
      this.#lives.set(groupId, life)
      this.#writing = this.#writing.then(() => this.#write())
    }
    return this.#writing
  }

  /** Afterwards nothing is written any more: the folder may be another process's then. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#writing.catch(() => undefined)
  }

  async #write(): Promise<void> {
    const path = `${this.#directory}/${NAME}`
    const temporary = `${path}.new`
    await this.#files.remove(temporary)
    const file = await this.#files.open(temporary)
    try {
      await file.write([encode(this.#lives)], 0)
      await file.sync()
    } finally {
      await file.close()
    }
    await this.#files.rename(temporary, path)
    await this.#files.syncDirectory(this.#directory)
  }
}

function encode(lives: ReadonlyMap<GroupId, number>): Uint8Array {
  const text = JSON.stringify([...lives])
  return Buffer.from(`${crc32(text).toString(16).padStart(8, '0')}\n${text}\n`)
}

function decode(bytes: Uint8Array, path: string): Map<GroupId, number> {
  const [sum = '', text = ''] = Buffer.from(bytes).toString('utf8').split('\n')
  if (sum !== crc32(text).toString(16).padStart(8, '0')) {
    throw new Error(
      `${path} is damaged, so this node can't tell what it may vote for; move its data folder away and let it come back from the others`,
    )
  }
  const pairs = JSON.parse(text) as [number, number][]
  return new Map(pairs.map(([groupId, life]) => [asGroupId(groupId), life]))
}
