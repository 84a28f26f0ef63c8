import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Signposts } from '../../../src/broker/partition/signposts.ts'
import { asOffset, type IndexPoint } from '../../../src/log/types.ts'
import { asLogIndex } from '../../../src/raft/types.ts'

const KIB = 1024
const entry = fc.record({
  recordCount: fc.integer({ min: 1, max: 50 }),
  payloadBytes: fc.oneof(fc.nat({ max: 500 }), fc.nat({ max: 512 * KIB })),
  laterMs: fc.nat({ max: 20 }),
})

interface Passed extends IndexPoint {
  readonly payloadBytes: number
}

function passAll(
  signposts: Signposts,
  entries: readonly { recordCount: number; payloadBytes: number; laterMs: number }[],
): Passed[] {
  let offset = 0
  let appendTimeMs = 1000
  return entries.map(({ recordCount, payloadBytes, laterMs }, place) => {
    const passed = { index: asLogIndex(place + 1), offset: asOffset(offset), appendTimeMs, payloadBytes }
    signposts.pass(passed.index, passed.offset, passed.appendTimeMs, payloadBytes)
    offset += recordCount
    appendTimeMs += laterMs
    return passed
  })
}

describe('signposts in a log', () => {
  it('know nothing before the first', () => {
    const signposts = new Signposts()
    expect(signposts.findByOffset(asOffset(5))).toBeUndefined()
    signposts.pass(asLogIndex(8), asOffset(100), 50, 10)
    expect(signposts.findByOffset(asOffset(99))).toBeUndefined()
    expect(signposts.findByTime(50)).toBeUndefined()
  })

  it('start anew after the log was replaced', () => {
    const signposts = new Signposts()
    passAll(signposts, [{ recordCount: 1, payloadBytes: 1, laterMs: 0 }])
    signposts.clear()
    expect(signposts.findByOffset(asOffset(0))).toBeUndefined()
    expect(signposts.takeUnsaved()).toEqual([])
  })

  it('hand each point out once to be stored, in order, and keep it in memory', () => {
    const signposts = new Signposts()
    const big = { recordCount: 1, payloadBytes: 256 * KIB, laterMs: 1 }
    passAll(signposts, [big, big, big])
    expect(signposts.takeUnsaved().map(({ index }) => index)).toEqual([1, 2, 3])
    expect(signposts.takeUnsaved()).toEqual([])
    expect(signposts.findByOffset(asOffset(1))?.index).toBe(2)
  })

  it('keep no more than 1,024 in memory once they are stored', () => {
    const signposts = new Signposts()
    const big = { recordCount: 1, payloadBytes: 256 * KIB, laterMs: 1 }
    passAll(signposts, new Array<typeof big>(1500).fill(big))
    expect(signposts.takeUnsaved()).toHaveLength(1500)
    expect(signposts.findByOffset(asOffset(1500 - 1025))).toBeUndefined()
    expect(signposts.findByOffset(asOffset(1500 - 1024))?.index).toBe(1500 - 1024 + 1)
  })

  it('find the last at or below an offset and the last before a time', () => {
    fc.assert(
      fc.property(
        fc.array(entry, { maxLength: 300 }),
        fc.nat({ max: 8000 }),
        fc.nat({ max: 4000 }),
        (entries, at, ms) => {
          const signposts = new Signposts()
          passAll(signposts, entries)
          const points = signposts.takeUnsaved()
          expect(signposts.findByOffset(asOffset(at))).toEqual(points.findLast(({ offset }) => offset <= at))
          expect(signposts.findByTime(ms)).toEqual(points.findLast(({ appendTimeMs }) => appendTimeMs < ms))
        },
      ),
    )
  })

  it('are never further apart than 64 entries, or 256 KiB and the entry that passes them', () => {
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 300 }), (entries) => {
        const signposts = new Signposts()
        const passed = passAll(signposts, entries)
        const set = new Set(signposts.takeUnsaved().map(({ index }) => index))
        let bytes = 0
        let count = 0
        for (const { index, payloadBytes } of passed) {
          if (set.has(index)) bytes = count = 0
          // What lies between the signpost and this entry has to be passed over to get here.
          expect(bytes).toBeLessThan(256 * KIB)
          expect(count).toBeLessThan(64)
          bytes += payloadBytes
          count += 1
        }
      }),
    )
  })
})
