import type { IndexPoint, Offset } from '../../log/types.ts'
import type { LogIndex } from '../../raft/types.ts'

/** A signpost is set after so many payload bytes … */
const BYTES_BETWEEN = 256 * 1024
/** … or so many entries, whichever comes first: no read starts further than this from a signpost. */
const ENTRIES_BETWEEN = 64
/** The newest are kept in memory, for readers of the tail. */
const KEPT = 1024

/** Sparse index over committed entries, by offset and by time. What isn't in memory any more is in storage. */
export class Signposts {
  #points: IndexPoint[] = []
  #unsaved = 0
  #bytes = BYTES_BETWEEN
  #entries = 0

  /** Tells of a folded entry, in order. */
  pass(index: LogIndex, offset: Offset, appendTimeMs: number, payloadBytes: number): void {
    if (this.#bytes >= BYTES_BETWEEN || this.#entries >= ENTRIES_BETWEEN) {
      this.#points.push({ index, offset, appendTimeMs })
      this.#unsaved += 1
      this.#bytes = 0
      this.#entries = 0
    }
    this.#bytes += payloadBytes
    this.#entries += 1
  }

  /** Those to be stored with the next applied state. */
  takeUnsaved(): readonly IndexPoint[] {
    const taken = this.#unsaved === 0 ? [] : this.#points.slice(-this.#unsaved)
    this.#unsaved = 0
    if (this.#points.length > KEPT) this.#points.splice(0, this.#points.length - KEPT)
    return taken
  }

  /** The last one at or below `offset`; undefined where memory doesn't reach back so far. */
  findByOffset(offset: Offset): IndexPoint | undefined {
    return this.#lastWhere((point) => point.offset <= offset)
  }

  /** The last one appended before `timeMs`; undefined where memory doesn't reach back so far. */
  findByTime(timeMs: number): IndexPoint | undefined {
    return this.#lastWhere((point) => point.appendTimeMs < timeMs)
  }

  clear(): void {
    this.#points = []
    this.#unsaved = 0
    this.#bytes = BYTES_BETWEEN
    this.#entries = 0
  }

  #lastWhere(below: (point: IndexPoint) => boolean): IndexPoint | undefined {
    let low = 0
    let high = this.#points.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const point = this.#points[middle]
      if (point !== undefined && below(point)) low = middle + 1
      else high = middle
    }
    return low === 0 ? undefined : this.#points[low - 1]
  }
}
