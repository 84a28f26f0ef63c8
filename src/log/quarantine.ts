import { crc32 } from 'node:zlib'
import type { File, Files, KeyValue, Store } from '../env/index.ts'
import { assert } from './assert.ts'
import { groupOfKey, groupRange, keyKind } from './keys.ts'
import type { SegmentFiles } from './segments.ts'
import type { GroupId } from './types.ts'

export const quarantineName = 'quarantine'
export const quarantinedRecordsName = 'records'
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
 * Copies a group's keys to DIRECTORY/quarantine/GROUP.NUMBER/records and moves its segments next to them, durably. The
 * keys stay in the store; whoever deletes them may do so afterwards. Returns the new directory. A stop in between leaves
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
  const file = await files.open(`${target}/${quarantinedRecordsName}`)
  try {
    await copyRecords(store, groupId, file)
    await file.sync()
  } finally {
    await file.close()
  }
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

async function copyRecords(store: Store, groupId: GroupId, file: File): Promise<void> {
  let chunks: Uint8Array[] = []
  let gathered = 0
  let position = 0
  const flush = async (): Promise<void> => {
    assert(
      chunks.reduce((sum, chunk) => sum + chunk.length, 0) === gathered,
      'log.aside-gathered',
      () => `${gathered} bytes at ${position}`,
    )
    await file.write(chunks, position)
    position += gathered
    chunks = []
    gathered = 0
  }
  for (const kind of groupKinds) {
    for await (const pair of store.iterate(groupRange(kind, groupId))) {
      assert(groupOfKey(pair[0]) === groupId, 'log.aside-group', () => `group ${groupOfKey(pair[0])}`)
      const record = encodeRecord(pair)
      chunks.push(record)
      gathered += record.length
      if (gathered >= chunkBytes) await flush()
    }
  }
  await flush()
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
