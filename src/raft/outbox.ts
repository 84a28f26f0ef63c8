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
    this.fetches.push({ to, from, maxBytes })
  }
}
