import { assert } from './assert.ts'
import { CatchUpPace, type Standings } from './catch-up-pace.ts'
import type { Core } from './core.ts'
import { markOf } from './log.ts'
import type { Progress } from './progress.ts'
import {
  asLogIndex,
  type Entry,
  type LogIndex,
  type LogMark,
  type Snapshot,
  type SnapshotReply,
} from './types.ts'

/** A snapshot that nobody answers is sent again after so many election timeouts. */
const SNAPSHOT_PATIENCE_ELECTIONS = 8

/** How the leader serves a follower that needs what memory no longer holds: entries from storage, or a snapshot (§7). */
export class CatchUp {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  /** Memory can't serve `progress`; `before` is the mark before its next entry, if that is known. */
  begin(progress: Progress, before: LogMark | undefined): void {
    const { log, outbox, config } = this.#core
    assert(progress.state !== 'snapshot', 'raft.catch-up-state', () => progress.id)
    assert(
      progress.fetchFrom === undefined,
      'raft.fetch-twice',
      () => `${progress.id} from ${progress.fetchFrom}`,
    )
    if (progress.next <= log.lowEnd.index) {
      this.#wantSnapshot(progress)
      return
    }
    // Without the mark the entry before is read, too, for its digest.
    const from = asLogIndex(before === undefined ? progress.next - 1 : progress.next)
    assert(from > log.lowEnd.index, 'raft.fetch-below-low-end', () => `${from}, low end ${log.lowEnd.index}`)
    assert(from <= log.last.index, 'raft.fetch-beyond-last', () => `${from}, last ${log.last.index}`)
    progress.fetchFrom = from
    progress.pace ??= new CatchUpPace(config, this.#standings(progress))
    outbox.fetch(progress.id, from, config.maxAppendBytes)
  }

  #standings({ match }: Progress): Standings {
    const { commit, log } = this.#core
    return { missing: log.last.index - match, commit }
  }

