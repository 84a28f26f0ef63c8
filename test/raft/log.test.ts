import { fc, test } from '@fast-check/vitest'
import { describe, expect } from 'vitest'
import { RaftLog } from '../../src/raft/log.ts'
import { Inflights, Progress } from '../../src/raft/progress.ts'
import { TermRuns } from '../../src/raft/term-runs.ts'
import { asLogIndex, asNodeId, asTerm, emptyBootstrap, type Entry } from '../../src/raft/index.ts'
import { configurationOf, logOf } from './group.ts'

const cluster = configurationOf('a', 'b', 'c')
const markAt = (entries: readonly Entry[], index: number) => ({
  ...entries[index - 1]!,
  configuration: cluster,
})

describe('the log', () => {
  test('takes no entry that leaves a gap or goes back in term', () => {
    const { tail } = logOf(cluster, [1, 2, 3], 3)
    const log = new RaftLog(emptyBootstrap(cluster))
    expect(() => log.append(tail[1]!)).toThrow('raft.log-gap')
    log.append(tail[0]!)
    expect(() => log.append({ ...tail[1]!, term: asTerm(0) })).toThrow('raft.log-term')
  })

  test('can not be cut where memory no longer holds it', () => {
    const log = new RaftLog(logOf(cluster, [1, 1, 1, 1], 1))
    const before = log.markAt(1)!
    log.shrinkWindow(1, 3)
    expect(() => log.truncateAfter(before)).toThrow('raft.truncate-window')
  })

  test('lets go of the oldest entries beyond its window, and of none that are still needed', () => {
    const log = new RaftLog(logOf(cluster, [1, 1, 2, 2, 3], 3))
    log.shrinkWindow(1, 3)
    expect(log.entryAt(3)).toBeUndefined()
    expect(log.entryAt(4)).toBeDefined()
    expect(log.slice(3, 5, Infinity)).toBeUndefined()
    expect(log.slice(4, 5, 1)).toHaveLength(1)
    // The terms, and the mark that the next entry starts from, stay.
    expect([1, 2, 3, 4, 5].map((index) => log.termAt(index))).toEqual([1, 1, 2, 2, 3])
    expect(log.markAt(3)).toBeDefined()
    expect(log.markAt(2)).toBeUndefined()
  })

  test('forgets below its low end, and knows the low end itself', () => {
    const { tail, ...rest } = logOf(cluster, [1, 1, 2, 2, 3], 3)
    const log = new RaftLog({ tail, ...rest })
    log.compact(markAt(tail, 3))
    expect([2, 3, 4, 5, 6].map((index) => log.termAt(index))).toEqual([undefined, 2, 2, 3, undefined])
    expect(log.markAt(3)?.digest).toBe(tail[2]!.digest)
    expect(log.slice(3, 5, Infinity)).toBeUndefined()
    expect(log.slice(4, 5, Infinity)).toHaveLength(2)
    log.compact(markAt(tail, 5))
    expect(log.windowBytes).toBe(0)
  })

  const terms = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 30 }).map((steps) => {
    let term = 1
    return steps.map((step) => (term += step === 2 ? 1 : 0))
  })
  test.prop([terms, fc.nat(30), fc.nat(30), fc.nat(20)])(
    'knows each term and the last place at or below a term, as a plain list does',
    (all, dropped, cut, wanted) => {
      const runs = new TermRuns([])
      for (const [at, term] of all.entries()) runs.push(asLogIndex(at + 1), asTerm(term))
      const last = Math.min(all.length, cut)
      runs.truncateFrom(last + 1)
      const low = Math.min(dropped, last)
      runs.dropThrough(low, last)
      for (let index = low + 1; index <= last; index += 1) expect(runs.termAt(index)).toBe(all[index - 1])
      const candidates = all
        .slice(0, last)
        .flatMap((term, at) => (at >= low && term <= wanted ? [at + 1] : []))
      if (last > low) expect(runs.lastAtOrBelowTerm(last, wanted)).toBe(candidates.at(-1))
    },
  )
})

describe('what is under way to a follower', () => {
  test('is bounded by number and by bytes', () => {
    const few = new Inflights({ maxInflightMessages: 2, maxInflightBytes: 1000 })
    few.add(1, 10)
    few.add(2, 10)
    expect(few.isFull()).toBe(true)
    expect(() => few.add(3, 10)).toThrow('raft.inflights-full')
    const heavy = new Inflights({ maxInflightMessages: 9, maxInflightBytes: 15 })
    heavy.add(1, 20)
    expect(heavy.isFull()).toBe(true)
  })

  test('is freed in order', () => {
    const inflights = new Inflights({ maxInflightMessages: 4, maxInflightBytes: 1000 })
    for (const index of [3, 5, 9]) inflights.add(index, index)
    inflights.freeThrough(2)
    expect(inflights.count).toBe(3)
    inflights.freeThrough(6)
    expect([inflights.count, inflights.bytes]).toEqual([1, 9])
    inflights.freeThrough(100)
    expect([inflights.count, inflights.bytes]).toEqual([0, 0])
  })

  test('a follower is never sent what it has confirmed', () => {
    const limits = { maxInflightMessages: 4, maxInflightBytes: 1000 }
    const progress = new Progress(asNodeId('b'), 0, asLogIndex(10), 0, limits)
    progress.confirm(asLogIndex(12))
    expect([progress.match, progress.next]).toEqual([12, 13])
    expect(() => progress.becomeProbe(12, false)).toThrow('raft.progress-next')
  })
})
