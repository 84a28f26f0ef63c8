import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { LatencyHistogram } from '../../../src/cli/bench/latency.ts'

function summaryOf(latencies: readonly number[]) {
  const histogram = new LatencyHistogram()
  for (const ms of latencies) histogram.record(ms)
  return histogram.summary()
}

describe('latencies', () => {
  it('tell nothing where there are none', () => {
    expect(summaryOf([])).toBeUndefined()
  })

  it('have their percentiles in milliseconds', () => {
    const summary = summaryOf(Array.from({ length: 1000 }, (_, index) => index + 1))!
    expect(summary.count).toBe(1000)
    expect(summary.p50Ms).toBeCloseTo(500, -1)
    expect(summary.p95Ms).toBeCloseTo(950, -1)
    expect(summary.p99Ms).toBeCloseTo(990, -1)
    expect(summary.p999Ms).toBeCloseTo(999, -1)
    expect(summary.maxMs).toBe(1000)
    expect(summary.meanMs).toBeCloseTo(500.5, 0)
  })

  it('of two halves are those of the whole', () => {
    const [first, second] = [new LatencyHistogram(), new LatencyHistogram()]
    for (let ms = 1; ms <= 500; ms++) first.record(ms)
    for (let ms = 501; ms <= 1000; ms++) second.record(ms)
    first.add(second)
    expect(first.summary()).toEqual(summaryOf(Array.from({ length: 1000 }, (_, index) => index + 1)))
  })

  it('count what is shorter than a microsecond, or as long as an hour, all the same', () => {
    expect(summaryOf([0, -0.2, 4_000_000])).toMatchObject({ count: 3, maxMs: 4_000_000 })
  })

  test.prop([fc.array(fc.double({ min: 0.001, max: 100_000, noNaN: true }), { minLength: 1 })])(
    'lie within three figures of the ordered list',
    (latencies) => {
      const summary = summaryOf(latencies)!
      const ordered = latencies.toSorted((a, b) => a - b)
      for (const [percentile, found] of [
        [50, summary.p50Ms],
        [95, summary.p95Ms],
        [99, summary.p99Ms],
      ] as const) {
        // The rank lies between two values of a short list; either is right.
        const rank = (percentile / 100) * ordered.length
        const below = ordered[Math.max(Math.floor(rank) - 1, 0)]!
        const above = ordered[Math.ceil(rank) - 1]!
        expect(found).toBeGreaterThan(below - below / 500 - 0.002)
        expect(found).toBeLessThan(above + above / 500 + 0.002)
      }
      expect(summary.maxMs).toBe(ordered.at(-1))
    },
  )
})
