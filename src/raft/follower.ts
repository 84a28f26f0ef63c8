import { assert } from './assert.ts'
import type { Core } from './core.ts'
import { chain } from './digest.ts'
import { SnapshotParts } from './snapshot-parts.ts'
import {
  asLogIndex,
  type AppendRequest,
  type Entry,
  type Heartbeat,
  type InstallSnapshot,
  type LogIndex,
  type LogMark,
  type NodeId,
  type Snapshot,
} from './types.ts'

/** What a follower does with its leader's messages (figure 2 and figure 13, "receiver implementation"). */
export class Follower {
  readonly #core: Core
  readonly #parts: SnapshotParts

  constructor(core: Core) {
    this.#core = core
    this.#parts = new SnapshotParts(core)
  }

  /** The message's term is the node's own: whoever sent it leads this term. */
  acknowledgeLeader(from: NodeId): void {
    const core = this.#core
    assert(core.role !== 'leader', 'raft.one-leader-per-term', () => `${from} and ${core.id} in ${core.term}`)
    core.leaderHeardTick = core.ticks
    if (core.role === 'follower' && core.leader === from) {
      core.electionElapsed = 0
      return
    }
    assert(
      core.leader === undefined || core.leader === from,
      'raft.one-leader-seen',
      () => `${from} and ${core.leader} in ${core.term}`,
    )
    core.becomeFollower(core.term, from)
  }

  handleAppend(request: AppendRequest): void {
    const core = this.#core
    const { previous, entries } = request
    if (previous.index < core.commit) {
      // An old message. What is committed surely matches, so that is the answer.
      this.accept(request.from, core.commit)
      return
    }
    if (core.log.termAt(previous.index) !== previous.term) {
      this.#reject(request)
      return
    }
    this.#assertSameDigest(previous)
    this.#assertChained(previous, entries)
    this.appendEntries(previous, entries)
    const matched = asLogIndex(previous.index + entries.length)
    assert(matched <= core.log.last.index, 'raft.matched-beyond-last', () => `${matched}`)
    assert(core.leader === request.from, 'raft.append-leader', () => `${request.from}, not ${core.leader}`)
    // The log may go on beyond what the leader has shown to be its own.
    core.commitTo(asLogIndex(Math.min(request.commit, matched)))
    this.accept(request.from, matched)
  }

