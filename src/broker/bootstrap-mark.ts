import type { Bootstrap, LogMark } from '../raft/types.ts'

/** The mark of the newest entry that the stored state holds; undefined where the start didn't load that entry. */
export function foldedMark(bootstrap: Bootstrap): LogMark | undefined {
  const { applied, lowEnd, last, tail } = bootstrap
  if (applied === lowEnd.index) return lowEnd
  if (applied === last.index) return last
  const entry = tail.find(({ index }) => index === applied)
  // The mark alone: the entry holds its payload.
  return entry === undefined ? undefined : { index: entry.index, term: entry.term, digest: entry.digest }
}
