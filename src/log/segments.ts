import type { File, Files, Readers } from '../env/index.ts'
import { assert } from './assert.ts'
import { someAtOnce } from './some-at-once.ts'
import type { GroupId } from './types.ts'

/** Files that are kept open. More are open only while more are in use at once. */
const mostOpenFiles = 256
/** Groups whose segments are written at once in a turn: enough to keep a disk's queue full. */
const mostWritesAtOnce = 16

/** Whose a segment is: a group's own, or shared by all groups of the node. */
export type SegmentOwner = GroupId | 'shared'

export function segmentOwner(groupId: GroupId, { shared }: { readonly shared: boolean }): SegmentOwner {
  return shared ? 'shared' : groupId
}

/** As messages name it. */
export function describeSegment({
  shared,
  segment,
}: {
  readonly shared: boolean
  readonly segment: number
}): string {
  return shared ? `shared segment ${segment}` : `segment ${segment}`
}

/**
 * Payloads for one segment file, to be written one after the other: whole blocks, so that they can go past the system's cache
 * and no turn writes into a block that an earlier one has made durable.
 */
export interface SegmentWrite {
  readonly owner: SegmentOwner
  readonly segment: number
  readonly position: number
  readonly chunks: readonly Uint8Array[]
  /** The file isn't there yet: its name must become durable in this turn. */
  readonly created: boolean
}

/** Chunks that lie one after the other in a file. */
export interface SegmentPiece {
  readonly position: number
  readonly chunks: readonly Uint8Array[]
}

interface OpenFile {
  readonly opening: Promise<File>
  users: number
  /** Out of the cache: the last user closes it. */
  dropped: boolean
}

/** The segment files of a node: DIRECTORY/GROUP/NUMBER.seg and DIRECTORY/shared/NUMBER.seg. Knows nothing of entries. */
export class SegmentFiles {
  readonly #files: Files
  readonly #directory: string
  /** By path, least recently used first. */
  readonly #open = new Map<string, OpenFile>()
  /** Directories whose names are durable. */
  readonly #knownDirectories = new Set<SegmentOwner>()
  #closed = false

  constructor(files: Files, directory: string) {
    this.#files = files
    this.#directory = directory
  }

