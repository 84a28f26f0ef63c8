import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { windowShare } from '../../src/broker/window-share.ts'

const KIB = 1024
const limits = { perReplicaBytes: 4096 * KIB, perNodeBytes: 65_536 * KIB }

describe('the windows of a node’s replicas', () => {
  it('are as large as one may be where there are few', () => {
    expect([0, 1, 16].map((count) => windowShare(limits, count))).toEqual(
      [4096, 4096, 4096].map((n) => n * KIB),
    )
  })
  it('shrink as they become many, and don’t move for one more or less', () => {
    expect([17, 100, 101, 128].map((count) => windowShare(limits, count) / KIB)).toEqual([
      2048, 512, 512, 512,
    ])
  })
  test.prop([fc.integer({ min: 1, max: 4096 })])('stay within what the node has for them', (count) => {
    const share = windowShare(limits, count)
    expect(share * count).toBeLessThanOrEqual(limits.perNodeBytes)
    expect(share * count * 2).toBeGreaterThan(Math.min(limits.perNodeBytes, count * limits.perReplicaBytes))
  })
  it('never shrink to nothing', () => {
    expect(windowShare(limits, 1_000_000)).toBe(16 * KIB)
    expect(windowShare({ ...limits, perReplicaBytes: 1 }, 5)).toBe(1)
  })
})
