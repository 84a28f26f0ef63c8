import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { isFlawless, Ledger, type ReadBack } from '../../../src/cli/demo/ledger.ts'

/** Three acknowledged events of two keys in two partitions, as they would be read back. */
function filled(): { ledger: Ledger; readings: ReadBack[] } {
  const ledger = new Ledger()
  const readings: ReadBack[] = []
  const add = (key: string, partition: number, offset: number): void => {
    const value = `${key}@${offset}`
    const sequence = ledger.send({ key, value })
    ledger.acknowledge(sequence, partition, offset)
    readings.push({ partition, offset, sequence, key, value })
  }
  add('ann', 0, 0)
  add('bob', 1, 0)
  add('ann', 0, 1)
  return { ledger, readings }
}

function auditOf(ledger: Ledger, readings: readonly ReadBack[]) {
  const audit = ledger.audit()
  for (const reading of readings) audit.see(reading)
  return audit.finish()
}

describe('the ledger of acknowledgements', () => {
  it('sees an acknowledged event that is not read', () => {
    const { ledger, readings } = filled()
    expect(auditOf(ledger, readings.slice(0, 2))).toMatchObject({ found: 2, lost: 1 })
  })

  it('sees an event that is read twice', () => {
    const { ledger, readings } = filled()
    const again = readings.map((each) => (each.offset === 1 ? { ...each, offset: 2 } : each)).at(-1)
    expect(auditOf(ledger, [...readings, again as ReadBack])).toMatchObject({ twice: 1, lost: 0 })
  })

  it('sees events of a key that changed places', () => {
    const { ledger, readings } = filled()
    const [first, other, second] = readings as [ReadBack, ReadBack, ReadBack]
    const swapped = [{ ...second, offset: 0 }, other, { ...first, offset: 1 }]
    expect(auditOf(ledger, swapped)).toMatchObject({ outOfOrder: 2, lost: 0, gaps: 0 })
  })

  it('sees another value than was sent', () => {
    const { ledger, readings } = filled()
    const altered = readings.map((each, index) => (index === 0 ? { ...each, value: 'other' } : each))
    expect(auditOf(ledger, altered)).toMatchObject({ altered: 1 })
  })

  it('sees an offset that is left out', () => {
    const { ledger, readings } = filled()
    const shifted = readings.map((each) => (each.offset === 1 ? { ...each, offset: 3 } : each))
    expect(auditOf(ledger, shifted)).toMatchObject({ gaps: 2 })
  })

  it('sees an event that nobody sent, and one that was refused', () => {
    const { ledger, readings } = filled()
    const refused = ledger.send({ key: 'ann', value: 'r' })
    ledger.fail(refused, false)
    const strangers: ReadBack[] = [
      { partition: 1, offset: 1, sequence: undefined, key: 'x', value: 'y' },
      { partition: 1, offset: 2, sequence: refused, key: 'ann', value: 'r' },
    ]
    expect(auditOf(ledger, [...readings, ...strangers])).toMatchObject({ foreign: 2 })
  })

  it('forgives an event of unknown outcome, there or not', () => {
    const { ledger, readings } = filled()
    const unknown = ledger.send({ key: 'bob', value: 'u' })
    ledger.fail(unknown, true)
    expect(isFlawless(auditOf(ledger, readings))).toBe(true)
    const there: ReadBack = { partition: 1, offset: 1, sequence: unknown, key: 'bob', value: 'u' }
    const result = auditOf(ledger, [...readings, there])
    expect(isFlawless(result)).toBe(true)
    expect(result.unacknowledged).toBe(1)
  })

  it('refuses a second answer for an event', () => {
    const { ledger } = filled()
    expect(() => ledger.acknowledge(0, 0, 5)).toThrow('second answer')
  })

  const history = fc.array(fc.record({ key: fc.constantFrom('a', 'b', 'c'), partition: fc.nat(2) }), {
    minLength: 1,
    maxLength: 50,
  })
  const replay = (events: readonly { key: string; partition: number }[]) => {
    const ledger = new Ledger()
    const readings = events.map(({ key }, index) => {
      // A key has one partition.
      const partition = key.charCodeAt(0) % 3
      const offset = ledger.ends.get(partition) ?? 0
      const sequence = ledger.send({ key, value: String(index) })
      ledger.acknowledge(sequence, partition, offset)
      return { partition, offset, sequence, key, value: String(index) }
    })
    return { ledger, readings }
  }

  test.prop([history])('finds nothing wrong with a faithful reading, partition by partition', (events) => {
    const { ledger, readings } = replay(events)
    const result = auditOf(
      ledger,
      [...readings].sort((a, b) => a.partition - b.partition),
    )
    expect(isFlawless(result)).toBe(true)
    expect(result.found).toBe(events.length)
  })

  test.prop([history, fc.nat()])('finds any one event that is missing', (events, at) => {
    const { ledger, readings } = replay(events)
    readings.splice(at % readings.length, 1)
    expect(auditOf(ledger, readings).lost).toBe(1)
  })

  test.prop([history, fc.nat(), fc.nat()])(
    'finds any two events of a partition that changed places',
    (events, one, two) => {
      const { ledger, readings } = replay(events)
      const [a, b] = [readings[one % readings.length], readings[two % readings.length]]
      fc.pre(a !== undefined && b !== undefined && a !== b && a.partition === b.partition)
      const swapped = readings.map((each) =>
        each === a ? { ...b, offset: a.offset } : each === b ? { ...a, offset: b.offset } : each,
      )
      expect(auditOf(ledger, swapped as ReadBack[]).outOfOrder).toBeGreaterThanOrEqual(2)
    },
  )
})
