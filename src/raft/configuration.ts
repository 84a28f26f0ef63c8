import { assert } from './assert.ts'
import { asNodeId, type Configuration, type MemberLife, type NodeId } from './types.ts'

/** Three lists of ids. */
const PLAIN_VERSION = 1
/** Three lists of ids, flags, lives. Written only where there is something of that, so that old bytes stay what they are. */
const FULL_VERSION = 2
/** What a configuration entry holds: two configurations, the new one and the one that it replaces. */
const CHANGE_VERSION = 3
const LEAVES_AUTOMATICALLY = 1
/** More than any group needs; keeps an encoded configuration far below the header's 64 KiB. */
const MOST_MEMBERS = 255
const MOST_ID_BYTES = 249
const MOST_BYTES = 65_536

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

/** Ids in an order that doesn't depend on where they came from (no localeCompare: it depends on the machine). */
export function sortedIds(ids: Iterable<NodeId>): NodeId[] {
  return [...new Set(ids)].sort((left, right) => (left < right ? -1 : left > right ? 1 : 0))
}

/** Everybody who gets the log: voters of both halves of a joint configuration, and learners. Sorted, each once. */
export function membersOf(configuration: Configuration): NodeId[] {
  return sortedIds([...configuration.voters, ...configuration.votersOutgoing, ...configuration.learners])
}

export function isVoter(configuration: Configuration, id: NodeId): boolean {
  return configuration.voters.includes(id) || configuration.votersOutgoing.includes(id)
}

export function isMember(configuration: Configuration, id: NodeId): boolean {
  return isVoter(configuration, id) || configuration.learners.includes(id)
}

export const isJoint = (configuration: Configuration): boolean => configuration.votersOutgoing.length > 0

/** The life under which this member takes part. */
export function lifeOf(configuration: Configuration, id: NodeId): number {
  return configuration.lives?.find((member) => member.id === id)?.life ?? 0
}

const sameIds = (left: readonly NodeId[], right: readonly NodeId[]): boolean => {
  const [sortedLeft, sortedRight] = [sortedIds(left), sortedIds(right)]
  return sortedLeft.length === sortedRight.length && sortedLeft.every((id, at) => id === sortedRight[at])
}

/** Whether both say the same, in whatever order. */
export function sameConfiguration(left: Configuration, right: Configuration): boolean {
  return (
    sameIds(left.voters, right.voters) &&
    sameIds(left.votersOutgoing, right.votersOutgoing) &&
    sameIds(left.learners, right.learners) &&
    (left.leavesAutomatically ?? false) === (right.leavesAutomatically ?? false) &&
    membersOf(left).every((id) => lifeOf(left, id) === lifeOf(right, id))
  )
}

class Bytes {
  readonly bytes: number[] = []

  ids(ids: readonly NodeId[]): void {
    assert(ids.length <= MOST_MEMBERS, 'raft.configuration-members', () => `${ids.length} members`)
    assert(new Set(ids).size === ids.length, 'raft.configuration-written-twice', () => ids.join())
    this.bytes.push(ids.length)
    for (const id of ids) this.id(id)
  }

  id(id: NodeId): void {
    const encoded = encoder.encode(id)
    assert(
      encoded.length >= 1 && encoded.length <= MOST_ID_BYTES,
      'raft.configuration-id',
      () => `node id ${JSON.stringify(id)} must have 1 to ${MOST_ID_BYTES} bytes`,
    )
    this.bytes.push(encoded.length, ...encoded)
  }

  /** 56 bits, the lowest byte first: every safe integer fits. */
  life(life: number): void {
    assert(Number.isSafeInteger(life) && life >= 0, 'raft.configuration-life', () => `life ${life}`)
    for (let rest = life, at = 0; at < 7; at += 1, rest = Math.floor(rest / 256)) this.bytes.push(rest % 256)
  }
}

/**
 * A version byte, then voters, outgoing voters and learners, each as a count byte and, per id, a length byte and UTF-8. In
 * version 2 a byte of flags follows, and the lives: a count byte, then per member its id and 7 bytes, the lowest first.
 */
