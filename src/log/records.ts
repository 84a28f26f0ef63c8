import { crc32 } from 'node:zlib'
import { decodeConfiguration, encodeConfiguration } from '../raft/index.ts'
import type { Entry, HardState, LogIndex, Snapshot, SnapshotMark } from '../raft/types.ts'
import { asDigest, asLogIndex, asNodeId, asTerm } from '../raft/types.ts'
import { assert } from './assert.ts'
import { asBuffer, readUint64, RecordReader, RecordWriter, writeUint64 } from './bytes.ts'
import type { EntryHead } from './entry-codec.ts'
import { decodeEntryHead, headLength, writeEntryHead } from './entry-codec.ts'
import { MalformedBytesError } from './errors.ts'
import type { FolderIdentity, GroupId, IndexPoint } from './types.ts'
import { asGroupId, asOffset } from './types.ts'

/** What the values in the store look like. Each is sealed with a checksum that covers its key too. */

const utf8Encoder = new TextEncoder()
const utf8Decoder = new TextDecoder('utf-8', { fatal: true })

/** Where a payload lies; its length and checksum are in the entry's head. */
export interface Extent {
  /** In a segment of all groups, not of its own group. */
  readonly shared: boolean
  readonly segment: number
  readonly position: number
}

export type StoredPayload =
  | { readonly type: 'inline'; readonly bytes: Uint8Array }
  | { readonly type: 'extent'; readonly extent: Extent }

export interface StoredEntry {
  readonly head: EntryHead
  readonly payload: StoredPayload
}

const placement = { inline: 0, extent: 1, sharedExtent: 2 } as const
const extentBytes = 1 + 4 + 8 + 4 + 4 + 4

/** head | 0 | payload */
export function encodeInlineEntry(entry: Entry): Uint8Array {
  const bytes = Buffer.allocUnsafe(headLength(entry) + 1 + entry.payloadBytes)
  let at = writeEntryHead(bytes, entry)
  bytes[at++] = placement.inline
  for (const chunk of entry.payload) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  assert(at === bytes.length, 'log.inline-bytes', () => `entry ${entry.index}: ${at} of ${bytes.length}`)
  return bytes
}

/** head | 1, or 2 where the segment is shared | segment 4 | position 8 | length 4 | payloadCrc32 4 | crc32 4 */
export function encodeExtentEntry(entry: Entry, extent: Extent): Uint8Array {
  const bytes = Buffer.allocUnsafe(headLength(entry) + extentBytes)
  const at = writeEntryHead(bytes, entry)
  assert(extent.segment >= 1, 'log.extent-segment', () => `entry ${entry.index}: segment ${extent.segment}`)
  assert(at + extentBytes === bytes.length, 'log.extent-bytes', () => `entry ${entry.index}: ${at}`)
  bytes[at] = extent.shared ? placement.sharedExtent : placement.extent
  bytes.writeUInt32BE(extent.segment, at + 1)
  writeUint64(bytes, extent.position, at + 5)
  bytes.writeUInt32BE(entry.payloadBytes, at + 13)
  bytes.writeUInt32BE(entry.payloadCrc32, at + 17)
  bytes.writeUInt32BE(crc32(bytes.subarray(at, at + 21)), at + 21)
  return bytes
}

/** Checks all but the payload. Throws MalformedBytesError. */
export function decodeStoredEntry(bytes: Uint8Array): StoredEntry {
  const all = asBuffer(bytes)
  const { head, length } = decodeEntryHead(all)
  const place = all[length]
  if (place === placement.inline)
    return { head, payload: { type: 'inline', bytes: all.subarray(length + 1) } }
  if (place === placement.extent || place === placement.sharedExtent) {
    return { head, payload: { type: 'extent', extent: decodeExtent(all.subarray(length), head) } }
  }
  throw new MalformedBytesError(`an entry's payload is in the unknown place ${place}`)
}

/** Undefined where the record isn't an entry's, or isn't there. */
export function storedEntry(bytes: Uint8Array | undefined): StoredEntry | undefined {
  try {
    return bytes === undefined ? undefined : decodeStoredEntry(bytes)
  } catch (error) {
    if (error instanceof MalformedBytesError) return undefined
    throw error
  }
}

