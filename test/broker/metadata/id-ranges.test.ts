import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { IdRanges } from '../../../src/broker/metadata/id-ranges.ts'

const arbitraryIds = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 60 })

describe('ids as ranges', () => {
  it('hold exactly what was added, in whatever order, and after decoding too', () => {
    fc.assert(
      fc.property(arbitraryIds, (added) => {
        const ids = new IdRanges()
        for (const id of added) ids.add(id)
        const wanted = new Set(added)
        for (const each of [ids, IdRanges.decode(ids.encode())]) {
          expect(each.size).toBe(wanted.size)
          for (let id = 0; id <= 41; id += 1) expect(each.has(id)).toBe(wanted.has(id))
        }
      }),
    )
  })

  it('are as few as can be: none touches the next', () => {
    fc.assert(
      fc.property(arbitraryIds, (added) => {
        const ids = new IdRanges()
        for (const id of added) ids.add(id)
        const wanted = new Set(added)
        const starts = [...wanted].filter((id) => !wanted.has(id - 1))
        expect(ids.rangeCount).toBe(starts.length)
      }),
    )
  })

  it('read what was written as a plain list of numbers', () => {
    const ids = IdRanges.decode([4, 5, 6, 9])
    expect(ids.encode()).toEqual([[4, 6], 9])
  })

  it('a range that isn’t one is refused', () => {
    expect(() => IdRanges.decode([[5, 4]])).toThrow('metadata.id-range')
    expect(() => IdRanges.decode([1.5])).toThrow('metadata.id-range')
  })
})
