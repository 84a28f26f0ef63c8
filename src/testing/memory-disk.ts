import type { Disk, File, Files, KeyRange, KeyValue, Store, StoreOperation } from '../env/index.ts'
import { StoreLockedError } from '../env/index.ts'

/**
 * A disk in memory that keeps what was written for as long as the object lives: opening a directory again finds it. It
 * copies bytes in and out, as a real disk does, so a caller that goes on using a buffer is noticed. It never forgets what
 * wasn't synced; a power cut is the simulator's business.
 */
export function memoryDisk(): Disk {
  const stores = new Map<string, StoreContent>()
  return {
    async openStore(directory) {
      let content = stores.get(directory)
      if (content === undefined) stores.set(directory, (content = { pairs: [], isOpen: false }))
      if (content.isOpen) throw new StoreLockedError(directory)
      content.isOpen = true
      return new MemoryStore(content)
    },
    files: new MemoryFiles(),
  }
}

interface StoreContent {
  /** Sorted by key. Replaced as a whole by a batch, so that a running iteration keeps what it began with. */
  pairs: readonly KeyValue[]
  isOpen: boolean
}

class MemoryStore implements Store {
  readonly #content: StoreContent
  #closed = false

  constructor(content: StoreContent) {
    this.#content = content
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#refuseClosed()
    const { pairs } = this.#content
    const pair = pairs[firstAtOrAfter(pairs, key)]
    return pair !== undefined && compareBytes(pair[0], key) === 0 ? pair[1].slice() : undefined
  }

  async batch(operations: readonly StoreOperation[]): Promise<void> {
    this.#refuseClosed()
    if (operations.length === 0) return
    // The last operation on a key wins, as in LevelDB.
    const changes = new Map<string, StoreOperation>()
    for (const operation of operations) changes.set(Buffer.from(operation.key).toString('hex'), operation)
    const sorted = [...changes.values()].sort((left, right) => compareBytes(left.key, right.key))
    this.#content.pairs = merge(this.#content.pairs, sorted)
  }

  async *iterate(range: KeyRange): AsyncIterable<KeyValue> {
    this.#refuseClosed()
    const { gte, lt, reverse = false, limit = Infinity } = range
    const { pairs } = this.#content
    const from = firstAtOrAfter(pairs, gte)
    const end = Math.max(from, firstAtOrAfter(pairs, lt))
    const count = Math.min(limit, end - from)
    for (let i = 0; i < count; i++) {
      const [key, value] = pairs[reverse ? end - 1 - i : from + i]!
      yield [key.slice(), value.slice()]
    }
  }

  async clear(range: { readonly gte: Uint8Array; readonly lt: Uint8Array }): Promise<void> {
    this.#refuseClosed()
    const { pairs } = this.#content
    const from = firstAtOrAfter(pairs, range.gte)
    const end = Math.max(from, firstAtOrAfter(pairs, range.lt))
    this.#content.pairs = [...pairs.slice(0, from), ...pairs.slice(end)]
  }

  async compact(): Promise<void> {
    this.#refuseClosed()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#content.isOpen = false
  }

  #refuseClosed(): void {
    if (this.#closed) throw new Error('the store is closed')
  }
}

function compareBytes(left: Uint8Array, right: Uint8Array): number {
  return Buffer.compare(left, right)
}

function firstAtOrAfter(pairs: readonly KeyValue[], key: Uint8Array): number {
  let low = 0
  let high = pairs.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareBytes(pairs[middle]![0], key) < 0) low = middle + 1
    else high = middle
  }
  return low
}

function merge(pairs: readonly KeyValue[], changes: readonly StoreOperation[]): readonly KeyValue[] {
  const merged: KeyValue[] = []
  let at = 0
  for (const change of changes) {
    while (at < pairs.length && compareBytes(pairs[at]![0], change.key) < 0) merged.push(pairs[at++]!)
    if (at < pairs.length && compareBytes(pairs[at]![0], change.key) === 0) at++
    if (change.type === 'put') merged.push([change.key.slice(), change.value.slice()])
  }
  while (at < pairs.length) merged.push(pairs[at++]!)
  return merged
}