function decodeExtent(bytes: Buffer, head: EntryHead): Extent {
  if (bytes.length !== extentBytes) throw new MalformedBytesError(`an extent has ${bytes.length} bytes`)
  if (bytes.readUInt32BE(21) !== crc32(bytes.subarray(0, 21))) {
    throw new MalformedBytesError('an extent has a wrong checksum')
  }
  if (bytes.readUInt32BE(13) !== head.payloadBytes || bytes.readUInt32BE(17) !== head.payloadCrc32) {
    throw new MalformedBytesError("an extent doesn't belong to its entry's head")
  }
  const shared = bytes[0] === placement.sharedExtent
  return { shared, segment: bytes.readUInt32BE(1), position: readUint64(bytes, 5) }
}

export function encodeIdentity(identity: FolderIdentity, formatVersion: number, key: Uint8Array): Uint8Array {
  assert(formatVersion >= 1, 'log.format-version', () => `${formatVersion}`)
  const clusterName = utf8Encoder.encode(identity.clusterName)
  const nodeId = utf8Encoder.encode(identity.nodeId)
  return new RecordWriter(4 + 4 + clusterName.length + 4 + nodeId.length)
    .uint32(formatVersion)
    .block(clusterName)
    .block(nodeId)
    .seal(key)
}

/** A newer format may have more fields, so only the version is read of one that isn't ours. */
export function decodeIdentity(
  bytes: Uint8Array,
  key: Uint8Array,
  newestVersion: number,
): { readonly formatVersion: number; readonly identity: FolderIdentity | undefined } {
  const reader = new RecordReader(bytes, key)
  const found = reader.uint32()
  if (found < 1 || found > newestVersion) return { formatVersion: found, identity: undefined }
  const clusterName = utf8Decoder.decode(reader.block())
  const nodeId = utf8Decoder.decode(reader.block())
  reader.end()
  return { formatVersion: found, identity: { clusterName, nodeId } }
}

export function encodeText(text: string, key: Uint8Array): Uint8Array {
  const bytes = utf8Encoder.encode(text)
  return new RecordWriter(4 + bytes.length).block(bytes).seal(key)
}

export function decodeText(bytes: Uint8Array, key: Uint8Array): string {
  const reader = new RecordReader(bytes, key)
  const text = utf8Decoder.decode(reader.block())
  reader.end()
  return text
}

/** From this entry on, a group's log was written in the turn, and at least one payload went to a segment. */
export interface TurnExtents {
  readonly groupId: GroupId
  readonly firstIndex: LogIndex
}

export interface TurnRecord {
  /** Counts the turns of the folder, from 1. */
  readonly turn: number
  readonly extents: readonly TurnExtents[]
}

export function encodeTurn(record: TurnRecord, key: Uint8Array): Uint8Array {
  const groups = new Set(record.extents.map(({ groupId }) => groupId))
  assert(groups.size === record.extents.length, 'log.turn-group-twice', () => `turn ${record.turn}`)
  const writer = new RecordWriter(8 + 4 + 16 * record.extents.length)
  writer.uint64(record.turn).uint32(record.extents.length)
  for (const { groupId, firstIndex } of record.extents) {
    assert(firstIndex >= 1, 'log.turn-first-index', () => `group ${groupId}: ${firstIndex}`)
    writer.uint64(groupId).uint64(firstIndex)
  }
  return writer.seal(key)
}

export function decodeTurn(bytes: Uint8Array, key: Uint8Array): TurnRecord {
  const reader = new RecordReader(bytes, key)
  const turn = reader.uint64()
  const count = reader.uint32()
  const extents: TurnExtents[] = []
  for (let i = 0; i < count; i++) {
    extents.push({ groupId: asGroupId(reader.uint64()), firstIndex: asLogIndex(reader.uint64()) })
  }
  reader.end()
  return { turn, extents }
}

