import { chain } from '../raft/index.ts'
import type { Entry, HardState, LogIndex, LogMark, Snapshot } from '../raft/types.ts'
import { asLogIndex } from '../raft/types.ts'
import type { StoreOperation } from '../env/index.ts'
import { assert } from './assert.ts'
import type { GroupState, SegmentState } from './group-state.ts'
import { changed, remainingBytes, sharedAfter, sharedBefore, wholeBlocks, withShared } from './group-state.ts'
import { byOffsetKey, byTimeKey, entryKey, groupKey, keyKind, turnKey, turnSlotKey } from './keys.ts'
import type { PayloadPlaces } from './payload-places.ts'
import {
  encodeExtentEntry,
  encodeGroup,
  encodeHardState,
  encodeIndexPoint,
  encodeInlineEntry,
  encodeState,
  encodeText,
  encodeTurn,
  encodeTurnNumber,
} from './records.ts'
import type { TurnExtents } from './records.ts'
import type { SegmentWrite } from './segments.ts'
import type { SharedEnd } from './shared-segments.ts'
import { storedEntries, type Sweep } from './sweep.ts'
import type { Relocation, TurnContext, TurnPlan } from './turn.ts'
import type { GroupDraft, OpenWrite } from './turn-draft.ts'
import { assertFollows, assertSound, draftOf, inWholeBlocks, stateOf } from './turn-draft.ts'
import type { AppliedState, GroupId, GroupWrite } from './types.ts'

/** Gathers what the writes of one turn come to: operations of its batch, writes to segments, the groups afterwards. */
export class TurnPlanner {
  readonly #context: TurnContext
  readonly #places: PayloadPlaces
  readonly #operations: StoreOperation[] = []
  readonly #drafts = new Map<GroupId, GroupDraft>()
  readonly #sweeps: Sweep[] = []
  #sharedWrite: OpenWrite | undefined
  #sharedEnd: SharedEnd | undefined

  constructor(context: TurnContext, places: PayloadPlaces) {
    this.#context = context
    this.#places = places
  }

  add(write: GroupWrite): void {
    const { groupId } = write
    const draft = this.#draft(groupId)
    // Its space is given back after the turn, and that must not meet a new life of the group.
    assert(
      !draft.destroyed,
      'log.destroy-alone',
      () => `group ${groupId} is written to in the turn that destroys it`,
    )
    if (write.destroy === true) {
      this.#destroy(draft)
      return
    }
    if (write.create !== undefined) this.#create(draft, write.create)
    if (write.snapshot !== undefined) this.#replace(draft, write.snapshot)
    if (write.entries !== undefined && write.entries.length > 0) this.#append(draft, write.entries)
    if (write.hardState !== undefined) this.#setHardState(draft, write.hardState)
    if (write.applied !== undefined) this.#setApplied(draft, write.applied)
    if (write.lowEnd !== undefined) this.#moveLowEnd(draft, write.lowEnd)
  }

  relocate({ groupId, from, entries, isLast }: Relocation): void {
    const known = this.#drafts.get(groupId)?.state ?? this.#context.stateOf(groupId)
    // The group is gone, or has started anew at a snapshot.
    if (known?.shared.some(({ number }) => number === from) !== true) return
    const draft = this.#draft(groupId)
    for (const entry of entries) {
      const { lowEnd, commit } = stateOf(draft)
      if (entry.index <= lowEnd.index) continue
      // What is committed is never replaced, so it's still what was read.
      assert(entry.index <= commit, 'log.relocate-committed', () => `group ${groupId}: ${entry.index}`)
      this.#put(entryKey(groupId, entry.index), this.#appendToSegment(draft, entry))
      draft.standsOnThisTurn = true
    }
    assert(draft.firstIndex === undefined, 'log.relocate-alone', () => `group ${groupId} grew in this turn`)
    if (!isLast) return
    const state = stateOf(draft)
    draft.state = changed(state, { shared: state.shared.filter(({ number }) => number !== from) })
  }