interface FileContent {
  bytes: Uint8Array
  length: number
}

class MemoryFiles implements Files {
  readonly #directories = new Set<string>(['', '/'])
  readonly #files = new Map<string, FileContent>()

  async makeDirectory(path: string): Promise<void> {
    for (let at = withoutSlash(path); !this.#directories.has(at); at = parentOf(at)) this.#directories.add(at)
  }

  async list(path: string): Promise<string[]> {
    const prefix = `${withoutSlash(path)}/`
    const names = new Set<string>()
    for (const other of [...this.#directories, ...this.#files.keys()]) {
      if (other.startsWith(prefix) && other !== prefix)
        names.add(other.slice(prefix.length).split('/', 1)[0]!)
    }
    return [...names].sort()
  }

  async open(path: string): Promise<File> {
    const parent = parentOf(path)
    if (!this.#directories.has(parent)) throw new Error(`ENOENT: no such directory: ${parent}`)
    let content = this.#files.get(path)
    if (content === undefined) this.#files.set(path, (content = { bytes: new Uint8Array(0), length: 0 }))
    return new MemoryFile(content)
  }

  async remove(path: string): Promise<void> {
    this.#files.delete(path)
  }

  async removeDirectory(path: string): Promise<void> {
    const directory = withoutSlash(path)
    const inside = (other: string): boolean => other === directory || other.startsWith(`${directory}/`)
    for (const other of this.#files.keys()) if (inside(other)) this.#files.delete(other)
    for (const other of this.#directories) if (inside(other)) this.#directories.delete(other)
  }

  async rename(from: string, to: string): Promise<void> {
    const source = withoutSlash(from)
    const moved = (path: string): string => withoutSlash(to) + path.slice(source.length)
    const inside = (path: string): boolean => path === source || path.startsWith(`${source}/`)
    if (!this.#directories.has(source) && !this.#files.has(source)) {
      throw Object.assign(new Error(`ENOENT: no such file or directory: ${from}`), { code: 'ENOENT' })
    }
    for (const path of [...this.#directories].filter(inside)) {
      this.#directories.delete(path)
      this.#directories.add(moved(path))
    }
    for (const [path, content] of [...this.#files].filter(([path]) => inside(path))) {
      this.#files.delete(path)
      this.#files.set(moved(path), content)
    }
  }

  async syncDirectory(path: string): Promise<void> {
    const directory = withoutSlash(path)
    if (!this.#directories.has(directory)) throw new Error(`ENOENT: no such directory: ${directory}`)
  }
}

/** Like an open file of an operating system, it goes on working after its name was removed. */
class MemoryFile implements File {
  readonly #content: FileContent
  #closed = false

  constructor(content: FileContent) {
    this.#content = content
  }

  async sizeBytes(): Promise<number> {
    return this.#open().length
  }

  async write(chunks: readonly Uint8Array[], position: number): Promise<void> {
    const content = this.#open()
    const total = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    if (total === 0) return
    reserve(content, position + total)
    let at = position
    for (const chunk of chunks) {
      content.bytes.set(chunk, at)
      at += chunk.length
    }
    content.length = Math.max(content.length, at)
  }

  async sync(): Promise<void> {
    this.#open()
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    const content = this.#open()
    return content.bytes.slice(
      Math.min(position, content.length),
      Math.min(position + length, content.length),
    )
  }

  async truncate(length: number): Promise<void> {
    const content = this.#open()
    reserve(content, length)
    content.bytes.fill(0, length)
    content.length = length
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  #open(): FileContent {
    if (this.#closed) throw new Error('the file is closed')
    return this.#content
  }
}

function reserve(content: FileContent, length: number): void {
  if (content.bytes.length >= length) return
  const bytes = new Uint8Array(Math.max(length, 2 * content.bytes.length))
  bytes.set(content.bytes.subarray(0, content.length))
  content.bytes = bytes
}

function withoutSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}
