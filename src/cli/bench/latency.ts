import { createHistogram } from 'node:perf_hooks'

/** Milliseconds. */
export interface LatencySummary {
  readonly count: number
  readonly meanMs: number
  readonly p50Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly maxMs: number
}

const mostMicroseconds = 3_600_000_000

/** Latencies in steps of a microsecond, with three figures of precision, up to an hour. */
export class LatencyHistogram {
  readonly #histogram = createHistogram({ lowest: 1, highest: mostMicroseconds, figures: 3 })
  #maxMs = 0

  record(ms: number): void {
    const microseconds = Math.round(ms * 1000)
    this.#histogram.record(Math.min(Math.max(microseconds, 1), mostMicroseconds))
    if (ms > this.#maxMs) this.#maxMs = ms
  }

  add(other: LatencyHistogram): void {
    this.#histogram.add(other.#histogram)
    if (other.#maxMs > this.#maxMs) this.#maxMs = other.#maxMs
  }

  /** Undefined where nothing was recorded. */
  summary(): LatencySummary | undefined {
    const histogram = this.#histogram
    if (histogram.count === 0) return undefined
    // The histogram's buckets have a width; nothing is above the longest that was seen.
    const at = (percentile: number): number => Math.min(histogram.percentile(percentile) / 1000, this.#maxMs)
    return {
      count: histogram.count,
      meanMs: histogram.mean / 1000,
      p50Ms: at(50),
      p95Ms: at(95),
      p99Ms: at(99),
      p999Ms: at(99.9),
      maxMs: this.#maxMs,
    }
  }
}
