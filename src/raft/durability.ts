import { assert } from './assert.ts'
import type { RaftLog } from './log.ts'
import {
  asLogIndex,
  type Bootstrap,
  type HardState,
  type LogIndex,
  type Message,
  type Persist,
  type PersistToken,
  type Snapshot,
} from './types.ts'

/** A write that storage hasn't confirmed. `agreesTo` shrinks when what it wrote is truncated meanwhile. */
interface Write {
  readonly token: PersistToken
  agreesTo: number
}

interface GatedMessage {
  readonly message: Message
  readonly sequence: number
}

/** One acknowledgement says all that the one before it said, as long as both speak of one leader's one log. */
function supersedes(message: Message, earlier: Message): boolean {
  return (
    message.type === 'appendReply' &&
    earlier.type === 'appendReply' &&
    message.accepted &&
    earlier.accepted &&
    message.to === earlier.to &&
    message.term === earlier.term &&
    message.index >= earlier.index
  )
}

/**
 * Between the core's memory and stable storage: what has to be written next, what is being written, what is written, and
 * the messages that must not leave before (figure 2: "updated on stable storage before responding to RPCs").
 */
export class Durability {
  readonly #log: RaftLog
  /** Storage surely holds this log up to here. */
  #persisted: number
  /** Entries up to here have been handed out to be written. */
  #handedOut: number
  #snapshot: Snapshot | undefined
  #handedHardState: HardState
  /** The commit index that storage has or gets, and by how much it has to rise to be written again. */
  #handedCommit: number
  readonly #commitEntries: number
  /** Of the newest write handed out, and of the newest one confirmed. */
  #sequence = 0
  #confirmedSequence = 0
  #writes: Write[] = []
  #ticksWaiting = 0
  /** Held until the write with everything that was decided before them is confirmed; ascending in sequence. */
  #gated: GatedMessage[] = []

  /** `commitEntries` as in RaftConfig. */
  constructor(log: RaftLog, bootstrap: Bootstrap, commitEntries: number) {
    this.#log = log
    this.#commitEntries = commitEntries
    assert(log.last.index === bootstrap.last.index, 'raft.bootstrap-persisted', () => `${log.last.index}`)
    this.#persisted = bootstrap.last.index
    this.#handedOut = bootstrap.last.index
    this.#handedHardState = bootstrap.hardState
    this.#handedCommit = bootstrap.hardState.commit
  }

