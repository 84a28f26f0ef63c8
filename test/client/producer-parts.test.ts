import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { BatchAccumulator } from '../../src/client/producer/batch-accumulator.ts'
import { PartitionChooser } from '../../src/client/producer/partition-chooser.ts'
import {
  PartitionSender,
  type Batch,
  type BatchOutcome,
  type SenderOptions,
} from '../../src/client/producer/partition-sender.ts'
import { RoomGate } from '../../src/client/producer/room-gate.ts'
import { FlotillaError, sizeOfRecord, type ErrorReason, type WireRecord } from '../../src/wire/index.ts'
import { textsIn } from './fixture.ts'

const recordOf = (value: string): WireRecord => ({
  key: undefined,
  value: Buffer.from(value),
  headers: [],
  timestampMs: undefined,
})
const options: SenderOptions = {
  maxBatchBytes: 1000,
  maxBatchRecords: 1,
  lingerMs: 5,
  maxInFlightBatches: 5,
  deliveryTimeoutMs: 1000,
  epoch: 7,
  mayRaiseEpoch: true,
  retryDelayMs: (failures, serverDelayMs = 0) => Math.max(serverDelayMs, failures * 10),
  place: 'partition 0 of topic t',
}

/** A sender to which the answers are given by hand. */
class Bench {
  readonly sender: PartitionSender<string>
  constructor(changes: Partial<SenderOptions> = {}) {
    this.sender = new PartitionSender<string>({ ...options, ...changes })
  }
  add(...values: string[]): void {
    for (const value of values) {
      const record = recordOf(value)
      this.sender.add(record, sizeOfRecord(record), value, 0, 1000)
    }
  }
  sent(nowMs = 0): Batch<string>[] {
    const batches: Batch<string>[] = []
    for (let next = this.sender.nextToSend(nowMs); next !== undefined; next = this.sender.nextToSend(nowMs)) {
      batches.push(next)
    }
    return batches
  }
  answer(batch: Batch<string>, outcome: BatchOutcome | ErrorReason, nowMs = 0) {
    const told = typeof outcome === 'string' ? { error: new FlotillaError(outcome, outcome) } : outcome
    return this.sender
      .answered(batch, told, nowMs)
      .map(({ batch: settled, outcome: end }) => [
        settled.tickets.join(),
        'error' in end ? `${end.error.reason} ${end.error.effect}` : 'appended',
      ])
  }
}
const appended: BatchOutcome = {
  appended: { partition: 0, baseOffset: 0, recordCount: 1, appendTimeMs: 0, duplicate: false },
}
const numbersOf = (batches: readonly Batch<string>[]): string[] =>
  batches.map(({ tickets, epoch, sequence }) => `${tickets.join()}=${epoch}.${sequence}`)

