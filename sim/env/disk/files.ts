import type { File, Files } from '../../../src/env/index.ts'
import type { RandomStream } from '../../core/random.ts'
import type { Life } from '../life.ts'
import { errorOf, type SimDrive } from './drive.ts'
import { FileContent } from './file-content.ts'

type Name = FileContent | 'directory'

interface Rename {
  readonly from: string
  readonly to: string
}

/** The names and files of a drive: what processes see, and of that what would outlive a power cut. */
export class FileTree {
  readonly #live = new Map<string, Name>([['/', 'directory']])
  readonly #durable = new Map<string, Name>([['/', 'directory']])
  /** Not synced yet, oldest first. */
  readonly #renames: Rename[] = []
  /** Whatever differs between the two is among these: a sync looks at no other name. */
  #changed = new Set<string>()

  at(path: string): Name | undefined {
    return this.#live.get(path)
  }

  isDirectoryDurable(path: string): boolean {
    for (let at = path; at !== '/'; at = parentOf(at)) if (this.#durable.get(at) !== 'directory') return false
    return true
  }

  /** Makes a directory and those above it that aren't there. */
  makeDirectory(path: string): void {
    for (let at = withoutSlash(path); !this.#live.has(at); at = parentOf(at)) {
      this.#live.set(at, 'directory')
      this.#changed.add(at)
    }
  }

  create(path: string): FileContent {
    const content = new FileContent()
    this.#live.set(path, content)
    this.#changed.add(path)
    return content
  }

  list(path: string): string[] {
    const directory = withoutSlash(path)
    const names: string[] = []
    for (const other of this.#live.keys()) {
      if (other !== '/' && parentOf(other) === directory) names.push(other.slice(other.lastIndexOf('/') + 1))
    }
    return names.sort()
  }

  /** Whose paths begin so, in order. */
  filesIn(directory: string): FileContent[] {
    return [...this.#live]
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .flatMap(([path, name]) => (name !== 'directory' && path.startsWith(directory) ? [name] : []))
  }

  remove(path: string): void {
    this.#live.delete(path)
    this.#changed.add(path)
  }

  removeDirectory(path: string): void {
    const directory = withoutSlash(path)
    for (const other of [...this.#live.keys()]) {
      if (other === directory || other.startsWith(`${directory}/`)) this.remove(other)
    }
  }

  /** A file or a directory with all in it. Atomic: after a power cut it has happened or not. */
  rename(from: string, to: string): void {
    const rename = { from: withoutSlash(from), to: withoutSlash(to) }
    this.#renameIn(this.#live, rename)
    this.#renames.push(rename)
  }

  syncDirectory(path: string): void {
    const directory = withoutSlash(path)
    for (const rename of this.#renames.splice(0)) {
      if (parentOf(rename.from) === directory || parentOf(rename.to) === directory)
        this.#renameIn(this.#durable, rename)
      else this.#renames.push(rename)
    }
    for (const other of this.#changed) {
      if (other === '/' || parentOf(other) !== directory) continue
      this.#settle(other, this.#live.get(other))
      this.#changed.delete(other)
    }
  }

  #renameIn(names: Map<string, Name>, rename: Rename): void {
    for (const path of renameIn(names, rename)) this.#changed.add(path)
  }

  #settle(path: string, name: Name | undefined): void {
    if (name === undefined) this.#durable.delete(path)
    else this.#durable.set(path, name)
  }

  /** Everything there is, as an operator who sets a machine up and waits would leave it. */
  /** Another disk, empty, is in its place. */
  replace(): void {
    for (const names of [this.#live, this.#durable]) {
      names.clear()
      names.set('/', 'directory')
    }
    this.#renames.length = 0
  }

  settleAll(): void {
    this.#durable.clear()
    for (const [path, name] of this.#live) this.#durable.set(path, name)
    this.#changed.clear()
  }

  processEnded(random: RandomStream): void {
    for (const name of this.#live.values()) if (name !== 'directory') name.processEnded(random)
  }

  powerLost(random: RandomStream, onLost: (what: 'unsynced-file-bytes' | 'unsynced-name') => void): void {
    for (const rename of this.#renames.splice(0)) {
      if (random.chance(500)) this.#renameIn(this.#durable, rename)
      else this.#renameIn(this.#live, { from: rename.to, to: rename.from })
    }
    const paths = [...new Set([...this.#live.keys(), ...this.#durable.keys()])].sort()
    for (const path of paths) {
      if (path === '/') continue
      const live = this.#live.get(path)
      const durable = this.#durable.get(path)
      if (live === durable) continue
      onLost('unsynced-name')
      this.#settle(path, random.chance(500) ? live : durable)
    }
    // In order of the paths, so a directory that is gone takes all in it along.
    for (const path of paths) {
      if (path !== '/' && this.#durable.get(parentOf(path)) !== 'directory') this.#durable.delete(path)
    }
    this.#live.clear()
    for (const [path, name] of this.#durable) {
      this.#live.set(path, name)
      if (name !== 'directory' && name.powerLost(random)) onLost('unsynced-file-bytes')
    }
    this.#changed.clear()
  }
}

/** The files of a drive as one process sees them. Whatever is done takes a while, and has its effect at the end of it. */
export class SimFiles implements Files {
  readonly #drive: SimDrive
  readonly #life: Life

  constructor(drive: SimDrive, life: Life) {
    this.#drive = drive
    this.#life = life
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#drive.change(this.#life)
    this.#drive.tree.makeDirectory(path)
  }

  async list(path: string): Promise<string[]> {
    await this.#delay()
    return this.#drive.tree.list(path)
  }

  async open(path: string): Promise<File> {
    await this.#drive.change(this.#life)
    const { tree } = this.#drive
    if (tree.at(parentOf(path)) !== 'directory') {
      throw new Error(`ENOENT: no such directory: ${parentOf(path)}`)
    }
    const found = tree.at(path)
    if (found === 'directory') throw new Error(`EISDIR: ${path} is a directory`)
    return new SimFile(found ?? tree.create(path), this.#drive, this.#life, path)
  }

  async remove(path: string): Promise<void> {
    await this.#drive.change(this.#life)
    this.#drive.tree.remove(path)
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#drive.change(this.#life)
    const { tree } = this.#drive
    if (tree.at(from) === undefined) throw new Error(`ENOENT: no such file or directory: ${from}`)
    if (tree.at(parentOf(to)) !== 'directory') throw new Error(`ENOENT: no such directory: ${parentOf(to)}`)
    tree.rename(from, to)
  }

  async removeDirectory(path: string): Promise<void> {
    await this.#drive.change(this.#life)
    this.#drive.tree.removeDirectory(path)
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#drive.change(this.#life, true)
    if (this.#drive.tree.at(withoutSlash(path)) !== 'directory') {
      throw new Error(`ENOENT: no such directory: ${path}`)
    }
    const failure = this.#drive.takeFailure('sync')
    if (failure !== undefined) throw errorOf(failure, `fsync of ${path}`)
    this.#drive.tree.syncDirectory(path)
  }

  #delay(): Promise<void> {
    return new Promise((resolve) => this.#life.after(this.#drive.delayUs(false), resolve))
  }
}

class SimFile implements File {
  readonly #content: FileContent
  readonly #drive: SimDrive
  readonly #life: Life
  readonly #path: string
  #closed = false

  constructor(content: FileContent, drive: SimDrive, life: Life, path: string) {
    this.#content = content
    this.#drive = drive
    this.#life = life
    this.#path = path
  }

  async sizeBytes(): Promise<number> {
    await this.#delay()
    return this.#content.length
  }

  async write(chunks: readonly Uint8Array[], position: number): Promise<void> {
    this.#refuseClosed()
    const write = this.#content.begin(Buffer.concat(chunks), position)
    await this.#drive.change(this.#life)
    const failure = this.#drive.takeFailure('write')
    if (failure !== undefined) {
      // What was written of it before the error is there.
      this.#content.tear(write, this.#drive.random)
      throw errorOf(failure, `write to ${this.#path}`)
    }
    this.#content.finish(write)
  }

  async sync(): Promise<void> {
    this.#refuseClosed()
    const mark = this.#content.dirtyMark()
    await this.#drive.change(this.#life, true)
    const failure = this.#drive.takeFailure('sync')
    if (failure !== undefined) {
      this.#content.syncFailed(mark)
      throw errorOf(failure, `fdatasync of ${this.#path}`)
    }
    this.#content.sync(mark)
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    this.#refuseClosed()
    await this.#delay()
    return this.#drive.read(this.#content.read(position, length))
  }

  async truncate(length: number): Promise<void> {
    this.#refuseClosed()
    await this.#drive.change(this.#life)
    this.#content.truncate(length)
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#delay()
  }

  #delay(): Promise<void> {
    return new Promise((resolve) => this.#life.after(this.#drive.delayUs(false), resolve))
  }

  #refuseClosed(): void {
    if (this.#closed) throw new Error(`the file ${this.#path} is closed`)
  }
}

/** Returns the names that changed. */
function renameIn(names: Map<string, Name>, { from, to }: Rename): string[] {
  const moved = [...names].filter(([path]) => path === from || path.startsWith(`${from}/`))
  for (const [path] of moved) names.delete(path)
  return moved.flatMap(([path, name]) => {
    const renamed = to + path.slice(from.length)
    names.set(renamed, name)
    return [path, renamed]
  })
}

function withoutSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}

function parentOf(path: string): string {
  const at = path.lastIndexOf('/')
  return at <= 0 ? '/' : path.slice(0, at)
}
