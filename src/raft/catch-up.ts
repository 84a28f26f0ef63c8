import { assert } from './assert.ts'
import type { Core } from './core.ts'
import { markOf } from './log.ts'
import type { Progress } from './progress.ts'
import { asLogIndex, type Entry, type LogIndex, type LogMark, type Snapshot } from './types.ts'

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
    if (progress.next <= log.lowEnd.index) {
      this.#wantSnapshot(progress)
      return
    }
    // Without the mark the entry before is read, too, for its digest.
    const from = asLogIndex(before === undefined ? progress.next - 1 : progress.next)
    progress.fetchFrom = from
    outbox.fetch(progress.id, from, config.maxAppendBytes)
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
    if (progress.state !== 'snapshot' || progress.snapshotSent) return
    assert(snapshot.index <= core.commit, 'raft.snapshot-uncommitted', () => `at ${snapshot.index}`)
    progress.snapshotSent = true
    progress.snapshotTicks = 0
    core.send({ type: 'snapshot', from: core.id, to: progress.id, term: core.term, snapshot })
  }

  /** Leaders, once a tick. */
  tick(progress: Progress): void {
    if (progress.state !== 'snapshot') return
    progress.snapshotTicks += 1
    if (progress.snapshotTicks < SNAPSHOT_PATIENCE_ELECTIONS * this.#core.config.electionTicks) return
    progress.becomeProbe(progress.match + 1, false)
  }
}
