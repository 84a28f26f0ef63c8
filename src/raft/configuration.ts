import { assert } from './assert.ts'
import { asNodeId, type Configuration, type NodeId } from './types.ts'

const FORMAT_VERSION = 1
/** More than any group needs; keeps an encoded configuration far below the header's 64 KiB. */
const MOST_MEMBERS = 255
const MOST_ID_BYTES = 249

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

/**
 * The header of a `configuration` entry: a version byte, then voters, outgoing voters and learners, each as a count byte
 * and, per id, a length byte and UTF-8.
 */
export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const bytes: number[] = [FORMAT_VERSION]
  for (const ids of [configuration.voters, configuration.votersOutgoing, configuration.learners]) {
    assert(ids.length <= MOST_MEMBERS, 'raft.configuration-members', () => `${ids.length} members`)
    bytes.push(ids.length)
    for (const id of ids) {
      const encoded = encoder.encode(id)
      assert(
        encoded.length >= 1 && encoded.length <= MOST_ID_BYTES,
        'raft.configuration-id',
        () => `node id ${JSON.stringify(id)} must have 1 to ${MOST_ID_BYTES} bytes`,
      )
      bytes.push(encoded.length, ...encoded)
    }
  }
  return Uint8Array.from(bytes)
}

/** The inverse of encodeConfiguration. Throws AssertionError on bytes that it can't have written. */
export function decodeConfiguration(bytes: Uint8Array): Configuration {
  assert(bytes[0] === FORMAT_VERSION, 'raft.configuration-version', () => `version ${bytes[0]}`)
  let at = 1
  const readIds = (): NodeId[] => {
    const count = bytes[at]
    assert(count !== undefined, 'raft.configuration-truncated')
    at += 1
    const ids: NodeId[] = []
    for (let read = 0; read < count; read += 1) {
      const length = bytes[at]
      assert(length !== undefined && at + 1 + length <= bytes.length, 'raft.configuration-truncated')
      ids.push(asNodeId(decoder.decode(bytes.subarray(at + 1, at + 1 + length))))
      at += 1 + length
    }
    return ids
  }
  const voters = readIds()
  const votersOutgoing = readIds()
  const learners = readIds()
  assert(at === bytes.length, 'raft.configuration-trailing', () => `${bytes.length - at} bytes too many`)
  return { voters, votersOutgoing, learners }
}
