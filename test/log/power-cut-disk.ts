import { mkdir, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Disk, File, Files, Store } from '../../src/env/index.ts'

interface Write {
  readonly position: number
  readonly bytes: Uint8Array
}

/** What stable storage has of a plain file, and what only the system's memory has. */
interface Content {
  durable: Buffer
  /** In the order of the calls. */
  unsynced: (Write | { readonly truncatedTo: number })[]
}

/**
 * A real disk whose power can be cut. It keeps account of what each sync covers: of LevelDB's write-ahead logs the bytes
 * that were there when a synced batch was acknowledged; of plain files the writes before a sync; of names those that were
 * there when their directory was synced. LevelDB syncs its tables and manifests itself before it uses them.
 */
export class PowerCutDisk implements Disk {
  readonly files: Files
  readonly #real: Disk
  readonly #root: string
  #isOff = false
  #storeDirectory = ''
  /** Bytes of each write-ahead log that were there at the end of a synced batch. */
  readonly #logBytes = new Map<string, number>()
  readonly #contents = new Map<string, Content>()
  readonly #names = new Set<string>()
  readonly #durableNames = new Set<string>()

  /** `root` may hold what an earlier life left: all of that is durable. */
  constructor(real: Disk, root: string) {
    this.#real = real
    this.#root = root
    this.files = this.#makeFiles(real.files)
  }

  /** From now on every call fails, as for a process that has no time left to notice. */
  cut(): void {
    this.#isOff = true
  }

  async openStore(directory: string): Promise<Store> {
    this.#refuseOff()
    this.#storeDirectory = directory
    const store = await this.#real.openStore(directory)
    // What recovery read it has put into a table, synced.
    await this.#noteLogs()
    const guarded = <T>(run: () => Promise<T>): Promise<T> => {
      this.#refuseOff()
      return run().then((value) => (this.#refuseOff(), value))
    }
    return {
      get: async (key) => guarded(() => store.get(key)),
      iterate: (range) => store.iterate(range),
      clear: async (range) => guarded(() => store.clear(range)),
      compact: async (range) => guarded(() => store.compact(range)),
      batch: async (operations, options) =>
        guarded(async () => {
          await store.batch(operations, options)
          if (options.sync && !this.#isOff) await this.#noteLogs()
        }),
      close: () => store.close(),
    }
  }

  /** Only the newest log is synced with a batch; of one that was rotated meanwhile the rest may be lost. */
  async #noteLogs(): Promise<void> {
    const logs = (await readdir(this.#storeDirectory)).filter((name) => name.endsWith('.log')).sort()
    const newest = logs.at(-1)
    if (newest === undefined) return
    const { size } = await stat(join(this.#storeDirectory, newest))
    this.#logBytes.set(newest, Math.max(size, this.#logBytes.get(newest) ?? 0))
  }

  /**
   * Replaces the folder, which nobody has open any more, by what a power cut leaves of it. `keep` says how many of so many
   * unsynced bytes at the end of a write-ahead log, or how many unsynced writes to a file, made it nevertheless.
   */
  async materialise(keep: (count: number) => number): Promise<void> {
    await this.#cutLogs(keep)
    for (const [path, content] of this.#contents) {
      if (!this.#durableNames.has(path)) {
        await rm(path, { force: true })
        continue
      }
      const kept = content.unsynced.slice(0, keep(content.unsynced.length))
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, kept.reduce(applied, content.durable))
    }
  }

  async #cutLogs(keep: (count: number) => number): Promise<void> {
    if (this.#storeDirectory === '') return
    for (const name of await readdir(this.#storeDirectory)) {
      const path = join(this.#storeDirectory, name)
      if (!name.endsWith('.log')) continue
      const { size } = await stat(path)
      const durable = Math.min(size, this.#logBytes.get(name) ?? 0)
      await truncate(path, durable + keep(size - durable))
    }
  }

  #makeFiles(real: Files): Files {
    const on = async <T>(run: () => Promise<T>): Promise<T> => {
      this.#refuseOff()
      const value = await run()
      this.#refuseOff()
      return value
    }
    return {
      makeDirectory: (path) => on(() => real.makeDirectory(path)),
      list: (path) => on(() => real.list(path)),
      remove: (path) => on(() => (this.#names.delete(path), real.remove(path))),
      removeDirectory: (path) => on(() => real.removeDirectory(path)),
      rename: (from, to) => on(() => real.rename(from, to)),
      open: (path) => on(async () => this.#opened(path, await real.open(path))),
      syncDirectory: (path) =>
        on(async () => {
          await real.syncDirectory(path)
          for (const name of [...this.#names, ...this.#durableNames]) {
            if (dirname(name) !== path) continue
            if (this.#names.has(name)) this.#durableNames.add(name)
            else this.#durableNames.delete(name)
          }
        }),
    }
  }

  async #opened(path: string, file: File): Promise<File> {
    let content = this.#contents.get(path)
    if (content === undefined) {
      const durable = Buffer.from(await file.read(0, await file.sizeBytes()))
      this.#contents.set(path, (content = { durable, unsynced: [] }))
      if (durable.length > 0) this.#durableNames.add(path)
    }
    this.#names.add(path)
    return this.#file(file, content)
  }

  #file(file: File, content: Content): File {
    const refuse = (): void => this.#refuseOff()
    return {
      sizeBytes: () => file.sizeBytes(),
      read: (position, length) => file.read(position, length),
      close: () => file.close(),
      async truncate(length) {
        refuse()
        content.unsynced.push({ truncatedTo: length })
        await file.truncate(length)
      },
      async write(chunks, position) {
        refuse()
        content.unsynced.push({ position, bytes: Buffer.concat(chunks) })
        await file.write(chunks, position)
        refuse()
      },
      async sync() {
        refuse()
        const covered = content.unsynced.length
        await file.sync()
        refuse()
        const writes = content.unsynced.splice(0, covered)
        content.durable = writes.reduce(applied, content.durable)
      },
    }
  }

  #refuseOff(): void {
    if (this.#isOff) throw new Error(`the power of ${this.#root} is off`)
  }
}

function applied(before: Buffer, write: Content['unsynced'][number]): Buffer {
  if ('truncatedTo' in write) return before.subarray(0, write.truncatedTo)
  const { position, bytes } = write
  const after = Buffer.alloc(Math.max(before.length, position + bytes.length))
  after.set(before)
  after.set(bytes, position)
  return after
}
