import type { GroupId, GroupWrite, LogLimits } from './types.ts'

/** Files that are synced at once: libuv has four threads unless it is told otherwise. */
const FEW_FILES = 4
/** In a turn that would write to more files, smaller payloads go to LevelDB, whose log takes them all with one sync. */
const MANY_FILES_THRESHOLD_BYTES = 16 * 1024

/**
 * From how many bytes on a payload of this turn goes to a segment. A file that gets little costs its sync, and a turn of many
 * groups waits for as many; LevelDB writes a byte several times, but later and all groups' together.
 */
export function segmentThreshold(limits: LogLimits, writes: readonly GroupWrite[]): number {
  const usual = limits.segmentThresholdBytes
  const files = new Set<GroupId>()
  for (const { groupId, entries = [] } of writes) {
    if (entries.some(({ payloadBytes }) => payloadBytes >= usual)) files.add(groupId)
  }
  return files.size <= FEW_FILES ? usual : Math.max(usual, MANY_FILES_THRESHOLD_BYTES)
}