  get persisted(): LogIndex {
    return asLogIndex(this.#persisted)
  }

  /** Ticks since storage last confirmed something, 0 while nothing is being written. */
  get ticksWaiting(): number {
    return this.#ticksWaiting
  }

  tick(): void {
    if (this.#writes.length > 0) this.#ticksWaiting += 1
  }

  /** The log was cut: what storage has from `index` on isn't this log any more, whatever it confirms later. */
  truncated(index: number): void {
    const kept = index - 1
    assert(kept === this.#log.last.index, 'raft.truncated-log', () => `${kept}, last ${this.#log.last.index}`)
    this.#persisted = Math.min(this.#persisted, kept)
    this.#handedOut = Math.min(this.#handedOut, kept)
    for (const write of this.#writes) write.agreesTo = Math.min(write.agreesTo, kept)
    assert(this.#persisted <= this.#handedOut, 'raft.truncated-order', () => `${this.#persisted}`)
  }

  /** The log was replaced by a snapshot: until it is written, storage holds nothing of this log. */
  replaced(snapshot: Snapshot): void {
    assert(this.#log.last.index === snapshot.index, 'raft.replaced-log', () => `last ${this.#log.last.index}`)
    this.#snapshot = snapshot
    this.#persisted = 0
    this.#handedOut = snapshot.index
    for (const write of this.#writes) write.agreesTo = 0
    assert(this.hasWork(this.#handedHardState), 'raft.replaced-work', () => `snapshot ${snapshot.index}`)
  }

  /** `message` may leave once everything that was decided so far, `hardState` too, is on stable storage. */
  gate(message: Message, hardState: HardState): void {
    const sequence = this.hasWork(hardState) ? this.#sequence + 1 : this.#sequence
    const newest = this.#gated.at(-1)
    assert(newest === undefined || newest.sequence <= sequence, 'raft.gate-order', () => `${sequence}`)
    assert(sequence >= this.#confirmedSequence, 'raft.gate-confirmed', () => `${sequence}`)
    if (newest?.sequence === sequence && supersedes(message, newest.message)) this.#gated.pop()
    this.#gated.push({ message, sequence })
  }

  #hardStateChanged(hardState: HardState): boolean {
    const handed = this.#handedHardState
    return hardState.term !== handed.term || hardState.votedFor !== handed.votedFor
  }

  /** Whether something must be written. */
  hasWork(hardState: HardState): boolean {
    return (
      this.#handedOut < this.#log.last.index ||
      this.#snapshot !== undefined ||
      this.#hardStateChanged(hardState)
    )
  }

  /** Whether a gated message may leave. */
  hasReleasable(): boolean {
    const oldest = this.#gated[0]
    return oldest !== undefined && oldest.sequence <= this.#confirmedSequence
  }

  /** The gated messages that wait for nothing any more, in the order in which they came up. */
  release(): Message[] {
    if (!this.hasReleasable()) return []
    let count = 0
    while (count < this.#gated.length && this.#gated[count]!.sequence <= this.#confirmedSequence) count += 1
    assert(count > 0, 'raft.release-some')
    const released = this.#gated.splice(0, count).map((gated) => gated.message)
    assert(!this.hasReleasable(), 'raft.release-all', () => `${this.#gated.length} wait`)
    return released
  }

  /** The next write, if there is one. */
  take(hardState: HardState): Persist | undefined {
    const { last } = this.#log
    const snapshot = this.#snapshot
    const hasEntries = this.#handedOut < last.index
    const hasVote = this.#hardStateChanged(hardState)
    if (!hasEntries && !hasVote && snapshot === undefined) return undefined
    const entries = hasEntries ? this.#log.slice(this.#handedOut + 1, last.index, Infinity) : []
    assert(entries !== undefined, 'raft.unpersisted-evicted')
    // The commit index alone is never worth a write.
    const hasHardState = hasVote || hardState.commit >= this.#handedCommit + this.#commitEntries
    // Less than what was written, only while a snapshot that replaced the log is being written.
    const isWhole = this.#persisted >= this.#handedCommit
    assert(!isWhole || hardState.commit >= this.#handedCommit, 'raft.handed-commit', () => {
      return `${hardState.commit} after ${this.#handedCommit}`
    })
    if (hasHardState) this.#handedCommit = hardState.commit
    assert(this.#persisted <= this.#handedOut, 'raft.handed-order', () => `${this.#persisted}`)
    assert(entries.at(-1)?.index === last.index || !hasEntries, 'raft.persist-to-last')
    this.#sequence += 1
    const token = { sequence: this.#sequence, term: hardState.term, last: last.index }
    if (this.#writes.length === 0) this.#ticksWaiting = 0
    this.#writes.push({ token, agreesTo: last.index })
    this.#handedOut = last.index
    this.#handedHardState = hardState
    this.#snapshot = undefined
    assert(!this.hasWork(hardState), 'raft.persist-complete', () => `sequence ${token.sequence}`)
    return { token, entries, hardState: hasHardState ? hardState : undefined, snapshot }
  }

  /** Storage confirmed this write and all before it. A token that was confirmed before says nothing new. */
  confirmed(token: PersistToken): void {
    assert(token.sequence <= this.#sequence, 'raft.token-unknown', () => `sequence ${token.sequence}`)
    const done = this.#writes.findIndex((write) => write.token.sequence === token.sequence)
    if (done < 0) return
    const own = this.#writes[done]!.token
    assert(own.term === token.term && own.last === token.last, 'raft.token-mismatch', () => {
      return `sequence ${token.sequence}: term ${token.term}, last ${token.last}, was term ${own.term}, last ${own.last}`
    })
    // Not token.last: what this write stored may have been truncated since, and even be there again, same index, same
    // term, in a later write that storage hasn't reached (the append ABA race).
    this.#persisted = Math.max(this.#persisted, this.#writes[done]!.agreesTo)
    assert(this.#persisted <= this.#handedOut, 'raft.confirmed-unhanded', () => `${this.#persisted}`)
    this.#writes.splice(0, done + 1)
    assert(token.sequence > this.#confirmedSequence, 'raft.confirmed-order', () => `${token.sequence}`)
    this.#confirmedSequence = token.sequence
    this.#ticksWaiting = 0
    const next = this.#writes[0]
    assert(next === undefined || next.token.sequence === token.sequence + 1, 'raft.writes-in-order')
  }

  /** The disk is gone: nothing will be written, so nothing that waits may ever leave. */
  fail(): void {
    this.#gated = []
    this.#writes = []
    this.#ticksWaiting = 0
  }
}