export function encodeTurnNumber(turn: number, key: Uint8Array): Uint8Array {
  return new RecordWriter(8).uint64(turn).seal(key)
}

export function decodeTurnNumber(bytes: Uint8Array, key: Uint8Array): number {
  const reader = new RecordReader(bytes, key)
  const turn = reader.uint64()
  reader.end()
  return turn
}

export function encodeGroup(lowEnd: SnapshotMark, key: Uint8Array): Uint8Array {
  assert(lowEnd.index > 0 || lowEnd.digest === 0n, 'log.low-end-origin', () => `${lowEnd.digest}`)
  const configuration = encodeConfiguration(lowEnd.configuration)
  return new RecordWriter(8 + 8 + 8 + 4 + configuration.length)
    .uint64(lowEnd.index)
    .uint64(lowEnd.term)
    .big64(lowEnd.digest)
    .block(configuration)
    .seal(key)
}

export function decodeGroup(bytes: Uint8Array, key: Uint8Array): SnapshotMark {
  const reader = new RecordReader(bytes, key)
  const index = asLogIndex(reader.uint64())
  const term = asTerm(reader.uint64())
  const digest = asDigest(reader.big64())
  const configuration = decodeConfiguration(reader.block())
  reader.end()
  return { index, term, digest, configuration }
}

export function encodeHardState(state: HardState, key: Uint8Array): Uint8Array {
  // Nobody is written as no bytes.
  assert(state.votedFor !== '', 'log.vote-for-nobody', () => `in term ${state.term}`)
  assert(state.votedFor === undefined || state.term > 0, 'log.vote-term', () => `${state.votedFor}`)
  const votedFor = utf8Encoder.encode(state.votedFor ?? '')
  return new RecordWriter(8 + 8 + 4 + votedFor.length)
    .uint64(state.term)
    .uint64(state.commit)
    .block(votedFor)
    .seal(key)
}

export function decodeHardState(bytes: Uint8Array, key: Uint8Array): HardState {
  const reader = new RecordReader(bytes, key)
  const term = asTerm(reader.uint64())
  const commit = asLogIndex(reader.uint64())
  const votedFor = utf8Decoder.decode(reader.block())
  reader.end()
  return { term, commit, votedFor: votedFor === '' ? undefined : asNodeId(votedFor) }
}

/** A folded state and the index that it is at. Used for the applied state and the one at the low end. */
export interface StateAt {
  readonly index: LogIndex
  readonly state: Uint8Array
}

export function encodeState({ index, state }: StateAt, key: Uint8Array): Uint8Array {
  return new RecordWriter(8 + 4 + state.length).uint64(index).block(state).seal(key)
}

export function decodeState(bytes: Uint8Array, key: Uint8Array): StateAt {
  const reader = new RecordReader(bytes, key)
  const index = asLogIndex(reader.uint64())
  const state = reader.block()
  reader.end()
  return { index, state }
}

/** A low end from its two records; undefined where they aren't of the same one. */
export function decodeSnapshot(
  mark: Uint8Array | undefined,
  markKey: Uint8Array,
  state: Uint8Array | undefined,
  stateKey: Uint8Array,
): Snapshot | undefined {
  if (mark === undefined || state === undefined)
    throw new MalformedBytesError('a record of the low end is missing')
  const lowEnd = decodeGroup(mark, markKey)
  const folded = decodeState(state, stateKey)
  return folded.index === lowEnd.index ? { ...lowEnd, state: folded.state } : undefined
}

/** The same value stands under both keys of a signpost. */
export function encodeIndexPoint(point: IndexPoint, key: Uint8Array): Uint8Array {
  return new RecordWriter(24).uint64(point.index).uint64(point.offset).uint64(point.appendTimeMs).seal(key)
}

export function decodeIndexPoint(bytes: Uint8Array, key: Uint8Array): IndexPoint {
  const reader = new RecordReader(bytes, key)
  const index = asLogIndex(reader.uint64())
  const offset = asOffset(reader.uint64())
  const appendTimeMs = reader.uint64()
  reader.end()
  return { index, offset, appendTimeMs }
}
