import { StoreLockedError } from '../../../src/env/index.ts'
import type { KeyRange, KeyValue, Store, StoreOperation } from '../../../src/env/index.ts'
import type { RandomStream } from '../../core/random.ts'
import type { Life } from '../life.ts'
import { errorOf, type SimDrive } from './drive.ts'

/** A copy that nobody else has. Keys are held as latin1, which sorts as bytes do. */
export interface StoredOperation {
  readonly key: string
  /** Undefined: deleted. */
  readonly value: Uint8Array | undefined
}

interface Batch {
  readonly operations: readonly StoredOperation[]
  readonly sync: boolean
  /** Which write-ahead file it lies in. */
  walFile: number
  durable: boolean
  /** Its durability was told. */
  told: boolean
}

interface PendingWrite {
  readonly batch: Batch
  readonly settle: (error: Error | undefined) => void
}

/** LevelDB starts another write-ahead file here, without syncing the old one; small, so that it happens in a run. */
const WAL_FILE_BYTES = 64 * 1024
/** clear() deletes so many keys at a time. */
const CLEAR_KEYS = 100

/** A batch that is only in LevelDB's log yet, and what its keys had before. */
interface Logged {
  readonly operations: readonly StoredOperation[]
  readonly before: Map<string, Uint8Array | undefined>
}

/** Records of the log that may still get lost. */
const MOST_LOGGED = 16

/** What a LevelDB directory holds: what readers see, and of that what would outlive a power cut. */
export class StoreContent {
  readonly #drive: SimDrive
  openedBy: Life | undefined
  #live = new Map<string, Uint8Array>()
  readonly #durable = new Map<string, Uint8Array>()
  /** Applied, in order, from the first batch that isn't durable on. */
  #journal: Batch[] = []
  /** Asked for and not done, in order: LevelDB has one writer at a time. */
  #pending: PendingWrite[] = []
  #writing = false
  #walFile = 1
  #walBytes = 0
  #failure: Error | undefined
  /** Failed: what the file system kept of it shows at the next start. */
  #doubtful: Batch | undefined

  /** Oldest first. */
  #logged: Logged[] = []

  constructor(drive: SimDrive) {
    this.#drive = drive
  }

  get(key: string): Uint8Array | undefined {
    return this.#live.get(key)
  }

  /** What a power cut would leave for sure. */
  durable(key: string): Uint8Array | undefined {
    return this.#durable.get(key)
  }

  get durableSize(): number {
    return this.#durable.size
  }

  get isWriting(): boolean {
    return this.#pending.length > 0
  }

