import { BLOCK_BYTES } from '../env/index.ts'
import type { LogIndex } from '../raft/types.ts'
import { assert } from './assert.ts'
import type { GroupState } from './group-state.ts'
import { wholeBlocks } from './group-state.ts'
import type { SegmentWrite } from './segments.ts'
import type { GroupId } from './types.ts'

/** A write to a segment that still grows. */
export type OpenWrite = Omit<SegmentWrite, 'owner' | 'chunks'> & { readonly chunks: Uint8Array[] }

/** A group while a turn is planned. */
export interface GroupDraft {
  readonly groupId: GroupId
  state: GroupState | undefined
  /** From here on the log was written in this turn. */
  firstIndex: number | undefined
  hasExtents: boolean
  /** Something in the turn's batch is true only with payloads of this very turn, so a start couldn't cut them off. */
  standsOnThisTurn: boolean
  destroyed: boolean
  /** To its own segments. */
  writes: OpenWrite[]
}

export function draftOf(groupId: GroupId, state: GroupState | undefined): GroupDraft {
  return {
    groupId,
    state,
    firstIndex: undefined,
    hasExtents: false,
    standsOnThisTurn: false,
    destroyed: false,
    writes: [],
  }
}

/** Ends the last block of a write. */
const zeros = new Uint8Array(BLOCK_BYTES)

export function inWholeBlocks(open: OpenWrite): OpenWrite {
  const bytes = open.chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  const rest = wholeBlocks(bytes) - bytes
  assert(open.position % BLOCK_BYTES === 0, 'log.segment-block', () => `${open.segment}: ${open.position}`)
  assert(rest >= 0 && rest < BLOCK_BYTES, 'log.segment-rest', () => `${open.segment}: ${rest}`)
  return rest === 0 ? open : { ...open, chunks: [...open.chunks, zeros.subarray(0, rest)] }
}

export function stateOf(draft: GroupDraft): GroupState {
  assert(
    draft.state !== undefined,
    'log.written-known',
    () => `group ${draft.groupId} isn't there, and nothing creates it`,
  )
  return draft.state
}

/** What holds of every group after every turn, whatever the turn was. */
export function assertSound({ groupId, state, writes, destroyed }: GroupDraft): void {
  const say = (): string =>
    `group ${groupId}: ${JSON.stringify(state, (_, value) => (typeof value === 'bigint' ? `${value}` : (value as unknown)))}`
  if (state === undefined) {
    assert(destroyed && writes.length === 0, 'log.destroyed-writes', say)
    return
  }
  const { lowEnd, last, applied, commit, segments, nextSegment, shared, entryBytes, stateBytes } = state
  assert(lowEnd.index <= applied && applied <= last.index, 'log.sound-applied', say)
  assert(lowEnd.index <= commit && commit <= last.index, 'log.sound-commit', say)
  assert(lowEnd.term <= last.term, 'log.sound-terms', say)
  assert(entryBytes >= 0 && stateBytes >= 0, 'log.sound-bytes', say)
  let before = 0
  for (const { number, bytes, lastIndex } of segments) {
    assert(number > before && number < nextSegment, 'log.sound-segments', say)
    assert(bytes >= 0 && lastIndex <= last.index, 'log.sound-segment', say)
    before = number
  }
  before = 0
  for (const { number, firstIndex, lastIndex } of shared) {
    assert(number > before, 'log.sound-shared', say)
    assert(firstIndex <= lastIndex && lastIndex <= last.index, 'log.sound-shared-part', say)
    assert(lastIndex > lowEnd.index, 'log.sound-shared-needed', say)
    before = number
  }
}

export function assertFollows(groupId: GroupId, previous: LogIndex, next: LogIndex): void {
  assert(next === previous + 1, 'log.contiguous', () => `group ${groupId}: entry ${next} after ${previous}`)
}
