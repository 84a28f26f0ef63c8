import { assert } from './assert.ts'
import type { GroupState, SharedPart } from './group-state.ts'
import type { Recovery } from './recovery.ts'
import type { LogLimits } from './types.ts'

/** Parts of groups in closed ones before they are relocated: about 100 bytes of memory each. */
export const MOST_PARTS = 200_000

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
  /** The newest that was there, or named, before this process. */
  readonly #newestFound: number
  #end: SharedEnd

  /** `sharedSizes`: of the files that a start found, by number. It goes on with one that was never there. */
  constructor(
    limits: LogLimits,
    { sharedSizes: found, newestShared }: Pick<Recovery, 'sharedSizes' | 'newestShared'>,
    groups: Iterable<GroupState>,
  ) {
    this.#limits = limits
    for (const number of [...found.keys()].toSorted((left, right) => left - right)) {
      assert(number >= 1, 'log.shared-found-number', () => `${number}`)
      this.#files.set(number, { bytes: found.get(number)!, parts: 0 })
    }
    for (const { groupId, shared } of groups) {
      for (const { number } of shared) {
        const file = this.#files.get(number)
        assert(file !== undefined, 'log.shared-found', () => `group ${groupId}: shared segment ${number}`)
        file.parts++
      }
    }
    this.#newestFound = Math.max(newestShared, ...found.keys())
    this.#end = { number: this.#newestFound + 1, bytes: 0 }
    assert(!found.has(this.#end.number), 'log.shared-new', () => `shared segment ${this.#end.number}`)
  }

  /** Undefined while relocation is so far behind that the disk would fill up. */
  get end(): SharedEnd | undefined {
    const { sharedBytes, sharedSegmentBytes } = this.#limits
    const { bytes, parts } = this.#kept()
    assert(!this.#isClosed(this.#end.number), 'log.shared-end-open', () => `${this.#end.number}`)
    const isFull = bytes > 2 * sharedBytes + 4 * sharedSegmentBytes || parts > 2 * MOST_PARTS
    return isFull ? undefined : this.#end
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

  /** Closed ones in which no group has a part, `butFound`: of those since the start; they are forgotten. */
  takeUnnamed({ butFound }: { readonly butFound: boolean }): number[] {
    const unnamed: number[] = []
    for (const [number, file] of this.#files) {
      if (butFound && number <= this.#newestFound) continue
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
    const { bytes: all, parts } = this.#kept()
    if (all <= this.#limits.sharedBytes && parts <= MOST_PARTS) return []
    const closed = this.#closed().map(([number, { bytes }]) => ({ number, bytes }))
    assert(isAscending(closed), 'log.shared-oldest-first', () => JSON.stringify(closed))
    return closed
  }

  #closed(): [number, SharedFile][] {
    return [...this.#files].filter(([number, { parts }]) => parts > 0 && this.#isClosed(number))
  }

  #isClosed(number: number): boolean {
    return number !== this.#end.number
  }

  /** What is in closed ones: files as a whole, and parts of groups, each of which takes memory. */
  #kept(): { readonly bytes: number; readonly parts: number } {
    let bytes = 0
    let parts = 0
    for (const [, file] of this.#closed()) {
      assert(file.parts > 0 && file.bytes > 0, 'log.shared-kept', () => `${file.parts}, ${file.bytes} bytes`)
      bytes += file.bytes
      parts += file.parts
    }
    return { bytes, parts }
  }
}

function isAscending(files: readonly { readonly number: number }[]): boolean {
  return files.every(({ number }, at) => at === 0 || files[at - 1]!.number < number)
}
