import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { medianIndex, spreadOf } from '../../../src/cli/bench/runs.ts'

describe('several runs', () => {
  it('have no median and no spread where there is none', () => {
    expect(() => medianIndex([])).toThrow(RangeError)
    expect(() => spreadOf([])).toThrow(RangeError)
  })

  it('quote the one in the middle, the lower of two', () => {
    expect(medianIndex([30, 10, 20])).toBe(2)
    expect(medianIndex([40, 10, 30, 20])).toBe(3)
    expect(medianIndex([7])).toBe(0)
  })

  it('show how far they lie apart', () => {
    expect(spreadOf([30, 10, 20])).toEqual({ min: 10, max: 30 })
  })

  test.prop([fc.array(fc.double({ noNaN: true }), { minLength: 1 })])(
    'have at most half of them below the median and at most half above',
    (values) => {
      const median = values[medianIndex(values)]!
      expect(values.filter((value) => value < median).length).toBeLessThanOrEqual(values.length / 2)
      expect(values.filter((value) => value > median).length).toBeLessThanOrEqual(values.length / 2)
    },
  )
})
