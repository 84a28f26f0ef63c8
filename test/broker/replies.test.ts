import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PendingReplies, type Reply } from '../../src/broker/replies.ts'
import { asLogIndex, asTerm } from '../../src/raft/types.ts'
import { FlotillaError } from '../../src/wire/errors.ts'

const lost = (): FlotillaError => new FlotillaError('UNKNOWN_OUTCOME', 'the leader changed')

class Caller implements Reply<string> {
  readonly deadlineMs: number
  readonly outcomes: (string | FlotillaError)[] = []
  constructor(deadlineMs = 1000) {
    this.deadlineMs = deadlineMs
  }
  readonly done = (outcome: string | FlotillaError): void => {
    this.outcomes.push(outcome)
  }
  get said(): string[] {
    return this.outcomes.map((each) =>
      each instanceof FlotillaError ? `${each.reason}/${each.effect}` : each,
    )
  }
}

describe('replies that wait for their entry', () => {
  it('say that nothing was appended where another leader has the place in the log', () => {
    const replies = new PendingReplies<string>()
    const caller = new Caller()
    replies.add(asLogIndex(5), asTerm(2), [{ reply: caller, result: 'yes' }])
    replies.folded(asLogIndex(5), asTerm(3))
    expect(caller.said).toEqual(['NOT_LEADER/none'])
  })

  it('say that nothing is known where leadership is lost, and nothing more after that', () => {
    const replies = new PendingReplies<string>()
    const caller = new Caller()
    replies.add(asLogIndex(5), asTerm(2), [{ reply: caller, result: 'yes' }])
    replies.failAll(lost)
    replies.folded(asLogIndex(5), asTerm(2))
    expect(caller.said).toEqual(['UNKNOWN_OUTCOME/unknown'])
  })

  it('say that nothing is known when their time is over, though the entry is committed later', () => {
    const replies = new PendingReplies<string>()
    const [hasty, patient] = [new Caller(10), new Caller(11)]
    replies.add(asLogIndex(5), asTerm(2), [
      { reply: hasty, result: 'a' },
      { reply: patient, result: 'b' },
    ])
    replies.expire(10)
    replies.folded(asLogIndex(5), asTerm(2))
    expect(hasty.said).toEqual(['UNKNOWN_OUTCOME/unknown'])
    expect(patient.said).toEqual(['b'])
  })

  it('refuse an entry out of order', () => {
    const replies = new PendingReplies<string>()
    replies.add(asLogIndex(5), asTerm(2), [])
    expect(() => replies.add(asLogIndex(4), asTerm(2), [])).toThrow('replies.ascending')
  })

  it('come with the result once the entry is folded, and not before', () => {
    const replies = new PendingReplies<string>()
    const [early, late] = [new Caller(), new Caller()]
    replies.add(asLogIndex(5), asTerm(2), [{ reply: early, result: 'early' }])
    replies.add(asLogIndex(6), asTerm(2), [{ reply: late, result: 'late' }])
    replies.folded(asLogIndex(5), asTerm(2))
    expect([early.said, late.said]).toEqual([['early'], []])
    replies.folded(asLogIndex(6), asTerm(2))
    expect(late.said).toEqual(['late'])
    expect(replies.isEmpty).toBe(true)
  })

  it('each come exactly once, whatever happens in whatever order', () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('add' as const), count: fc.integer({ min: 1, max: 3 }) }),
      fc.record({
        do: fc.constant('fold' as const),
        of: fc.integer({ min: 1, max: 3 }),
        foreign: fc.boolean(),
      }),
      fc.record({ do: fc.constant('expire' as const), byMs: fc.nat({ max: 20 }) }),
      fc.record({ do: fc.constant('fail' as const) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const replies = new PendingReplies<string>()
        const callers: Caller[] = []
        let proposed = 0
        let foldedTo = 0
        let nowMs = 0
        for (const each of steps) {
          switch (each.do) {
            case 'add': {
              proposed += 1
              const added = Array.from({ length: each.count }, (_, place) => new Caller(nowMs + 5 + place))
              callers.push(...added)
              const waiting = added.map((reply) => ({ reply, result: `entry ${proposed}` }))
              replies.add(asLogIndex(proposed), asTerm(1), waiting)
              break
            }
            case 'fold':
              foldedTo = Math.min(proposed, foldedTo + each.of)
              replies.folded(asLogIndex(foldedTo), asTerm(each.foreign ? 2 : 1))
              break
            case 'expire':
              nowMs += each.byMs
              replies.expire(nowMs)
              break
            case 'fail':
              replies.failAll(lost)
              foldedTo = proposed
              break
          }
          expect(Math.max(0, ...callers.map(({ outcomes }) => outcomes.length))).toBeLessThanOrEqual(1)
        }
        replies.failAll(lost)
        expect(callers.every(({ outcomes }) => outcomes.length === 1)).toBe(true)
        expect(replies.isEmpty).toBe(true)
      }),
    )
  })
})
