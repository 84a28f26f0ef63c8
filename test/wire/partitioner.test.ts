import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import {
  hashRanges,
  murmur2,
  partitionForHash,
  partitionForKey,
  type PartitionedTopic,
  type PartitionerName,
} from '../../src/wire/index.ts'

function topicOf(partitioner: PartitionerName, count: number): PartitionedTopic {
  const partitions = hashRanges(count).map((range, partition) => ({ partition, ...range }))
  return { name: 'orders', partitioner, partitions }
}

describe('murmur2', () => {
  // The vectors that Kafka's own clients are tested with, there as signed numbers.
  it.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
    ['', 275646681],
  ])('of %j', (key, signed) => {
    expect(murmur2(Buffer.from(key)) | 0).toBe(signed)
  })
  test.prop([fc.uint8Array(), fc.uint8Array(), fc.uint8Array()])(
    'of a part is that of a copy of it',
    (a, b, c) => {
      const whole = Buffer.concat([a, b, c])
      expect(murmur2(whole, a.length, a.length + b.length)).toBe(murmur2(b))
    },
  )
})

describe('a hash range', () => {
  test.prop([fc.integer({ min: 1, max: 1024 })])('set covers every hash once, evenly', (count) => {
    const ranges = hashRanges(count)
    expect(ranges[0]?.hashFirst).toBe(0)
    expect(ranges.at(-1)?.hashLast).toBe(0xffff_ffff)
    const sizes = ranges.map(({ hashFirst, hashLast }) => hashLast - hashFirst + 1)
    ranges.slice(1).forEach((range, index) => expect(range.hashFirst).toBe(ranges[index]!.hashLast + 1))
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
  })
  test.prop([fc.integer({ min: 1, max: 1024 }), fc.nat({ max: 0xffff_ffff })])(
    'holds its hashes',
    (count, hash) => {
      const topic = topicOf('PARTITIONER_HASH_RANGE', count)
      const owner = topic.partitions[partitionForHash(topic, hash)]!
      expect(owner.hashFirst <= hash && hash <= owner.hashLast).toBe(true)
    },
  )
  it('is found also where partitions were split out of order', () => {
    const partitions = [
      { partition: 0, hashFirst: 0, hashLast: 99 },
      { partition: 1, hashFirst: 1000, hashLast: 0xffff_ffff },
      { partition: 2, hashFirst: 100, hashLast: 999 },
    ]
    const topic: PartitionedTopic = { name: 't', partitioner: 'PARTITIONER_HASH_RANGE', partitions }
    expect([0, 99, 100, 999, 1000, 0xffff_ffff].map((hash) => partitionForHash(topic, hash))).toEqual([
      0, 0, 2, 2, 1, 1,
    ])
  })
  it('that nobody owns is an internal fault with a name', () => {
    const topic: PartitionedTopic = { name: 't', partitioner: 'PARTITIONER_HASH_RANGE', partitions: [] }
    expect(() => partitionForHash(topic, 5)).toThrow('no partition of topic t owns the hash 5')
  })
})

describe('modulo', () => {
  it('chooses as Kafka clients do', () => {
    const key = Buffer.from('foobar')
    expect(partitionForKey(topicOf('PARTITIONER_MODULO', 10), key)).toBe((-790332482 & 0x7fffffff) % 10)
  })
})
