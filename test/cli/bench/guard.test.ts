import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { describeEnvironment } from '../../../src/cli/bench/environment.ts'
import {
  attemptOf,
  floorOf,
  guardCases,
  isGood,
  type GuardReport,
  type GuardResult,
} from '../../../src/cli/bench/guard.ts'
import { guardAnswer } from '../../../src/cli/bench/guard-report.ts'
import { inFlightBound } from '../../../src/cli/bench/targets.ts'
import { fakeContext } from '../fakes.ts'

const rate = fc.double({ min: 0.001, max: 1e9, noNaN: true })

describe('what appends are compared with', () => {
  it('is the rate of who does both raw things, one after the other', () => {
    expect(floorOf({ stream: 300, store: 150 })).toBeCloseTo(100)
  })

  test.prop([rate, rate])('is never more than either of them', (stream, store) => {
    const floor = floorOf({ stream, store })
    expect(floor).toBeGreaterThan(0)
    expect(floor).toBeLessThanOrEqual(Math.min(stream, store))
  })

  test.prop([rate, rate, rate, fc.double({ min: 0.01, max: 100, noNaN: true })])(
    'makes a ratio that a machine of another speed leaves as it is',
    (stream, store, append, speed) => {
      const here = attemptOf({ stream, store, append }, 0).ratio
      const there = attemptOf(
        { stream: stream * speed, store: store * speed, append: append * speed },
        0,
      ).ratio
      expect(there / here).toBeCloseTo(1)
    },
  )

  it('is nothing where a raw thing did nothing, and such an attempt is no good one', () => {
    for (const rates of [
      { stream: 0, store: 100 },
      { stream: 100, store: 0 },
    ]) {
      expect(isGood(attemptOf({ ...rates, append: 50 }, 0), 0.1)).toBe(false)
    }
  })
})

describe('an attempt', () => {
  const rates = { stream: 200, store: 200, append: 50 }

  it('is good from the least ratio on', () => {
    expect(isGood(attemptOf(rates, 0), 0.5)).toBe(true)
    expect(isGood(attemptOf({ ...rates, append: 49 }, 0), 0.5)).toBe(false)
  })

  it('is not good with an error, however fast it was', () => {
    expect(isGood(attemptOf(rates, 1), 0.1)).toBe(false)
  })
})

describe('the cases of bench guard', () => {
  it('compare as many bytes with as many bytes', () => {
    for (const { append, stream } of guardCases)
      expect(stream.messageBytes).toBe(stream.records * append.sizeBytes)
  })

  it('never ask the producer for more than it has room for', () => {
    for (const { append } of guardCases)
      expect(append.inFlight).toBeLessThanOrEqual(inFlightBound(append.sizeBytes))
  })

  it('have names of their own, and a bound that something can fall below', () => {
    expect(new Set(guardCases.map(({ name }) => name)).size).toBe(guardCases.length)
    for (const { leastRatio } of guardCases) expect(leastRatio).toBeGreaterThan(0)
  })
})

describe('the report', () => {
  it('says of each case whether it passed, with every attempt', () => {
    const failed = attemptOf({ stream: 1000, store: 1000, append: 5 }, 0)
    const good = attemptOf({ stream: 1000, store: 1000, append: 400 }, 0)
    const results: GuardResult[] = [
      { name: 'one', leastRatio: 0.1, attempts: [failed, good], passed: true },
      { name: 'two', leastRatio: 0.1, attempts: [failed], passed: false },
    ]
    const report: GuardReport = {
      benchmark: 'guard',
      environment: describeEnvironment('0.0.0', { nodes: 3, startedByBenchmark: true }, 3),
      results,
      passed: false,
    }
    const lines = guardAnswer(report).table(fakeContext({}).stdout).split('\n')
    const of = (name: string): string[] => lines.filter((line) => line.startsWith(`${name} `))
    expect(of('one').map((line) => line.trim().split(/\s+/).at(-1))).toEqual(['again', 'passed'])
    expect(of('two').map((line) => line.trim().split(/\s+/).at(-1))).toEqual(['FAILED'])
  })
})
