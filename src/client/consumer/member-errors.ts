import { FlotillaError, type TopicPartition } from '../../wire/index.ts'
import type { GroupOffset } from '../types.ts'
import type { HeldPartition } from './held-partition.ts'

export function ended(): FlotillaError {
  return new FlotillaError('INVALID_ARGUMENT', 'the consumer is closed')
}

export function taken(partitions: readonly TopicPartition[]): FlotillaError {
  const names = partitions.slice(0, 5).map(({ topic, partition }) => `${topic}/${partition}`)
  const more = partitions.length > names.length ? ' and others' : ''
  return new FlotillaError('STALE_GROUP_EPOCH', `${names.join(', ')}${more} went to another member meanwhile`)
}

/** Why a commit isn't even sent; `held` is what the member has of that name. */
export function commitFault(
  { topic, partition, offset }: GroupOffset,
  held: HeldPartition | undefined,
): FlotillaError | undefined {
  const place = `partition ${partition} of topic ${topic}`
  if (held === undefined) {
    return new FlotillaError('PARTITION_NOT_OWNED', `${place} can't be committed: the member does not own it`)
  }
  if (Number.isSafeInteger(offset) && offset >= 0) return undefined
  return new FlotillaError('INVALID_ARGUMENT', `offset ${offset} of ${place} is no whole number from 0 on`)
}
