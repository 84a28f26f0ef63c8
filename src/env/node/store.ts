import { Level } from 'level'
import type { KeyRange, KeyValue, Store, StoreOperation } from '../disk.ts'
import { StoreDamagedError, StoreLockedError } from '../disk.ts'
import { findLevelDamage } from './level-files.ts'

/** `level` is classic-level in Node.js, which can do more than what `level` declares for all platforms. */
type Database = Level<Uint8Array, Uint8Array> & {
  compactRange(start: Uint8Array, end: Uint8Array): Promise<void>
}

/** LevelDB's memtable and write-ahead log; two of them may be in memory at a time. */
const writeBufferBytes = 8 * 1024 * 1024
/** Cache of uncompressed table blocks. */
const cacheBytes = 8 * 1024 * 1024
/** One crossing into LevelDB brings at most about so many bytes, and so many pairs: few at first, for most reads want few. */
const chunkBytes = 128 * 1024
const firstChunkPairs = 16
const mostChunkPairs = 1000
/** Above these, opening the database takes longer than what they save (LevelDB's own default for files). */
const maxOpenFiles = 1000

export async function openLevelStore(directory: string): Promise<Store> {
  await refuseDamaged(directory)
  const database = new Level<Uint8Array, Uint8Array>(directory, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    // Payloads mostly come compressed by producers, and the rest isn't worth the turn's time.
    compression: false,
    writeBufferSize: writeBufferBytes,
    cacheSize: cacheBytes,
    maxOpenFiles,
  }) as Database
  try {
    await database.open()
  } catch (error) {
    if (isLocked(error)) throw new StoreLockedError(directory, { cause: error })
    throw new Error(`the LevelDB store in ${directory} can't be opened: ${rootMessage(error)}`, {
      cause: error,
    })
  }
  return new LevelStore(database)
}

/** Before LevelDB sees the files, for it deletes those that it doesn't know. */
async function refuseDamaged(directory: string): Promise<void> {
  if ((await findLevelDamage(directory)) === undefined) return
  // A process that has the store open changes its files while they are read; a second look tells that from damage.
  const damage = await findLevelDamage(directory)
  if (damage !== undefined) throw new StoreDamagedError(directory, damage)
}

class LevelStore implements Store {
  readonly #database: Database
  #failure: unknown

  constructor(database: Database) {
    this.#database = database
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#database.get(key)
  }

  async batch(operations: readonly StoreOperation[], options: { readonly sync: boolean }): Promise<void> {
    if (operations.length === 0) return
    await this.#write(() => {
      // The array form of batch() costs 6 µs of the main thread for each operation, this form 0.5 µs.
      const batch = this.#database.batch()
      for (const operation of operations) {
        if (operation.type === 'put') batch.put(operation.key, operation.value)
        else batch.del(operation.key)
      }
      return batch.write({ sync: options.sync })
    })
  }

  async *iterate(range: KeyRange): AsyncIterable<KeyValue> {
    const { gte, lt, reverse = false, limit = Infinity } = range
    if (limit <= 0) return
    const iterator = this.#database.iterator({ gte, lt, reverse, highWaterMarkBytes: chunkBytes })
    try {
      let left = limit
      for (let pairs = firstChunkPairs; left > 0; pairs = Math.min(4 * pairs, mostChunkPairs)) {
        const chunk = await iterator.nextv(Math.min(left, pairs))
        if (chunk.length === 0) return
        left -= chunk.length
        yield* chunk
      }
    } finally {
      await iterator.close()
    }
  }

  async clear(range: { readonly gte: Uint8Array; readonly lt: Uint8Array }): Promise<void> {
    await this.#write(() => this.#database.clear({ gte: range.gte, lt: range.lt }))
  }

  async compact(range: { readonly gte: Uint8Array; readonly lt: Uint8Array }): Promise<void> {
    await this.#database.compactRange(range.gte, range.lt)
  }

  async close(): Promise<void> {
    await this.#database.close()
  }

  /** LevelDB latches a failed sync but not every failed write; a retry past either could leave a hole, so both are final. */
  async #write(run: () => Promise<void>): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    try {
      await run()
    } catch (error) {
      this.#failure ??= error
      throw error
    }
  }
}

function isLocked(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && at.code === 'LEVEL_LOCKED') return true
  }
  return false
}

function rootMessage(error: unknown): string {
  let at = error
  while (at instanceof Error && at.cause !== undefined) at = at.cause
  return at instanceof Error ? at.message : String(at)
}
