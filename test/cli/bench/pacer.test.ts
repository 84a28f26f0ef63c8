import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { Pacer } from '../../../src/cli/bench/pacer.ts'

describe('the pace of an open loop', () => {
  it('has nothing due before its start', () => {
    const pacer = new Pacer(1000, 500)
    expect(pacer.dueCount(499.9)).toBe(0)
    expect(pacer.dueCount(500)).toBe(1)
  })

  it('spaces the records evenly', () => {
    const pacer = new Pacer(250, 100)
    expect([0, 1, 2].map((number) => pacer.intendedMs(number))).toEqual([100, 104, 108])
    expect(pacer.dueCount(107)).toBe(2)
    expect(pacer.dueCount(1100)).toBe(251)
  })

  it('keeps the intended times of what a stall held up', () => {
    const pacer = new Pacer(10, 0)
    // Nothing was sent for a second: ten are due at once, each late by its own time.
    expect(pacer.dueCount(950)).toBe(10)
    expect(950 - pacer.intendedMs(0)).toBe(950)
    expect(950 - pacer.intendedMs(9)).toBe(50)
  })

  test.prop([fc.integer({ min: 1, max: 1_000_000 }), fc.double({ min: 0, max: 3_600_000, noNaN: true })])(
    'counts as due what is intended by now and nothing later',
    (ratePerSecond, elapsedMs) => {
      const startMs = 1234.5
      const pacer = new Pacer(ratePerSecond, startMs)
      const due = pacer.dueCount(startMs + elapsedMs)
      const roundingMs = 1e-6
      expect(pacer.intendedMs(due - 1)).toBeLessThanOrEqual(startMs + elapsedMs + roundingMs)
      expect(pacer.intendedMs(due)).toBeGreaterThan(startMs + elapsedMs - roundingMs)
    },
  )
})
