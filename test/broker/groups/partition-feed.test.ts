import { describe, expect, it } from 'vitest'
import { FEED_BYTES, PartitionFeed, type FetchOptions } from '../../../src/broker/groups/partition-feed.ts'
import type { RecordSource } from '../../../src/broker/groups/record-source.ts'
import { decodeRecordSet } from '../../../src/wire/index.ts'
import type { ReadResponse } from '../../../src/wire/messages.ts'
import { recordsOf } from '../support/appends.ts'

const options: FetchOptions = { minBytes: 1, maxBytes: 10_000_000, maxWaitMs: 1000, maxRecords: 10_000 }

function feed(): PartitionFeed {
  const unasked = (): never => expect.fail('nothing is committed here')
  const made = new PartitionFeed({ topic: 't', partition: 0, epoch: 1 }, options.maxBytes, unasked)
  made.begin(0, 100)
  return made
}

function read(baseOffset: number, ...values: readonly string[]): ReadResponse {
  const batch = { baseOffset, recordCount: values.length, appendTimeMs: 1, records: [recordsOf(...values)] }
  return { batches: [batch], nextOffset: baseOffset + values.length, highWatermark: 100, lowOffset: 0 }
}

function taken(from: PartitionFeed, maxRecords: number, maxBytes = 1_000_000): string[] {
  const { batches } = from.take(maxRecords, maxBytes, 0)
  return batches.flatMap(({ records }) =>
    decodeRecordSet(Buffer.concat(records)).map(({ value }) => Buffer.from(value ?? []).toString()),
  )
}

describe('what waits to be sent of a partition', () => {
  it('is cut between records, to the record, and goes on where it was cut', () => {
    const some = feed()
    some.add(read(0, 'a', 'b', 'c'), 0)
    some.add(read(3, 'd'), 0)
    expect(taken(some, 2)).toEqual(['a', 'b'])
    expect(some.nextOffset).toBe(2)
    expect(taken(some, 10)).toEqual(['c', 'd'])
    expect(some.nextOffset).toBe(4)
    expect(some.isEmpty).toBe(true)
  })

  it('is one record at least, however few bytes may be sent, and not one more than fits', () => {
    const some = feed()
    some.add(read(0, 'x'.repeat(500), 'y', 'z'.repeat(500)), 0)
    expect(taken(some, 10, 1)).toEqual(['x'.repeat(500)])
    expect(taken(some, 10, 100)).toEqual(['y'])
    expect(taken(some, 10, 100)).toEqual(['z'.repeat(500)])
  })

  it('is told of where it is and ends only when that has changed', () => {
    const some = feed()
    const here = { topic: 't', partition: 0 }
    expect(some.news()).toEqual({ ...here, nextOffset: 0, highWatermark: 100 })
    expect(some.news()).toBeUndefined()
    some.add({ batches: [], nextOffset: 0, highWatermark: 101, lowOffset: 0 }, 0)
    expect(some.news()).toEqual({ ...here, nextOffset: 0, highWatermark: 101 })
    some.add(read(0, 'a'), 0)
    taken(some, 1)
    // The message with the records has said so.
    expect(some.news()).toBeUndefined()
  })

  it('waits for its bytes, but not for ever, and not while it is paused or revoked', () => {
    const some = feed()
    const patient = { ...options, minBytes: 1000 }
    expect(some.dueMs(patient)).toBeUndefined()
    some.add(read(0, 'a'), 7)
    expect(some.dueMs(patient)).toBe(1007)
    some.isPaused = true
    expect(some.dueMs(patient)).toBeUndefined()
    some.isPaused = false
    some.add(read(1, 'x'.repeat(1000)), 8)
    expect(some.dueMs(patient)).toBe(0)
    some.revoke()
    expect(some.dueMs(patient)).toBeUndefined()
  })

  it('has a bound: the source pauses, and goes on when the half is on its way, not before', () => {
    const some = feed()
    let resumed = 0
    some.source = { resume: () => (resumed += 1), close: () => undefined } as unknown as RecordSource
    const half = 'x'.repeat(FEED_BYTES / 2)
    some.add(read(0, half), 0)
    expect(some.isBlocked).toBe(false)
    some.add(read(1, half), 0)
    expect(some.isBlocked).toBe(true)
    some.take(1, 10_000_000, 0)
    some.resumeSource()
    expect([some.isBlocked, resumed]).toEqual([true, 0])
    some.take(1, 10_000_000, 0)
    expect([some.isBlocked, resumed]).toEqual([true, 0])
    some.resumeSource()
    expect([some.isBlocked, resumed]).toEqual([false, 1])
  })
})
