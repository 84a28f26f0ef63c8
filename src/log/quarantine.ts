import { crc32 } from 'node:zlib'
import type { File, Files, KeyValue, Store } from '../env/index.ts'
import { assert } from './assert.ts'
import { groupOfKey, groupRange, keyKind } from './keys.ts'
import { storedEntry } from './records.ts'
import type { SegmentFiles } from './segments.ts'
import type { GroupId } from './types.ts'

export const quarantineName = 'quarantine'
export const quarantinedRecordsName = 'records'
export const quarantinedSharedName = 'shared'
export const quarantinedSegmentsName = 'segments'

/** All that the store has of a group. */
const groupKinds = [
  keyKind.group,
  keyKind.lowEndState,
  keyKind.hardState,
  keyKind.applied,
  keyKind.destroyed,
  keyKind.damage,
  keyKind.entry,
  keyKind.byOffset,
  keyKind.byTime,
] as const

/** So much is gathered before it is written. */
const chunkBytes = 1024 * 1024

/**
 * Copies a group's keys to DIRECTORY/quarantine/GROUP.NUMBER/records and its payloads in shared segments to a file next to it, and
 * moves its own segments there, durably. The keys stay in the store; whoever deletes them may do so afterwards. Returns the
 * new directory. A stop in between leaves
 * the group damaged as it was, or without its segments, and nothing is lost: the next call takes the next number.
 */
export async function putAside(
  files: Files,
  store: Store,
  segments: SegmentFiles,
  directory: string,
  groupId: GroupId,
): Promise<string> {
  const base = `${directory}/${quarantineName}`
  await files.makeDirectory(base)
  const target = `${base}/${groupId}.${nextNumber(await files.list(base), groupId)}`
  assert(!(await files.list(base)).includes(target.slice(base.length + 1)), 'log.aside-new', () => target)
  await files.makeDirectory(target)
  await copyTo(files, `${target}/${quarantinedRecordsName}`, recordsOf(store, groupId))
  await copyTo(files, `${target}/${quarantinedSharedName}`, sharedPayloadsOf(store, segments, groupId))
  // The copy and its name are durable before anything leaves its place.
  for (const path of [target, base, directory]) await files.syncDirectory(path)
  await segments.moveGroup(groupId, `${target}/${quarantinedSegmentsName}`)
  await files.syncDirectory(target)
  return target
}

function nextNumber(names: readonly string[], groupId: GroupId): number {
  const taken = names
    .filter((name) => name.startsWith(`${groupId}.`))
    .map((name) => Number(name.slice(`${groupId}.`.length)))
    .filter(Number.isSafeInteger)
  return Math.max(0, ...taken) + 1
}

/** Durably; no file where there are no pairs. */
async function copyTo(files: Files, path: string, pairs: AsyncIterable<KeyValue>): Promise<void> {
  let file: File | undefined
  try {
    let position = 0
    for await (const chunks of inChunks(pairs)) {
      file ??= await files.open(path)
      assert(chunks.length > 0, 'log.aside-chunks', () => path)
      await file.write(chunks, position)
      position += chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    }
    await file?.sync()
  } finally {
    await file?.close()
  }
}

async function* inChunks(pairs: AsyncIterable<KeyValue>): AsyncGenerator<Uint8Array[]> {
  let chunks: Uint8Array[] = []
  let gathered = 0
  for await (const pair of pairs) {
    const record = encodeRecord(pair)
    chunks.push(record)
    gathered += record.length
    assert(gathered >= record.length, 'log.aside-gathered', () => `${gathered} bytes`)
    if (gathered < chunkBytes) continue
    yield chunks
    chunks = []
    gathered = 0
  }
  if (chunks.length > 0) yield chunks
}

async function* recordsOf(store: Store, groupId: GroupId): AsyncGenerator<KeyValue> {
  for (const kind of groupKinds) {
    for await (const pair of store.iterate(groupRange(kind, groupId))) {
      assert(groupOfKey(pair[0]) === groupId, 'log.aside-group', () => `group ${groupOfKey(pair[0])}`)
      yield pair
    }
  }
}

/** By the entries' keys. What can't be read any more is left out: the record says where it was. */
async function* sharedPayloadsOf(
  store: Store,
  segments: SegmentFiles,
  groupId: GroupId,
): AsyncGenerator<KeyValue> {
  const present = await segments.sizes('shared')
  for await (const [key, value] of store.iterate(groupRange(keyKind.entry, groupId))) {
    const stored = storedEntry(value)
    if (stored?.payload.type !== 'extent' || !stored.payload.extent.shared) continue
    const { segment, position } = stored.payload.extent
    assert(groupOfKey(key) === groupId, 'log.aside-shared', () => `group ${groupOfKey(key)}`)
    if (!present.has(segment)) continue
    const payload = await segments
      .read('shared', segment, position, stored.head.payloadBytes)
      .catch(() => undefined)
    if (payload !== undefined) yield [key, payload]
  }
}

/** key length 4 | value length 4 | key | value | crc32 4 */
function encodeRecord([key, value]: KeyValue): Uint8Array {
  const bytes = Buffer.allocUnsafe(8 + key.length + value.length + 4)
  bytes.writeUInt32BE(key.length, 0)
  bytes.writeUInt32BE(value.length, 4)
  bytes.set(key, 8)
  bytes.set(value, 8 + key.length)
  const end = bytes.length - 4
  assert(8 + key.length + value.length === end, 'log.aside-record', () => `${end} bytes`)
  bytes.writeUInt32BE(crc32(bytes.subarray(0, end)), end)
  return bytes
}
