import { PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

/** What V8 tells of its young generation, and the only thing about it that may be changed in a running process. */
export interface YoungSpace {
  /** Its size: two halves, of which one is in use at a time. */
  bytes(): number
  /** By so much it may grow after a collection (V8's --semi-space-growth-factor; 1: not at all). */
  setGrowthFactor(factor: number): void
}

/** V8 would let it grow to 32 MiB. */
export const mostYoungBytes = 16 * 1024 * 1024
/** V8's own. */
const usualFactor = 2

/**
 * Keeps the young generation of a node at half of what V8 would take. A node's objects live for one turn or as long as an
 * entry, so that a larger one finds no more garbage (docs/performance.md has the figures).
 */
export class YoungGeneration {
  readonly #space: YoungSpace
  #factor: number | undefined

  constructor(space: YoungSpace) {
    this.#space = space
    this.look()
  }

  /** After each collection: that is when it grows, or shrinks where the process has become idle. */
  look(): void {
    const factor = this.#space.bytes() * usualFactor <= mostYoungBytes ? usualFactor : 1
    if (factor === this.#factor) return
    this.#factor = factor
    this.#space.setGrowthFactor(factor)
  }
}

/** For as long as the process runs; keeps nothing from ending it. Who has told Node.js of a size has it. */
export function limitYoungGeneration(): void {
  const told = [...process.execArgv, process.env['NODE_OPTIONS'] ?? '']
  if (told.some((option) => /semi[-_]space/.test(option))) return
  const generation = new YoungGeneration({
    bytes: () =>
      getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size ?? 0,
    setGrowthFactor: (factor) => setFlagsFromString(`--semi-space-growth-factor=${factor}`),
  })
  new PerformanceObserver(() => generation.look()).observe({ entryTypes: ['gc'] })
}