  range(gte: string, lt: string): string[] {
    const keys: string[] = []
    for (const key of this.#live.keys()) if (key >= gte && key < lt) keys.push(key)
    return keys.sort()
  }

  write(life: Life, operations: readonly StoredOperation[], sync: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const batch: Batch = { operations, sync, walFile: 0, durable: false, told: false }
      const settle = (error: Error | undefined): void => (error === undefined ? resolve() : reject(error))
      this.#pending.push({ batch, settle })
      this.#writeNext(life)
    })
  }

  #writeNext(life: Life): void {
    const next = this.#pending[0]
    if (next === undefined || this.#writing) return
    this.#writing = true
    const delayUs = this.#failure === undefined ? this.#drive.delayUs(next.batch.sync) : 1
    life.after(delayUs, () => {
      this.#writing = false
      this.#pending.shift()
      this.#end(next)
      this.#writeNext(life)
    })
  }

  #end({ batch, settle }: PendingWrite): void {
    if (this.#failure === undefined) {
      const failure = this.#drive.takeFailure('batch')
      if (failure !== undefined) {
        this.#failure = errorOf(failure, 'LevelDB write')
        if (failure === 'io-error') this.#doubtful = batch
      }
    }
    if (this.#failure !== undefined) {
      settle(this.#failure)
      return
    }
    this.#apply(batch)
    settle(undefined)
  }

  #apply(batch: Batch): void {
    this.#addToWal(batch)
    const before = new Map(batch.operations.map(({ key }) => [key, this.#live.get(key)]))
    this.#logged.push({ operations: batch.operations, before })
    if (this.#logged.length > MOST_LOGGED) this.#logged.shift()
    for (const { key, value } of batch.operations) {
      if (value === undefined) this.#live.delete(key)
      else this.#live.set(key, value)
    }
    this.#journal.push(batch)
    if (!batch.sync) return
    // fsync covers the file that the batch lies in, and no older one.
    for (const other of this.#journal) if (other.walFile === batch.walFile) other.durable = true
    this.#foldDurable()
  }

  #addToWal(batch: Batch): void {
    let bytes = 12
    for (const { key, value } of batch.operations) bytes += key.length + (value?.length ?? 0) + 8
    if (this.#walBytes > WAL_FILE_BYTES) {
      // The memtable of the file before the last one has become a synced table by now.
      for (const other of this.#journal) if (other.walFile < this.#walFile) other.durable = true
      this.#foldDurable()
      this.#walFile++
      this.#walBytes = 0
    }
    this.#walBytes += bytes
    batch.walFile = this.#walFile
  }

  #foldDurable(): void {
    for (const batch of this.#journal) {
      if (!batch.durable || batch.told) continue
      batch.told = true
      this.#drive.events.onDurable(batch.operations)
    }
    // An older file may lack its end while a newer one is synced, so the order is kept until all before is.
    let count = 0
    for (const { durable, operations } of this.#journal) {
      if (!durable) break
      count++
      for (const { key, value } of operations) {
        if (value === undefined) this.#durable.delete(key)
        else this.#durable.set(key, value)
      }
    }
    if (count > 0) this.#journal = this.#journal.slice(count)
  }

  /** Of what was under way, a prefix is there: a process is killed between two system calls. */
  processEnded(): void {
    const pending = this.#pending
    this.#pending = []
    this.#writing = false
    const kept = this.#drive.random.below(pending.length + 1)
    if (this.#failure === undefined) {
      for (const { batch } of pending.slice(0, kept)) this.#apply({ ...batch, sync: false })
    } else if (this.#doubtful !== undefined && this.#drive.random.chance(500)) {
      this.#apply({ ...this.#doubtful, sync: false })
    }
    this.#failure = undefined
    this.#doubtful = undefined
    this.openedBy = undefined
  }

  /** Each write-ahead file keeps its records up to some place; what was synced lies before it. */
  powerLost(): void {
    const journal = this.#journal
    this.#journal = []
    this.#live = new Map(this.#durable)
    const keptOf = new Map<number, number>()
    for (const walFile of new Set(journal.map((batch) => batch.walFile))) {
      const unsynced = journal.filter((batch) => batch.walFile === walFile && !batch.durable).length
      keptOf.set(walFile, this.#drive.random.below(unsynced + 1))
    }
    for (const batch of journal) {
      if (!batch.durable) {
        const left = keptOf.get(batch.walFile) ?? 0
        keptOf.set(batch.walFile, left - 1)
        if (left <= 0) {
          this.#drive.events.onLost('unsynced-batch')
          continue
        }
      }
      this.#apply({ ...batch, sync: true })
    }
  }

  /**
   * A record of the log is broken: LevelDB's recovery skips it and says nothing. One that has others after it, or nobody
   * could know that it was there. False: there is none that `mayGo`.
   */
  loseRecord(random: RandomStream, mayGo: (operations: readonly StoredOperation[]) => boolean): boolean {
    // What isn't synced may get lost in other ways.
    if (this.#journal.length > 0) return false
    const last = this.#logged.findLastIndex(({ operations }) => mayGo(operations))
    const choice = this.#logged.filter(({ operations }, at) => at < last && mayGo(operations))
    if (choice.length === 0) return false
    const lost = random.pick(choice)
    const at = this.#logged.indexOf(lost)
    for (const [key, value] of lost.before) {
      const later = this.#logged.slice(at + 1).find(({ before }) => before.has(key))
      if (later !== undefined) later.before.set(key, value)
      else this.#put(key, value)
    }
    this.#logged.splice(at, 1)
    return true
  }

  #put(key: string, value: Uint8Array | undefined): void {
    for (const content of [this.#live, this.#durable]) {
      if (value === undefined) content.delete(key)
      else content.set(key, value)
    }
  }

  /** Opening turns the write-ahead files into synced tables. */
  opened(life: Life): void {
    this.#logged = []
    this.openedBy = life
    for (const batch of this.#journal) batch.durable = true
    this.#foldDurable()
  }

  closed(): void {
    this.openedBy = undefined
  }
}

export async function openSimStore(drive: SimDrive, life: Life, directory: string): Promise<Store> {
  await new Promise<void>((resolve) => life.after(drive.delayUs(true), resolve))
  const content = drive.storeContent(directory)
  if (content.openedBy?.isAlive === true) throw new StoreLockedError(directory)
  const failure = drive.takeFailure('batch')
  if (failure !== undefined) throw errorOf(failure, `opening ${directory}`)
  content.opened(life)
  return new SimStore(content, drive, life)
}

class SimStore implements Store {
  readonly #content: StoreContent
  readonly #drive: SimDrive
  readonly #life: Life
  #closed = false

  constructor(content: StoreContent, drive: SimDrive, life: Life) {
    this.#content = content
    this.#drive = drive
    this.#life = life
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#refuseClosed()
    const name = nameOf(key)
    await this.#delay()
    const value = this.#content.get(name)
    return value === undefined ? undefined : this.#drive.read(copyOf(value))
  }

  async batch(operations: readonly StoreOperation[], options: { readonly sync: boolean }): Promise<void> {
    this.#refuseClosed()
    if (operations.length === 0) return
    const copies = operations.map((operation): StoredOperation => ({
      key: nameOf(operation.key),
      value: operation.type === 'put' ? copyOf(operation.value) : undefined,
    }))
    await this.#content.write(this.#life, copies, options.sync)
  }

  async *iterate(range: KeyRange): AsyncIterable<KeyValue> {
    this.#refuseClosed()
    const { limit = Infinity, reverse = false } = range
    if (limit <= 0) return
    const names = this.#content.range(nameOf(range.gte), nameOf(range.lt))
    if (reverse) names.reverse()
    if (names.length > limit) names.length = limit
    // What it began with, whatever is written meanwhile.
    const pairs = names.map((name) => [name, this.#content.get(name)!] as const)
    await this.#delay()
    let read = 0
    for (const [name, value] of pairs) {
      if (++read % 1000 === 0) await this.#delay()
      yield [bytesOf(name), this.#drive.read(copyOf(value))]
    }
  }

  async compact(): Promise<void> {
    this.#refuseClosed()
    await this.#delay()
  }

  async clear(range: { readonly gte: Uint8Array; readonly lt: Uint8Array }): Promise<void> {
    this.#refuseClosed()
    const names = this.#content.range(nameOf(range.gte), nameOf(range.lt))
    for (let at = 0; at < names.length; at += CLEAR_KEYS) {
      const operations = names.slice(at, at + CLEAR_KEYS).map((key) => ({ key, value: undefined }))
      await this.#content.write(this.#life, operations, false)
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#delay()
    this.#content.closed()
  }

  #delay(): Promise<void> {
    return new Promise((resolve) => this.#life.after(this.#drive.delayUs(false), resolve))
  }

  #refuseClosed(): void {
    if (this.#closed) throw new Error('the store is closed')
  }
}

export function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')
}

export function bytesOf(name: string): Uint8Array {
  return Uint8Array.from(Buffer.from(name, 'latin1'))
}

/** slice() would not do: that of a Buffer shares its bytes. */
function copyOf(value: Uint8Array): Uint8Array {
  return new Uint8Array(value)
}
