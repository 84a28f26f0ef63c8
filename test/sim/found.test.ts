import { afterEach, describe, expect, it } from 'vitest'
import type { SimDrive } from '../../sim/env/disk/drive.ts'
import type { Life } from '../../sim/env/life.ts'
import { drawPlan } from '../../sim/plan.ts'
import { runPlan } from '../../sim/simulation.ts'
import { openLogStorage, type LogStorage } from '../../src/log/index.ts'
import type { LogMark } from '../../src/raft/types.ts'
import { emptySnapshot, entriesAfter } from '../log/entries.ts'
import { group, identity, smallLimits } from '../log/storage-env.ts'
import { Bench } from './support.ts'

let bench = new Bench()
afterEach(() => bench.stop())

/** A process that has the log open, on a disk that outlives it. */
async function started(drive: SimDrive): Promise<{ readonly life: Life; readonly log: LogStorage }> {
  const life = bench.life('n1')
  return { life, log: await openLogStorage(bench.env(life, drive), '/data', identity, smallLimits) }
}

function lastIndex(log: LogStorage): number {
  const recovered = log.recovered.get(group)
  expect(recovered).toMatchObject({ ok: true })
  return log.lastMark(group).index
}

interface Found {
  readonly second: number
  readonly third: number
}

/** Kills a process somewhere in a turn, or when a write of it has failed, starts another, and cuts the power. */
async function endedThenCut(attempt: number, end: 'killed' | 'write failed'): Promise<Found> {
  bench = new Bench(attempt)
  const drive = bench.drive()
  const first = await started(drive)
  await first.log.commit([{ groupId: group, create: emptySnapshot }])
  const entries = entriesAfter(emptySnapshot, [{ payload: [new Uint8Array(700).fill(attempt)] }])
  const turn = first.log.commit([
    {
      groupId: group,
      entries,
      hardState: { term: entries[0]!.term, votedFor: undefined, commit: emptySnapshot.index },
    },
  ])
  await bench.sleep((attempt % 60) / 100)
  if (end === 'write failed') {
    drive.armError()
    await turn.catch(() => undefined)
    drive.heal()
  }
  first.life.end()
  drive.processEnded()
  const second = await started(drive)
  const found = lastIndex(second.log)
  second.life.end()
  drive.processEnded()
  drive.powerLost()
  const third = await started(drive)
  bench.stop()
  return { second: found, third: lastIndex(third.log) }
}

describe('bugs that the simulator found', () => {
  it('a leader that stepped down in the tick in which it fell silent left its partition without one for ever', async () => {
    const pause = {
      kind: 'pause',
      atMs: 29_707,
      forMs: 1549,
      target: 339,
      other: 859,
      amount: 822_905,
    } as const
    const { violation } = await runPlan({
      ...drawPlan(20_004, { members: 0 }),
      producers: 1,
      faults: [pause],
      work: [],
    })
    expect(violation).toBeUndefined()
  })

  it('a kill inside a turn and a power cut later lost what the start between them had answered for', async () => {
    const seen = new Set<number>()
    for (let attempt = 1; attempt <= 150; attempt++) {
      const { second, third } = await endedThenCut(attempt, 'killed')
      expect(third, `attempt ${attempt}`).toBe(second)
      seen.add(second)
    }
    expect(seen).toEqual(new Set([0, 1]))
  })

  it('two notes of the last turn that were written at once, and both cut off, left none that could be read', async () => {
    for (let attempt = 1; attempt <= 60; attempt++) {
      bench = new Bench(attempt)
      // What isn't synced takes longer than a turn does: notes would overtake each other.
      const drive = bench.drive({}, { syncUs: [100, 200], otherUs: [20_000, 60_000] })
      const { life, log } = await started(drive)
      await log.commit([{ groupId: group, create: emptySnapshot }])
      let before: LogMark = emptySnapshot
      for (let turn = 1; turn <= 3; turn++) {
        await bench.sleep(12 + (attempt % 7))
        const entries = entriesAfter(before, [{}])
        before = entries[0]!
        const hardState = { term: before.term, votedFor: undefined, commit: emptySnapshot.index }
        await log.commit([{ groupId: group, entries, hardState }])
      }
      await bench.sleep(11 + (attempt % 5))
      life.end()
      drive.processEnded()
      const second = await started(drive)
      expect(lastIndex(second.log), `attempt ${attempt}`).toBe(3)
      bench.stop()
    }
  })

  it('a failed sync and a power cut later lost what the start between them had answered for', async () => {
    const seen = new Set<number>()
    for (let attempt = 1; attempt <= 150; attempt++) {
      const { second, third } = await endedThenCut(attempt, 'write failed')
      expect(third, `attempt ${attempt}`).toBe(second)
      seen.add(second)
    }
    expect(seen).toEqual(new Set([0, 1]))
  })

  it('a machine that lost its power in its very first start could never be started again', async () => {
    for (let attempt = 1; attempt <= 150; attempt++) {
      bench = new Bench(attempt)
      const drive = bench.drive()
      const life = bench.life('n1')
      void openLogStorage(bench.env(life, drive), '/data', identity, smallLimits)
      await bench.sleep((attempt % 75) / 50)
      life.end()
      drive.processEnded()
      drive.powerLost()
      const { log } = await started(drive)
      await log.commit([{ groupId: group, create: emptySnapshot }])
      bench.stop()
    }
  })
})
