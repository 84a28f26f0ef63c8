import { FlotillaError, partitionForKey, type TopicMessage } from '../../wire/index.ts'

/**
 * Chooses the partition of a record: the one that was named, else by its routing key, else, without any, the one that
 * the last records without key went to, until a batch of it is full. Pure.
 */
export class PartitionChooser {
  readonly #sticky = new Map<string, number>()
  readonly #nextIndex = new Map<string, number>()
  readonly #below: (bound: number) => number

  constructor(below: (bound: number) => number) {
    this.#below = below
  }

  /** Throws UNKNOWN_PARTITION. */
  choose(topic: TopicMessage, named: number | undefined, routingKey: Uint8Array | undefined): number {
    if (named !== undefined) return this.#named(topic, named)
    if (routingKey !== undefined) return partitionForKey(topic, routingKey)
    const sticky = this.#sticky.get(topic.name)
    if (sticky !== undefined) return sticky
    const index = this.#nextIndex.get(topic.name) ?? this.#below(topic.partitions.length)
    const { partition } = topic.partitions[index % topic.partitions.length]!
    this.#sticky.set(topic.name, partition)
    this.#nextIndex.set(topic.name, index + 1)
    return partition
  }

  /** A batch for this partition is full or sent: if it was the sticky one, the next one's turn has come. */
  batchClosed(topicName: string, partition: number): void {
    if (this.#sticky.get(topicName) === partition) this.#sticky.delete(topicName)
  }

  #named(topic: TopicMessage, partition: number): number {
    // They are listed in order, so this is the usual place.
    if (topic.partitions[partition]?.partition === partition) return partition
    if (topic.partitions.some((known) => known.partition === partition)) return partition
    const count = topic.partitions.length
    throw new FlotillaError(
      'UNKNOWN_PARTITION',
      `topic ${topic.name} has no partition ${partition}; it has ${count}, counted from 0`,
    )
  }
}
