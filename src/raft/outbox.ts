import { assert } from './assert.ts'
import type {
  ConfigurationInForce,
  Entry,
  Leadership,
  LogIndex,
  Message,
  NodeId,
  Output,
  Persist,
  Snapshot,
} from './types.ts'

type Fetch = Output['fetches'][number]
type Read = Output['reads'][number]

/** Gathers what the next Output says. */
export class Outbox {
  messages: Message[] = []
  restore: Snapshot | undefined
  fetches: Fetch[] = []
  snapshotsWanted: NodeId[] = []
  reads: Read[] = []
  droppedReads: number[] = []

  isEmpty(): boolean {
    return (
      this.messages.length === 0 &&
      this.restore === undefined &&
      this.fetches.length === 0 &&
      this.snapshotsWanted.length === 0 &&
      this.reads.length === 0 &&
      this.droppedReads.length === 0
    )
  }

  /** All that was gathered, together with what is only known now. */
  drain(
    persist: Persist | undefined,
    committed: readonly Entry[],
    leadership: Leadership | undefined,
    configuration: ConfigurationInForce | undefined,
  ): Output {
    const [first, last] = [committed[0], committed.at(-1)]
    assert(
      first === undefined || last!.index - first.index === committed.length - 1,
      'raft.output-gap',
      () => `${first?.index} to ${last?.index} in ${committed.length} entries`,
    )
    assert(
      this.restore === undefined || first === undefined || first.index === this.restore.index + 1,
      'raft.output-restore',
      () => `entry ${first?.index} after a snapshot at ${this.restore?.index}`,
    )
    assert(
      persist?.snapshot === undefined || first === undefined,
      'raft.output-snapshot-folds',
      () => `entry ${first?.index} with a snapshot that isn't written yet`,
    )
    const { messages, restore, fetches, snapshotsWanted, reads, droppedReads } = this
    this.messages = []
    this.restore = undefined
    this.fetches = []
    this.snapshotsWanted = []
    this.reads = []
    this.droppedReads = []
    return {
      messages,
      persist,
      restore,
      committed,
      fetches,
      snapshotsWanted,
      reads,
      droppedReads,
      leadership,
      configuration,
    }
  }

  fetch(to: NodeId, from: LogIndex, maxBytes: number): void {
    assert(from >= 1, 'raft.fetch-from', () => `${from}`)
    assert(maxBytes >= 1, 'raft.fetch-bytes', () => `${maxBytes}`)
    this.fetches.push({ to, from, maxBytes })
  }
}