describe('a partition sender', () => {
  it('sends so many batches at once and no more', () => {
    const bench = new Bench({ maxInFlightBatches: 2 })
    bench.add('a', 'b', 'c')
    const [first] = bench.sent()
    expect(bench.sent()).toEqual([])
    expect(bench.answer(first!, appended)).toEqual([['a', 'appended']])
    expect(numbersOf(bench.sent())).toEqual(['c=7.2'])
  })
  it('after a failure waits for every answer and the pause, then sends all again with their numbers', () => {
    const bench = new Bench()
    bench.add('a', 'b', 'c', 'd')
    const [a, b, c, d] = bench.sent()
    expect(bench.answer(a!, appended)).toEqual([['a', 'appended']])
    expect(bench.answer(b!, 'NO_QUORUM')).toEqual([])
    expect(bench.answer(c!, 'OUT_OF_ORDER_SEQUENCE')).toEqual([])
    expect(bench.sent(100)).toEqual([])
    expect(bench.answer(d!, 'OUT_OF_ORDER_SEQUENCE')).toEqual([])
    expect(bench.sent(9)).toEqual([])
    expect(bench.sender.wakeMs()).toBe(10)
    expect(numbersOf(bench.sent(10))).toEqual(['b=7.1', 'c=7.2', 'd=7.3'])
  })
  it('an answer that comes twice, or after the batch was given up, changes nothing', () => {
    const bench = new Bench()
    bench.add('a', 'b')
    const [a, b] = bench.sent()
    expect(bench.answer(a!, appended)).toEqual([['a', 'appended']])
    expect(bench.answer(a!, appended)).toEqual([])
    expect(bench.answer(a!, 'NO_LEADER')).toEqual([])
    expect(bench.sender.expire(1000)).toHaveLength(1)
    expect(bench.answer(b!, appended)).toEqual([])
  })
  it('moves later batches up where a refused one surely left no trace', () => {
    const bench = new Bench()
    bench.add('a', 'bad', 'c')
    const [a, bad, c] = bench.sent()
    bench.answer(a!, appended)
    expect(bench.answer(bad!, 'BATCH_TOO_LARGE')).toEqual([['bad', 'BATCH_TOO_LARGE none']])
    bench.answer(c!, 'OUT_OF_ORDER_SEQUENCE')
    expect(numbersOf(bench.sent(100))).toEqual(['c=7.1'])
  })
  it('raises the epoch where one that was given up may be there, and gives up those behind that may be too', () => {
    const bench = new Bench()
    bench.add('a', 'b')
    const [a, b] = bench.sent()
    bench.add('c')
    bench.answer(b!, 'UNKNOWN_OUTCOME')
    const record = recordOf('late')
    bench.sender.add(record, sizeOfRecord(record), 'late', 500, 5000)
    const settled = bench.sender
      .expire(1000)
      .map(({ batch, outcome }) => [
        batch.tickets.join(),
        'error' in outcome ? outcome.error.effect : 'appended',
      ])
    expect(settled).toEqual([
      ['a', 'unknown'],
      ['b', 'unknown'],
      ['c', 'none'],
    ])
    expect(bench.answer(a!, appended)).toEqual([])
    expect(numbersOf(bench.sent(1100))).toEqual(['late=8.0'])
  })
  it('needs no new epoch where a later batch proves that the doubtful one was appended', () => {
    const bench = new Bench({ mayRaiseEpoch: false })
    bench.add('a')
    bench.sent()
    const late = recordOf('late')
    bench.sender.add(late, sizeOfRecord(late), 'late', 500, 5000)
    const [second] = bench.sent(500)
    expect(bench.sender.expire(1000)).toHaveLength(1)
    expect(bench.answer(second!, appended, 1000)).toEqual([['late', 'appended']])
    bench.sender.add(late, sizeOfRecord(late), 'later', 1001, 5000)
    expect(numbersOf(bench.sent(1001))).toEqual(['later=7.2'])
    expect(bench.sender.fatal).toBeUndefined()
  })
  it('named by its user stops where it is in doubt', () => {
    const bench = new Bench({ mayRaiseEpoch: false })
    bench.add('a')
    bench.sent()
    const late = recordOf('late')
    bench.sender.add(late, sizeOfRecord(late), 'late', 999, 5000)
    expect(bench.sender.expire(1000).map(({ batch }) => batch.tickets.join())).toEqual(['a', 'late'])
    expect(bench.sender.fatal).toMatchObject({ reason: 'UNKNOWN_OUTCOME', retryable: false })
  })
  it('takes a batch that is too old to be remembered as appended, and says that its offset is lost', () => {
    const bench = new Bench()
    bench.add('a', 'b')
    const [a, b] = bench.sent()
    expect(bench.answer(a!, 'SEQUENCE_TOO_OLD')).toEqual([['a', 'SEQUENCE_TOO_OLD done']])
    expect(bench.answer(b!, appended)).toEqual([['b', 'appended']])
  })
  it('tries the leader again after its own refusals, and the next node after others', () => {
    const bench = new Bench()
    bench.add('a')
    const nodes = (['THROTTLED', 'UNREACHABLE', 'NO_LEADER'] as const).map((reason, round) => {
      bench.answer(bench.sent(round * 1000)[0]!, reason, round * 1000)
      return bench.sender.nodeAttempt
    })
    expect(nodes).toEqual([0, 1, 2])
    const leader = { nodeId: 'n2', address: 'n2:1', term: 2 }
    const hint = { error: new FlotillaError('NOT_LEADER', 'm', { leader }) }
    bench.answer(bench.sent(9000)[0]!, hint, 9000)
    expect(bench.sender.nodeAttempt).toBe(0)
  })
  it('gathers while something is under way, for as long as lingerMs', () => {
    const bench = new Bench({ maxBatchRecords: 10 })
    bench.add('a')
    expect(numbersOf(bench.sent())).toEqual(['a=7.0'])
    bench.add('b', 'c')
    expect(bench.sent(4)).toEqual([])
    expect(bench.sender.wakeMs()).toBe(5)
    expect(numbersOf(bench.sent(5))).toEqual(['b,c=7.1'])
    bench.add('d')
    bench.sender.flush()
    expect(numbersOf(bench.sent(5))).toEqual(['d=7.2'])
  })
})