  /** Durably matches up to `index`; leaves once that is true. */
  accept(to: NodeId, index: LogIndex): void {
    const { id, term, log } = this.#core
    assert(index <= log.last.index, 'raft.accept-beyond-last', () => `${index}, last ${log.last.index}`)
    assert(to !== id, 'raft.accept-self', () => to)
    this.#core.sendDurably({
      type: 'appendReply',
      from: id,
      to,
      term,
      accepted: true,
      index,
      hintIndex: index,
      hintTerm: term,
    })
  }

  #reject(request: AppendRequest): void {
    const { id, term, log, commit } = this.#core
    const { previous } = request
    // All entries of a higher term than the leader has there must conflict, so the leader needn't try them one by one.
    const hint = Math.max(commit, log.lastAtOrBelowTerm(previous.index, previous.term))
    const hintTerm = log.termAt(hint)
    assert(hintTerm !== undefined, 'raft.hint-term', () => `at ${hint}`)
    assert(
      hint <= Math.max(commit, previous.index),
      'raft.hint-back',
      () => `${hint} after ${previous.index}`,
    )
    this.#core.send({
      type: 'appendReply',
      from: id,
      to: request.from,
      term,
      accepted: false,
      index: previous.index,
      hintIndex: asLogIndex(hint),
      hintTerm,
    })
  }

  /** Same index and term is the same log up to there (§5.3, Log Matching); a digest that differs is proof of damage. */
  #assertSameDigest(mark: LogMark): void {
    const own = this.#core.log.markAt(mark.index)
    assert(
      own === undefined || own.term !== mark.term || own.digest === mark.digest,
      'raft.log-matching',
      () =>
        `index ${mark.index}, term ${mark.term}: digest ${own?.digest} here, ${mark.digest} at the leader`,
    )
  }

  #assertChained(previous: LogMark, entries: readonly Entry[]): void {
    let { index, digest } = previous
    for (const entry of entries) {
      index = asLogIndex(index + 1)
      assert(entry.index === index, 'raft.append-gap', () => `${entry.index} in place of ${index}`)
      digest = chain(digest, entry)
      assert(entry.term <= this.#core.term, 'raft.append-term', () => `${entry.term} at ${index}`)
      assert(
        entry.digest === digest,
        'raft.entry-digest',
        () => `entry ${index}: ${entry.digest}, not ${digest}`,
      )
    }
  }

  /** Entries that are here already stay, and what comes after them: an old message must not undo a newer one. */
  appendEntries(previous: LogMark, entries: readonly Entry[]): void {
    const core = this.#core
    const { log } = core
    let before = previous
    let at = 0
    for (; at < entries.length; at += 1) {
      const entry = entries[at]!
      if (log.termAt(entry.index) !== entry.term) break
      this.#assertSameDigest(entry)
      before = entry
    }
    if (at === entries.length) return
    if (before.index < log.last.index) this.truncateAfter(before)
    assert(
      log.last.index === before.index,
      'raft.append-after',
      () => `${log.last.index}, not ${before.index}`,
    )
    for (; at < entries.length; at += 1) core.addToLog(entries[at]!)
    assert(log.last.index === entries.at(-1)!.index, 'raft.append-complete', () => `${log.last.index}`)
  }

  /** Drops entries that conflict with the leader's. */
  truncateAfter(before: LogMark): void {
    const { log, durability, configurations, commit } = this.#core
    assert(before.index >= commit, 'raft.truncate-committed', () => `after ${before.index}, commit ${commit}`)
    log.truncateAfter(before)
    durability.truncated(before.index + 1)
    configurations.truncatedAfter(before.index)
    assert(durability.persisted <= before.index, 'raft.truncated-persisted', () => `${durability.persisted}`)
  }

  handleHeartbeat(heartbeat: Heartbeat): void {
    const core = this.#core
    assert(
      core.leader === heartbeat.from,
      'raft.heartbeat-sender',
      () => `${heartbeat.from}, not ${core.leader}`,
    )
    core.commitTo(heartbeat.commit)
    core.send({
      type: 'heartbeatReply',
      from: core.id,
      to: heartbeat.from,
      term: core.term,
      readRound: heartbeat.readRound,
    })
  }

  handleSnapshot(message: InstallSnapshot): void {
    const core = this.#core
    const { from, snapshot } = message
    const isKnown = snapshot.index <= core.commit || core.log.termAt(snapshot.index) === snapshot.term
    // What is here already needs no bytes, so the first chunk is answered like the last.
    const complete = isKnown ? snapshot : this.#parts.add(message)
    if (complete === undefined) return
    assert(complete.index === snapshot.index, 'raft.snapshot-complete', () => `${complete.index}`)
    assert(core.leader === from, 'raft.snapshot-sender', () => `${from}, not ${core.leader}`)
    this.#parts.drop()
    this.#install(from, complete)
  }

  tick(): void {
    this.#parts.tick()
  }

  #install(from: NodeId, snapshot: Snapshot): void {
    const core = this.#core
    const { log } = core
    if (snapshot.index <= core.commit) {
      this.accept(from, core.commit)
      return
    }
    if (log.termAt(snapshot.index) === snapshot.term) {
      // Here already, only not known to be committed: nothing needs replacing (§7, "retain log entries following it").
      this.#assertSameDigest(snapshot)
      core.commitTo(snapshot.index)
    } else {
      const { state: _state, ...mark } = snapshot
      log.replaceBy(mark)
      core.durability.replaced(snapshot)
      core.commit = snapshot.index
      core.applied = snapshot.index
      core.handedOut = snapshot.index
      core.configurations.replacedBy(mark)
      core.outbox.restore = snapshot
      assert(log.last.index === snapshot.index, 'raft.installed-last', () => `${log.last.index}`)
      assert(
        core.durability.persisted === 0,
        'raft.installed-persisted',
        () => `${core.durability.persisted}`,
      )
    }
    assert(core.commit >= snapshot.index, 'raft.installed-commit', () => `${core.commit}`)
    this.accept(from, snapshot.index)
  }

  /** A message of an earlier term: its sender learns the term and steps down, so it doesn't stay apart for ever. */
  answerEarlierTerm(to: NodeId): void {
    const { id, term } = this.#core
    this.#core.send({
      type: 'appendReply',
      from: id,
      to,
      term,
      accepted: false,
      index: asLogIndex(0),
      hintIndex: asLogIndex(0),
      hintTerm: this.#core.log.lowEnd.term,
    })
  }
}
