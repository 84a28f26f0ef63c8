import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { ProduceTally } from '../../src/cli/produce-tally.ts'
import { FlotillaError } from '../../src/wire/errors.ts'

const refused = new FlotillaError('RECORD_TOO_LARGE', 'too large')
const unknown = new FlotillaError('UNKNOWN_OUTCOME', 'too late')

describe('what became of each line', () => {
  it('tells the first failed line apart from those before and after it', () => {
    const tally = new ProduceTally()
    for (let line = 1; line <= 6; line++) tally.sent(line)
    tally.failed(5, unknown)
    tally.failed(3, refused)
    for (let acknowledged = 0; acknowledged < 3; acknowledged++) tally.acknowledged(10, acknowledged % 2)
    expect(tally.waitingCount).toBe(1)
    tally.failed(6, refused)
    expect(tally.firstFailure).toEqual({ line: 3, error: refused })
    expect(tally.aftermath()).toEqual([
      'all lines before it (2) are in',
      'line 3 is not in',
      'of the 3 lines sent after it: 1 acknowledged, 1 perhaps in, 1 not in',
    ])
    expect(tally.summary(1500)).toBe('3 records (30 bytes) acknowledged over 2 partitions in 1.5 s')
  })

  it('takes an error that it does not know as an unknown outcome, and an abort as none', () => {
    const strange = new ProduceTally()
    strange.sent(1)
    strange.failed(1, new Error('?'))
    expect(strange.aftermath()).toContain('line 1 itself may be in or may yet go in')
    const aborted = new ProduceTally()
    aborted.sent(1)
    aborted.failed(1, new DOMException('aborted', 'AbortError'))
    expect(aborted.aftermath()).toContain('line 1 is not in')
  })

  const fates = fc.array(fc.constantFrom('acknowledged', 'refused', 'unknown'), { minLength: 1 })
  test.prop([fates])('every line that was sent is counted once', (lines) => {
    const tally = new ProduceTally()
    lines.forEach((_, index) => tally.sent(index + 1))
    lines.forEach((fate, index) => {
      if (fate === 'acknowledged') tally.acknowledged(1, 0)
      else tally.failed(index + 1, fate === 'refused' ? refused : unknown)
    })
    expect(tally.waitingCount).toBe(0)
    const first = lines.findIndex((fate) => fate !== 'acknowledged')
    const after = tally.aftermath().at(-1) ?? ''
    if (first === -1) {
      expect(after).toBe('')
      return
    }
    const told = [...after.matchAll(/([\d,]+) (?:acknowledged|perhaps in|not in)/g)].map(([, count]) =>
      Number(count),
    )
    expect(told.reduce((sum, count) => sum + count, 0)).toBe(lines.length - first - 1)
  })
})
