import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HostedPartition } from '../../../src/broker/hosted-partition.ts'
import { ReadSession, offsetForTime } from '../../../src/broker/reading/read-session.ts'
import { LogAssertionError } from '../../../src/log/index.ts'
import { FlotillaError } from '../../../src/wire/errors.ts'
import { decodeRecordSet, fromRpcError } from '../../../src/wire/index.ts'
import type { ReadRequest, ReadResponse, ReadStart } from '../../../src/wire/messages.ts'
import { ManualClock, settle } from '../../support/manual-clock.ts'
import { partitionMachine, submit } from '../support/appends.ts'
import { FakeStorage } from '../support/fake-storage.ts'
import { ReplicaBench } from '../support/replica-bench.ts'
import { TestSink } from '../support/test-sink.ts'

const deleted = (): FlotillaError => new FlotillaError('UNKNOWN_TOPIC', 'deleted')

/** A partition with real consensus on one node; `inMemory` false: only the newest entry is. */
class Log {
  readonly clock = new ManualClock()
  readonly machine = partitionMachine(this.clock)
  readonly storage = new FakeStorage()
  readonly bench: ReplicaBench
  readonly hosted: HostedPartition
  next = 0
  /** Sessions that have told their end. */
  closed = 0

  constructor(inMemory = true) {
    this.bench = new ReplicaBench(this.machine, ['n1'], {}, inMemory ? {} : { windowBytes: 1 })
    this.bench.readEntries = (...range) => this.storage.readEntries(...range)
    this.bench.lead()
    this.hosted = new HostedPartition('t', this.bench.replica, this.machine)
    this.storage.entries = this.bench.stored
  }
  /** One entry with so many records, whose values are their offsets. */
  append(count: number): void {
    submit(
      this.machine,
      Array.from({ length: count }, () => `${this.next++}`),
    )
    this.bench.replica.commandsQueued()
    this.bench.settle()
    this.storage.entries = this.bench.stored
  }
  /** What was folded moves to the store's index, as after a restart. */
  forgetSignposts(): void {
    this.storage.signposts = [...this.storage.signposts, ...this.machine.takeIndexPoints()]
    this.machine.signposts.clear()
  }
  async read(
    request: Partial<ReadRequest> & { readonly start: ReadStart },
    room = Infinity,
  ): Promise<Reading> {
    const sink = new TestSink<ReadResponse>()
    sink.room = room
    const all: ReadRequest = {
      topic: 't',
      partition: 0,
      maxRecords: undefined,
      endOffset: undefined,
      untilEnd: false,
      maxMessageBytes: undefined,
      consistency: 'committed',
      ...request,
    }
    const session = new ReadSession(
      this.hosted,
      this.storage,
      this.clock,
      all,
      sink,
      () => (this.closed += 1),
    )
    await session.start()
    await settle()
    return { sink, session }
  }
}

interface Reading {
  readonly sink: TestSink<ReadResponse>
  readonly session: ReadSession
}

/** The values that were sent. Each batch must be where it says. */
function valuesOf({ sink }: Reading): number[] {
  return sink.sent.flatMap(({ batches }) =>
    batches.flatMap(({ baseOffset, recordCount, records }) => {
      const values = decodeRecordSet(Buffer.concat(records)).map(({ value }) => Number(String(value)))
      expect(values).toEqual(Array.from({ length: recordCount }, (_, at) => baseOffset + at))
      return values
    }),
  )
}

const range = (first: number, end: number): number[] =>
  Array.from({ length: Math.max(0, end - first) }, (_, at) => first + at)
const at = (offset: number): ReadStart => ({ type: 'offset', offset })
const fromRefused = async (reading: Promise<Reading>): Promise<FlotillaError> => {
  const error: unknown = await reading.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof FlotillaError)) throw new Error(`wanted a refusal, got ${String(error)}`)
  return error
}

