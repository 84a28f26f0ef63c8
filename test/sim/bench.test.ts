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
    const first = Array.from({ length: 200 }, (_, at) => run(1, at * MIB))
    const then = Array.from({ length: 200 }, (_, at) => (500 + 2 * at) * MIB).map((rss) => run(1, rss, rss))
    const figures = figuresOf([...first, ...then], 1)
    expect(figures.rssSlopeMiBPer1000Seeds).toBeCloseTo(2000)
    expect(figures.peakRssMiB).toBe(898)
  })

  test('say nothing of growth by a few runs', () => {
    expect(figuresOf([run(1, 1), run(1, 2), run(1, 3)], 1).rssSlopeMiBPer1000Seeds).toBeUndefined()
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
