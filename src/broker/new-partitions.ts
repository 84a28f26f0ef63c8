import type { PartitionPlace } from './metadata/events.ts'
import type { Replica } from './replica.ts'

export interface NewPartition {
  readonly topic: string
  readonly place: PartitionPlace
}

/**
 * Partitions placed on this node of which its disk knows nothing. While the metadata group's log isn't folded as far as the
 * start found it, such a partition may be one that was deleted and given up: hosted anew, it would vote and lead in terms
 * that it has forgotten, beside replicas that remember. Its deletion was in the log before its data went, so after that
 * it is surely new.
 */
export class NewPartitions {
  readonly #metadata: () => Replica
  /** The last index of the metadata group's log as the start found it. */
  readonly #foundIndex: number
  readonly #waiting = new Map<number, NewPartition>()
  #isReplayed = false

  constructor(foundIndex: number, metadata: () => Replica) {
    this.#foundIndex = foundIndex
    this.#metadata = metadata
  }

  /** Whether the start found log that isn't folded yet. */
  get mustWait(): boolean {
    if (this.#isReplayed) return false
    const replica = this.#metadata()
    // A leader may have cut the end of the log off; what was carried out can't have been in it.
    this.#isReplayed = replica.foldedIndex >= Math.min(this.#foundIndex, replica.status().last.index)
    return !this.#isReplayed
  }

  add(partition: NewPartition): void {
    this.#waiting.set(partition.place.groupId, partition)
  }

  forgetTopic(name: string): void {
    for (const [groupId, { topic }] of this.#waiting) if (topic === name) this.#waiting.delete(groupId)
  }

  forgetAll(): void {
    this.#waiting.clear()
  }

  /** Those that need wait no longer. */
  take(): NewPartition[] {
    if (this.#waiting.size === 0 || this.mustWait) return []
    const partitions = [...this.#waiting.values()]
    this.#waiting.clear()
    return partitions
  }
}
