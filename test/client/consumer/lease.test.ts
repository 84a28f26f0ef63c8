import { fc, test } from '@fast-check/vitest'
import { describe, expect } from 'vitest'
import { Lease } from '../../../src/client/consumer/lease.ts'

const sessionMs = 9000

describe('the lease of a member', () => {
  test.prop([fc.integer({ min: 0, max: 30_000 }), fc.array(fc.integer({ min: 0, max: 30_000 }))])(
    'shows that its node hangs well before it ends, whenever that begins and whatever came before',
    (hangsAtMs, comes) => {
      const lease = new Lease()
      lease.begin(0, sessionMs)
      const records = new Set(comes)
      let silentMs: number | undefined
      let lastBeatMs = 0
      for (let nowMs = 0; nowMs <= hangsAtMs + sessionMs && silentMs === undefined; nowMs++) {
        if (nowMs < hangsAtMs && records.has(nowMs)) lease.heard()
        const due = lease.tick(nowMs)
        if (due === 'silent') silentMs = nowMs
        else if (due !== 'nothing' && nowMs < hangsAtMs) lastBeatMs = nowMs
        if (due === 'ask' && nowMs < hangsAtMs) lease.heard()
      }
      // What the node has heard last keeps the place until then.
      expect(silentMs).toBeLessThanOrEqual(lastBeatMs + (2 * sessionMs) / 3)
    },
  )
})
