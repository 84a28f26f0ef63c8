import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { parseDuration, parseReadFrom, parseTime } from '../../src/cli/times.ts'

const nowMs = Date.UTC(2026, 0, 2)

describe('where to start reading', () => {
  it.each([
    '',
    'begin',
    '-',
    '-2',
    '-2y',
    '2h',
    '1.5',
    '-1',
    '9007199254740993',
    '2026-13-01',
    '2026-02-30',
    '12:00',
  ])('refuses %j', (text) => expect(parseReadFrom(text, nowMs)).toBeUndefined())

  it('takes words, offsets, times and how long ago', () => {
    expect(parseReadFrom('beginning', nowMs)).toBe('beginning')
    expect(parseReadFrom('end', nowMs)).toBe('end')
    expect(parseReadFrom('42', nowMs)).toEqual({ offset: 42 })
    expect(parseReadFrom('2026-01-01T12:00Z', nowMs)).toEqual({ time: new Date('2026-01-01T12:00:00Z') })
    expect(parseReadFrom('2026-01-01', nowMs)).toEqual({ time: new Date('2026-01-01T00:00:00Z') })
    expect(parseReadFrom('-2h', nowMs)).toEqual({ time: new Date(nowMs - 7_200_000) })
    expect(parseReadFrom('-1d12h30m', nowMs)).toEqual({ time: new Date(nowMs - 36.5 * 3_600_000) })
  })

  it('refuses what is longer ago than time goes back', () => {
    expect(parseReadFrom('-99999w', nowMs)).toBeUndefined()
  })

  test.prop([fc.date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true })])(
    'takes every time as toISOString writes it',
    (time) => {
      expect(parseTime(time.toISOString())).toEqual(time)
    },
  )

  test.prop([fc.nat(1_000_000)])('takes every whole number of milliseconds', (ms) => {
    expect(parseDuration(`${ms}ms`)).toBe(ms)
  })
})
