import { assert } from './assert.ts'
import { TermRuns } from './term-runs.ts'
import {
  asLogIndex,
  type Bootstrap,
  type Entry,
  type LogIndex,
  type LogMark,
  type SnapshotMark,
  type Term,
} from './types.ts'

/** What an entry costs in memory beyond its bytes: an estimate, so that a window of tiny entries is bounded too. */
const ENTRY_OVERHEAD_BYTES = 128

export const entryBytes = (entry: Entry): number => entry.payloadBytes + entry.header.length

export const markOf = ({ index, term, digest }: LogMark): LogMark => ({ index, term, digest })

/**
 * One replica's log: the newest entries in memory (the window), the term of every entry, and the low end below which
 * there is nothing. Storage holds what the window doesn't.
 *
 *     lowEnd              beforeWindow                     last
 *       |  only in storage     |   window, in memory          |
 */
export class RaftLog {
  /** Entries up to and with this mark are gone. */
  lowEnd: SnapshotMark
  /** The newest entry, or the low end where there is none. */
  last: LogMark
  readonly #terms: TermRuns
  /** The window is #slots[#head] and what follows; evicted slots before it are cut off now and then, not each time. */
  #slots: Entry[] = []
  #head = 0
  #windowBytes = 0
  /** The oldest entry in memory is the one after this. */
  #beforeWindow: number
  /** Its mark; unknown after a start whose tail begins above the low end. */
  #beforeMark: LogMark | undefined

