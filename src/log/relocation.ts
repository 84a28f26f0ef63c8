import type { Logger, Store } from '../env/index.ts'
import type { Entry } from '../raft/types.ts'
import { assert, LogAssertionError } from './assert.ts'
import { withPayload } from './entry-codec.ts'
import { MalformedBytesError, StorageFailedError } from './errors.ts'
import type { GroupState, SharedPart } from './group-state.ts'
import { entryRange } from './keys.ts'
import { decodeStoredEntry } from './records.ts'
import type { SegmentFiles } from './segments.ts'
import type { SharedSegments } from './shared-segments.ts'
import type { Relocation } from './turn.ts'
import type { GroupId } from './types.ts'

/** Payloads of one turn: few enough that the turns of the node don't wait long behind it. */
const mostBytesPerTurn = 1024 * 1024
/** Each writes to a file of its own. */
const mostGroupsPerTurn = 32

/** What relocation needs of the storage. */
export interface RelocationHost {
  /** Asked anew after every wait: the logs go on meanwhile. */
  groups(): Iterable<GroupState>
  stateOf(groupId: GroupId): GroupState | undefined
  /** A turn of its own, between two of the node's. */
  commit(relocations: readonly Relocation[]): Promise<void>
  /** An assertion is broken: the storage must take nothing more. */
  fail(error: LogAssertionError): void
}

/**
 * Empties the oldest shared segments while there are too many: moves what the groups have in them to the groups' own segments, where
 * the payloads of a group lie side by side and whole files can be given back. Most topics with a short life never get so far. In the
 * background, a little at a time; what a stop cuts short goes on after the next start.
 */
export class SharedRelocation {
  readonly #store: Store
  readonly #segments: SegmentFiles
  readonly #shared: SharedSegments
  readonly #logger: Logger
  readonly #host: RelocationHost
  /** In these a payload is damaged; what else was in them has been moved. */
  readonly #damaged = new Set<number>()
  #running: Promise<void> | undefined
  #again = false
  #closed = false

  constructor(
    store: Store,
    segments: SegmentFiles,
    shared: SharedSegments,
    logger: Logger,
    host: RelocationHost,
  ) {
    this.#store = store
    this.#segments = segments
    this.#shared = shared
    this.#logger = logger
    this.#host = host
  }

  /** Looks whether there is something to do. */
  start(): void {
    this.#again = true
    if (this.#closed) return
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
      if (this.#again) this.start()
    })
  }

  /** A damaged payload was written anew in its place, and can be moved. */
  restored(): void {
    this.#damaged.clear()
  }

  /** Stops after the turn that is under way. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#again) {
      this.#again = false
      const tried = new Set<number>()
      for (let next = this.#next(tried); next !== undefined; next = this.#next(tried)) {
        assert(!tried.has(next.number), 'log.relocate-once', () => `shared segment ${next?.number}`)
        tried.add(next.number)
        await this.#tryToEmpty(next.number, next.bytes)
      }
    }
  }

  async #tryToEmpty(number: number, bytes: number): Promise<void> {
    try {
      await this.#empty(number, bytes)
    } catch (error) {
      // What is not moved lies where it lay. A storage that failed has told it, and takes no more turns.
      if (error instanceof StorageFailedError) this.#closed = true
      else if (error instanceof LogAssertionError) {
        this.#closed = true
        this.#host.fail(error)
      } else
        this.#logger.warn({ sharedSegment: number, err: error }, 'a shared segment could not be relocated')
    }
  }

  /** Each at most once in a pass: what can't be moved now (it isn't committed, or is damaged) must not hold up the rest. */
  #next(tried: ReadonlySet<number>): { readonly number: number; readonly bytes: number } | undefined {
    if (this.#closed) return undefined
    return this.#shared.toRelocate().find(({ number }) => !tried.has(number) && !this.#damaged.has(number))
  }

  async #empty(number: number, bytes: number): Promise<void> {
    const groups = [...this.#host.groups()].filter((state) => partIn(state, number) !== undefined)
    const movable = groups.filter((state) => partIn(state, number)!.lastIndex <= state.commit)
    if (movable.length === 0) return
    const file = await this.#segments.read('shared', number, 0, bytes, 'one')
    assert(file.length <= bytes, 'log.relocate-read', () => `${file.length} bytes of ${bytes}`)
    let turn: Relocation[] = []
    let gathered = 0
    assert(bytes > 0, 'log.relocate-bytes', () => `shared segment ${number}`)
    for (const { groupId } of movable) {
      for await (const relocation of this.#relocations(groupId, number, file)) {
        turn.push(relocation)
        gathered += relocation.entries.reduce((sum, { payloadBytes }) => sum + payloadBytes, 0)
        if (this.#closed) return
        if (gathered < mostBytesPerTurn && turn.length < mostGroupsPerTurn) continue
        await this.#host.commit(turn)
        turn = []
        gathered = 0
      }
    }
    assert(gathered < mostBytesPerTurn, 'log.relocate-gathered', () => `${gathered} bytes are left`)
    if (turn.length > 0 && !this.#closed) await this.#host.commit(turn)
  }

  /** What the group has in the segment, in pieces for a turn. The last piece says so, unless something is damaged and has to stay. */
  async *#relocations(groupId: GroupId, from: number, file: Uint8Array): AsyncGenerator<Relocation> {
    const part = partIn(this.#host.stateOf(groupId), from)
    if (part === undefined) return
    let entries: Entry[] = []
    let bytes = 0
    let isWhole = true
    assert(part.firstIndex <= part.lastIndex, 'log.relocate-range', () => `group ${groupId}: ${from}`)
    for await (const [, value] of this.#store.iterate(entryRange(groupId, part.firstIndex, part.lastIndex))) {
      const entry = this.#entryIn(groupId, value, from, file)
      if (entry === 'elsewhere') continue
      if (entry === 'damaged') {
        isWhole = false
        this.#damaged.add(from)
        continue
      }
      entries.push(entry)
      bytes += entry.payloadBytes
      if (bytes < mostBytesPerTurn) continue
      yield { groupId, from, entries, isLast: false }
      entries = []
      bytes = 0
    }
    assert(part.number === from, 'log.relocate-part', () => `group ${groupId}: ${part.number}, not ${from}`)
    if (isWhole || entries.length > 0) yield { groupId, from, entries, isLast: isWhole }
  }

  /** A damaged payload stays where it is: whoever reads the entry asks another replica for it, and then it's written anew there. */
  #entryIn(
    groupId: GroupId,
    value: Uint8Array,
    from: number,
    file: Uint8Array,
  ): Entry | 'elsewhere' | 'damaged' {
    try {
      const { head, payload } = decodeStoredEntry(value)
      assert(from >= 1 && head.index >= 1, 'log.relocate-entry', () => `group ${groupId}: ${head.index}`)
      if (payload.type === 'inline' || !payload.extent.shared || payload.extent.segment !== from)
        return 'elsewhere'
      const { position } = payload.extent
      assert(position >= 0, 'log.relocate-position', () => `group ${groupId}: ${position}`)
      return withPayload(head, file.subarray(position, position + head.payloadBytes))
    } catch (error) {
      if (!(error instanceof MalformedBytesError)) throw error
      this.#logger.warn(
        { groupId, sharedSegment: from, err: error },
        'a payload in a shared segment is damaged and stays there',
      )
      return 'damaged'
    }
  }
}

function partIn(state: GroupState | undefined, number: number): SharedPart | undefined {
  return state?.shared.find((part) => part.number === number)
}
