import { describe, expect, it } from 'vitest'
import { AcknowledgementGaps } from '../../../src/cli/demo/gaps.ts'

describe('gaps between acknowledgements', () => {
  it('knows none before the second acknowledgement of a partition', () => {
    const gaps = new AcknowledgementGaps()
    gaps.acknowledged(0, 10)
    gaps.acknowledged(1, 500)
    expect(gaps.longestMs(0)).toBeUndefined()
  })

  it('keeps the longest of each partition', () => {
    const gaps = new AcknowledgementGaps()
    for (const nowMs of [10, 15, 115, 120]) gaps.acknowledged(0, nowMs)
    for (const nowMs of [10, 20]) gaps.acknowledged(1, nowMs)
    expect(gaps.longestMs(0)).toBe(100)
    expect(gaps.longestMs(1)).toBe(10)
  })

  it('counts a gap that is open at a restart from its beginning', () => {
    const gaps = new AcknowledgementGaps()
    for (const nowMs of [0, 400, 500]) gaps.acknowledged(0, nowMs)
    gaps.restart()
    expect(gaps.longestMs(0)).toBeUndefined()
    gaps.acknowledged(0, 800)
    expect(gaps.longestMs(0)).toBe(300)
  })
})
