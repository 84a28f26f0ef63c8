import { assert } from './assert.ts'
import type { GroupId, GroupWrite, LogLimits } from './types.ts'

/**
 * From so many bytes on a payload is worth a file of its own group in a crowded turn, too. Below it the sync of one more file
 * costs more than the bytes.
 */
const OWN_FILE_BYTES = 16 * 1024

/** Where a turn's payloads go: to the group's own segment, below that to the shared one, below that to LevelDB. */
export interface PayloadPlaces {
  readonly ownFromBytes: number
  /** Infinity: none in this turn. */
  readonly sharedFromBytes: number
}

/**
 * A file that gets little costs its sync, and a turn of many groups waits for as many. So the smaller payloads of a turn of many
 * groups go to one file together. `sharedIsFull`: nothing may be added to it; then LevelDB takes them, whose log has one sync for
 * all as well, but which writes a byte several times.
 */
export function payloadPlaces(
  limits: LogLimits,
  writes: readonly GroupWrite[],
  sharedIsFull: boolean,
): PayloadPlaces {
  const usual = limits.segmentThresholdBytes
  const crowded = Math.max(usual, OWN_FILE_BYTES)
  assert(usual >= 1, 'log.places-usual', () => `${usual} bytes`)
  assert(limits.sharedThresholdBytes >= 1, 'log.places-shared', () => `${limits.sharedThresholdBytes} bytes`)
  if (!sharedIsFull && isCrowded(limits, writes, Math.min(usual, limits.sharedThresholdBytes))) {
    return { ownFromBytes: crowded, sharedFromBytes: limits.sharedThresholdBytes }
  }
  const ownFromBytes = isCrowded(limits, writes, usual) ? crowded : usual
  return { ownFromBytes, sharedFromBytes: Infinity }
}

/** Whether many groups have a payload of so many bytes and more in the turn. */
function isCrowded(limits: LogLimits, writes: readonly GroupWrite[], fromBytes: number): boolean {
  if (writes.length <= limits.crowdedAboveGroups) return false
  const groups = new Set<GroupId>()
  for (const { groupId, entries } of writes) {
    if (entries?.some(({ payloadBytes }) => payloadBytes >= fromBytes) === true) groups.add(groupId)
  }
  assert(groups.size <= writes.length, 'log.places-groups', () => `${groups.size} of ${writes.length}`)
  return groups.size > limits.crowdedAboveGroups
}
