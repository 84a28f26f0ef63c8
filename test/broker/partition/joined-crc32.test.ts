import { crc32 } from 'node:zlib'
import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { JoinedCrc32 } from '../../../src/broker/partition/joined-crc32.ts'

const batches = fc.array(
  fc.record({
    bytes: fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 50 }),
      fc.tuple(fc.nat(20_000), fc.nat(255)).map(([length, value]) => new Uint8Array(1 + length).fill(value)),
    ),
    isKnown: fc.boolean(),
  }),
  { maxLength: 8 },
)

describe('the CRC-32 of an entry', () => {
  test.prop([batches])('is that of its batches laid end to end, whichever were known', (all) => {
    const joined = new JoinedCrc32()
    for (const { bytes, isKnown } of all) joined.add(bytes, isKnown ? crc32(bytes) : undefined)
    expect(joined.value).toBe(crc32(Buffer.concat(all.map(({ bytes }) => bytes))))
  })

  it('is of what was checked, not of what lies in memory by now', () => {
    const batch = new Uint8Array(5000).fill(7)
    const joined = new JoinedCrc32()
    joined.add(Uint8Array.of(1), undefined)
    const known = crc32(batch)
    const expected = crc32(batch, crc32(Uint8Array.of(1)))
    batch[100] = 8
    joined.add(batch, known)
    expect(joined.value).toBe(expected)
  })
})
