import { assert } from './assert.ts'
import { asLogIndex, type LogIndex, type Term, type TermRun } from './types.ts'

/**
 * The term of every entry in the log, in memory, though most entries aren't: a log has few terms, so it is a short list
 * of where each begins. Ascending in index and term.
 */
export class TermRuns {
  #runs: TermRun[]

  constructor(runs: readonly TermRun[]) {
    for (const [at, { firstIndex, term }] of runs.entries()) {
      const before = runs[at - 1]
      const ascends = before === undefined || (before.firstIndex < firstIndex && before.term < term)
      assert(ascends, 'raft.runs-bootstrap', () => `${firstIndex}/${term}`)
    }
    this.#runs = [...runs]
  }

  /** The place in the list of the run that holds `index`, or -1 before the first. */
  #find(index: number): number {
    let low = 0
    let high = this.#runs.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#runs[middle]!.firstIndex <= index) low = middle + 1
      else high = middle
    }
    assert(low === high, 'raft.runs-search', () => `${low} and ${high}`)
    return low - 1
  }

  termAt(index: number): Term | undefined {
    return this.#runs[this.#find(index)]?.term
  }

  push(index: LogIndex, term: Term): void {
    const newest = this.#runs.at(-1)
    if (newest?.term === term) return
    const ascends = newest === undefined || (newest.firstIndex < index && newest.term < term)
    assert(
      ascends,
      'raft.runs-ascending',
      () => `${index}/${term} after ${newest?.firstIndex}/${newest?.term}`,
    )
    this.#runs.push({ firstIndex: index, term })
    assert(index >= 1 && term >= 1, 'raft.runs-first', () => `${index}/${term}`)
  }

  truncateFrom(index: number): void {
    while (this.#runs.length > 0 && this.#runs.at(-1)!.firstIndex >= index) this.#runs.pop()
  }

  /** Forgets the entries up to and with `index`; `last` is the newest entry. */
  dropThrough(index: number, last: number): void {
    if (index >= last) {
      this.#runs = []
      return
    }
    const at = this.#find(index + 1)
    if (at < 0) return
    const kept = this.#runs.slice(at)
    kept[0] = { firstIndex: asLogIndex(Math.max(kept[0]!.firstIndex, index + 1)), term: kept[0]!.term }
    assert(kept[0]!.firstIndex > index, 'raft.runs-low-end', () => `${kept[0]!.firstIndex} after ${index}`)
    assert(
      kept.at(-1)!.firstIndex <= last,
      'raft.runs-last',
      () => `${kept.at(-1)!.firstIndex}, last ${last}`,
    )
    this.#runs = kept
  }

  /** The highest index at or below `index` whose term is at most `term`; undefined where no entry here is. */
  lastAtOrBelowTerm(index: number, term: number): number | undefined {
    let end = index
    for (let at = this.#find(index); at >= 0; at -= 1) {
      const run = this.#runs[at]!
      assert(run.firstIndex <= end, 'raft.runs-overlap', () => `${run.firstIndex} up to ${end}`)
      if (run.term <= term) return end
      end = run.firstIndex - 1
    }
    return undefined
  }

  toArray(): readonly TermRun[] {
    return this.#runs
  }
}
