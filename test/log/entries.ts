import { chain } from '../../src/raft/index.ts'
import type { Configuration, Entry, EntryKind, LogMark, Snapshot } from '../../src/raft/types.ts'
import { asDigest, asLogIndex, asNodeId, asTerm } from '../../src/raft/types.ts'
import { payloadCrc32 } from '../../src/log/index.ts'

export const configuration: Configuration = {
  voters: ['n1', 'n2', 'n3'].map(asNodeId),
  votersOutgoing: [],
  learners: [],
}

export const origin: LogMark = { index: asLogIndex(0), term: asTerm(0), digest: asDigest(0n) }

/** What a new group is created with. */
export const emptySnapshot: Snapshot = { ...origin, configuration, state: new Uint8Array(0) }

export interface EntryShape {
  readonly term?: number
  readonly kind?: EntryKind
  readonly header?: Uint8Array
  readonly payload?: readonly Uint8Array[]
}

export function entryAfter(previous: LogMark, shape: EntryShape = {}): Entry {
  const payload = shape.payload ?? []
  const fields = {
    index: asLogIndex(previous.index + 1),
    term: asTerm(shape.term ?? Math.max(1, previous.term)),
    kind: shape.kind ?? 'event',
    header: shape.header ?? new Uint8Array(0),
    payload,
    payloadBytes: payload.reduce((sum, chunk) => sum + chunk.length, 0),
    payloadCrc32: payloadCrc32(payload),
  }
  return { ...fields, digest: chain(previous.digest, fields) }
}

/** One entry per shape, each continuing the one before it. */
export function entriesAfter(previous: LogMark, shapes: readonly EntryShape[]): Entry[] {
  const entries: Entry[] = []
  for (const shape of shapes) entries.push(entryAfter(entries.at(-1) ?? previous, shape))
  return entries
}

/** Bytes that are easy to tell apart and don't compress to nothing. */
export function bytesOf(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let word = seed * 2654435761 + 1
  for (let i = 0; i < length; i++) {
    word = (Math.imul(word, 1664525) + 1013904223) >>> 0
    bytes[i] = word >>> 24
  }
  return bytes
}

/** An entry as plain data, whatever chunks its payload comes in. */
export function flat(entry: Entry): object {
  const { header, payload, ...rest } = entry
  return {
    ...rest,
    header: Buffer.from(header).toString('hex'),
    payload: Buffer.concat(payload).toString('hex'),
  }
}

export function markOf({ index, term, digest }: LogMark): LogMark {
  return { index, term, digest }
}
