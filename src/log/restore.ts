import type { Store } from '../env/index.ts'
import type { Entry } from '../raft/types.ts'
import { assert } from './assert.ts'
import { entryKey } from './keys.ts'
import { storedEntry } from './records.ts'
import type { GroupState } from './group-state.ts'
import type { Extent } from './records.ts'
import type { GroupId } from './types.ts'

/**
 * Where the payload of `entry`, as another replica has it, belongs in this node's segments: undefined where this log has
 * another entry at its index, or has it elsewhere. The digest stands for the payload's checksum, too, and for all before it.
 */
export async function placeOfPayload(
  store: Store,
  groupId: GroupId,
  entry: Entry,
): Promise<Extent | undefined> {
  const stored = storedEntry(await store.get(entryKey(groupId, entry.index)))
  if (stored?.payload.type !== 'extent' || stored.head.digest !== entry.digest) return undefined
  const { payloadCrc32, payloadBytes } = stored.head
  assert(payloadCrc32 === entry.payloadCrc32, 'log.restored-payload', () => `${groupId}: ${entry.index}`)
  assert(payloadBytes === entry.payloadBytes, 'log.restored-length', () => `${groupId}: ${entry.index}`)
  return stored.payload.extent
}

/** Whether the segment is still one that the group has something in; otherwise its file may be gone. */
export function isNamed(state: GroupState | undefined, { shared, segment }: Extent): boolean {
  const named: readonly { readonly number: number }[] = (shared ? state?.shared : state?.segments) ?? []
  return named.some(({ number }) => number === segment)
}
