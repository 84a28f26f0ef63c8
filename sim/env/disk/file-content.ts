import type { RandomStream } from '../../core/random.ts'

const SECTOR_BYTES = 512
/** Room of the smallest file: most grow to a few of these. */
const LEAST_ROOM_BYTES = 4096

interface Range {
  readonly from: number
  readonly to: number
}

/** A write that a process has asked for and that isn't done. */
export interface FileWrite {
  readonly bytes: Uint8Array
  readonly position: number
}

/** The bytes of a file: those that a reader sees, and those that would outlive a power cut. */
export class FileContent {
  #live: Buffer = Buffer.alloc(0)
  #length = 0
  #synced: Buffer = Buffer.alloc(0)
  #syncedLength = 0
  /** So much was synced before the newest sync. */
  #settledLength = 0
  /** Changed since the last sync, oldest first. */
  #dirty: Range[] = []
  /** A sync of these failed: the system takes them for written, so no later sync covers them. */
  #forsaken: Range[] = []
  #droppedRanges = 0
  readonly #underWay = new Set<FileWrite>()

  get length(): number {
    return this.#length
  }

  /** So many bytes from the start would outlive a power cut. */
  get syncedLength(): number {
    return this.#syncedLength
  }

  read(position: number, length: number): Uint8Array {
    const end = Math.min(position + length, this.#length)
    return Uint8Array.from(this.#live.subarray(Math.min(position, end), end))
  }

  begin(bytes: Uint8Array, position: number): FileWrite {
    const write = { bytes, position }
    this.#underWay.add(write)
    return write
  }

  finish(write: FileWrite): void {
    this.#underWay.delete(write)
    this.#put(write.bytes, write.position)
  }

  /** Some of it is written, from the start on. */
  tear(write: FileWrite, random: RandomStream): void {
    this.#underWay.delete(write)
    this.#put(write.bytes.subarray(0, random.below(write.bytes.length + 1)), write.position)
  }

  #put(bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return
    const to = position + bytes.length
    this.#live = withRoom(this.#live, to)
    this.#live.set(bytes, position)
    this.#dirty.push({ from: Math.min(position, this.#length), to })
    this.#length = Math.max(this.#length, to)
  }

  truncate(length: number): void {
    const from = Math.min(length, this.#length)
    const to = Math.max(length, this.#length)
    if (from === to) return
    this.#live = withRoom(this.#live, to)
    this.#live.fill(0, from)
    this.#length = length
    this.#dirty.push({ from, to })
  }

  /** What a sync that begins now will cover. */
  dirtyMark(): number {
    return this.#droppedRanges + this.#dirty.length
  }

  sync(mark: number): void {
    const count = Math.max(0, mark - this.#droppedRanges)
    if (count === 0) return
    this.#synced = withRoom(this.#synced, this.#length)
    let end = 0
    for (const { from, to } of this.#dirty.slice(0, count)) {
      const last = Math.min(to, this.#length)
      if (last > from) this.#live.copy(this.#synced, from, from, last)
      if (to > this.#length) this.#synced.fill(0, Math.min(this.#length, this.#synced.length))
      end = Math.max(end, to)
    }
    this.#dirty = this.#dirty.slice(count)
    this.#droppedRanges += count
    const before = this.#syncedLength
    // Bytes behind it that were written after the sync began aren't covered.
    this.#syncedLength =
      this.#dirty.length === 0 ? this.#length : Math.min(this.#length, Math.max(this.#syncedLength, end))
    this.#settledLength = Math.min(before, this.#syncedLength)
  }

  /**
   * A bit flips and stays so; not in what the newest sync brought: of the last turn before a start nobody could tell that
   * from a power cut. False: there is nothing else.
   */
  rot(random: RandomStream): boolean {
    if (this.#settledLength === 0) return false
    const position = random.below(this.#settledLength)
    const bit = 1 << random.below(8)
    this.#live[position]! ^= bit
    this.#synced[position]! ^= bit
    return true
  }

  /**
   * A sync that began at this mark failed. Linux then calls the pages clean: they can be read, and the next sync succeeds,
   * though nobody has written them (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020).
   */
  syncFailed(mark: number): void {
    const count = Math.max(0, mark - this.#droppedRanges)
    this.#forsaken.push(...this.#dirty.slice(0, count))
    this.#dirty = this.#dirty.slice(count)
    this.#droppedRanges += count
  }

  processEnded(random: RandomStream): void {
    for (const write of [...this.#underWay]) this.tear(write, random)
  }

  /** Of what was not synced, any sector may be there or not. True: something got lost. */
  powerLost(random: RandomStream): boolean {
    const unwritten = [...this.#forsaken, ...this.#dirty]
    if (unwritten.length === 0) return false
    const before = this.#live.subarray(0, this.#length)
    const after = Buffer.alloc(Math.max(this.#length, this.#syncedLength))
    this.#synced.copy(after, 0, 0, this.#syncedLength)
    let end = this.#syncedLength
    for (const sector of sectorsOf(unwritten)) {
      if (random.chance(500)) continue
      const last = Math.min(sector + SECTOR_BYTES, this.#length)
      if (last <= sector) continue
      before.copy(after, sector, sector, last)
      end = Math.max(end, last)
    }
    // The length itself is a change like any other.
    const length = random.chance(500) ? end : random.pick([this.#syncedLength, Math.max(end, this.#length)])
    this.#live = Buffer.from(after.subarray(0, Math.min(length, after.length)))
    this.#length = this.#live.length
    this.#synced = Buffer.from(this.#live)
    this.#syncedLength = this.#length
    this.#settledLength = Math.min(this.#settledLength, this.#length)
    this.#droppedRanges += this.#dirty.length
    this.#dirty = []
    this.#forsaken = []
    return true
  }
}

function sectorsOf(ranges: readonly Range[]): number[] {
  const sectors = new Set<number>()
  for (const { from, to } of ranges) {
    for (let at = from - (from % SECTOR_BYTES); at < to; at += SECTOR_BYTES) sectors.add(at)
  }
  return [...sectors].sort((left, right) => left - right)
}

function withRoom(bytes: Buffer, length: number): Buffer {
  if (bytes.length >= length) return bytes
  const larger = Buffer.alloc(Math.max(length, 2 * bytes.length, LEAST_ROOM_BYTES))
  bytes.copy(larger)
  return larger
}
