import { crc32 } from 'node:zlib'
import type { Entry, EntryKind } from '../raft/types.ts'
import { asDigest, asLogIndex, asTerm } from '../raft/types.ts'
import { assert } from './assert.ts'
import { asBuffer, readUint64, writeUint64 } from './bytes.ts'
import { MalformedBytesError } from './errors.ts'

/**
 * The head of an entry, on disk and between nodes: everything but the payload. Big-endian:
 * version 1 | kind 1 | zero 2 | headerBytes 4 | index 8 | term 8 | digest 8 | payloadBytes 4 | payloadCrc32 4 | header | crc32 4
 */
const headVersion = 1
const fixedBytes = 40
const checksumBytes = 4
/** Draft.header's limit. */
export const maxHeaderBytes = 64 * 1024
/** What fits the four bytes for the length; far above every limit on batches. */
const maxPayloadBytes = 0xffff_ffff

const codeOfKind: Record<EntryKind, number> = { noop: 0, event: 1, configuration: 2 }
const kindOfCode: readonly EntryKind[] = ['noop', 'event', 'configuration']

export type EntryHead = Omit<Entry, 'payload'>

export function headLength(entry: EntryHead): number {
  return fixedBytes + entry.header.length + checksumBytes
}

/** The head as bytes of its own; the payload follows it as it is. */
export function encodeEntryHead(entry: EntryHead): Uint8Array {
  const bytes = Buffer.allocUnsafe(headLength(entry))
  const length = writeEntryHead(bytes, entry)
  assert(length === bytes.length, 'log.head-written', () => `${length} of ${bytes.length}`)
  return bytes
}

/** Writes the head at the start of `bytes` and returns its length. */
export function writeEntryHead(bytes: Buffer, entry: EntryHead): number {
  const { header, payloadBytes } = entry
  assert(
    header.length <= maxHeaderBytes,
    'log.header-limit',
    () => `${header.length} bytes, limit ${maxHeaderBytes}`,
  )
  assert(payloadBytes <= maxPayloadBytes, 'log.payload-limit', () => `${payloadBytes} bytes`)
  assert(bytes.length >= headLength(entry), 'log.head-room', () => `${bytes.length} bytes`)
  bytes.writeUInt32BE(headVersion * 0x1_00_0000 + codeOfKind[entry.kind] * 0x1_0000, 0)
  bytes.writeUInt32BE(header.length, 4)
  writeUint64(bytes, entry.index, 8)
  writeUint64(bytes, entry.term, 16)
  bytes.writeBigUInt64BE(entry.digest, 24)
  bytes.writeUInt32BE(payloadBytes, 32)
  bytes.writeUInt32BE(entry.payloadCrc32, 36)
  bytes.set(header, fixedBytes)
  const end = fixedBytes + header.length
  bytes.writeUInt32BE(crc32(bytes.subarray(0, end)), end)
  return end + checksumBytes
}

export interface DecodedHead {
  readonly head: EntryHead
  /** Bytes that the head takes. */
  readonly length: number
}

/** Reads a head that starts at `from`. Its header is a view of `bytes`. Throws MalformedBytesError. */
export function decodeEntryHead(bytes: Uint8Array, from = 0): DecodedHead {
  const all = asBuffer(bytes)
  assert(from >= 0, 'log.head-from', () => `${from}`)
  if (all.length < from + fixedBytes + checksumBytes)
    throw new MalformedBytesError('an entry head is cut short')
  const version = all[from]!
  if (version !== headVersion) {
    throw new MalformedBytesError(`an entry head has version ${version}; this build reads ${headVersion}`)
  }
  const headerBytes = all.readUInt32BE(from + 4)
  const end = from + fixedBytes + headerBytes
  if (headerBytes > maxHeaderBytes || all.length < end + checksumBytes) {
    throw new MalformedBytesError('an entry head is cut short')
  }
  if (all.readUInt32BE(end) !== crc32(all.subarray(from, end))) {
    throw new MalformedBytesError('an entry head has a wrong checksum')
  }
  const kind = kindOfCode[all[from + 1]!]
  if (kind === undefined) throw new MalformedBytesError(`an entry has the unknown kind ${all[from + 1]}`)
  const head: EntryHead = {
    index: asLogIndex(readUint64(all, from + 8)),
    term: asTerm(readUint64(all, from + 16)),
    kind,
    digest: asDigest(all.readBigUInt64BE(from + 24)),
    header: all.subarray(from + fixedBytes, end),
    payloadBytes: all.readUInt32BE(from + 32),
    payloadCrc32: all.readUInt32BE(from + 36),
  }
  const length = end + checksumBytes - from
  assert(length === headLength(head), 'log.head-read', () => `${length} bytes, not ${headLength(head)}`)
  return { head, length }
}

/** An entry whose payload follows its head, as nodes send it. Header and payload are views of `bytes`. Throws MalformedBytesError. */
export function decodeEntry(bytes: Uint8Array, from = 0): { readonly entry: Entry; readonly length: number } {
  const { head, length } = decodeEntryHead(bytes, from)
  const start = from + length
  const payload = bytes.subarray(start, start + head.payloadBytes)
  return { entry: withPayload(head, payload), length: length + head.payloadBytes }
}

/** Head and payload together, checked against each other. Throws MalformedBytesError. */
export function withPayload(head: EntryHead, payload: Uint8Array): Entry {
  if (payload.length !== head.payloadBytes) {
    throw new MalformedBytesError(`a payload of ${head.payloadBytes} bytes is cut short to ${payload.length}`)
  }
  const actual = crc32(payload)
  if (actual !== head.payloadCrc32) {
    throw new MalformedBytesError(`a payload has CRC-32 ${actual}, its entry says ${head.payloadCrc32}`)
  }
  return { ...head, payload: payload.length === 0 ? [] : [payload] }
}

/** zlib's CRC-32 over the chunks one after the other; 0 without any. */
export function payloadCrc32(chunks: readonly Uint8Array[]): number {
  let crc = 0
  for (const chunk of chunks) crc = crc32(chunk, crc)
  return crc
}
