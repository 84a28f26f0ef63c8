import { expect, it } from 'vitest'
import { comeIntoStep } from '../../../src/cli/bench/append.ts'
import { fakeContext } from '../fakes.ts'

it('what a cold cluster left undone at a rate is caught up before anything is measured', async () => {
  const context = fakeContext()
  // 10,000 records behind, of which 5,000 a second are caught up; in step is a tenth of a second, 100 records.
  const load = {
    get overdue() {
      return Math.max(0, 10_000 - context.nowMs() * 5)
    },
  }
  await comeIntoStep(context, load, 1000, 6000)
  expect(load.overdue).toBeLessThanOrEqual(100)
  expect(context.nowMs()).toBeLessThan(2100)
})

it('a rate that can not be held is measured after a time all the same', async () => {
  const context = fakeContext()
  await comeIntoStep(context, { overdue: 1_000_000 }, 1000, 6000)
  expect(context.nowMs()).toBeGreaterThanOrEqual(6000)
  expect(context.nowMs()).toBeLessThan(6100)
})

it('a load that is in step waits for nothing', async () => {
  const context = fakeContext()
  await comeIntoStep(context, { overdue: 100 }, 1000, 6000)
  expect(context.nowMs()).toBe(0)
})
