import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeEntry, decodeEntryHead, encodeEntryHead, payloadCrc32 } from '../../src/log/index.ts'
import type { Entry } from '../../src/raft/types.ts'
import { asDigest, asLogIndex, asTerm } from '../../src/raft/types.ts'
import { emptySnapshot, entryAfter, flat } from './entries.ts'

const arbitraryEntry: fc.Arbitrary<Entry> = fc
  .record({
    index: fc.maxSafeNat().map(asLogIndex),
    term: fc.maxSafeNat().map(asTerm),
    kind: fc.constantFrom('noop' as const, 'event' as const, 'configuration' as const),
    digest: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(asDigest),
    header: fc.uint8Array({ maxLength: 200 }),
    payload: fc.array(fc.uint8Array({ minLength: 1, maxLength: 100 }), { maxLength: 4 }),
  })
  .map((fields) => ({
    ...fields,
    payloadBytes: fields.payload.reduce((sum, chunk) => sum + chunk.length, 0),
    payloadCrc32: payloadCrc32(fields.payload),
  }))

const encode = (entry: Entry): Buffer => Buffer.concat([encodeEntryHead(entry), ...entry.payload])

describe('an entry as bytes', () => {
  it('refuses a header above its limit', () => {
    const entry = entryAfter(emptySnapshot, { header: new Uint8Array(64 * 1024 + 1) })
    expect(() => encodeEntryHead(entry)).toThrow('log.header-limit')
  })

  it('names the version that it does not know', () => {
    const bytes = encode(entryAfter(emptySnapshot))
    bytes[0] = 9
    expect(() => decodeEntryHead(bytes)).toThrow('version 9; this build reads 1')
  })

  it('notices every flipped bit and every cut', () => {
    fc.assert(
      fc.property(arbitraryEntry, fc.nat(), fc.integer({ min: 0, max: 7 }), (entry, place, bit) => {
        const bytes = encode(entry)
        const at = place % bytes.length
        expect(() => decodeEntry(bytes.subarray(0, at))).toThrow()
        bytes[at]! ^= 1 << bit
        expect(() => decodeEntry(bytes)).toThrow()
      }),
    )
  })

  it('comes back as it was, wherever it stands among other bytes', () => {
    fc.assert(
      fc.property(arbitraryEntry, fc.uint8Array({ maxLength: 20 }), (entry, before) => {
        const encoded = encode(entry)
        const decoded = decodeEntry(Buffer.concat([before, encoded, before]), before.length)
        expect(flat(decoded.entry)).toEqual(flat(entry))
        expect(decoded.length).toBe(encoded.length)
        expect(decodeEntryHead(encoded).length).toBe(encodeEntryHead(entry).length)
      }),
    )
  })

  it('has the bytes that docs/storage-format.md says', () => {
    const entry = entryAfter(emptySnapshot, {
      term: 3,
      header: Uint8Array.of(0xaa),
      payload: [Uint8Array.of(1)],
    })
    const head = Buffer.from(encodeEntryHead(entry)).toString('hex')
    expect(head.slice(0, 48)).toBe('01010000' + '00000001' + '0000000000000001' + '0000000000000003')
    expect(head.slice(48, 64)).toBe(entry.digest.toString(16).padStart(16, '0'))
    expect(head.slice(64, 82)).toBe('00000001' + 'a505df1b' + 'aa')
    expect(head).toHaveLength(2 * 45)
  })
})

describe('the checksum of a payload', () => {
  it('does not depend on how the payload is cut into chunks', () => {
    expect(payloadCrc32([])).toBe(0)
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 30 })), (chunks) => {
        expect(payloadCrc32(chunks)).toBe(payloadCrc32([Buffer.concat(chunks)]))
      }),
    )
  })
})
