import { fc, test } from '@fast-check/vitest'
import { describe, expect } from 'vitest'
import { asDigest, asLogIndex, asTerm, chain, type DigestFields } from '../../src/raft/index.ts'

const fields: DigestFields = {
  index: asLogIndex(1),
  term: asTerm(1),
  kind: 'noop',
  payloadBytes: 0,
  payloadCrc32: 0,
  header: new Uint8Array(0),
}
const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, at) => (at * 37 + 11) & 0xff)
const hex = (previous: bigint, changed: Partial<DigestFields>): string =>
  chain(asDigest(previous), { ...fields, ...changed })
    .toString(16)
    .padStart(16, '0')

describe('the digest of a log', () => {
  // These are on disks. If one changes, every log that exists is damaged in the eyes of the new code.
  test('has these values for ever', () => {
    const golden: [bigint, Partial<DigestFields>, string][] = [
      [0n, {}, 'aa6adf54833826bd'],
      [0n, { kind: 'event' }, '48813793aaa49673'],
      [0n, { kind: 'configuration' }, '85608308156cea33'],
      [
        0xfedc_ba98_7654_3210n,
        { index: asLogIndex(2 ** 40 + 5), term: asTerm(2 ** 33 + 1) },
        '78f7810b079a4885',
      ],
      [1n, { payloadBytes: 65_536, payloadCrc32: 0xdead_beef, kind: 'event' }, '4f7935ed6ffdb0e2'],
      [0xffff_ffff_ffff_ffffn, { header: bytes(1) }, '1427a6d7c6ced5a8'],
      [7n, { header: bytes(4), kind: 'event' }, '0714c1c8a041a7cb'],
      [7n, { header: bytes(103), kind: 'event' }, '508dd00e4fc6306c'],
    ]
    expect(golden.map(([previous, changed]) => hex(previous, changed))).toEqual(
      golden.map(([, , value]) => value),
    )
  })

  const anyFields = fc.record({
    index: fc.maxSafeNat().map(asLogIndex),
    term: fc.maxSafeNat().map(asTerm),
    kind: fc.constantFrom('noop' as const, 'event' as const, 'configuration' as const),
    payloadBytes: fc.maxSafeNat(),
    payloadCrc32: fc.integer({ min: 0, max: 0xffff_ffff }),
    header: fc.uint8Array({ maxLength: 70 }),
  })
  const previous = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }).map(asDigest)

  test.prop([previous, anyFields])('is 64 bits and depends on nothing but its input', (before, entry) => {
    const digest = chain(before, entry)
    expect(digest >= 0n && digest <= 0xffff_ffff_ffff_ffffn).toBe(true)
    expect(chain(before, { ...entry, header: Uint8Array.from(entry.header) })).toBe(digest)
  })

  test.prop([previous, anyFields, previous, anyFields])(
    'differs where anything differs',
    (before, entry, otherBefore, other) => {
      fc.pre(before !== otherBefore)
      const digest = chain(before, entry)
      expect(chain(otherBefore, entry)).not.toBe(digest)
      for (const name of ['index', 'term', 'kind', 'payloadBytes', 'payloadCrc32'] as const) {
        if (other[name] !== entry[name])
          expect(chain(before, { ...entry, [name]: other[name] }), name).not.toBe(digest)
      }
      expect(chain(before, { ...entry, header: Uint8Array.from([...entry.header, 0]) })).not.toBe(digest)
    },
  )

  test.prop([previous, anyFields, fc.nat(), fc.integer({ min: 1, max: 255 })])(
    'notices each changed byte of a header',
    (before, entry, where, change) => {
      fc.pre(entry.header.length > 0)
      const header = Uint8Array.from(entry.header)
      header[where % header.length]! ^= change
      expect(chain(before, { ...entry, header })).not.toBe(chain(before, entry))
    },
  )

  test('spreads one flipped bit over half of the digest', () => {
    let flipped = 0
    for (let bit = 0; bit < 40; bit += 1) {
      const one = chain(asDigest(0n), { ...fields, index: asLogIndex(1 + 2 ** bit) })
      let difference = one ^ chain(asDigest(0n), fields)
      for (; difference > 0n; difference >>= 1n) flipped += Number(difference & 1n)
    }
    expect(flipped / 40).toBeGreaterThan(28)
    expect(flipped / 40).toBeLessThan(36)
  })
})
