import { expect, test } from 'vitest'
import { pointsOf, wholeCost } from '../../../src/cli/bench/scale.ts'

test('the cost of a record is that of the client and of all nodes', () => {
  const cost = (seconds: number): { cpuSecondsPerMillionRecords: number } => ({
    cpuSecondsPerMillionRecords: seconds,
  })
  expect(wholeCost({ client: cost(1), nodes: [cost(2), cost(3.5)] })).toBe(6.5)
})

test('where a process could not be looked at there is no cost, rather than too small a one', () => {
  expect(wholeCost({ client: { cpuSecondsPerMillionRecords: 1 }, nodes: [{}] })).toBeNaN()
})

test('each amount has its middle run beside that of the smallest amount', () => {
  const points = pointsOf([
    { amount: 10, runs: [4, 9, 5] },
    { amount: 100, runs: [6, 6, 100] },
  ])
  expect(points).toEqual([
    { times: 1, amount: 10, cpuSecondsPerMillionRecords: 5, ratio: 1 },
    { times: 10, amount: 100, cpuSecondsPerMillionRecords: 6, ratio: 1.2 },
  ])
})
