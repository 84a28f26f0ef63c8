import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  budgetBytes,
  busyBelowMs,
  firstPercent,
  growingPercent,
  HeapGrowth,
  leastBusyGrowthBytes,
  leastGrowthBytes,
  leastPercent,
  mostPercent,
} from '../../src/cli/heap-growth.ts'

const MIB = 1024 * 1024

describe('how much garbage a node may gather', () => {
  it('is what objects and buffers that live leave of the budget, or the least growth', () => {
    const bytes = fc.nat(300 * MIB)
    fc.assert(
      fc.property(
        bytes,
        bytes,
        fc.constantFrom(leastGrowthBytes, leastBusyGrowthBytes),
        (objectBytes, bufferBytes, leastBytes) => {
          const percent = growingPercent(objectBytes, bufferBytes, leastBytes)
          expect(percent).toBeGreaterThanOrEqual(leastPercent)
          expect(percent).toBeLessThanOrEqual(mostPercent)
          const growthBytes = (Math.max(objectBytes, MIB) * percent) / 100
          const roomBytes = Math.max(budgetBytes - objectBytes - bufferBytes, leastBytes)
          if (percent > leastPercent) expect(growthBytes).toBeLessThanOrEqual(roomBytes)
          if (percent < mostPercent) expect(growthBytes).toBeGreaterThan(roomBytes - objectBytes / 10 - MIB)
        },
      ),
    )
  })

  it('is left alone where little lives, and told to V8 where it changes', () => {
    const told: number[] = []
    const lives = { objects: 5 * MIB, buffers: 5 * MIB }
    let nowMs = 0
    const growth = new HeapGrowth({
      nowMs: () => (nowMs += busyBelowMs),
      objectBytes: () => lives.objects,
      bufferBytes: () => lives.buffers,
      setGrowingPercent: (percent) => told.push(percent),
    })
    expect(told).toEqual([firstPercent])
    growth.look()
    growth.look()
    expect(told).toEqual([firstPercent, mostPercent])
    Object.assign(lives, { objects: 30 * MIB, buffers: 30 * MIB })
    growth.look()
    Object.assign(lives, { objects: 400 * MIB })
    growth.look()
    expect(told.slice(2)).toEqual([growingPercent(30 * MIB, 30 * MIB, leastGrowthBytes), leastPercent])
    expect(told[2]).toBeGreaterThan(leastPercent)
    Object.assign(lives, { objects: 30 * MIB, buffers: 60 * MIB })
    growth.look()
    nowMs -= 1
    growth.look()
    // At first as before, leastPercent; then a collection came soon after another.
    expect(told.slice(4)).toEqual([growingPercent(30 * MIB, 60 * MIB, leastBusyGrowthBytes)])
    expect(told[4]).toBeGreaterThan(leastPercent)
  })

  it('holds in a real process, in which objects die old', async () => {
    const script = `
      import { getHeapStatistics, setFlagsFromString } from 'node:v8'
      import { limitHeapGrowth } from ${JSON.stringify(modulePath)}
      setFlagsFromString('--heap-growing-percent=1000')
      // No collection comes soon after another.
      let nowMs = 0
      if (process.argv[1] === 'limited') limitHeapGrowth(() => (nowMs += 1000))
      const made = (i, round) => ({ i, inner: { i, round }, more: [i, round, i, round] })
      const window = []
      let most = 0
      for (let round = 0; round < 1000; round++) {
        for (let i = 0; i < 10_000; i++) window[(round * 10_000 + i) % 100_000] = made(i, round)
        // V8 collects for the first time when it likes.
        if (round >= 500) most = Math.max(most, getHeapStatistics().used_heap_size)
        await new Promise((resolve) => setImmediate(resolve))
      }
      console.log(most)`
    const mostOf = async (mode: string): Promise<number> => {
      const args = ['--import', 'tsx', '--input-type=module', '--eval', script, mode]
      const { stdout } = await promisify(execFile)(process.execPath, args)
      return Number(stdout)
    }
    // V8 without the limit is what makes the test say something.
    expect(await mostOf('free')).toBeGreaterThan(1.75 * budgetBytes)
    expect(await mostOf('limited')).toBeLessThan(1.75 * budgetBytes)
  })
})

const modulePath = fileURLToPath(new URL('../../src/cli/heap-growth.ts', import.meta.url))