describe('a read that cannot be', () => {
  it.each([-1, 6])('from offset %d is refused and names the range', async (offset) => {
    const log = new Log()
    log.append(5)
    const error = await fromRefused(log.read({ start: at(offset) }))
    expect(error.reason).toBe('OFFSET_OUT_OF_RANGE')
    expect(error.offsetRange).toEqual({ lowOffset: 0, highWatermark: 5 })
    expect(error.message).toContain(`offset ${offset}`)
    expect(error.message).toContain('0 to 5')
    expect(log.closed).toBe(1)
    expect(log.clock.timerCount).toBe(0)
  })

  it('ends with an error when its partition ends, once, and leaves nothing behind', async () => {
    const log = new Log()
    log.append(1)
    const reading = await log.read({ start: at(0) })
    log.hosted.stop(deleted)
    expect(reading.sink.failures.map((error) => fromRpcError(error).reason)).toEqual(['UNKNOWN_TOPIC'])
    expect(log.clock.timerCount).toBe(0)
    reading.session.close()
    expect([reading.sink.failures.length, reading.sink.ended, log.closed]).toEqual([1, 0, 1])
  })

  it('ends with an error where its partition ends while it still looks for its start', async () => {
    const log = new Log(false)
    log.append(3)
    log.append(3)
    log.forgetSignposts()
    const reading = log.read({ start: at(0) })
    log.hosted.stop(deleted)
    const { sink } = await reading
    expect(sink.failures.map((error) => fromRpcError(error).reason)).toEqual(['UNKNOWN_TOPIC'])
    expect(sink.sent).toEqual([])
    expect(log.clock.timerCount).toBe(0)
  })

  it('ends with an error where the disk gives no entry, or none that can be read', async () => {
    for (const readEntries of [() => Promise.resolve([]), () => Promise.reject(new Error('bad checksum'))]) {
      const log = new Log(false)
      log.append(3)
      log.append(3)
      const reading = await log.read({ start: at(0) }, 1)
      log.bench.readEntries = readEntries
      reading.sink.drain()
      await settle()
      expect(reading.sink.failures.map((error) => fromRpcError(error).reason)).toEqual([
        'REPLICA_UNAVAILABLE',
      ])
      expect(log.clock.timerCount).toBe(0)
    }
  })

  it('is unavailable on this replica where the disk does not give what it begins with', async () => {
    const log = new Log(false)
    log.append(3)
    log.append(3)
    log.bench.readEntries = () => Promise.reject(new Error('bad checksum'))
    for (const start of [at(0), { type: 'time', timeMs: 0 } as const]) {
      const error = await fromRefused(log.read({ start }))
      expect(error).toMatchObject({ reason: 'REPLICA_UNAVAILABLE', retryable: true })
      expect(error.message).toContain('bad checksum')
    }
    const byTime = offsetForTime(log.hosted, log.storage, 0).catch((error: unknown) => error)
    expect(await byTime).toMatchObject({ reason: 'REPLICA_UNAVAILABLE' })
  })

  it('does not call a broken invariant a disk that gives nothing', async () => {
    const log = new Log(false)
    log.append(3)
    log.bench.readEntries = () => Promise.reject(new LogAssertionError('log.read-first', 'not that one'))
    const error = await fromRefused(log.read({ start: at(0) }))
    expect(error).toMatchObject({ reason: 'INTERNAL' })
    expect(error.message).toContain('log.read-first')
  })
})

