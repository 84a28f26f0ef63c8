const SEED = 0x9747b28c
const MULTIPLIER = 0x5bd1e995

/**
 * 32-bit MurmurHash2 of `bytes` from `start` to `end` with the seed of Kafka's clients, as an unsigned number. Frozen:
 * where a key lives depends on it.
 */
export function murmur2(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  let hash = SEED ^ (end - start)
  let at = start
  for (; at + 4 <= end; at += 4) {
    let word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    word = Math.imul(word, MULTIPLIER)
    word ^= word >>> 24
    hash = Math.imul(hash, MULTIPLIER) ^ Math.imul(word, MULTIPLIER)
  }
  const rest = end - at
  if (rest > 0) {
    for (let index = rest - 1; index >= 0; index--) hash ^= bytes[at + index]! << (8 * index)
    hash = Math.imul(hash, MULTIPLIER)
  }
  hash ^= hash >>> 13
  hash = Math.imul(hash, MULTIPLIER)
  return (hash ^ (hash >>> 15)) >>> 0
}
