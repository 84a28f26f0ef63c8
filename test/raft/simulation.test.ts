import { fc, test } from '@fast-check/vitest'
import { describe, expect } from 'vitest'
import { leasePlan, noFaults, type FaultCounts } from '../../sim/core/faults.ts'
import { main } from '../../sim/core/main.ts'
import { runCoreSimulation, type CoreSimulationOptions } from '../../sim/core/simulation.ts'

describe('the simulation of cores', () => {
  test('refuses arguments that it does not know, and says which', () => {
    const lines: string[] = []
    expect(main(['--speed', '9'], (line) => lines.push(line))).toBe(2)
    expect(main(['--seeds', 'many'], (line) => lines.push(line))).toBe(2)
    expect(lines[0]).toContain('--speed')
    expect(lines[1]).toContain('many')
  })

  test('is the same for the same seed, and another for another', () => {
    const first = runCoreSimulation(7)
    expect(runCoreSimulation(7)).toEqual(first)
    expect(runCoreSimulation(8).digest).not.toBe(first.digest)
  })

  test('strikes with every fault that it counts', () => {
    const totals = noFaults()
    for (let seed = 1; seed <= 150; seed += 1) {
      const { counts } = runCoreSimulation(seed)
      for (const name of Object.keys(totals) as (keyof FaultCounts)[]) totals[name] += counts[name]
    }
    const unused = Object.entries(totals).filter(([, count]) => count === 0)
    expect(unused).toEqual([])
  })

  test('waits for a follower that has 232 entries to get, one at a time over slow links, while it gets on', () => {
    const { violations, virtualMs } = runCoreSimulation(5111)
    expect(violations).toEqual([])
    // Of which three seconds are chaos: more than the five that a cluster has to get on in.
    expect(virtualMs).toBeGreaterThan(8000)
  })

  test('tells of a cluster that gets nowhere', () => {
    const { violations } = runCoreSimulation(5111, { healMs: 1 })
    expect(violations.map(({ law }) => law)).toEqual(['progress'])
  })

  test('prints a summary, and nothing broken', () => {
    const lines: string[] = []
    expect(main(['--seeds', '20', '--first-seed', '500'], (line) => lines.push(line))).toBe(0)
    expect(lines[0]).toBe('20 seeds from 500: 0 broke a law')
  })
})

describe('leases rest on clocks', () => {
  const firstBroken = (options: CoreSimulationOptions): string | undefined => {
    for (let seed = 1; seed <= 1000; seed += 1) {
      const { violations } = runCoreSimulation(seed, { leases: true, plan: leasePlan, nodes: 3, ...options })
      if (violations[0] !== undefined) return violations[0].law
    }
    return undefined
  }

  const sleepPlan = { ...leasePlan, weights: { ...leasePlan.weights, 'freeze-leader': 4 } }

  test('within their bound, and with sleep counted, they hold', () => {
    for (let seed = 1; seed <= 100; seed += 1) {
      expect(runCoreSimulation(seed, { leases: true, plan: sleepPlan, nodes: 3 }).violations).toEqual([])
    }
  })

  test('clocks that differ by more than was promised break them', () => {
    expect(firstBroken({ tickMs: [5, 20] })).toBe('linearizable-read')
  })

  test('a driver that does not count the ticks it slept through breaks them', () => {
    expect(firstBroken({ plan: sleepPlan, countsSleep: false })).toBe('linearizable-read')
  })
})

/** Seconds of work; the rest is for machines that have other things to do. */
const MOST_MS = 240_000

/** What a reader needs to see it again. */
const replay = (seed: number, nodes: number): string =>
  `runCoreSimulation(${seed}, { nodes: ${nodes} }); or sim/core main: --seeds 1 --first-seed ${seed}`

describe('whatever the faults, and when they are over', () => {
  test.prop([fc.integer({ min: 1, max: 0xffff_ffff }), fc.constantFrom(1, 2, 3, 3, 3, 4, 5)], {
    numRuns: 400,
  })(
    'all laws of figure 3 hold, nothing acknowledged is lost, and the group goes on',
    (seed, nodes) => {
      const { violations } = runCoreSimulation(seed, { nodes })
      expect(violations, replay(seed, nodes)).toEqual([])
    },
    MOST_MS,
  )
})
