import type { LogIndex } from '../raft/types.ts'
import { asLogIndex } from '../raft/types.ts'
import { assert } from './assert.ts'
import { asBuffer, readUint64, writeUint64 } from './bytes.ts'
import type { GroupId, Offset } from './types.ts'
import { asGroupId } from './types.ts'

/**
 * Keys: one byte for the kind, then the group, then what orders the kind, all big-endian, so that LevelDB's order is
 * ours and everything of one kind and group lies together. The bytes are for ever; docs/storage-format.md has them.
 */
export const keyKind = {
  /** Of the folder: a second byte names which. */
  folder: 0x01,
  /** One for each of the newest turns, in a ring. */
  turnSlot: 0x02,
  /** Low end and configuration; a group exists where it has this. */
  group: 0x10,
  lowEndState: 0x11,
  hardState: 0x12,
  applied: 0x13,
  /** The group is gone, its space is still being given back. */
  destroyed: 0x14,
  /** What is wrong with the group, where the evidence would otherwise not outlive the start that found it. */
  damage: 0x15,
  entry: 0x20,
  byOffset: 0x30,
  byTime: 0x31,
} as const
export type KeyKind = (typeof keyKind)[keyof typeof keyKind]

export const identityKey = Uint8Array.of(keyKind.folder, 0x00)
export const clusterIdKey = Uint8Array.of(keyKind.folder, 0x01)
export const turnKey = Uint8Array.of(keyKind.folder, 0x02)

/** More turns than LevelDB's write-ahead log holds, so that a record which its recovery skips leaves a gap in the ring. */
export const turnSlots = 65_536

export function turnSlotKey(turn: number): Uint8Array {
  const slot = turn % turnSlots
  assert(Number.isSafeInteger(turn) && turn >= 0, 'log.turn-slot', () => `turn ${turn}`)
  return Uint8Array.of(keyKind.turnSlot, slot >> 8, slot & 0xff)
}

export type GroupKeyKind = Exclude<KeyKind, 0x01 | 0x02 | 0x20 | 0x30 | 0x31>

export function groupKey(kind: GroupKeyKind, groupId: GroupId): Uint8Array {
  return key(kind, groupId)
}

export function entryKey(groupId: GroupId, index: number): Uint8Array {
  return key(keyKind.entry, groupId, index)
}

export function byOffsetKey(groupId: GroupId, offset: Offset): Uint8Array {
  return key(keyKind.byOffset, groupId, offset)
}

export function byTimeKey(groupId: GroupId, timeMs: number, offset: number): Uint8Array {
  return key(keyKind.byTime, groupId, timeMs, offset)
}

export function groupOfKey(bytes: Uint8Array): GroupId {
  return asGroupId(readUint64(asBuffer(bytes), 1))
}

export function indexOfEntryKey(bytes: Uint8Array): LogIndex {
  return asLogIndex(readUint64(asBuffer(bytes), 9))
}

export interface Range {
  readonly gte: Uint8Array
  readonly lt: Uint8Array
}

/** All keys of one kind. */
export function kindRange(kind: KeyKind): Range {
  return { gte: Uint8Array.of(kind), lt: Uint8Array.of(kind + 1) }
}

/** All keys of one kind and group. */
export function groupRange(kind: KeyKind, groupId: GroupId): Range {
  return { gte: key(kind, groupId), lt: key(kind, groupId + 1) }
}

/** The entries `from` to `to`, both included. */
export function entryRange(groupId: GroupId, from: number, to: number): Range {
  assert(from <= to + 1, 'log.entry-range', () => `group ${groupId}: ${from} to ${to}`)
  return { gte: entryKey(groupId, from), lt: entryKey(groupId, to + 1) }
}

/** A key that is greater than `bytes` by as little as can be. */
export function justAfter(bytes: Uint8Array): Uint8Array {
  const next = new Uint8Array(bytes.length + 1)
  next.set(bytes)
  assert(bytes.length > 0, 'log.after-key', () => 'an empty key')
  return next
}

function key(kind: KeyKind, ...numbers: number[]): Uint8Array {
  const bytes = Buffer.allocUnsafe(1 + 8 * numbers.length)
  bytes[0] = kind
  for (let i = 0; i < numbers.length; i++) writeUint64(bytes, numbers[i]!, 1 + 8 * i)
  return bytes
}