describe('a read', () => {
  it('cuts entries at both ends, wherever they lie', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(
        sizes,
        fc.boolean(),
        fc.boolean(),
        fc.nat(),
        fc.nat(),
        async (counts, inMemory, isIndexed, a, b) => {
          const log = new Log(inMemory)
          for (const count of counts) log.append(count)
          if (isIndexed) log.forgetSignposts()
          const start = a % (log.next + 1)
          const end = b % (log.next + 2)
          const reading = await log.read({ start: at(start), endOffset: end, untilEnd: true })
          expect(valuesOf(reading)).toEqual(range(start, Math.min(end, log.next)))
          expect(reading.sink.ended).toBe(1)
          expect(log.clock.timerCount).toBe(0)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('takes as many records as it is asked for, and ends', async () => {
    const log = new Log()
    for (const count of [3, 3, 3]) log.append(count)
    const reading = await log.read({ start: at(1), maxRecords: 4 })
    expect(valuesOf(reading)).toEqual([1, 2, 3, 4])
    expect(reading.sink.ended).toBe(1)
  })

  it('from the end goes on with what is appended from then on', async () => {
    const log = new Log()
    log.append(3)
    const reading = await log.read({ start: { type: 'end' } })
    expect(reading.sink.sent).toMatchObject([{ batches: [], nextOffset: 3, highWatermark: 3, lowOffset: 0 }])
    log.append(2)
    expect(valuesOf(reading)).toEqual([3, 4])
    reading.session.close()
    log.append(1)
    expect(valuesOf(reading)).toEqual([3, 4])
    expect(reading.sink.isOver).toBe(false)
  })

  it('until the end stops at what was the end when it began', async () => {
    const log = new Log()
    log.append(3)
    const reading = await log.read({ start: { type: 'beginning' }, untilEnd: true }, 1)
    log.append(2)
    reading.sink.drain()
    expect(valuesOf(reading)).toEqual([0, 1, 2])
    expect(reading.sink.ended).toBe(1)
    expect((await log.read({ start: { type: 'end' }, untilEnd: true })).sink.ended).toBe(1)
  })

  it('from a time begins with the first record that was appended then or later', async () => {
    for (const isIndexed of [false, true]) {
      const log = new Log(!isIndexed)
      const times: number[] = []
      for (const count of [2, 1, 3]) {
        log.clock.advance(1000)
        times.push(log.clock.wallMs())
        log.append(count)
      }
      if (isIndexed) log.forgetSignposts()
      for (const [timeMs, offset] of [
        [0, 0],
        [times[1]!, 2],
        [times[1]! + 1, 3],
        [times[2]!, 3],
        [times[2]! + 1, 6],
      ] as const) {
        expect(await offsetForTime(log.hosted, log.storage, timeMs)).toBe(offset)
        const reading = await log.read({ start: { type: 'time', timeMs }, untilEnd: true })
        expect(valuesOf(reading)).toEqual(range(offset, 6))
      }
    }
  })

  it('sends nothing more once its receiver is full, from memory and from the disk, until it drains', async () => {
    for (const inMemory of [true, false]) {
      const log = new Log(inMemory)
      for (let count = 0; count < 6; count++) log.append(1)
      const reading = await log.read({ start: at(0), maxMessageBytes: 1 }, 3)
      expect(reading.sink.sent).toHaveLength(3)
      const reads = log.storage.reads
      log.append(1)
      await settle()
      expect(reading.sink.sent).toHaveLength(3)
      expect(log.storage.reads).toBe(reads)
      reading.sink.drain(2)
      await settle()
      expect(reading.sink.sent).toHaveLength(5)
      reading.sink.drain()
      await settle()
      expect(valuesOf(reading)).toEqual(range(0, 7))
    }
  })

  it('reads the tail from memory and never asks the disk', async () => {
    const log = new Log()
    for (let count = 0; count < 20; count++) log.append(2)
    const reading = await log.read({ start: at(3), untilEnd: true })
    expect(valuesOf(reading)).toEqual(range(3, 40))
    expect(log.storage.reads).toBe(0)
  })

  it('keeps its messages to the bytes that are asked for, by whole entries', async () => {
    const log = new Log()
    for (let count = 0; count < 4; count++) log.append(10)
    const bytes = log.bench.stored.at(-1)!.payloadBytes + log.bench.stored.at(-1)!.header.length
    const reading = await log.read({ start: at(0), untilEnd: true, maxMessageBytes: 2 * bytes })
    expect(reading.sink.sent.slice(1).map(({ batches }) => batches.length)).toEqual([2, 2])
  })

  it('says where it stands now and then while nothing happens, also after its receiver was full', async () => {
    const log = new Log()
    const reading = await log.read({ start: { type: 'end' } })
    log.clock.advance(10_000)
    expect(reading.sink.sent).toHaveLength(3)
    reading.sink.room = 1
    log.append(1)
    log.clock.advance(20_000)
    expect(reading.sink.sent).toHaveLength(4)
    reading.sink.drain()
    log.clock.advance(10_000)
    expect(reading.sink.sent.length).toBeGreaterThanOrEqual(5)
    reading.session.close()
    expect(log.clock.timerCount).toBe(0)
  })
})
