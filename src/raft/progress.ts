import { assert } from './assert.ts'
import type { CatchUpPace } from './catch-up-pace.ts'
import {
  asLogIndex,
  type FollowerStatus,
  type LogIndex,
  type LogMark,
  type NodeId,
  type Snapshot,
} from './types.ts'

/** A snapshot that goes to a follower, chunk by chunk. */
export interface SnapshotTransfer {
  readonly snapshot: Snapshot
  /** The follower has this much of its state. */
  offset: number
  /** The chunk from `offset` on is under way. */
  sent: boolean
  /** The transport lost it: wait until the follower is heard from. */
  waits: boolean
  /** Ticks since it was sent. */
  ticks: number
}

export interface InflightLimits {
  readonly maxInflightMessages: number
  readonly maxInflightBytes: number
}

/** The append messages under way to a follower, oldest first, bounded by count and bytes. */
export class Inflights {
  readonly #limits: InflightLimits
  #lastIndexes: number[] = []
  #sizes: number[] = []
  #head = 0
  #bytes = 0

  constructor(limits: InflightLimits) {
    this.#limits = limits
  }

  get count(): number {
    return this.#lastIndexes.length - this.#head
  }

  get bytes(): number {
    return this.#bytes
  }

  isFull(): boolean {
    return this.count >= this.#limits.maxInflightMessages || this.#bytes >= this.#limits.maxInflightBytes
  }

  add(lastIndex: number, bytes: number): void {
    assert(!this.isFull(), 'raft.inflights-full')
    assert(lastIndex > (this.#lastIndexes.at(-1) ?? 0), 'raft.inflights-order', () => `${lastIndex}`)
    this.#lastIndexes.push(lastIndex)
    this.#sizes.push(bytes)
    this.#bytes += bytes
    assert(this.#sizes.length === this.#lastIndexes.length, 'raft.inflights-pairs', () => `${lastIndex}`)
    assert(bytes >= 0 && this.count >= 1, 'raft.inflights-added', () => `${bytes} bytes`)
  }

  /** All messages that end at or below `index` have arrived. */
  freeThrough(index: number): void {
    while (this.count > 0 && this.#lastIndexes[this.#head]! <= index) {
      this.#bytes -= this.#sizes[this.#head]!
      this.#head += 1
    }
    assert(
      this.#bytes >= 0 && (this.count > 0 || this.#bytes === 0),
      'raft.inflights-bytes',
      () => `${this.#bytes}`,
    )
    if (this.#head === this.#lastIndexes.length || this.#head > this.#limits.maxInflightMessages) {
      this.#lastIndexes.splice(0, this.#head)
      this.#sizes.splice(0, this.#head)
      this.#head = 0
    }
    assert(
      this.count === 0 || this.#lastIndexes[this.#head]! > index,
      'raft.inflights-freed',
      () => `${this.#lastIndexes[this.#head]} after ${index}`,
    )
  }

  clear(): void {
    this.#lastIndexes = []
    this.#sizes = []
    this.#head = 0
    this.#bytes = 0
  }
}

/**
 * What a leader knows of one follower. Invariant: 0 <= match < next.
 * - probe: where the logs part is unknown; one message at a time, then wait for an answer.
 * - replicate: they match; messages follow each other without waiting, `next` runs ahead of what is confirmed.
 * - snapshot: the follower is behind the log's low end; nothing is sent until it has the snapshot.
 */
export class Progress {
  readonly id: NodeId
  /** Of the disk that all of this is known of. */
  readonly life: number
  readonly inflights: Inflights
  state: 'probe' | 'replicate' | 'snapshot' = 'probe'
  /** The follower durably holds the leader's log up to here. */
  match: LogIndex = asLogIndex(0)
  /** The first entry of the next append message. */
  next: LogIndex
  /** Probe: a message is under way. Freed by any answer, a heartbeat's too, so a lost one costs a heartbeat and a way back. */
  paused = false
  /** Send an append even if it has no entries: its refusal tells what got lost. */
  poked = false
  /** The commit index in the newest append message. */
  commitSent: LogIndex = asLogIndex(0)
  /** The newest entry sent, so that going on needs no look at entries that memory no longer holds. */
  sentMark: LogMark | undefined
  /** Probe: what the newest append followed. Memory may not hold it, and `next` still comes right after it. */
  probedMark: LogMark | undefined
  /** The first index of the read from storage that is under way. */
  fetchFrom: LogIndex | undefined
  /** Set while it is served from storage. */
  pace: CatchUpPace | undefined
  /** The snapshot on its way, once it is loaded. */
  transfer: SnapshotTransfer | undefined
  /** Ticks in state snapshot without anything new. */
  snapshotTicks = 0
  /** The tick in which the follower was last heard from. */
  heardAtTick: number
  /** The newest read round that the follower has confirmed. */
  readRound = 0

  constructor(id: NodeId, life: number, next: LogIndex, tick: number, limits: InflightLimits) {
    this.id = id
    this.life = life
    this.next = next
    this.heardAtTick = tick
    assert(next >= 1, 'raft.progress-first', () => `${id}: next ${next}`)
    assert(Number.isSafeInteger(life) && life >= 0, 'raft.progress-life', () => `${id}: life ${life}`)
    this.inflights = new Inflights(limits)
  }

  becomeProbe(next: number, paused: boolean): void {
    this.#enter('probe', next)
    this.paused = paused
  }

  becomeReplicate(): void {
    this.#enter('replicate', this.match + 1)
  }

  becomeSnapshot(): void {
    this.#enter('snapshot', this.match + 1)
  }

  #enter(state: Progress['state'], next: number): void {
    assert(next > this.match, 'raft.progress-next', () => `${this.id}: next ${next}, match ${this.match}`)
    this.state = state
    this.next = asLogIndex(next)
    this.paused = false
    this.poked = false
    this.fetchFrom = undefined
    this.pace = undefined
    this.probedMark = undefined
    this.transfer = undefined
    this.snapshotTicks = 0
    this.inflights.clear()
    assert(this.inflights.bytes === 0, 'raft.progress-inflights', () => `${this.inflights.bytes}`)
  }

  /** An append message with entries up to `mark` is on its way. */
  sent(mark: LogMark, bytes: number): void {
    assert(mark.index >= this.next, 'raft.sent-known', () => `${this.id}: ${mark.index}, next ${this.next}`)
    this.sentMark = mark
    switch (this.state) {
      case 'probe':
        this.paused = true
        return
      case 'replicate':
        this.inflights.add(mark.index, bytes)
        this.next = asLogIndex(mark.index + 1)
        return
      case 'snapshot':
        assert(false, 'raft.append-during-snapshot')
    }
  }

  /** The follower durably matches up to `index`. */
  confirm(index: LogIndex): void {
    if (index > this.match) this.match = index
    if (this.next <= this.match) this.next = asLogIndex(this.match + 1)
    this.inflights.freeThrough(index)
    assert(this.match >= index, 'raft.confirm-match', () => `${this.id}: match ${this.match}, not ${index}`)
    assert(
      this.state === 'replicate' || this.inflights.count === 0,
      'raft.confirm-inflights',
      () => `${this.id}: ${this.inflights.count} in state ${this.state}`,
    )
    assert(
      this.match < this.next,
      'raft.confirm-next',
      () => `${this.id}: match ${this.match}, next ${this.next}`,
    )
  }

  status(tick: number, electionTicks: number): FollowerStatus {
    return {
      id: this.id,
      match: this.match,
      next: this.next,
      state: this.state,
      recentlyActive: tick - this.heardAtTick < electionTicks,
    }
  }
}