describe('a batch accumulator', () => {
  test.prop([
    fc.array(fc.string({ maxLength: 60 }), { maxLength: 40 }),
    fc.integer({ min: 1, max: 200 }),
    fc.integer({ min: 1, max: 10 }),
  ])('keeps all records in order, within the limits', (values, maxBatchBytes, maxBatchRecords) => {
    const accumulator = new BatchAccumulator<string>({ maxBatchBytes, maxBatchRecords })
    for (const value of values) {
      const record = recordOf(value)
      accumulator.add(record, sizeOfRecord(record), value, 0, 0)
    }
    accumulator.close()
    const taken: string[] = []
    for (let batch = accumulator.take(); batch !== undefined; batch = accumulator.take()) {
      expect(batch.tickets.length).toBeLessThanOrEqual(maxBatchRecords)
      // A record that is larger by itself goes alone.
      if (batch.tickets.length > 1) expect(batch.records.length).toBeLessThanOrEqual(maxBatchBytes)
      expect(textsIn(batch.records)).toEqual(batch.tickets)
      taken.push(...batch.tickets)
    }
    expect(taken).toEqual(values)
    expect(accumulator.isEmpty).toBe(true)
  })
})

describe('a room gate', () => {
  test.prop([fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 50 }), fc.integer({ min: 1, max: 30 })])(
    'lets all in, in order, and never more than its bytes but for one alone',
    (sizes, maxBytes) => {
      const gate = new RoomGate(maxBytes)
      const inside: number[] = []
      const entered: number[] = []
      const enter = (index: number): void => {
        inside.push(sizes[index]!)
        entered.push(index)
        const bytes = inside.reduce((sum, size) => sum + size, 0)
        expect(bytes <= maxBytes || inside.length === 1).toBe(true)
      }
      sizes.forEach((size, index) => {
        if (gate.enter(size)) enter(index)
        else gate.wait(size, () => enter(index))
      })
      while (inside.length > 0) gate.leave(inside.shift()!)
      expect(entered).toEqual(sizes.map((_, index) => index))
    },
  )
  it('lets many thousand wait without growing slow', () => {
    const gate = new RoomGate(1)
    let entered = 0
    gate.enter(1)
    for (let index = 0; index < 200_000; index++) gate.wait(1, () => entered++)
    for (let index = 0; index < 200_000; index++) gate.leave(1)
    expect(entered).toBe(200_000)
  })
  it('lets pass at once, one after the other, those who have given up meanwhile', () => {
    const gate = new RoomGate(1)
    gate.enter(1)
    for (let index = 0; index < 50_000; index++) gate.wait(1, () => gate.leave(1))
    gate.leave(1)
    expect(gate.enter(1)).toBe(true)
  })
  it('opens for all at an end', () => {
    const gate = new RoomGate(1)
    let entered = 0
    expect(gate.enter(5)).toBe(true)
    for (let index = 0; index < 2; index++) gate.wait(5, () => entered++)
    gate.open()
    expect(entered).toBe(2)
  })
})

describe('a partition chooser', () => {
  it('takes no partition that the topic does not have', () => {
    const chooser = new PartitionChooser(() => 0)
    const topic = { name: 't', partitions: [{ partition: 0 }] } as unknown as Parameters<
      typeof chooser.choose
    >[0]
    expect(() => chooser.choose(topic, 1, undefined)).toThrow('topic t has no partition 1')
    expect(chooser.choose(topic, 0, undefined)).toBe(0)
  })
})
