import { FlotillaError } from './errors.ts'
import type { PartitionMessage, PartitionerName } from './messages.ts'
import { murmur2 } from './murmur2.ts'

const HASH_SPACE = 0x1_0000_0000

/** The part of a topic that tells where a key lives. */
export interface PartitionedTopic {
  readonly name: string
  readonly partitioner: PartitionerName
  readonly partitions: readonly Pick<PartitionMessage, 'partition' | 'hashFirst' | 'hashLast'>[]
}

/** The first and last hash of a partition's range. */
export interface HashRange {
  readonly hashFirst: number
  readonly hashLast: number
}

/** Splits the space of 32-bit hashes into `count` ranges that differ by at most one in size. */
export function hashRanges(count: number): HashRange[] {
  const bound = (index: number): number => Math.floor((index * HASH_SPACE) / count)
  return Array.from({ length: count }, (_, index) => ({
    hashFirst: bound(index),
    hashLast: bound(index + 1) - 1,
  }))
}

/** The partition of `topic` that `key` belongs to. */
export function partitionForKey(topic: PartitionedTopic, key: Uint8Array): number {
  return partitionForHash(topic, murmur2(key))
}

/** The same for a hash that was computed already. */
export function partitionForHash(topic: PartitionedTopic, hash: number): number {
  switch (topic.partitioner) {
    case 'PARTITIONER_MODULO':
      return (hash & 0x7fff_ffff) % topic.partitions.length
    case 'PARTITIONER_HASH_RANGE':
    case 'PARTITIONER_UNSPECIFIED':
      return ownerOf(topic, hash)
  }
}

function ownerOf({ name, partitions }: PartitionedTopic, hash: number): number {
  // Right at once while the ranges are as `hashRanges` made them; split or merged ones are searched.
  const guess = partitions[Math.floor((hash * partitions.length) / HASH_SPACE)]
  if (guess !== undefined && owns(guess, hash)) return guess.partition
  const owner = partitions.find((partition) => owns(partition, hash))
  if (owner === undefined) {
    throw new FlotillaError('INTERNAL', `no partition of topic ${name} owns the hash ${hash}`, {
      effect: 'none',
    })
  }
  return owner.partition
}

const owns = (range: HashRange, hash: number): boolean => hash >= range.hashFirst && hash <= range.hashLast
