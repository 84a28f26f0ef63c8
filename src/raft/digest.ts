import { asDigest, type Digest, type Entry, type EntryKind } from './types.ts'

/** What of an entry goes into the chain. The payload is there by its length and CRC-32, so nothing large is read. */
export type DigestFields = Pick<Entry, 'index' | 'term' | 'kind' | 'payloadBytes' | 'payloadCrc32' | 'header'>

// On disk for ever: neither these numbers nor the mixing below may change (test/raft/digest.test.ts holds them).
const KIND_CODES: Record<EntryKind, number> = { noop: 0, event: 1, configuration: 2 }
const LOW_MULTIPLIER = 0x9e3779b1
const HIGH_MULTIPLIER = 0x85ebca6b
/** Added each time, so that a lane at zero doesn't stay there while zeros come in. */
const LOW_INCREMENT = 0x165667b1
const HIGH_INCREMENT = 0x27d4eb2f
const TWO_TO_32 = 0x1_0000_0000

/** Multiplications spread bits upwards only; the shifts bring them back down (the finaliser shape of MurmurHash3). */
function avalanche(word: number): number {
  let mixed = word ^ (word >>> 16)
  mixed = Math.imul(mixed, 0x7feb352d)
  mixed ^= mixed >>> 15
  mixed = Math.imul(mixed, 0x846ca68b)
  return mixed ^ (mixed >>> 16)
}

function mixLow(lane: number, word: number): number {
  const mixed = Math.imul(lane ^ word, LOW_MULTIPLIER)
  return (((mixed << 13) | (mixed >>> 19)) + LOW_INCREMENT) | 0
}

function mixHigh(lane: number, word: number): number {
  const mixed = Math.imul(lane + word, HIGH_MULTIPLIER)
  return (((mixed << 17) | (mixed >>> 15)) + HIGH_INCREMENT) | 0
}

/**
 * The running digest of a log: 64 bits over the predecessor's digest and this entry, so two replicas that agree on it
 * agree on all that is before. It finds damage and bugs; it is no defence against someone who forges entries.
 * Two 32-bit lanes, because arithmetic on bigints costs more than the rest of an append together.
 */
export function chain(previous: Digest, fields: DigestFields): Digest {
  let low = Number(previous & 0xffffffffn) | 0
  let high = Number(previous >> 32n) | 0
  const { header } = fields
  const words = [
    fields.index | 0,
    Math.floor(fields.index / TWO_TO_32),
    fields.term | 0,
    Math.floor(fields.term / TWO_TO_32),
    KIND_CODES[fields.kind],
    fields.payloadBytes | 0,
    Math.floor(fields.payloadBytes / TWO_TO_32),
    fields.payloadCrc32 | 0,
    header.length,
  ]
  for (const word of words) {
    low = mixLow(low, word)
    high = mixHigh(high, word)
  }
  const wholeWords = header.length & ~3
  let at = 0
  for (; at < wholeWords; at += 4) {
    const word = header[at]! | (header[at + 1]! << 8) | (header[at + 2]! << 16) | (header[at + 3]! << 24)
    low = mixLow(low, word)
    high = mixHigh(high, word)
  }
  // The length was mixed in, so padding the rest with zeros is unambiguous.
  let rest = 0
  for (let shift = 0; at < header.length; at += 1, shift += 8) rest |= header[at]! << shift
  low = avalanche(mixLow(low, rest) ^ high)
  high = avalanche(mixHigh(high, rest) + low)
  return asDigest((BigInt(high >>> 0) << 32n) | BigInt(low >>> 0))
}
