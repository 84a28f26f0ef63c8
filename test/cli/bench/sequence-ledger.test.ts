import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { isFlawless, SequenceLedger } from '../../../src/cli/bench/sequence-ledger.ts'

/** Records 0 to 3: two acknowledged, one refused, one whose fate is unknown. */
function filled(): SequenceLedger {
  const ledger = new SequenceLedger()
  for (let count = 0; count < 4; count++) ledger.send()
  ledger.acknowledge(0, 0, 10)
  ledger.acknowledge(1, 2, 20)
  ledger.fail(2, false)
  ledger.fail(3, true)
  return ledger
}

function readGood(ledger: SequenceLedger): void {
  ledger.see(0, 0, 10)
  ledger.see(1, 2, 20)
}

describe('the ledger of a failover', () => {
  it('sees an acknowledged record that is not read', () => {
    const ledger = filled()
    ledger.see(0, 0, 10)
    expect(ledger.result()).toMatchObject({ lost: 1, acknowledged: 2, read: 1 })
  })

  it('sees each time that a record is read again', () => {
    const ledger = filled()
    readGood(ledger)
    ledger.see(1, 2, 21)
    ledger.see(1, 2, 22)
    expect(ledger.result()).toMatchObject({ doubled: 2, lost: 0 })
  })

  it('sees a record of unknown fate that is there twice', () => {
    const ledger = filled()
    readGood(ledger)
    ledger.see(3, 0, 11)
    ledger.see(3, 0, 12)
    expect(ledger.result()).toMatchObject({ doubled: 1, unacknowledged: 1 })
  })

  it('sees a record at another place than acknowledged', () => {
    const ledger = filled()
    ledger.see(0, 0, 11)
    ledger.see(1, 1, 20)
    expect(ledger.result()).toMatchObject({ misplaced: 2, lost: 0 })
  })

  it('sees what was refused, what nobody sent, and what has no number', () => {
    const ledger = filled()
    readGood(ledger)
    for (const sequence of [2, 4, -1, Number.NaN]) ledger.see(sequence, 0, 0)
    expect(ledger.result()).toMatchObject({ foreign: 4 })
  })

  it('lets a record of unknown fate be there or not', () => {
    const without = filled()
    readGood(without)
    expect(without.result()).toMatchObject({ unknown: 1, unacknowledged: 0 })
    expect(isFlawless(without.result())).toBe(true)
    const with3 = filled()
    readGood(with3)
    with3.see(3, 0, 11)
    expect(with3.result()).toMatchObject({ unknown: 1, unacknowledged: 1 })
    expect(isFlawless(with3.result())).toBe(true)
  })

  it('counts a record without any answer among the unknown', () => {
    const ledger = new SequenceLedger()
    ledger.send()
    expect(ledger.result()).toMatchObject({ sent: 1, unknown: 1, lost: 0 })
  })

  it('takes one answer a record', () => {
    const ledger = filled()
    expect(() => ledger.acknowledge(0, 0, 10)).toThrow('record 0 got a second answer')
    expect(() => ledger.fail(7, true)).toThrow('was never sent')
  })

  test.prop([fc.array(fc.nat({ max: 2 }), { maxLength: 3000 })])(
    'finds no fault where what was acknowledged is read once',
    (fates) => {
      const ledger = new SequenceLedger()
      const expected = { acknowledged: 0, refused: 0, unknown: 0 }
      for (const fate of fates) {
        const sequence = ledger.send()
        if (fate === 0) {
          expected.acknowledged++
          ledger.acknowledge(sequence, 0, sequence)
          ledger.see(sequence, 0, sequence)
        } else {
          ledger.fail(sequence, fate === 1)
          expected[fate === 1 ? 'unknown' : 'refused']++
        }
      }
      const result = ledger.result()
      expect(isFlawless(result)).toBe(true)
      expect(result).toMatchObject({ ...expected, sent: fates.length, read: expected.acknowledged })
    },
  )
})