  constructor(bootstrap: Bootstrap) {
    const { lowEnd, last, tail, termRuns } = bootstrap
    this.lowEnd = lowEnd
    this.last = markOf(last)
    this.#terms = new TermRuns(termRuns)
    this.#beforeWindow = last.index - tail.length
    assert(this.#beforeWindow >= lowEnd.index, 'raft.bootstrap-tail', () => `${tail.length} entries`)
    this.#beforeMark = [this.last, lowEnd].find((mark) => mark.index === this.#beforeWindow)
    for (const [at, entry] of tail.entries()) {
      assert(entry.index === this.#beforeWindow + 1 + at, 'raft.bootstrap-gap', () => `at ${entry.index}`)
      assert(entry.term === this.termAt(entry.index), 'raft.bootstrap-term', () => `at ${entry.index}`)
      this.#slots.push(entry)
      this.#windowBytes += entryBytes(entry) + ENTRY_OVERHEAD_BYTES
    }
    assert(this.termAt(last.index) === last.term, 'raft.bootstrap-last', () => `last is ${last.index}`)
    assert(tail.length === 0 || tail.at(-1)!.digest === last.digest, 'raft.bootstrap-digest')
  }

  get windowBytes(): number {
    return this.#windowBytes
  }

  /** The term at the low end, at any entry above it, or undefined. */
  termAt(index: number): Term | undefined {
    if (index === this.lowEnd.index) return this.lowEnd.term
    if (index < this.lowEnd.index || index > this.last.index) return undefined
    return this.#terms.termAt(index)
  }

  /** The entry, if it is in memory. */
  entryAt(index: number): Entry | undefined {
    return index > this.#beforeWindow ? this.#slots[this.#head + index - this.#beforeWindow - 1] : undefined
  }

  /** Index, term and digest, if memory knows the digest. */
  markAt(index: number): LogMark | undefined {
    if (index === this.last.index) return this.last
    if (index === this.lowEnd.index) return this.lowEnd
    if (index === this.#beforeWindow) return this.#beforeMark
    const entry = this.entryAt(index)
    return entry === undefined ? undefined : markOf(entry)
  }

  append(entry: Entry): void {
    assert(
      entry.index === this.last.index + 1,
      'raft.log-gap',
      () => `${entry.index} after ${this.last.index}`,
    )
    assert(entry.term >= this.last.term, 'raft.log-term', () => `${entry.term} after ${this.last.term}`)
    this.#slots.push(entry)
    this.#windowBytes += entryBytes(entry) + ENTRY_OVERHEAD_BYTES
    this.#terms.push(entry.index, entry.term)
    this.last = markOf(entry)
    assert(this.#isWindowWhole(), 'raft.window-append', () => `at ${entry.index}`)
  }

  /** Drops the entries after `before`. They are all in the window: what isn't committed never leaves it. */
  truncateAfter(before: LogMark): void {
    assert(before.index >= this.#beforeWindow, 'raft.truncate-window', () => `after ${before.index}`)
    assert(this.termAt(before.index) === before.term, 'raft.truncate-term', () => `after ${before.index}`)
    const keep = this.#head + before.index - this.#beforeWindow
    for (let at = keep; at < this.#slots.length; at += 1) {
      this.#windowBytes -= entryBytes(this.#slots[at]!) + ENTRY_OVERHEAD_BYTES
    }
    this.#slots.length = keep
    this.#terms.truncateFrom(before.index + 1)
    this.last = markOf(before)
    assert(this.#windowBytes >= 0, 'raft.window-bytes', () => `${this.#windowBytes}`)
    assert(this.#isWindowWhole(), 'raft.window-truncate', () => `after ${before.index}`)
  }

  /** The window reaches from where it begins to the end of the log, and takes memory only where it holds something. */
  #isWindowWhole(): boolean {
    const count = this.#slots.length - this.#head
    return this.#beforeWindow + count === this.last.index && this.#windowBytes >= count * ENTRY_OVERHEAD_BYTES
  }

  /** Forgets everything and starts after `mark`. */
  replaceBy(mark: SnapshotMark): void {
    assert(
      mark.index > this.lowEnd.index,
      'raft.replace-below',
      () => `${mark.index} <= ${this.lowEnd.index}`,
    )
    this.lowEnd = mark
    this.last = markOf(mark)
    this.#beforeWindow = mark.index
    this.#beforeMark = this.last
    this.#slots = []
    this.#head = 0
    this.#windowBytes = 0
    this.#terms.truncateFrom(0)
    assert(this.termAt(mark.index) === mark.term, 'raft.replaced-term', () => `at ${mark.index}`)
    assert(this.#isWindowWhole(), 'raft.window-replace', () => `at ${mark.index}`)
  }

  /** Moves the low end up to `mark`, which is in the log. */
  compact(mark: SnapshotMark): void {
    assert(mark.index <= this.last.index, 'raft.compact-beyond-last')
    assert(this.termAt(mark.index) === mark.term, 'raft.compact-term', () => `at ${mark.index}`)
    this.#evictThrough(mark.index)
    if (this.#beforeWindow === mark.index) this.#beforeMark = markOf(mark)
    this.#terms.dropThrough(mark.index, this.last.index)
    assert(mark.index >= this.lowEnd.index, 'raft.compact-back', () => `${mark.index} < ${this.lowEnd.index}`)
    this.lowEnd = mark
    assert(this.#beforeWindow >= mark.index, 'raft.window-compact', () => `${this.#beforeWindow}`)
  }

  /** Lets the oldest entries up to and with `evictable` go while the window is over `windowBytes`. */
  shrinkWindow(windowBytes: number, evictable: number): void {
    while (this.#windowBytes > windowBytes && this.#beforeWindow < evictable) {
      this.#evictThrough(this.#beforeWindow + 1)
    }
  }

  #evictThrough(index: number): void {
    while (this.#beforeWindow < index && this.#head < this.#slots.length) {
      const evicted = this.#slots[this.#head]!
      this.#head += 1
      this.#windowBytes -= entryBytes(evicted) + ENTRY_OVERHEAD_BYTES
      this.#beforeWindow = evicted.index
      this.#beforeMark = markOf(evicted)
    }
    assert(
      this.#head <= this.#slots.length,
      'raft.window-head',
      () => `${this.#head} of ${this.#slots.length}`,
    )
    assert(this.#windowBytes >= 0, 'raft.window-evicted', () => `${this.#windowBytes}`)
    // Half of the slots are garbage: moving the other half costs each entry at most one move on average.
    if (this.#head >= 16 && this.#head * 2 >= this.#slots.length) {
      this.#slots = this.#slots.slice(this.#head)
      this.#head = 0
    }
  }

  /**
   * Entries from `from` to at most `to`: at least one, then up to maxBytes. Undefined where the window doesn't reach back
   * to `from`; empty where `from` is beyond `to` or the end.
   */
  slice(from: number, to: number, maxBytes: number): Entry[] | undefined {
    if (from <= this.#beforeWindow) return undefined
    assert(from >= 1, 'raft.slice-from', () => `${from}`)
    const start = this.#head + from - this.#beforeWindow - 1
    const limit = Math.min(this.#slots.length, start + Math.max(0, to - from + 1))
    let end = start
    let bytes = 0
    while (end < limit) {
      bytes += entryBytes(this.#slots[end]!)
      if (bytes > maxBytes && end > start) break
      end += 1
    }
    assert(end === start || this.#slots[start]!.index === from, 'raft.slice-first', () => `${from}`)
    return this.#slots.slice(start, end)
  }

  /**
   * Where logs that part at or below `index` could still agree, given that the other log's term there is `term`: the
   * highest index whose term is at most that. Everything above it must conflict (§5.3, fast back-up).
   */
  lastAtOrBelowTerm(index: number, term: number): LogIndex {
    const capped = Math.min(index, this.last.index)
    if (capped <= this.lowEnd.index) return asLogIndex(capped)
    const found = this.#terms.lastAtOrBelowTerm(capped, term)
    assert(found === undefined || found <= capped, 'raft.back-up-forward', () => `${found} from ${capped}`)
    if (found !== undefined) return asLogIndex(found)
    // Below the low end terms aren't known; a snapshot will be needed unless the low end itself agrees.
    return asLogIndex(this.lowEnd.term <= term ? this.lowEnd.index : Math.max(0, this.lowEnd.index - 1))
  }
}