  #wantSnapshot(progress: Progress): void {
    progress.becomeSnapshot()
    this.#core.outbox.snapshotsWanted.push(progress.id)
  }

  /**
   * Entries came from storage. Returns what of them continues the follower's log as it is known now, or undefined where
   * that isn't among them any more.
   */
  fetched(
    progress: Progress,
    from: LogIndex,
    entries: readonly Entry[],
  ): { previous: LogMark; entries: readonly Entry[] } | undefined {
    if (progress.fetchFrom !== from) return undefined
    progress.fetchFrom = undefined
    const { log } = this.#core
    if (entries.length === 0) {
      if (log.entryAt(progress.next) === undefined) this.#wantSnapshot(progress)
      return undefined
    }
    const valid = this.#stillInLog(from, entries)
    const before = progress.next - 1
    const fetchedMark = valid[before - from]
    if (fetchedMark !== undefined) progress.sentMark = markOf(fetchedMark)
    const { sentMark } = progress
    const previous = sentMark?.index === before ? sentMark : log.markAt(before)
    const rest = progress.next >= from ? valid.slice(progress.next - from) : []
    if (previous === undefined || rest.length === 0) return undefined
    if (progress.state === 'replicate' && progress.inflights.isFull()) return undefined
    assert(
      previous.index === before,
      'raft.fetched-previous',
      () => `${previous.index} before ${progress.next}`,
    )
    assert(rest[0]!.index === progress.next, 'raft.fetched-first', () => `${rest[0]!.index}`)
    return { previous, entries: rest }
  }

  /** Storage may hold a tail that this log has dropped since; up to the commit index the two can't differ. */
  #stillInLog(from: LogIndex, entries: readonly Entry[]): readonly Entry[] {
    const { log, commit } = this.#core
    for (const [at, entry] of entries.entries()) {
      assert(entry.index === from + at, 'raft.fetched-gap', () => `${entry.index} in place of ${from + at}`)
      const term = log.termAt(entry.index)
      if (term === entry.term || entry.index < log.lowEnd.index) continue
      assert(
        entry.index > commit,
        'raft.fetched-term',
        () => `committed entry ${entry.index} has term ${entry.term} in storage, ${term} in the log`,
      )
      return entries.slice(0, at)
    }
    return entries
  }

  snapshotLoaded(progress: Progress, snapshot: Snapshot): void {
    const core = this.#core
    if (progress.state !== 'snapshot' || progress.transfer !== undefined) return
    assert(snapshot.index <= core.commit, 'raft.snapshot-uncommitted', () => `at ${snapshot.index}`)
    assert(snapshot.configuration.voters.length > 0, 'raft.snapshot-voters', () => `at ${snapshot.index}`)
    progress.transfer = { snapshot, offset: 0, sent: false, waits: false, ticks: 0 }
    progress.snapshotTicks = 0
    this.#sendChunk(progress)
  }

  /** The next chunk, unless one is under way or this tick's share is used up: then a later tick sends it. */
  #sendChunk({ id, transfer }: Progress): void {
    const core = this.#core
    if (transfer === undefined || transfer.sent || transfer.waits || core.snapshotBudget <= 0) return
    const { snapshot, offset } = transfer
    assert(core.role === 'leader', 'raft.chunk-leader', () => `${core.role} to ${id}`)
    assert(
      offset <= snapshot.state.length,
      'raft.chunk-offset',
      () => `${offset} of ${snapshot.state.length}`,
    )
    const totalBytes = snapshot.state.length
    const chunk = snapshot.state.subarray(offset, offset + core.config.maxSnapshotChunkBytes)
    transfer.sent = true
    transfer.ticks = 0
    core.snapshotBudget -= chunk.length
    core.send({
      type: 'snapshot',
      from: core.id,
      to: id,
      term: core.term,
      snapshot: chunk.length === totalBytes ? snapshot : { ...snapshot, state: chunk },
      ...(chunk.length === totalBytes ? {} : { offset, totalBytes }),
    })
  }

  /** The follower says how much it has: usually a chunk more, and nothing any more if it was started anew. */
  handleReply(progress: Progress, reply: SnapshotReply): void {
    progress.heardAtTick = this.#core.ticks
    const { transfer } = progress
    if (transfer === undefined || transfer.snapshot.index !== reply.index) return
    assert(progress.state === 'snapshot', 'raft.chunk-reply-state', () => `${progress.id}: ${progress.state}`)
    // An answer to a chunk that came twice, or out of turn. If the one that it waits for got lost, time will tell.
    if (reply.received === transfer.offset) return
    assert(
      reply.received <= transfer.snapshot.state.length,
      'raft.snapshot-received',
      () => `${reply.received}`,
    )
    transfer.offset = reply.received
    transfer.sent = false
    progress.snapshotTicks = 0
    this.#sendChunk(progress)
  }

  /** The follower lives: a chunk that the transport could not deliver may be tried again. */
  heardFrom(progress: Progress): void {
    if (progress.transfer?.waits !== true) return
    assert(progress.state === 'snapshot', 'raft.chunk-waits-state', () => `${progress.id}: ${progress.state}`)
    assert(!progress.transfer.sent, 'raft.chunk-waits-sent', () => progress.id)
    progress.transfer.waits = false
    this.#sendChunk(progress)
  }

  /** The transport lost something. True where that was a chunk, which goes out again later, from where it stopped. */
  interrupted({ id, state, transfer }: Progress): boolean {
    if (transfer === undefined) return false
    assert(state === 'snapshot', 'raft.chunk-lost-state', () => `${id}: ${state}`)
    assert(transfer.offset <= transfer.snapshot.state.length, 'raft.chunk-lost-offset', () => id)
    transfer.sent = false
    transfer.waits = true
    return true
  }

  /** Leaders, once a tick. */
  tick(): void {
    const { config, followers, role } = this.#core
    assert(role === 'leader', 'raft.catch-up-leader', () => role)
    this.#core.snapshotBudget = config.maxSnapshotBytesPerTick
    for (const progress of followers) {
      if (progress.state === 'snapshot') this.#tick(progress)
      progress.pace?.tick(this.#standings(progress))
    }
  }

  #tick(progress: Progress): void {
    const { transfer } = progress
    const { electionTicks } = this.#core.config
    progress.snapshotTicks += 1
    assert(progress.inflights.count === 0, 'raft.snapshot-inflights', () => progress.id)
    if (progress.snapshotTicks >= SNAPSHOT_PATIENCE_ELECTIONS * electionTicks) {
      progress.becomeProbe(progress.match + 1, false)
      return
    }
    if (transfer === undefined) return
    transfer.ticks += 1
    if (transfer.sent && transfer.ticks >= electionTicks) transfer.sent = false
    this.#sendChunk(progress)
  }
}