  finish(): TurnPlan {
    const groups = new Map<GroupId, GroupState | undefined>()
    const segmentWrites: SegmentWrite[] = []
    const extents: TurnExtents[] = []
    let segmentsFirst = false
    for (const draft of this.#drafts.values()) {
      const { groupId, firstIndex, hasExtents } = draft
      if (draft.state !== undefined) {
        const { term, last } = draft.state
        assert(
          term >= last.term,
          'log.term-covers-entries',
          () => `group ${groupId}: term ${term}, last entry's ${last.term}`,
        )
      }
      assertSound(draft)
      groups.set(groupId, draft.state)
      for (const open of draft.writes) segmentWrites.push({ owner: groupId, ...inWholeBlocks(open) })
      if (!hasExtents) continue
      segmentsFirst ||= draft.standsOnThisTurn
      if (firstIndex !== undefined) extents.push({ groupId, firstIndex: asLogIndex(firstIndex) })
    }
    if (this.#sharedWrite !== undefined) {
      segmentWrites.push({ owner: 'shared', ...inWholeBlocks(this.#sharedWrite) })
    }
    const record = { turn: this.#context.turn, extents: segmentsFirst ? [] : extents }
    this.#put(turnKey, encodeTurn(record, turnKey))
    const slotKey = turnSlotKey(record.turn)
    this.#put(slotKey, encodeTurnNumber(record.turn, slotKey))
    assert(groups.size === this.#drafts.size, 'log.planned-groups', () => `${groups.size}`)
    const { turn } = record
    return {
      turn,
      operations: this.#operations,
      segmentWrites,
      sharedEnd: this.#sharedEnd,
      groups,
      sweeps: this.#sweeps,
      segmentsFirst,
    }
  }

  #draft(groupId: GroupId): GroupDraft {
    let draft = this.#drafts.get(groupId)
    if (draft === undefined) {
      draft = draftOf(groupId, this.#context.stateOf(groupId))
      this.#drafts.set(groupId, draft)
    }
    assert(draft.groupId === groupId, 'log.draft-group', () => `group ${groupId}`)
    return draft
  }

  #create(draft: GroupDraft, snapshot: Snapshot): void {
    const { groupId } = draft
    assert(draft.state === undefined, 'log.create-once', () => `group ${groupId} is there already`)
    assert(
      !this.#context.isDamaged(groupId),
      'log.create-over-damage',
      () => `group ${groupId} must be destroyed first`,
    )
    // Undoes the mark of an earlier life: its space was given back before this turn began.
    this.#delete(groupKey(keyKind.destroyed, groupId))
    this.#start(draft, snapshot, undefined)
    const hardState: HardState = { term: snapshot.term, votedFor: undefined, commit: snapshot.index }
    this.#setHardState(draft, hardState)
  }

  #replace(draft: GroupDraft, snapshot: Snapshot): void {
    const before = stateOf(draft)
    assert(
      snapshot.index >= before.applied && snapshot.index >= before.commit,
      'log.snapshot-goes-on',
      () =>
        `group ${draft.groupId}: snapshot at ${snapshot.index}, applied ${before.applied}, committed ${before.commit}`,
    )
    this.#deleteEntries(draft.groupId, snapshot.index + 1, before.last.index)
    this.#delete(groupKey(keyKind.applied, draft.groupId))
    const dead = before.segments.map((segment) => segment.number)
    const from = before.lowEnd.index + 1
    // Of a log that was far behind, no more than it had.
    const to = Math.min(snapshot.index, before.last.index)
    this.#sweeps.push({ type: 'below', groupId: draft.groupId, from, to, segments: dead })
    // What this turn wrote before for the group is dead with the rest, so nothing of it needs to be written.
    draft.writes = []
    draft.firstIndex = undefined
    draft.hasExtents = false
    draft.standsOnThisTurn = false
    this.#start(draft, snapshot, before)
    assert(
      draft.state?.nextSegment === before.nextSegment,
      'log.replaced-segments',
      () => `group ${draft.groupId}`,
    )
  }

  #start(draft: GroupDraft, snapshot: Snapshot, before: GroupState | undefined): void {
    const { index, term, digest } = snapshot
    assert(index > 0 || digest === 0n, 'log.start-origin', () => `group ${draft.groupId}: ${digest}`)
    const mark: LogMark = { index, term, digest }
    this.#putLowEnd(draft.groupId, snapshot)
    draft.state = {
      groupId: draft.groupId,
      lowEnd: mark,
      last: mark,
      applied: index,
      term: before?.term ?? term,
      commit: index,
      segments: [],
      nextSegment: before?.nextSegment ?? 1,
      shared: [],
      entryBytes: 0,
      stateBytes: snapshot.state.length,
    }
  }

  #append(draft: GroupDraft, entries: readonly Entry[]): void {
    const { groupId } = draft
    const first = entries[0]!.index
    let previous = this.#markBefore(draft, first)
    if (first <= stateOf(draft).last.index) this.#truncate(draft, first)
    draft.firstIndex = Math.min(draft.firstIndex ?? first, first)
    let entryBytes = 0
    for (const entry of entries) {
      if (previous !== undefined) {
        assertFollows(groupId, previous.index, entry.index)
        assert(
          chain(previous.digest, entry) === entry.digest,
          'log.digest-chain',
          () => `group ${groupId}: entry ${entry.index} doesn't continue the digest of its predecessor`,
        )
      }
      const value = this.#encode(draft, entry)
      this.#put(entryKey(groupId, entry.index), value)
      entryBytes += value.length
      previous = entry
    }
    const { index, term, digest } = entries.at(-1)!
    const state = stateOf(draft)
    draft.state = changed(state, {
      last: { index, term, digest },
      entryBytes: state.entryBytes + entryBytes,
    })
  }

  /** The value for the store, and what belongs elsewhere put there. */
  #encode(draft: GroupDraft, entry: Entry): Uint8Array {
    const { payloadBytes } = entry
    if (payloadBytes >= this.#places.ownFromBytes) return this.#appendToSegment(draft, entry)
    if (payloadBytes >= this.#places.sharedFromBytes) return this.#appendToShared(draft, entry)
    return encodeInlineEntry(entry)
  }

  /** The mark that an entry at `first` continues; undefined inside the log, where the core has compared the digests. */
  #markBefore(draft: GroupDraft, first: LogIndex): LogMark | undefined {
    const { lowEnd, last, commit, applied } = stateOf(draft)
    assert(first >= 1, 'log.first-index', () => `group ${draft.groupId}: ${first}`)
    if (first > last.index) {
      assertFollows(draft.groupId, last.index, first)
      return last
    }
    assert(
      first > lowEnd.index && first > commit && first > applied,
      'log.cut-above-commit',
      () =>
        `group ${draft.groupId}: a cut at ${first}, low end ${lowEnd.index}, committed ${commit}, applied ${applied}`,
    )
    return first === lowEnd.index + 1 ? lowEnd : undefined
  }

  #truncate(draft: GroupDraft, first: LogIndex): void {
    const state = stateOf(draft)
    this.#deleteEntries(draft.groupId, first, state.last.index)
    const segments = state.segments.map((segment) =>
      segment.lastIndex < first ? segment : { ...segment, lastIndex: first - 1 },
    )
    assert(first > state.lowEnd.index, 'log.truncate-low-end', () => `group ${draft.groupId}: ${first}`)
    assert(first <= state.last.index, 'log.truncate-last', () => `group ${draft.groupId}: ${first}`)
    const entryBytes = remainingBytes(state, first - 1 - state.lowEnd.index)
    const shared = sharedAfter(sharedBefore(state.shared, first), state.lowEnd.index)
    draft.state = changed(state, { segments, entryBytes, shared })
  }

