import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import type { ConsumedRecord } from '../../src/client/types.ts'
import { recordFromJsonLine, recordToJson } from '../../src/cli/record-format.ts'

const parse = (text: string) => recordFromJsonLine(Buffer.from(text), 'orders')

describe('records as JSON', () => {
  it.each([
    ['{', 'is no JSON'],
    ['[]', 'expected object'],
    ['{"vale":"x"}', 'vale'],
    ['{"key":7}', 'key'],
    ['{"partition":-1}', 'partition'],
    ['{"timestamp":"yesterday"}', '"yesterday"'],
    ['{"key":"!!","keyEncoding":"base64"}', 'key is no base64'],
    ['{"value":"x","valueEncoding":"hex"}', 'valueEncoding'],
  ])('refuses %s and says what is wrong', (text, reason) => {
    const parsed = parse(text)
    expect(parsed.ok).toBe(false)
    expect(parsed.ok ? '' : parsed.fault).toContain(reason)
  })

  it('refuses a line that is no UTF-8', () => {
    expect(recordFromJsonLine(Uint8Array.of(0x22, 0xff, 0x22), 'orders')).toEqual({
      ok: false,
      fault: 'is no UTF-8',
    })
  })

  it('marks bytes that are no UTF-8 as base64, and nothing else', () => {
    const json = recordToJson({
      topic: 'orders',
      partition: 1,
      offset: 2,
      timestamp: new Date(0),
      appendTime: new Date(0),
      key: Buffer.from('café'),
      value: Uint8Array.of(0xff, 0x00),
      headers: [{ name: 'trace', value: Uint8Array.of(0xfe) }],
    })
    expect(json).toEqual({
      topic: 'orders',
      partition: 1,
      offset: 2,
      timestamp: '1970-01-01T00:00:00.000Z',
      key: 'café',
      value: '/wA=',
      valueEncoding: 'base64',
      headers: [{ name: 'trace', value: '/g==', valueEncoding: 'base64' }],
    })
  })

  it('takes headers as a plain object too', () => {
    const parsed = parse('{"value":"v","headers":{"trace":"1"}}')
    expect(parsed).toEqual({
      ok: true,
      record: { topic: 'orders', value: 'v', headers: [{ name: 'trace', value: '1' }] },
    })
  })

  const bytes = fc.option(
    fc.oneof(
      fc.uint8Array(),
      fc.string({ unit: 'binary' }).map((text) => new Uint8Array(Buffer.from(text))),
    ),
    { nil: undefined },
  )
  const record: fc.Arbitrary<ConsumedRecord> = fc.record({
    topic: fc.constant('orders'),
    partition: fc.nat(),
    offset: fc.nat(),
    timestamp: fc.date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true }),
    appendTime: fc.constant(new Date(0)),
    key: bytes,
    value: bytes,
    headers: fc.array(fc.record({ name: fc.string(), value: fc.uint8Array() })),
  })

  test.prop([record])('what consume writes, produce takes back byte for byte', (original) => {
    const parsed = parse(JSON.stringify(recordToJson(original)))
    if (!parsed.ok) throw new Error(parsed.fault)
    const asBytes = (value: unknown): number[] | undefined =>
      value === undefined ? undefined : [...Buffer.from(value as string)]
    const headers = (parsed.record.headers ?? []) as { name: string; value: string }[]
    expect(asBytes(parsed.record.key)).toEqual(asBytes(original.key))
    expect(asBytes(parsed.record.value)).toEqual(asBytes(original.value))
    expect(headers.map(({ name, value }) => [name, asBytes(value)])).toEqual(
      original.headers.map(({ name, value }) => [name, [...value]]),
    )
    expect(parsed.record.timestamp).toEqual(original.timestamp)
    expect(parsed.record.partition).toBe(original.partition)
  })
})
