import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { cut, formatBytes, formatDuration, listing, paint, plural, printable } from '../../src/cli/format.ts'
import { renderTable } from '../../src/cli/table.ts'

describe('text for people', () => {
  it('counts in words', () => {
    expect(plural(1, 'record')).toBe('1 record')
    expect(plural(1_234_567, 'record')).toBe('1,234,567 records')
    expect(plural(2, 'loss', 'losses')).toBe('2 losses')
    expect(listing(['n1', 'n2', 'n3'])).toBe('n1, n2 and n3')
    expect(listing(['n1'])).toBe('n1')
    expect(listing([])).toBe('')
  })

  it.each([
    [0, '0 bytes'],
    [1, '1 byte'],
    [1023, '1,023 bytes'],
    [1024, '1.0 KiB'],
    [10 * 1024 * 1024, '10 MiB'],
    [5 * 1024 ** 5, '5,120 TiB'],
  ])('writes %d bytes as %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text))

  it.each([
    [0.4, '0 ms'],
    [999.4, '999 ms'],
    [999.6, '1.0 s'],
    [59_949, '59.9 s'],
    [59_950, '1 min 0 s'],
    [3_600_000, '60 min 0 s'],
  ])('writes %d ms as %s', (ms, text) => expect(formatDuration(ms)).toBe(text))

  it('paints only where colours are shown', () => {
    expect(paint({ colours: false }, 'red', 'x')).toBe('x')
    expect(paint({ colours: true }, 'red', 'x')).toBe('\u001b[31mx\u001b[39m')
  })

  test.prop([fc.string({ unit: 'binary' })])('prints nothing that a terminal obeys', (text) => {
    // oxlint-disable-next-line no-control-regex -- control characters are what it is about
    expect(printable(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/)
  })

  test.prop([fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 20 })])(
    'cuts to the width',
    (text, width) => {
      expect(Array.from(cut(text, width)).length).toBeLessThanOrEqual(width)
      if (Array.from(text).length <= width) expect(cut(text, width)).toBe(text)
    },
  )

  it('keeps a table a line a row, whatever is in the cells', () => {
    const table = renderTable(
      { colours: false },
      [{ title: 'A' }, { title: 'N', align: 'right' }],
      [
        ['x\ny', 10],
        ['\u001b[31m', 7],
      ],
    )
    expect(table).toBe('A            N\nx\\ny        10\n\\u001b[31m   7\n')
  })
})
