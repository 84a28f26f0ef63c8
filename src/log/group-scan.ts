import { chain, decodeConfiguration } from '../raft/index.ts'
import type { Configuration, HardState, LogIndex, LogMark, SnapshotMark, TermRun } from '../raft/types.ts'
import { asDigest, asLogIndex, asTerm } from '../raft/types.ts'
import { assert } from './assert.ts'
import { withPayload } from './entry-codec.ts'
import type { GroupState, SegmentState, SharedPart } from './group-state.ts'
import { withShared } from './group-state.ts'
import { decodeStoredEntry, storedEntry } from './records.ts'
import type { Extent, StateAt, StoredEntry } from './records.ts'
import type { GroupId } from './types.ts'

/** What the small records say of a group; undefined where one isn't there. */
export interface GroupRecords {
  readonly lowEnd: SnapshotMark | undefined
  readonly hardState: HardState | undefined
  readonly applied: StateAt | undefined
}

/** Goes through a group's entries in order and checks what one entry says of the next. Keeps little of them. */
export class GroupScan {
  readonly groupId: GroupId
  readonly hardState: HardState
  readonly lowEnd: SnapshotMark
  readonly termRuns: TermRun[] = []
  readonly applied: StateAt | undefined
  configuration: Configuration
  last: LogMark
  entries = 0
  /** The first thing that is wrong; nothing is looked at after it. */
  damage: string | undefined
  /** Entries that a move of the low end left behind. */
  leftBelow = false
  readonly #tailBytes: number
  #entryBytes = 0
  #tail: StoredEntry[] = []
  #tailStart = 0
  #tailSum = 0
  readonly #segments = new Map<number, SegmentState>()
  #shared: readonly SharedPart[] = []
  /** Up to where entries name a shared segment, by its number. */
  readonly sharedEnds = new Map<number, number>()
  /** The newest shared segment that any of its entries names, also where the group is damaged; 0 where none does. */
  newestShared = 0

  constructor(groupId: GroupId, records: GroupRecords, tailBytes: number) {
    this.groupId = groupId
    this.#tailBytes = tailBytes
    const { lowEnd, hardState, applied } = records
    this.damage =
      lowEnd === undefined
        ? 'the record of its low end is missing'
        : hardState === undefined
          ? 'its hard state is missing'
          : undefined
    this.lowEnd = lowEnd ?? noMark
    this.hardState = hardState ?? noHardState
    // A record that a later snapshot or low end has overtaken says nothing any more.
    this.applied = applied !== undefined && applied.index > this.lowEnd.index ? applied : undefined
    this.last = { index: this.lowEnd.index, term: this.lowEnd.term, digest: this.lowEnd.digest }
    this.configuration = this.lowEnd.configuration
    assert(this.appliedIndex >= this.lowEnd.index, 'log.scan-applied', () => `group ${groupId}`)
    assert(this.last.index === this.lowEnd.index, 'log.scan-start', () => `group ${groupId}`)
  }

  get appliedIndex(): LogIndex {
    return this.applied?.index ?? this.lowEnd.index
  }

  /** The next stored entry, in the order of the keys. */
  add(index: LogIndex, value: Uint8Array): void {
    if (this.damage !== undefined) {
      const stored = storedEntry(value)
      if (stored !== undefined) this.#noteShared(stored)
      return
    }
    assert(this.last.index >= this.lowEnd.index, 'log.scan-low-end', () => `group ${this.groupId}`)
    if (index <= this.lowEnd.index) {
      this.leftBelow = true
      return
    }
    try {
      const stored = decodeStoredEntry(value)
      this.#noteShared(stored)
      this.#check(index, stored, value.length)
    } catch (error) {
      // Nothing in there reads from anywhere: whatever is thrown says that these bytes aren't an entry.
      this.damage = `entry ${index}: ${error instanceof Error ? error.message : String(error)}`
    }
  }