  /** Writes and syncs them all, and the names of new files and directories with them. */
  async write(writes: readonly SegmentWrite[]): Promise<void> {
    const names = new Set(writes.map(({ owner, segment }) => `${owner}/${segment}`))
    assert(names.size === writes.length, 'log.segment-written-twice', () => `${writes.length} writes`)
    await someAtOnce(writes, mostWritesAtOnce, (write) => this.#write(write))
  }

  async #write(write: SegmentWrite): Promise<void> {
    const { owner, segment, chunks, position, created } = write
    assert(chunks.length > 0, 'log.segment-chunks', () => `${owner}/${segment}`)
    assert(position >= 0 && (!created || position === 0), 'log.segment-position', () => `${position}`)
    if (created) await this.makeDirectory(owner)
    await this.#using(owner, segment, async (file) => {
      await file.write(chunks, position)
      const syncs = [file.sync()]
      if (created) syncs.push(this.#files.syncDirectory(this.#directoryOf(owner)))
      await settleAll(syncs)
    })
  }

  /** Writes over what a file has, or should have, and syncs it. Its name, too: the file itself may be gone. */
  async rewrite(owner: SegmentOwner, segment: number, pieces: readonly SegmentPiece[]): Promise<void> {
    assert(pieces.length > 0, 'log.segment-rewrite-pieces', () => `${owner}/${segment}`)
    await this.#using(owner, segment, async (file) => {
      for (const { position, chunks } of pieces) {
        assert(chunks.length > 0, 'log.segment-rewrite-chunks', () => `${owner}/${segment}`)
        assert(position >= 0, 'log.segment-rewrite', () => `${owner}/${segment} at ${position}`)
        await file.write(chunks, position)
      }
      await settleAll([file.sync(), this.#files.syncDirectory(this.#directoryOf(owner))])
    })
  }

  /** Durably. */
  async makeDirectory(owner: SegmentOwner): Promise<void> {
    if (this.#knownDirectories.has(owner)) return
    await this.#files.makeDirectory(this.#directoryOf(owner))
    await this.#files.syncDirectory(this.#directory)
    this.#knownDirectories.add(owner)
  }

  /** `length` bytes, or fewer where the file ends. The file must exist and not have been removed. */
  async read(
    owner: SegmentOwner,
    segment: number,
    position: number,
    length: number,
    readers: Readers = 'many',
  ): Promise<Uint8Array> {
    assert(position >= 0 && length >= 0, 'log.segment-read', () => `${length} bytes at ${position}`)
    return this.#using(owner, segment, (file) => file.read(position, length, readers))
  }

  /** Reads that are under way go on; whoever asks afterwards must know that the segment is gone. */
  async remove(owner: SegmentOwner, segment: number): Promise<void> {
    const path = this.#path(owner, segment)
    const open = this.#open.get(path)
    if (open !== undefined) {
      this.#drop(path, open)
      // An open that is under way would otherwise create the file anew.
      await open.opening
    }
    assert(!this.#open.has(path), 'log.segment-removed-open', () => path)
    await this.#files.remove(path)
  }

  async removeGroup(groupId: GroupId): Promise<void> {
    await this.#dropGroup(groupId)
    await this.#files.removeDirectory(this.#directoryOf(groupId))
  }

  /** Moves all files of a group, which must not be written to meanwhile, to another directory of the folder; durable. */
  async moveGroup(groupId: GroupId, to: string): Promise<void> {
    assert(to !== this.#directoryOf(groupId), 'log.segment-moved-onto-itself', () => to)
    await this.#dropGroup(groupId)
    if (!(await this.directories()).includes(String(groupId))) return
    await this.#files.rename(this.#directoryOf(groupId), to)
    await this.#files.syncDirectory(this.#directory)
  }

  async #dropGroup(groupId: GroupId): Promise<void> {
    const prefix = `${this.#directoryOf(groupId)}/`
    for (const [path, open] of Array.from(this.#open)) {
      if (!path.startsWith(prefix)) continue
      this.#drop(path, open)
      // An open that is under way would otherwise create the file anew. One that fails has told its user.
      await open.opening.catch(() => undefined)
    }
    this.#knownDirectories.delete(groupId)
    assert(
      ![...this.#open.keys()].some((path) => path.startsWith(prefix)),
      'log.segment-group-open',
      () => `group ${groupId}`,
    )
  }

  async truncate(owner: SegmentOwner, segment: number, length: number): Promise<void> {
    assert(length >= 0, 'log.segment-truncate', () => `${owner}/${segment} to ${length}`)
    await this.#using(owner, segment, (file) => file.truncate(length))
  }

  /** Sizes of an owner's segment files by number; other names are left out. */
  async sizes(owner: SegmentOwner): Promise<Map<number, number>> {
    const sizes = new Map<number, number>()
    for (const name of await this.#files.list(this.#directoryOf(owner))) {
      const number = segmentNumber(name)
      if (number === undefined) continue
      sizes.set(number, await this.#using(owner, number, (file) => file.sizeBytes()))
    }
    return sizes
  }

  /** Names of the directories, one for each owner. */
  async directories(): Promise<string[]> {
    return this.#files.list(this.#directory)
  }

  /** What comes later is refused: to open a file is to create it, in a folder that may be another process's then. */
  async close(): Promise<void> {
    this.#closed = true
    const open = [...this.#open]
    for (const [path, file] of open) this.#drop(path, file)
    assert(this.#open.size === 0, 'log.segments-closed', () => `${this.#open.size} are open`)
    await Promise.allSettled(open.map(([, file]) => file.opening))
  }

  async #using<T>(owner: SegmentOwner, segment: number, use: (file: File) => Promise<T>): Promise<T> {
    assert(segment >= 1, 'log.segment-number', () => `${owner}/${segment}`)
    const path = this.#path(owner, segment)
    if (this.#closed) throw new Error(`the storage is closed, and ${path} with it`)
    const open = this.#acquire(path)
    try {
      return await use(await open.opening)
    } finally {
      this.#release(path, open)
    }
  }

  #acquire(path: string): OpenFile {
    let open = this.#open.get(path)
    if (open === undefined) open = { opening: this.#files.open(path), users: 0, dropped: false }
    else this.#open.delete(path)
    this.#open.set(path, open)
    open.users++
    assert(!open.dropped && open.users >= 1, 'log.segment-acquired', () => path)
    return open
  }

  #release(path: string, open: OpenFile): void {
    open.users--
    assert(open.users >= 0, 'log.segment-users', () => path)
    if (open.dropped && open.users === 0) closeQuietly(open)
    if (this.#open.size <= mostOpenFiles) return
    for (const [oldPath, old] of this.#open) {
      if (old.users > 0) continue
      this.#drop(oldPath, old)
      return
    }
  }

  #drop(path: string, open: OpenFile): void {
    if (open.dropped) return
    assert(this.#open.get(path) === open, 'log.segment-dropped-other', () => path)
    this.#open.delete(path)
    open.dropped = true
    if (open.users === 0) closeQuietly(open)
  }

  #directoryOf(owner: SegmentOwner): string {
    return `${this.#directory}/${owner}`
  }

  #path(owner: SegmentOwner, segment: number): string {
    return `${this.#directoryOf(owner)}/${segmentName(segment)}`
  }
}

/** Ten digits, so that names sort as numbers do. */
export function segmentName(segment: number): string {
  return `${String(segment).padStart(10, '0')}.seg`
}

function segmentNumber(name: string): number | undefined {
  const match = /^(\d{10})\.seg$/.exec(name)
  return match === null ? undefined : Number(match[1])
}

/**
 * All that was written was synced before, so a close has nothing left that could fail and matter; and a file that could
 * not be opened has told its user already.
 */
function closeQuietly(open: OpenFile): void {
  open.opening.then((file) => file.close()).catch(() => undefined)
}

/** Waits for all, also after one has failed, so that nothing is under way any more when the failure is told. */
export async function settleAll(promises: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(promises)
  for (const result of results) if (result.status === 'rejected') throw result.reason
}
