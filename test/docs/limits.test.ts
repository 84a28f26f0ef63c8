import { describe, expect, it } from 'vitest'
import type { ServerLimits } from '../../src/broker/config.ts'
import { MOST_LEADERLESS } from '../../src/broker/node-loop.ts'
import { MOST_STANDING } from '../../src/broker/succession.ts'
import { FEED_BYTES } from '../../src/broker/groups/partition-feed.ts'
import { MAX_BATCHES_PER_ENTRY, MAX_GROUP_MARKS_PER_ENTRY } from '../../src/broker/partition/event.ts'
import { PRODUCERS_PER_PARTITION } from '../../src/broker/partition/machine.ts'
import { REMEMBERED_BATCHES } from '../../src/broker/partition/producers.ts'
import { tuningOf, type Tuning } from '../../src/broker/tuning.ts'
import { limitRules } from '../../src/cli/server-settings.ts'
import { MOST_PARTS } from '../../src/log/shared-segments.ts'
import { asNodeId } from '../../src/raft/types.ts'
import { ERROR_REASONS, GROUP_LIMITS, LIMITS } from '../../src/wire/index.ts'
import { read, rowsOf } from './pages.ts'

const page = read('docs/limits.md')
const tuning = tuningOf(asNodeId('n1'))

/** Where each setting ends up in what a node runs with. */
const effective: Record<keyof ServerLimits, (tuning: Tuning) => number> = {
  maxRecordBytes: ({ records }) => records.maxRecordBytes,
  maxBatchBytes: ({ records }) => records.maxBatchBytes,
  maxInflightBytesPerConnection: (all) => all.maxInflightBytesPerConnection,
  maxInflightBytesPerPartition: ({ partition }) => partition.maxPendingBytes,
  maxInflightBytesPerNode: (all) => all.maxInflightBytesPerNode,
  maxPartitionsPerTopic: ({ metadata }) => metadata.maxPartitionsPerTopic,
  maxReplicasPerNode: ({ metadata }) => metadata.maxReplicasPerNode,
  maxOpenStreams: (all) => all.maxOpenStreams,
  tickMs: (all) => all.tickMs,
  electionTimeoutMs: ({ raft, tickMs }) => raft.electionTicks * tickMs,
  heartbeatMs: ({ raft, tickMs }) => raft.heartbeatTicks * tickMs,
  stalledDiskMs: ({ raft, tickMs }) => raft.stalledDiskTicks * tickMs,
  segmentThresholdBytes: ({ log }) => log.segmentThresholdBytes,
  segmentBytes: ({ log }) => log.segmentBytes,
  crowdedAboveGroups: ({ log }) => log.crowdedAboveGroups,
  sharedThresholdBytes: ({ log }) => log.sharedThresholdBytes,
  sharedSegmentBytes: ({ log }) => log.sharedSegmentBytes,
  sharedBytes: ({ log }) => log.sharedBytes,
  windowBytes: ({ raft }) => raft.windowBytes,
  windowBytesPerNode: ({ windows }) => windows.perNodeBytes,
  saveStateEntries: ({ dataReplica }) => dataReplica.saveStateEntries,
  metadataCompactEntries: ({ metadataReplica }) => metadataReplica.compactEntries ?? 0,
  appendTimeoutMs: (all) => all.appendTimeoutMs,
  shutdownMs: (all) => all.shutdownMs,
}

function size(bytes: number): string {
  for (const [unit, name] of [
    [1024 ** 3, 'GiB'],
    [1024 ** 2, 'MiB'],
    [1024, 'KiB'],
  ] as const) {
    if (bytes > 0 && bytes % unit === 0) return `${bytes / unit} ${name}`
  }
  return bytes === 1 ? '1 byte' : `${bytes} bytes`
}

function amount(value: number, unit: 'bytes' | 'ms' | 'count'): string {
  switch (unit) {
    case 'bytes':
      return size(value)
    case 'ms':
      return `${value.toLocaleString('en')} ms`
    case 'count':
      return value.toLocaleString('en')
  }
}

