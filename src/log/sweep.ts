import type { GroupState } from './group-state.ts'
import type { GroupId } from './types.ts'

/** What is to be given back once the turn is durable. */
export type Sweep =
  /** Entries `from` to `to`, signposts up to `to`, and these segments. From 0: a start found them, and nobody knows which. */
  | {
      readonly type: 'below'
      readonly groupId: GroupId
      readonly from: number
      readonly to: number
      readonly segments: readonly number[]
    }
  | {
      readonly type: 'destroyed'
      readonly groupId: GroupId
      /** What it had in the store; undefined where nobody knows: it was damaged, or a start found what is left of it. */
      readonly stored: StoredEntries | undefined
    }
  /** Shared segments in which no group has anything any more. */
  | { readonly type: 'shared'; readonly segments: readonly number[] }

/** Entries `from` to `to`, all of them, about `bytes` in the store. */
export interface StoredEntries {
  readonly from: number
  readonly to: number
  readonly bytes: number
}

export function storedEntries(state: GroupState | undefined): StoredEntries | undefined {
  if (state === undefined) return undefined
  return { from: state.lowEnd.index + 1, to: state.last.index, bytes: state.entryBytes }
}
