import { deflateRawSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { Payloads, stampOf } from '../../../src/cli/bench/payloads.ts'

describe('values', () => {
  it('tell no stamp where there is no room for one', () => {
    expect(stampOf(undefined)).toBeNaN()
    expect(stampOf(new Uint8Array(7))).toBeNaN()
  })

  it('have their size, and no compression makes them smaller', () => {
    const payloads = new Payloads(4096)
    for (const number of [0, 1, 255, 1_000_000_007]) {
      const value = payloads.value(number)
      expect(value).toHaveLength(4096)
      expect(deflateRawSync(value).length).toBeGreaterThan(4000)
    }
  })

  it('carry a stamp without touching what others share', () => {
    const payloads = new Payloads(100)
    const before = Buffer.from(payloads.value(3))
    const stamped = payloads.stamped(3, 1234.5678)
    expect(stampOf(stamped)).toBe(1234.5678)
    expect(Buffer.from(stamped).subarray(8)).toEqual(before.subarray(8))
    expect(Buffer.from(payloads.value(3))).toEqual(before)
  })

  it('with stamps stay what they are while others are made', () => {
    const payloads = new Payloads(100_000)
    const stamped = Array.from({ length: 7 }, (_, number) => payloads.stamped(number, number + 0.5))
    expect(stamped.map(stampOf)).toEqual([0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5])
    for (const [number, value] of stamped.entries()) {
      expect(Buffer.from(value.subarray(8))).toEqual(Buffer.from(payloads.value(number).subarray(8)))
    }
  })

  it('may be empty', () => {
    expect(new Payloads(0).value(5)).toHaveLength(0)
  })
})