describe('the limits that are set on a node', () => {
  it.each(Object.entries(limitRules))('%s', (name, { property, unit, min, max }) => {
    const [row] = rowsOf(page, name)
    expect(row?.slice(1, 3)).toEqual([
      amount(effective[property](tuning), unit),
      `${amount(min, unit)} to ${amount(max, unit)}`,
    ])
  })

  it.each(Object.entries(limitRules))('%s reaches what it names', (_name, { property, unit }) => {
    const set = unit === 'ms' ? 250 : 12_345
    const ticks = property === 'tickMs' ? {} : { tickMs: 50 }
    expect(effective[property](tuningOf(asNodeId('n1'), { ...ticks, [property]: set }))).toBe(set)
  })
})

describe('the fixed limits', () => {
  it.each([
    ['key, routing key', size(LIMITS.maxKeyBytes)],
    ['headers of a record, names and values together', size(LIMITS.maxHeadersBytes)],
    ['records of a batch', amount(LIMITS.maxBatchRecords, 'count')],
    ['name of a topic or node', `${LIMITS.maxNameLength} characters`],
    ['producer id', `${LIMITS.maxProducerIdBytes} bytes`],
    ['batches of a producer that a partition remembers', amount(REMEMBERED_BATCHES, 'count')],
    ['producers that a partition remembers', amount(PRODUCERS_PER_PARTITION, 'count')],
    ['topics', amount(tuning.metadata.maxTopics, 'count')],
    ["bytes of a partition that a majority hasn't confirmed", size(tuning.raft.maxUncommittedBytes)],
    ['bytes of one log entry, but for a single larger batch', size(tuning.partition.maxEntryBytes)],
    ['batches of one log entry', amount(MAX_BATCHES_PER_ENTRY, 'count')],
    ['consumer groups', amount(GROUP_LIMITS.maxGroups, 'count')],
    ['members of a group', amount(GROUP_LIMITS.maxMembersPerGroup, 'count')],
    ['topics and partitions that a member names', amount(GROUP_LIMITS.maxTopicsPerMember, 'count')],
    ['groups of which a partition keeps offsets', amount(GROUP_LIMITS.maxGroupsPerPartition, 'count')],
    [
      'session time-out of a member',
      `${amount(GROUP_LIMITS.minSessionTimeoutMs, 'ms')} to ${amount(GROUP_LIMITS.maxSessionTimeoutMs, 'ms')}, ` +
        `${amount(GROUP_LIMITS.defaultSessionTimeoutMs, 'ms')} by default`,
    ],
    [
      'credit that a member has open',
      `${amount(GROUP_LIMITS.maxCreditRecords, 'count')} records and ${size(GROUP_LIMITS.maxCreditBytes)}`,
    ],
    ['members of one heartbeat', amount(GROUP_LIMITS.maxHeartbeatMembers, 'count')],
    ['positions of one commit', amount(GROUP_LIMITS.maxPositions, 'count')],
    ["records of a partition that wait for a member's credit", `${size(FEED_BYTES)} and a message`],
    ['marks of groups in one log entry', amount(MAX_GROUP_MARKS_PER_ENTRY, 'count')],
    ['parts of partitions in full shared segments', amount(MOST_PARTS, 'count')],
    ['bytes on the way to a follower', size(tuning.raft.maxInflightBytes)],
    ['the same of entries that the leader reads from its disk', size(tuning.raft.catchUpBytes)],
    ['tail of each log in memory', size(tuning.raft.windowBytes)],
    ['groups of a node that look for their first leader at once', amount(MOST_LEADERLESS, 'count')],
    ['groups for which a node stands at once, unasked', amount(MOST_STANDING, 'count')],
  ])('%s: %s', (what, limit) => {
    expect(rowsOf(page, what)[0]?.[1]).toBe(limit)
  })
})

describe("the client's limits", () => {
  const types = read('src/client/types.ts')
  const options = [...page.matchAll(/^\| `([a-z]+[A-Z][A-Za-z]+)` \| ([^|]+) \|/gm)]

  it('has a row each', () => {
    expect(options.length).toBe(14)
  })

  it.each(options.map(([, option = '', value = '']) => [option, value]))('%s: %s', (option, value) => {
    const comment = new RegExp(`/\\*\\*((?:(?!\\*/)[^])*)\\*/\\s+readonly ${option}\\?:`).exec(types)?.[1]
    expect(comment).toContain(`Default ${value}`)
  })
})

it('names only reasons that there are', () => {
  const named = [...page.matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)].map(([, reason = '']) => reason)
  expect(named.length).toBeGreaterThan(10)
  expect(named.filter((reason) => !Object.hasOwn(ERROR_REASONS, reason))).toEqual([])
})
