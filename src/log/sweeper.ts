import type { Logger, Store, StoreOperation } from '../env/index.ts'
import { assert } from './assert.ts'
import {
  byTimeKey,
  entryKey,
  entryRange,
  groupKey,
  groupOfKey,
  groupRange,
  justAfter,
  keyKind,
} from './keys.ts'
import type { Range } from './keys.ts'
import { decodeIndexPoint } from './records.ts'
import type { SegmentFiles } from './segments.ts'
import type { StoredEntries, Sweep } from './sweep.ts'
import type { GroupId, IndexPoint } from './types.ts'

/** Deletions in one batch: few enough that a turn doesn't wait long behind them. */
const mostDeletions = 1000
/** A group that had less in the store leaves its space to LevelDB's own merging: asking for it costs a flush each time. */
const compactAboveBytes = 1024 * 1024

/**
 * Gives space back after a turn has made durable that nobody needs it: entries and signposts below a low end, unnamed
 * segments, destroyed groups. One thing after the other, in the background. Each of its batches is synced, because an
 * unsynced one could be lost alone and its keys come back. What a stop cuts short, the next start finds and asks for again.
 */
export class Sweeper {
  readonly #store: Store
  readonly #segments: SegmentFiles
  readonly #logger: Logger
  readonly #onFailure: (error: unknown) => void
  readonly #queue: Sweep[] = []
  #running: Promise<void> | undefined
  #closed = false

  constructor(store: Store, segments: SegmentFiles, logger: Logger, onFailure: (error: unknown) => void) {
    this.#store = store
    this.#segments = segments
    this.#logger = logger
    this.#onFailure = onFailure
  }

  add(sweep: Sweep): void {
    if (this.#closed) return
    this.#queue.push(sweep)
    this.#running ??= this.#run()
  }

  isDestroying(groupId: GroupId): boolean {
    return this.#queue.some((sweep) => sweep.type === 'destroyed' && sweep.groupId === groupId)
  }

  /** Resolves when nothing is left to do. */
  async idle(): Promise<void> {
    await this.#running
  }

  /** Stops after the batch that is under way. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#running
  }

  async #run(): Promise<void> {
    try {
      for (let next = this.#queue[0]; next !== undefined && !this.#closed; next = this.#queue[0]) {
        await this.#sweep(next)
        assert(this.#queue[0] === next, 'log.sweep-in-order', () => `${next?.type}`)
        this.#queue.shift()
      }
    } catch (error) {
      this.#closed = true
      this.#onFailure(error)
    } finally {
      this.#running = undefined
    }
  }

  async #sweep(sweep: Sweep): Promise<void> {
    switch (sweep.type) {
      case 'below':
        await this.#below(sweep)
        return
      case 'destroyed':
        await this.#destroyed(sweep)
        return
      case 'shared':
        for (const segment of sweep.segments)
          await this.#unlink(() => this.#segments.remove('shared', segment))
    }
  }

  async #below({ groupId, from, to, segments }: Sweep & { readonly type: 'below' }): Promise<void> {
    assert(from <= to + 1, 'log.sweep-below', () => `group ${groupId}: ${from} to ${to}`)
    for (const segment of segments) await this.#unlink(() => this.#segments.remove(groupId, segment))
    await this.#signpostsBelow(groupId, to)
    // Last, because entries below the low end are what tells a start that this was cut short.
    if (from > 0) await this.#deleteEntries(groupId, from, to)
    else await this.#deleteAll(entryRange(groupId, from, to))
  }

  async #destroyed({ groupId, stored }: Sweep & { readonly type: 'destroyed' }): Promise<void> {
    await this.#unlink(() => this.#segments.removeGroup(groupId))
    for (const kind of [keyKind.byOffset, keyKind.byTime] as const) {
      await this.#deleteAll(groupRange(kind, groupId))
    }
    assert((stored?.bytes ?? 0) >= 0, 'log.sweep-stored', () => `group ${groupId}: ${stored?.bytes} bytes`)
    await this.#destroyEntries(groupId, stored)
    if (this.#closed) return
    await this.#store.batch([{ type: 'del', key: groupKey(keyKind.destroyed, groupId) }], { sync: true })
  }

  /** LevelDB would keep what is deleted until it happens to merge the tables that it lies in, so it is asked for that. */
  async #destroyEntries(groupId: GroupId, stored: StoredEntries | undefined): Promise<void> {
    const range = groupRange(keyKind.entry, groupId)
    if (stored !== undefined) {
      await this.#deleteEntries(groupId, stored.from, stored.to)
      if (this.#closed) return
      if (stored.bytes >= compactAboveBytes) await this.#store.compact(range)
    }
    // Nothing is left of what is known; of what isn't, this finds it.
    const deletedBytes = await this.#deleteAll(range)
    if (deletedBytes >= compactAboveBytes && !this.#closed) await this.#store.compact(range)
  }

  /**
   * By their keys. To look for them first would bring all that they hold into memory: LevelDB maps the tables that it reads,
   * and a topic that is deleted may be most of the store.
   */
  async #deleteEntries(groupId: GroupId, from: number, to: number): Promise<void> {
    for (let first = from; first <= to && !this.#closed; first += mostDeletions) {
      const count = Math.min(mostDeletions, to - first + 1)
      const operations = Array.from({ length: count }, (_, at): StoreOperation => ({
        type: 'del',
        key: entryKey(groupId, first + at),
      }))
      await this.#store.batch(operations, { sync: true })
    }
  }

  /** A file that can't be removed costs space, not safety; the next start tries again. */
  async #unlink(remove: () => Promise<void>): Promise<void> {
    try {
      await remove()
    } catch (error) {
      this.#logger.warn({ err: error }, 'a segment that is no longer needed could not be removed')
    }
  }