  #noteShared({ payload }: StoredEntry): void {
    if (payload.type === 'inline' || !payload.extent.shared) return
    this.newestShared = Math.max(this.newestShared, payload.extent.segment)
  }

  #check(index: LogIndex, stored: StoredEntry, valueBytes: number): void {
    const { head, payload } = stored
    const expected = this.last.index + 1
    if (index !== expected) {
      this.damage = `entry ${expected} is missing: the next one that is there is ${index}`
      return
    }
    if (head.index !== index) {
      this.damage = `entry ${index}: its head says that it is ${head.index}`
      return
    }
    if (head.term < this.last.term) {
      this.damage = `entry ${index}: its term ${head.term} is below its predecessor's ${this.last.term}`
      return
    }
    if (chain(this.last.digest, head) !== head.digest) {
      this.damage = `entry ${index}: its digest doesn't continue its predecessor's`
      return
    }
    if (payload.type === 'inline') withPayload(head, payload.bytes)
    else this.#addExtent(index, payload.extent, head.payloadBytes)
    if (head.kind === 'configuration') this.configuration = decodeConfiguration(head.header)
    if (this.termRuns.at(-1)?.term !== head.term) this.termRuns.push({ firstIndex: index, term: head.term })
    this.last = { index, term: head.term, digest: head.digest }
    this.entries++
    assert(
      this.entries === this.last.index - this.lowEnd.index,
      'log.scan-count',
      () => `group ${this.groupId}: ${this.entries} entries up to ${this.last.index}`,
    )
    this.#entryBytes += valueBytes
    this.#addToTail(stored)
  }

  #addExtent(index: LogIndex, { shared, segment: number, position }: Extent, payloadBytes: number): void {
    const end = position + payloadBytes
    assert(end >= position && index >= 1, 'log.scan-extent', () => `group ${this.groupId}: ${index}`)
    if (shared) {
      this.sharedEnds.set(number, Math.max(end, this.sharedEnds.get(number) ?? 0))
      this.#shared = withShared(this.#shared, number, index, payloadBytes)
      return
    }
    const bytes = Math.max(end, this.#segments.get(number)?.bytes ?? 0)
    this.#segments.set(number, { number, bytes, lastIndex: index })
  }

  /** Keeps what isn't applied yet, and of what is before it the newest up to the limit. */
  #addToTail(stored: StoredEntry): void {
    this.#tail.push(stored)
    this.#tailSum += memoryBytes(stored)
    for (
      let oldest = this.#tail[this.#tailStart];
      oldest !== undefined;
      oldest = this.#tail[this.#tailStart]
    ) {
      if (oldest.head.index > this.appliedIndex || this.#tailSum <= this.#tailBytes) break
      this.#tailSum -= memoryBytes(oldest)
      this.#tailStart++
    }
    if (this.#tailStart > 1000 && this.#tailStart * 2 > this.#tail.length) {
      this.#tail = this.#tail.slice(this.#tailStart)
      this.#tailStart = 0
    }
    assert(this.#tailStart <= this.#tail.length, 'log.tail-start', () => `${this.#tailStart}`)
    assert(this.#tailSum >= 0, 'log.tail-sum', () => `${this.#tailSum}`)
  }

  /** Entries that end the log, for a core to start with. */
  tail(): readonly StoredEntry[] {
    return this.#tail.slice(this.#tailStart)
  }

  /** Segments that entries name, ascending, and up to where. */
  segments(): SegmentState[] {
    return [...this.#segments.values()].sort((left, right) => left.number - right.number)
  }

  /** What the group has in shared segments. */
  shared(): readonly SharedPart[] {
    return this.#shared
  }

  /** What can only be said once all entries are seen. */
  finish(): void {
    if (this.damage !== undefined) return
    const { last, hardState, appliedIndex } = this
    assert(
      (this.termRuns.at(-1)?.term ?? this.lowEnd.term) === last.term,
      'log.scan-run',
      () => `group ${this.groupId}: the last run isn't of term ${last.term}`,
    )
    if (hardState.commit > last.index) {
      this.damage = `entry ${last.index + 1} is missing: entries up to ${hardState.commit} were committed`
    } else if (appliedIndex > last.index) {
      this.damage = `entry ${last.index + 1} is missing: entries up to ${appliedIndex} were applied`
    } else if (hardState.term < last.term) {
      this.damage = `its hard state has term ${hardState.term}, and entry ${last.index} has ${last.term}`
    }
  }

  state(lowEndStateBytes: number): GroupState {
    const { groupId, last, hardState } = this
    const { index, term, digest } = this.lowEnd
    const segments = this.segments()
    assert(this.damage === undefined, 'log.state-of-damaged', () => `group ${groupId}: ${this.damage}`)
    assert(hardState.term >= last.term, 'log.state-term', () => `group ${groupId}: ${hardState.term}`)
    assert(this.appliedIndex <= last.index, 'log.state-applied', () => `group ${groupId}`)
    return {
      groupId,
      lowEnd: { index, term, digest },
      last,
      applied: this.appliedIndex,
      term: hardState.term,
      commit: asLogIndex(Math.max(hardState.commit, index)),
      segments,
      nextSegment: (segments.at(-1)?.number ?? 0) + 1,
      shared: this.#shared,
      entryBytes: this.#entryBytes,
      stateBytes: lowEndStateBytes + (this.applied?.state.length ?? 0),
    }
  }
}

/** About what an entry takes in memory beside its payload and header. */
const entryOverheadBytes = 64

function memoryBytes({ head }: StoredEntry): number {
  return head.payloadBytes + head.header.length + entryOverheadBytes
}

// For a group whose records are missing; it is damaged, so nobody gets to see these.
const noMark: SnapshotMark = {
  index: asLogIndex(0),
  term: asTerm(0),
  digest: asDigest(0n),
  configuration: { voters: [], votersOutgoing: [], learners: [] },
}
const noHardState: HardState = { term: asTerm(0), votedFor: undefined, commit: asLogIndex(0) }