  #appendToSegment(draft: GroupDraft, entry: Entry): Uint8Array {
    const state = stateOf(draft)
    const newest = state.segments.at(-1)
    const fits = newest !== undefined && newest.bytes < this.#context.limits.segmentBytes
    const segment = fits ? newest : { number: state.nextSegment, bytes: 0, lastIndex: 0 }
    let open = draft.writes.at(-1)
    let position = segment.bytes
    if (open?.segment !== segment.number) {
      position = wholeBlocks(segment.bytes)
      open = { segment: segment.number, position, chunks: [], created: !fits }
      draft.writes.push(open)
    }
    assert(entry.payloadBytes > 0, 'log.segment-payload', () => `group ${draft.groupId}: ${entry.index}`)
    assert(
      open.position <= position && segment.bytes <= position,
      'log.segment-append',
      () => `group ${draft.groupId}: ${position}, ${open?.position}, ${segment.bytes}`,
    )
    open.chunks.push(...entry.payload)
    const grown: SegmentState = {
      number: segment.number,
      bytes: position + entry.payloadBytes,
      // What is relocated comes after what is newer.
      lastIndex: Math.max(segment.lastIndex, entry.index),
    }
    draft.state = changed(state, {
      segments: fits ? [...state.segments.slice(0, -1), grown] : [...state.segments, grown],
      nextSegment: Math.max(state.nextSegment, segment.number + 1),
    })
    draft.hasExtents = true
    return encodeExtentEntry(entry, { shared: false, segment: segment.number, position })
  }

  #appendToShared(draft: GroupDraft, entry: Entry): Uint8Array {
    const end = this.#sharedEnd ?? this.#context.sharedEnd
    assert(end !== undefined, 'log.shared-room', () => `group ${draft.groupId}: ${entry.index}`)
    assert(entry.payloadBytes > 0, 'log.shared-payload', () => `group ${draft.groupId}: ${entry.index}`)
    const { number } = end
    let { bytes: position } = end
    if (this.#sharedWrite === undefined) {
      position = wholeBlocks(end.bytes)
      this.#sharedWrite = { segment: number, position, chunks: [], created: end.bytes === 0 }
    }
    assert(this.#sharedWrite.segment === number, 'log.shared-one-write', () => `shared segment ${number}`)
    assert(
      position >= this.#sharedWrite.position,
      'log.shared-append',
      () => `${position} before ${this.#sharedWrite?.position}`,
    )
    this.#sharedWrite.chunks.push(...entry.payload)
    this.#sharedEnd = { number, bytes: position + entry.payloadBytes }
    const state = stateOf(draft)
    draft.state = changed(state, {
      shared: withShared(state.shared, number, entry.index, entry.payloadBytes),
    })
    draft.hasExtents = true
    return encodeExtentEntry(entry, { shared: true, segment: number, position })
  }

  #setHardState(draft: GroupDraft, hardState: HardState): void {
    const state = stateOf(draft)
    assert(
      hardState.term >= state.term,
      'log.term-monotone',
      () => `group ${draft.groupId}: term ${hardState.term} after ${state.term}`,
    )
    assert(
      hardState.commit <= state.last.index,
      'log.commit-within-log',
      () => `group ${draft.groupId}: commit ${hardState.commit}, last entry ${state.last.index}`,
    )
    const key = groupKey(keyKind.hardState, draft.groupId)
    this.#put(key, encodeHardState(hardState, key))
    draft.state = changed(state, {
      term: hardState.term,
      commit: asLogIndex(Math.max(hardState.commit, state.commit)),
    })
  }

  #setApplied(draft: GroupDraft, applied: AppliedState): void {
    const { groupId } = draft
    const state = stateOf(draft)
    assert(
      applied.index >= state.applied && applied.index <= state.last.index,
      'log.applied-within-log',
      () =>
        `group ${groupId}: applied ${applied.index} after ${state.applied}, last entry ${state.last.index}`,
    )
    const key = groupKey(keyKind.applied, groupId)
    this.#put(key, encodeState(applied, key))
    for (const point of applied.indexPoints) {
      assert(
        point.index <= applied.index,
        'log.signpost-applied',
        () => `group ${groupId}: a signpost for entry ${point.index} above applied ${applied.index}`,
      )
      const offsetKey = byOffsetKey(groupId, point.offset)
      this.#put(offsetKey, encodeIndexPoint(point, offsetKey))
      const timeKey = byTimeKey(groupId, point.appendTimeMs, point.offset)
      this.#put(timeKey, encodeIndexPoint(point, timeKey))
    }
    this.#standOn(draft, applied.index)
    draft.state = changed(state, { applied: applied.index, stateBytes: applied.state.length })
  }

  #moveLowEnd(draft: GroupDraft, lowEnd: Snapshot): void {
    const { groupId } = draft
    const state = stateOf(draft)
    assert(
      lowEnd.index >= state.lowEnd.index && lowEnd.index <= state.last.index,
      'log.low-end-within-log',
      () =>
        `group ${groupId}: low end ${lowEnd.index} after ${state.lowEnd.index}, last entry ${state.last.index}`,
    )
    if (lowEnd.index === state.lowEnd.index) return
    assert(lowEnd.term >= state.lowEnd.term, 'log.low-end-term', () => `group ${groupId}: ${lowEnd.term}`)
    this.#putLowEnd(groupId, lowEnd)
    // The newest segment takes what comes next, so it stays even where all in it is dropped.
    const dead = state.segments.slice(0, -1).filter((segment) => segment.lastIndex <= lowEnd.index)
    const segments = dead.map((segment) => segment.number)
    this.#sweeps.push({ type: 'below', groupId, from: state.lowEnd.index + 1, to: lowEnd.index, segments })
    this.#standOn(draft, lowEnd.index)
    const { index, term, digest } = lowEnd
    draft.state = changed(state, {
      lowEnd: { index, term, digest },
      applied: asLogIndex(Math.max(state.applied, index)),
      commit: asLogIndex(Math.max(state.commit, index)),
      segments: state.segments.filter((segment) => !dead.includes(segment)),
      shared: sharedAfter(state.shared, index),
      entryBytes: remainingBytes(state, state.last.index - index),
    })
  }

  #destroy(draft: GroupDraft): void {
    const { groupId } = draft
    assert(
      draft.state !== undefined || this.#context.isDamaged(groupId),
      'log.destroyed-known',
      () => `group ${groupId} is to be destroyed and isn't there`,
    )
    for (const kind of destroyedKinds) this.#delete(groupKey(kind, groupId))
    const key = groupKey(keyKind.destroyed, groupId)
    this.#put(key, encodeText('destroyed', key))
    this.#sweeps.push({ type: 'destroyed', groupId, stored: storedEntries(draft.state) })
    draft.state = undefined
    draft.destroyed = true
    draft.writes = []
    draft.hasExtents = false
  }

  #putLowEnd(groupId: GroupId, snapshot: Snapshot): void {
    const key = groupKey(keyKind.group, groupId)
    this.#put(key, encodeGroup(snapshot, key))
    const stateKey = groupKey(keyKind.lowEndState, groupId)
    this.#put(stateKey, encodeState(snapshot, stateKey))
  }

  #standOn(draft: GroupDraft, index: LogIndex): void {
    if (draft.firstIndex !== undefined && index >= draft.firstIndex) draft.standsOnThisTurn = true
  }

  #deleteEntries(groupId: GroupId, from: number, to: number): void {
    for (let index = from; index <= to; index++) this.#delete(entryKey(groupId, index))
  }

  #put(key: Uint8Array, value: Uint8Array): void {
    this.#operations.push({ type: 'put', key, value })
  }

  #delete(key: Uint8Array): void {
    this.#operations.push({ type: 'del', key })
  }
}

const destroyedKinds = [
  keyKind.group,
  keyKind.lowEndState,
  keyKind.hardState,
  keyKind.applied,
  keyKind.damage,
] as const
