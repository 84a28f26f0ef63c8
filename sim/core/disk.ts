import {
  asDigest,
  asLogIndex,
  asTerm,
  decodeConfiguration,
  emptyBootstrap,
  type Bootstrap,
  type Configuration,
  type Digest,
  type Entry,
  type HardState,
  type LogIndex,
  type Persist,
  type Snapshot,
  type TermRun,
} from '../../src/raft/index.ts'

/** One atomic unit of change. `applied` rides along with whatever is written. */
export interface Write {
  readonly persist?: Persist
  readonly lowEnd?: Snapshot
  readonly applied: LogIndex
}

/** The folded state of the simulated state machine is the digest of the newest folded entry: it depends on all of them. */
export function encodeState(digest: Digest): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, digest)
  return bytes
}

export const decodeState = (state: Uint8Array): Digest =>
  asDigest(new DataView(state.buffer, state.byteOffset).getBigUint64(0))

/** These entries were there and are no more, or are others now; `term` is the newest that the disk knows. */
export type OnDropped = (entries: readonly Entry[], term: number) => void

/**
 * A disk that keeps what was synced and nothing else. Writes are gathered while one is under way and then go together, as
 * one atomic unit. A crash loses what is queued; the unit under way is there as a whole or not at all.
 */
export class SimulatedDisk {
  hardState: HardState
  lowEnd: Snapshot
  /** entries[0] is the one after the low end. */
  entries: Entry[] = []
  applied: LogIndex
  #queue: Write[] = []
  #underWay: readonly Write[] = []

  readonly #onDropped: OnDropped

  constructor(configuration: Configuration, onDropped: OnDropped = () => {}) {
    this.#onDropped = onDropped
    const { hardState, lowEnd, applied } = emptyBootstrap(configuration)
    this.hardState = hardState
    this.lowEnd = { ...lowEnd, state: encodeState(lowEnd.digest) }
    this.applied = applied
  }

  get lastIndex(): LogIndex {
    return asLogIndex(this.lowEnd.index + this.entries.length)
  }

  /** In force at the end of what is on disk: by the newest configuration entry, or the low end. */
  get configuration(): Configuration {
    const newest = this.entries.findLast(({ kind }) => kind === 'configuration')
    return newest === undefined ? this.lowEnd.configuration : decodeConfiguration(newest.header)
  }

  get configurationIndex(): LogIndex {
    return this.entries.findLast(({ kind }) => kind === 'configuration')?.index ?? this.lowEnd.index
  }

  entryAt(index: number): Entry | undefined {
    return this.entries[index - this.lowEnd.index - 1]
  }

  digestAt(index: number): Digest | undefined {
    return index === this.lowEnd.index ? this.lowEnd.digest : this.entryAt(index)?.digest
  }

  enqueue(write: Write): void {
    this.#queue.push(write)
  }

  /** Starts the next unit unless one is under way. True where one was started. */
  begin(): boolean {
    if (this.#underWay.length > 0 || this.#queue.length === 0) return false
    this.#underWay = this.#queue
    this.#queue = []
    return true
  }

  /** The unit under way is synced. */
  finish(): readonly Write[] {
    const written = this.#underWay
    for (const write of written) this.#change(write)
    this.#underWay = []
    return written
  }

  /** How many writes get lost. `keepsUnderWay`: the unit under way made it, though nobody was told. */
  crash(keepsUnderWay: boolean): number {
    if (keepsUnderWay) this.finish()
    const lost = this.#queue.length + this.#underWay.length
    this.#queue = []
    this.#underWay = []
    return lost
  }

  #change(write: Write): void {
    const first = write.persist?.entries[0]?.index
    const isCut = write.persist?.snapshot !== undefined || (first !== undefined && first <= this.lastIndex)
    const before = isCut ? [...this.entries] : []
    this.#apply(write)
    const dropped = before.filter(({ index, digest }) => {
      return index > this.lowEnd.index && this.entryAt(index)?.digest !== digest
    })
    if (dropped.length > 0) this.#onDropped(dropped, this.hardState.term)
  }

  #apply({ persist, lowEnd, applied }: Write): void {
    if (persist?.snapshot !== undefined) {
      this.lowEnd = persist.snapshot
      this.entries = []
      this.applied = persist.snapshot.index
    }
    const first = persist?.entries[0]
    if (persist !== undefined && first !== undefined) {
      if (first.index > this.lastIndex + 1 || first.index <= this.lowEnd.index) {
        throw new Error(
          `write of ${first.index} leaves a gap: the log is ${this.lowEnd.index} to ${this.lastIndex}`,
        )
      }
      this.entries.length = first.index - this.lowEnd.index - 1
      for (const entry of persist.entries) this.entries.push(entry)
    }
    if (persist?.hardState !== undefined) this.hardState = persist.hardState
    if (applied > this.applied) this.applied = applied
    if (lowEnd !== undefined && lowEnd.index > this.lowEnd.index) {
      this.entries = this.entries.slice(lowEnd.index - this.lowEnd.index)
      this.lowEnd = lowEnd
    }
  }

  read(from: number, maxBytes: number): Entry[] {
    const found: Entry[] = []
    let bytes = 0
    for (let index = from; index <= this.lastIndex; index += 1) {
      const entry = this.entryAt(index)
      if (entry === undefined) return []
      bytes += entry.payloadBytes + entry.header.length
      if (found.length > 0 && bytes > maxBytes) break
      found.push(entry)
    }
    return found
  }

  /** What a core starts from. `extraTail`: how many applied entries are loaded as well. */
  bootstrap(extraTail: number): Bootstrap {
    const { state: _state, ...lowEnd } = this.lowEnd
    const last = this.entries.at(-1) ?? lowEnd
    const termRuns: TermRun[] = []
    for (const { index, term } of this.entries) {
      if (termRuns.at(-1)?.term !== term) termRuns.push({ firstIndex: index, term: asTerm(term) })
    }
    const tailFrom = Math.max(lowEnd.index, this.applied - extraTail)
    return {
      hardState: this.hardState,
      lowEnd,
      last: { index: last.index, term: last.term, digest: last.digest },
      termRuns,
      applied: this.applied,
      tail: this.entries.slice(tailFrom - lowEnd.index),
      configuration: this.configuration,
    }
  }
}
