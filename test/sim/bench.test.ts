import { describe, expect, test } from 'vitest'
import { figuresOf, slopeOf, type BenchRun } from '../../sim/bench.ts'
import { parseOptions } from '../../sim/options.ts'

const MIB = 1024 * 1024
const run = (cpuMs: number, rssBytes = 0, peakRssBytes = 0): BenchRun => ({
  events: 1000,
  virtualMs: 30_000,
  cpuMs,
  rssBytes,
  peakRssBytes,
  broken: undefined,
})

describe('the figures of a benchmark', () => {
  test('count the time of the processor', () => {
    const figures = figuresOf([run(100), run(300), run(200)], 7)
    expect(figures).toMatchObject({
      seeds: 3,
      firstSeed: 7,
      seedsAMinute: 300,
      eventsASecond: 5000,
      speedUp: 150,
    })
    expect(figures.cpuMsASeed).toEqual({ median: 200, p90: 200, most: 300 })
  })

  test('show memory that grows with every seed, whatever it took to warm up', () => {
    const first = [run(1, 100 * MIB), run(1, 300 * MIB), run(1, 400 * MIB)]
    const then = [500, 502, 504].map((mib) => run(1, mib * MIB, mib * MIB))
    const figures = figuresOf([...first, ...then], 1)
    expect(figures.rssSlopeMiBPer1000Seeds).toBeCloseTo(2000)
    expect(figures.peakRssMiB).toBe(504)
  })

  test('have no growth where memory goes up and down', () => {
    expect(slopeOf([4, 6, 6, 4])).toBeCloseTo(0)
    expect(slopeOf([5])).toBe(0)
  })
})

test('--bench takes a number of seeds, and is no swarm', () => {
  expect(parseOptions(['--bench', '--seeds', '3', '--output', 'json'])).toEqual({
    type: 'bench',
    options: { seeds: 3, firstSeed: 1000, output: 'json' },
  })
})