export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const { voters, votersOutgoing, learners, leavesAutomatically = false, lives = [] } = configuration
  const isPlain = !leavesAutomatically && lives.length === 0
  const out = new Bytes()
  out.bytes.push(isPlain ? PLAIN_VERSION : FULL_VERSION)
  for (const ids of [voters, votersOutgoing, learners]) out.ids(ids)
  if (!isPlain) {
    assert(lives.length <= MOST_MEMBERS, 'raft.configuration-lives', () => `${lives.length} lives`)
    out.bytes.push(leavesAutomatically ? LEAVES_AUTOMATICALLY : 0, lives.length)
    for (const { id, life } of lives) {
      assert(isMember(configuration, id), 'raft.configuration-life-of-stranger', () => id)
      out.id(id)
      out.life(life)
    }
  }
  return Uint8Array.from(out.bytes)
}

/**
 * The header of a `configuration` entry: version 3, the length of the new configuration as two bytes, the lower one first,
 * the new configuration, and the one before it. Having both in one place, a log says by itself what is in force when an
 * entry of it is taken back, and a replica that joins learns with the first one what was before it came.
 */
export function encodeChange(configuration: Configuration, previous: Configuration): Uint8Array {
  const after = encodeConfiguration(configuration)
  const before = encodeConfiguration(previous)
  const length = 3 + after.length + before.length
  assert(length <= MOST_BYTES, 'raft.configuration-bytes', () => `${length} bytes, at most ${MOST_BYTES}`)
  assert(after[0] !== CHANGE_VERSION && before[0] !== CHANGE_VERSION, 'raft.configuration-nested')
  return Uint8Array.from([CHANGE_VERSION, after.length & 255, after.length >> 8, ...after, ...before])
}

class BytesReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  byte(): number {
    const byte = this.#bytes[this.#at]
    assert(byte !== undefined, 'raft.configuration-truncated-byte')
    this.#at += 1
    return byte
  }

  id(): NodeId {
    const length = this.byte()
    assert(length >= 1 && length <= MOST_ID_BYTES, 'raft.configuration-id-length', () => `${length} bytes`)
    assert(this.#at + length <= this.#bytes.length, 'raft.configuration-truncated-id')
    this.#at += length
    return asNodeId(decoder.decode(this.#bytes.subarray(this.#at - length, this.#at)))
  }

  ids(): NodeId[] {
    return Array.from({ length: this.byte() }, () => this.id())
  }

  life(): number {
    let life = 0
    for (let at = 0, unit = 1; at < 7; at += 1, unit *= 256) life += this.byte() * unit
    assert(Number.isSafeInteger(life), 'raft.configuration-life-read', () => `life ${life}`)
    return life
  }

  end(): void {
    const left = this.#bytes.length - this.#at
    assert(left === 0, 'raft.configuration-trailing', () => `${left} bytes too many`)
  }
}

/** What a configuration entry says; `previous` is undefined in bytes that hold a configuration alone. */
export function decodeChange(bytes: Uint8Array): {
  readonly configuration: Configuration
  readonly previous: Configuration | undefined
} {
  if (bytes[0] !== CHANGE_VERSION) return { configuration: decodeConfiguration(bytes), previous: undefined }
  assert(bytes.length >= 3, 'raft.configuration-truncated-change')
  const end = 3 + bytes[1]! + (bytes[2]! << 8)
  assert(end < bytes.length, 'raft.configuration-truncated-previous')
  return {
    configuration: decodeConfiguration(bytes.subarray(3, end)),
    previous: decodeConfiguration(bytes.subarray(end)),
  }
}

/** The inverse of encodeConfiguration, and of encodeChange: the new one. Throws AssertionError on other bytes. */
export function decodeConfiguration(bytes: Uint8Array): Configuration {
  const version = bytes[0]
  if (version === CHANGE_VERSION) return decodeChange(bytes).configuration
  assert(
    version === PLAIN_VERSION || version === FULL_VERSION,
    'raft.configuration-version',
    () => `version ${version}`,
  )
  const reader = new BytesReader(bytes)
  reader.byte()
  const [voters, votersOutgoing, learners] = [reader.ids(), reader.ids(), reader.ids()]
  if (version === PLAIN_VERSION) {
    reader.end()
    return { voters, votersOutgoing, learners }
  }
  const flags = reader.byte()
  assert((flags & ~LEAVES_AUTOMATICALLY) === 0, 'raft.configuration-flags', () => `flags ${flags}`)
  const lives: MemberLife[] = []
  for (let left = reader.byte(); left > 0; left -= 1) lives.push({ id: reader.id(), life: reader.life() })
  reader.end()
  return {
    voters,
    votersOutgoing,
    learners,
    ...(flags === 0 ? {} : { leavesAutomatically: true }),
    ...(lives.length === 0 ? {} : { lives }),
  }
}
