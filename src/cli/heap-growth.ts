import {
  constants,
  performance,
  PerformanceObserver,
  type NodeGCPerformanceDetail,
  type PerformanceEntry,
} from 'node:perf_hooks'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'

const MIB = 1024 * 1024

/** What V8 tells of its memory, and what may be changed in a running process. */
export interface Heap {
  nowMs(): number
  /** Bytes of objects, garbage included. */
  objectBytes(): number
  /** Bytes that objects hold outside of the heap: buffers. */
  bufferBytes(): number
  /** By how much objects and new buffers may grow until everything is collected (V8's --heap-growing-percent). */
  setGrowingPercent(percent: number): void
}

/** Objects and buffers of a node may take so much before everything is collected … */
export const budgetBytes = 104 * MIB
/** … unless what lives leaves less than this: V8 would only be collecting. */
export const leastGrowthBytes = 32 * MIB
/** Where full collections come sooner than that after each other, much passes through, and more of them would cost too much … */
export const busyBelowMs = 120
/** … so that it may be somewhat more. */
export const leastBusyGrowthBytes = 40 * MIB
/** Until the first collection has shown what lives. */
export const firstPercent = 150
/** As bin/flotilla.js sets it for every command: V8 alone would collect several times a second. */
export const mostPercent = 1000
/** Of a heap of thousands of groups. */
export const leastPercent = 100

/**
 * How much garbage a node may gather. V8 collects everything once buffers grew by 64 MiB, or objects and buffers together by
 * the percentage: where little lives that is within the budget, and a lower limit would only cost (docs/performance.md has the
 * figures). Where the entries of a hundred partitions live, it would be above, and the percentage is lowered to what is left.
 * Not so far where hundreds of megabytes a second of large payloads pass through.
 */
export class HeapGrowth {
  readonly #heap: Heap
  #percent = firstPercent
  #lastMs = -Infinity

  constructor(heap: Heap) {
    this.#heap = heap
    heap.setGrowingPercent(firstPercent)
  }

  /** After each full collection; what it sets holds from the next one on. */
  look(): void {
    const nowMs = this.#heap.nowMs()
    const isBusy = nowMs - this.#lastMs < busyBelowMs
    this.#lastMs = nowMs
    const leastBytes = isBusy ? leastBusyGrowthBytes : leastGrowthBytes
    const percent = growingPercent(this.#heap.objectBytes(), this.#heap.bufferBytes(), leastBytes)
    if (percent === this.#percent) return
    this.#percent = percent
    this.#heap.setGrowingPercent(percent)
  }
}

/** From the bytes that a collection left, in steps of ten. Pure. */
export function growingPercent(objectBytes: number, bufferBytes: number, leastBytes: number): number {
  const growthBytes = Math.max(budgetBytes - objectBytes - bufferBytes, leastBytes)
  const percent = Math.floor((10 * growthBytes) / Math.max(objectBytes, MIB)) * 10
  return Math.min(Math.max(percent, leastPercent), mostPercent)
}

/** For as long as the process runs; keeps nothing from ending it. */
export function limitHeapGrowth(nowMs = (): number => performance.now()): void {
  const growth = new HeapGrowth({
    nowMs,
    objectBytes: () => getHeapStatistics().used_heap_size,
    bufferBytes: () => getHeapStatistics().external_memory,
    setGrowingPercent: (percent) => setFlagsFromString(`--heap-growing-percent=${percent}`),
  })
  new PerformanceObserver((list) => {
    if (list.getEntries().some(isFullCollection)) growth.look()
  }).observe({ entryTypes: ['gc'] })
}

function isFullCollection(entry: PerformanceEntry): boolean {
  const { detail } = entry as PerformanceEntry & { readonly detail?: NodeGCPerformanceDetail }
  return detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR
}
