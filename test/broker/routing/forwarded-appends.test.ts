import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ForwardedAppends } from '../../../src/broker/routing/forwarded-appends.ts'
import { RpcError, StatusCode } from '../../../src/env/index.ts'
import { FlotillaError } from '../../../src/wire/errors.ts'
import { toErrorMessage, toRpcError } from '../../../src/wire/index.ts'
import type {
  AppendRequest,
  AppendResponse,
  AppendStreamRequest,
  CorrelatedResult,
} from '../../../src/wire/messages.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { recordsOf } from '../support/appends.ts'
import { FakeNetwork } from '../support/fake-network.ts'
import { Waiter } from '../support/scripted-log.ts'

const MIB = 1024 * 1024

class Bench {
  readonly clock = new ManualClock()
  readonly network = new FakeNetwork()
  readonly forwarded = new ForwardedAppends(this.network.connect('n2:7101'), this.clock)

  append(bytes = 1, deadlineMs?: number): Waiter<AppendResponse> {
    const waiter = new Waiter<AppendResponse>(deadlineMs)
    const append: AppendRequest = {
      topic: 't',
      partition: 0,
      routingKey: undefined,
      records: bytes < MIB ? recordsOf('v') : Buffer.alloc(bytes),
      producer: undefined,
      recordsCrc32: undefined,
    }
    this.forwarded.append(append, waiter.deadlineMs, waiter.done)
    return waiter
  }
  /** Correlation ids that have left, by message. */
  get sent(): number[][] {
    const messages = this.network.streams.flatMap(({ stream }) => stream.sent) as AppendStreamRequest[]
    return messages.map(({ appends }) => appends.map(({ correlationId }) => correlationId))
  }
}

const appended = (correlationId: number): CorrelatedResult => ({
  correlationId,
  appended: { partition: 0, baseOffset: correlationId, recordCount: 1, appendTimeMs: 0, duplicate: false },
})
const broken = new RpcError(StatusCode.unavailable, 'reset')

describe('appends that are passed on and fail', () => {
  it('may have been appended where the stream breaks under way', () => {
    const bench = new Bench()
    const waiter = bench.append()
    bench.clock.runDeferred()
    bench.network.newest.lose(broken)
    expect(waiter.failure).toBe('UNKNOWN_OUTCOME/unknown')
  })

  it('may have been appended, whatever effect the error of the whole stream claims', () => {
    const bench = new Bench()
    const waiter = bench.append()
    bench.clock.runDeferred()
    // Another message on the stream was malformed: that says nothing about this one.
    bench.network.newest.lose(toRpcError(new FlotillaError('MALFORMED_REQUEST', 'no such message')))
    expect(waiter.failure).toBe('UNKNOWN_OUTCOME/unknown')
  })

  it('may have been appended where the other node ends the stream without an answer', () => {
    const bench = new Bench()
    const waiter = bench.append()
    bench.clock.runDeferred()
    bench.network.newest.lose()
    expect(waiter.failure).toBe('UNKNOWN_OUTCOME/unknown')
  })

  it('surely were not where no connection was made, or where they had not left yet', () => {
    const bench = new Bench()
    const left = bench.append()
    bench.clock.runDeferred()
    const waiting = bench.append()
    bench.network.newest.lose(broken)
    expect([left.failure, waiting.failure]).toEqual(['UNKNOWN_OUTCOME/unknown', 'NO_LEADER/none'])
    bench.clock.runDeferred()
    expect(bench.sent).toEqual([[1]])

    const unreachable = bench.append()
    bench.clock.runDeferred()
    bench.network.newest.lose(new RpcError(StatusCode.unavailable, 'refused', { neverSent: true }))
    expect(unreachable.failure).toBe('NO_LEADER/none')
  })

  it('are unknown when their deadline passes at a node that hangs; its answer comes too late', () => {
    const bench = new Bench()
    const [hasty, patient] = [bench.append(1, 150), bench.append(1, 5000)]
    bench.clock.runDeferred()
    bench.clock.advance(300)
    expect([hasty.failure, patient.isWaiting]).toEqual(['UNKNOWN_OUTCOME/unknown', true])
    bench.network.newest.answer({ results: [appended(1), appended(2)] })
    expect(hasty.outcomes).toHaveLength(1)
    expect(patient.result.baseOffset).toBe(2)
    bench.clock.advance(1000)
    expect(bench.clock.timerCount).toBe(0)
  })

  it('come back with the error of the node that was asked', () => {
    const bench = new Bench()
    const waiter = bench.append()
    bench.clock.runDeferred()
    const error = toErrorMessage(new FlotillaError('PRODUCER_FENCED', 'epoch 2 has taken over'))
    bench.network.newest.answer({ results: [{ correlationId: 1, error }] })
    expect(waiter.failure).toBe('PRODUCER_FENCED/none')
  })

  it('are refused beyond 32 MiB under way, until some are answered', () => {
    const bench = new Bench()
    const waiters = Array.from({ length: 5 }, () => bench.append(8 * MIB))
    bench.clock.runDeferred()
    expect(waiters.map(({ failure }) => failure)).toEqual([
      undefined,
      undefined,
      undefined,
      'THROTTLED/none',
      'THROTTLED/none',
    ])
    bench.network.newest.answer({ results: [appended(1)] })
    expect(bench.append(8 * MIB).isWaiting).toBe(true)
  })
})

describe('appends that are passed on', () => {
  it('share a message a turn and one stream', () => {
    const bench = new Bench()
    bench.append()
    bench.append()
    bench.clock.runDeferred()
    bench.append()
    bench.clock.runDeferred()
    expect(bench.sent).toEqual([[1, 2], [3]])
    expect(bench.network.streams).toHaveLength(1)
  })

  it('take a new stream after one was lost, and heed nothing that the lost one still says', () => {
    const bench = new Bench()
    bench.append()
    bench.clock.runDeferred()
    const lost = bench.network.newest
    lost.lose(broken)
    const waiter = bench.append()
    bench.clock.runDeferred()
    lost.lose(broken)
    expect(waiter.isWaiting).toBe(true)
    bench.network.newest.answer({ results: [appended(2), appended(2)] })
    expect(waiter.result.baseOffset).toBe(2)
  })

  it('are each answered exactly once, whatever the stream does', () => {
    const step = fc.constantFrom('append', 'append', 'flush', 'answer', 'answer twice', 'lose', 'time')
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const bench = new Bench()
        const waiters: Waiter<AppendResponse>[] = []
        let answered = 0
        for (const each of steps) {
          if (each === 'append') waiters.push(bench.append(1, bench.clock.nowMs() + 250))
          else if (each === 'flush') bench.clock.runDeferred()
          else if (each === 'time') bench.clock.advance(100)
          else if (bench.network.streams.length === 0) continue
          else if (each === 'lose') bench.network.newest.lose(broken)
          else {
            answered += 1
            const results =
              each === 'answer' ? [appended(answered)] : [appended(answered), appended(answered)]
            bench.network.newest.answer({ results })
          }
        }
        bench.clock.runDeferred()
        bench.clock.advance(10_000)
        expect(waiters.map(({ outcomes }) => outcomes.length)).toEqual(waiters.map(() => 1))
        expect(bench.clock.timerCount).toBe(0)
      }),
    )
  })
})
