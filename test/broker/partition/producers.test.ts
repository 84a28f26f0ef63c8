import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  ProducerTable,
  REMEMBERED_BATCHES,
  type SequenceCheck,
} from '../../../src/broker/partition/producers.ts'
import type { ProducerIdentity } from '../../../src/wire/messages.ts'

const identity = (producerId: string, epoch: number, sequence: number): ProducerIdentity => ({
  producerId,
  epoch,
  sequence,
})
const reasonOf = (check: SequenceCheck): string =>
  check.type === 'refused' ? check.error.reason : check.type

/** Appends where the table says that it is next. */
class Partition {
  readonly table: ProducerTable
  readonly log: ProducerIdentity[] = []
  constructor(limit = 10) {
    this.table = new ProducerTable(limit)
  }
  append(producer: ProducerIdentity): SequenceCheck {
    const check = this.table.check(producer)
    if (check.type === 'next') {
      const batch = {
        sequence: producer.sequence,
        baseOffset: this.log.length,
        recordCount: 1,
        appendTimeMs: 0,
      }
      this.table.record(producer, batch)
      this.log.push(producer)
    }
    return check
  }
}

function partitionAfter(count: number): Partition {
  const partition = new Partition()
  for (let sequence = 0; sequence < count; sequence++) partition.append(identity('p', 1, sequence))
  return partition
}

describe('what a partition refuses of a producer', () => {
  it('a first batch that is not the first of its producer: it was forgotten, or is on its way', () => {
    expect(reasonOf(new Partition().append(identity('p', 1, 3)))).toBe('UNKNOWN_PRODUCER')
  })

  it('a batch after a gap, and names the one that comes next', () => {
    const check = partitionAfter(2).append(identity('p', 1, 3))
    expect(reasonOf(check)).toBe('OUT_OF_ORDER_SEQUENCE')
    expect(check.type === 'refused' ? check.error.message : '').toContain('2 comes next')
  })

  it('a batch of an earlier epoch, whatever its sequence', () => {
    const partition = partitionAfter(3)
    partition.append(identity('p', 2, 0))
    for (const sequence of [0, 1, 2, 3, 4]) {
      expect(reasonOf(partition.append(identity('p', 1, sequence)))).toBe('PRODUCER_FENCED')
    }
  })

  it('a new epoch that does not begin with sequence 0', () => {
    expect(reasonOf(partitionAfter(3).append(identity('p', 2, 3)))).toBe('OUT_OF_ORDER_SEQUENCE')
  })

  it('a batch from before what it remembers, and says that it was appended', () => {
    const check = partitionAfter(REMEMBERED_BATCHES + 1).append(identity('p', 1, 0))
    expect(reasonOf(check)).toBe('SEQUENCE_TOO_OLD')
    expect(check.type === 'refused' && check.error.effect).toBe('done')
  })

  it('the next batch of a producer that it had to forget', () => {
    const partition = new Partition(2)
    for (const id of ['a', 'b', 'c']) partition.append(identity(id, 1, 0))
    expect(reasonOf(partition.append(identity('a', 1, 1)))).toBe('UNKNOWN_PRODUCER')
    expect(reasonOf(partition.append(identity('b', 1, 1)))).toBe('next')
  })
})

describe('what a partition takes', () => {
  it('a retry of each remembered batch, with the place that it got the first time', () => {
    const count = REMEMBERED_BATCHES + 3
    const partition = partitionAfter(count)
    for (let sequence = count - REMEMBERED_BATCHES; sequence < count; sequence++) {
      const check = partition.append(identity('p', 1, sequence))
      expect(check).toMatchObject({ type: 'duplicate', batch: { sequence, baseOffset: sequence } })
    }
    expect(partition.log).toHaveLength(count)
  })

  it('the producer that appended longest ago is the one to be forgotten', () => {
    const partition = new Partition(2)
    partition.append(identity('a', 1, 0))
    partition.append(identity('b', 1, 0))
    partition.append(identity('a', 1, 1))
    partition.append(identity('c', 1, 0))
    expect([...partition.table.entries()].map(([id]) => id)).toEqual(['a', 'c'])
  })

  it('a higher epoch from sequence 0, and no batch of the earlier one counts as its duplicate', () => {
    const partition = partitionAfter(3)
    expect(reasonOf(partition.append(identity('p', 2, 0)))).toBe('next')
    expect(reasonOf(partition.append(identity('p', 2, 1)))).toBe('next')
  })
})

describe('the laws of deduplication', () => {
  // A producer with a window: it sends what is unacknowledged from any place on, again and again; answers get lost.
  const rounds = fc.array(
    fc.record({ from: fc.nat({ max: REMEMBERED_BATCHES }), count: fc.integer({ min: 1, max: 8 }) }),
    { maxLength: 60 },
  )

  it('with any retries of go-back-N each batch is in the log once, in order', () => {
    fc.assert(
      fc.property(rounds, (tries) => {
        const partition = new Partition()
        for (const { from, count } of tries) {
          const appended = partition.log.length
          const start = Math.max(0, appended - from)
          for (let sequence = start; sequence < start + count; sequence++) {
            const check = partition.append(identity('p', 1, sequence))
            if (check.type === 'duplicate') expect(check.batch.baseOffset).toBe(sequence)
            else expect(check.type).toBe('next')
          }
        }
        expect(partition.log.map(({ sequence }) => sequence)).toEqual(partition.log.map((_, place) => place))
      }),
    )
  })

  it('whatever arrives, of each epoch the log has a dense run from 0, and epochs never go back', () => {
    const arrival = fc.record({ epoch: fc.nat({ max: 3 }), sequence: fc.nat({ max: 6 }) })
    fc.assert(
      fc.property(fc.array(arrival, { maxLength: 100 }), (arrivals) => {
        const partition = new Partition()
        for (const { epoch, sequence } of arrivals) partition.append(identity('p', epoch, sequence))
        partition.log.forEach(({ epoch, sequence }, place) => {
          const before = partition.log[place - 1]
          const isNewEpoch = before === undefined || epoch > before.epoch
          expect(sequence).toBe(isNewEpoch ? 0 : before.sequence + 1)
          expect(epoch).toBeGreaterThanOrEqual(before?.epoch ?? 0)
        })
      }),
    )
  })

  it('never holds more producers than its limit', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 30 }), { maxLength: 100 }),
        fc.integer({ min: 1, max: 8 }),
        (ids, limit) => {
          const partition = new Partition(limit)
          for (const id of ids) partition.append(identity(`p${id}`, 1, 0))
          expect(partition.table.size).toBeLessThanOrEqual(limit)
        },
      ),
    )
  })

  it('a copy goes its own way', () => {
    const { table } = partitionAfter(2)
    const copy = table.clone()
    copy.record(identity('p', 1, 2), { sequence: 2, baseOffset: 2, recordCount: 1, appendTimeMs: 0 })
    expect(reasonOf(table.check(identity('p', 1, 2)))).toBe('next')
    expect(reasonOf(copy.check(identity('p', 1, 2)))).toBe('duplicate')
  })
})