  async #signpostsBelow(groupId: GroupId, to: number): Promise<void> {
    let range = groupRange(keyKind.byOffset, groupId)
    while (!this.#closed) {
      const operations: StoreOperation[] = []
      let after: Uint8Array | undefined
      let above = false
      for await (const [key, value] of this.#store.iterate({ ...range, limit: mostDeletions })) {
        after = key
        const point = this.#signpost(key, value)
        above = point !== undefined && point.index > to
        if (above) break
        assert(groupOfKey(key) === groupId, 'log.sweep-signpost-group', () => `group ${groupId}`)
        operations.push({ type: 'del', key })
        if (point === undefined) continue
        operations.push({ type: 'del', key: byTimeKey(groupId, point.appendTimeMs, point.offset) })
      }
      if (operations.length > 0) await this.#store.batch(operations, { sync: true })
      if (above || after === undefined) return
      range = { gte: justAfter(after), lt: range.lt }
    }
  }

  /** A damaged signpost only makes a search longer, so it is dropped wherever it points. */
  #signpost(key: Uint8Array, value: Uint8Array): IndexPoint | undefined {
    try {
      return decodeIndexPoint(value, key)
    } catch (error) {
      this.#logger.warn({ err: error }, 'a damaged signpost is dropped')
      return undefined
    }
  }

  /** Returns how many bytes of values that were. */
  async #deleteAll(range: Range): Promise<number> {
    let rest = range
    let deletedBytes = 0
    while (!this.#closed) {
      const operations: StoreOperation[] = []
      for await (const [key, value] of this.#store.iterate({ ...rest, limit: mostDeletions })) {
        operations.push({ type: 'del', key })
        deletedBytes += value.length
      }
      const last = operations.at(-1)
      if (last === undefined) break
      assert(operations.length <= mostDeletions, 'log.sweep-batch', () => `${operations.length} deletions`)
      await this.#store.batch(operations, { sync: true })
      rest = { gte: justAfter(last.key), lt: rest.lt }
    }
    return deletedBytes
  }
}
