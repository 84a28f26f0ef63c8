import { assert } from './assert.ts'
import type { GroupState, SharedPart } from './group-state.ts'
import type { LogLimits } from './types.ts'

/** Where a shared segment ends: the next payload goes to the next block. */
export interface SharedEnd {
  readonly number: number
  readonly bytes: number
}

interface SharedFile {
  bytes: number
  /** How many groups have a part in it. */
  parts: number
}

/**
 * The segments that all groups of a node share (BookKeeper's entry logs are such): which there are, which take what comes next,
 * which nobody needs any more, and which are to be emptied by relocation. Knows sizes and how many groups have something there, nothing of
 * entries; does no I/O.
 */
export class SharedSegments {
  readonly #limits: LogLimits
  /** Ascending by number: they are added so. */
  readonly #files = new Map<number, SharedFile>()
  #end: SharedEnd

  /** `found`: sizes of the files that a start found, by number. It goes on with a new one. */
  constructor(limits: LogLimits, found: ReadonlyMap<number, number>, groups: Iterable<GroupState>) {
    this.#limits = limits
    for (const number of [...found.keys()].toSorted((left, right) => left - right)) {
      this.#files.set(number, { bytes: found.get(number)!, parts: 0 })
    }
    for (const { groupId, shared } of groups) {
      for (const { number } of shared) {
        const file = this.#files.get(number)
        assert(file !== undefined, 'log.shared-found', () => `group ${groupId}: shared segment ${number}`)
        file.parts++
      }
    }
    this.#end = { number: Math.max(0, ...found.keys()) + 1, bytes: 0 }
    assert(!found.has(this.#end.number), 'log.shared-new', () => `shared segment ${this.#end.number}`)
  }

  /** Undefined while relocation is so far behind that the disk would fill up. */
  get end(): SharedEnd | undefined {
    const { sharedBytes, sharedSegmentBytes } = this.#limits
    return this.#bytesToKeep() > 2 * sharedBytes + 4 * sharedSegmentBytes ? undefined : this.#end
  }

  /** After a turn that added to the shared segment. True: it is closed now. */
  wrote(end: SharedEnd): boolean {
    assert(end.number === this.#end.number, 'log.shared-written', () => `${end.number}, ${this.#end.number}`)
    assert(end.bytes > this.#end.bytes, 'log.shared-grows', () => `${end.bytes} after ${this.#end.bytes}`)
    const file = this.#files.get(end.number)
    if (file === undefined) this.#files.set(end.number, { bytes: end.bytes, parts: 0 })
    else file.bytes = end.bytes
    assert(this.#files.has(end.number), 'log.shared-noted', () => `shared segment ${end.number}`)
    const isClosed = end.bytes >= this.#limits.sharedSegmentBytes
    this.#end = isClosed ? { number: end.number + 1, bytes: 0 } : end
    return isClosed
  }

  /** What a group has in them, before and after a turn. After wrote(). */
  changed(before: readonly SharedPart[], after: readonly SharedPart[]): void {
    // Parts come at the end alone, so as many with the same end are the same.
    if (before.length === after.length && before.at(-1)?.number === after.at(-1)?.number) return
    assert(isAscending(before) && isAscending(after), 'log.shared-ascending', () => JSON.stringify(after))
    const left = new Set(after.map(({ number }) => number))
    const known = new Set(before.map(({ number }) => number))
    for (const number of left) if (!known.has(number)) this.#add(number, 1)
    for (const number of known) if (!left.has(number)) this.#add(number, -1)
  }

  #add(number: number, parts: 1 | -1): void {
    const file = this.#files.get(number)
    assert(file !== undefined, 'log.shared-known', () => `shared segment ${number}`)
    file.parts += parts
    assert(file.parts >= 0, 'log.shared-parts', () => `shared segment ${number}: ${file.parts}`)
  }

  /** Closed ones in which no group has a part; they are forgotten. */
  takeUnnamed(): number[] {
    const unnamed: number[] = []
    for (const [number, file] of this.#files) {
      if (file.parts === 0 && number !== this.#end.number) unnamed.push(number)
    }
    for (const number of unnamed) this.#files.delete(number)
    assert(
      !unnamed.includes(this.#end.number),
      'log.shared-open-kept',
      () => `shared segment ${this.#end.number}`,
    )
    return unnamed
  }

  /** Closed ones with something in them, the oldest first; empty while they are within their limit. */
  toRelocate(): { readonly number: number; readonly bytes: number }[] {
    if (this.#bytesToKeep() <= this.#limits.sharedBytes) return []
    const closed = this.#closed().map(([number, { bytes }]) => ({ number, bytes }))
    assert(isAscending(closed), 'log.shared-oldest-first', () => JSON.stringify(closed))
    return closed
  }

  #closed(): [number, SharedFile][] {
    return [...this.#files].filter(([number, { parts }]) => parts > 0 && number !== this.#end.number)
  }

  #bytesToKeep(): number {
    return this.#closed().reduce((sum, [, { bytes }]) => sum + bytes, 0)
  }
}

function isAscending(files: readonly { readonly number: number }[]): boolean {
  return files.every(({ number }, at) => at === 0 || files[at - 1]!.number < number)
}
