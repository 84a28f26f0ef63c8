import {
  durationOf,
  errorOf,
  groupMethods,
  millisecondsOf,
  timestampOf,
  validateGroupName,
  validateTopicName,
  type FetchedOffset,
  type GroupMember,
  type GroupPartition,
  type GroupPartitionStateName,
  type ResetGroupOffsetsRequest,
  type StrategyName,
} from '../wire/index.ts'
import type { Caller } from './caller.ts'
import type {
  Client,
  FetchedGroupOffset,
  GroupAssignment,
  GroupMemberDescription,
  GroupPartitionDescription,
  GroupPartitionState,
  GroupSummary,
  ReadFrom,
} from './types.ts'

const PAGE_SIZE = 1000

const ASSIGNMENTS: Record<StrategyName, GroupAssignment> = {
  ASSIGNMENT_STRATEGY_UNSPECIFIED: 'balanced',
  ASSIGNMENT_STRATEGY_BALANCED: 'balanced',
  ASSIGNMENT_STRATEGY_RANGE: 'range',
  ASSIGNMENT_STRATEGY_ROUND_ROBIN: 'round-robin',
}
const STATES: Record<GroupPartitionStateName, GroupPartitionState> = {
  // What a later version may say; nothing is known of it.
  GROUP_PARTITION_STATE_UNSPECIFIED: 'unreachable',
  GROUP_PARTITION_STATE_ACTIVE: 'active',
  GROUP_PARTITION_STATE_STALLED: 'stalled',
  GROUP_PARTITION_STATE_UNOWNED: 'unowned',
  GROUP_PARTITION_STATE_IDLE: 'idle',
  GROUP_PARTITION_STATE_REVOKING: 'revoking',
  GROUP_PARTITION_STATE_UNREACHABLE: 'unreachable',
}

/** Calls about consumer groups. A reset sets what it names, so twice is as once. */
export function groupCalls(caller: Caller): Client['groups'] {
  const idempotent = { idempotent: true }
  return {
    async list(settings) {
      const groups: GroupSummary[] = []
      let pageToken = ''
      do {
        const request = { pageSize: PAGE_SIZE, pageToken }
        const page = await caller.call(groupMethods.listGroups, request, idempotent, settings)
        for (const { group, memberCount, topics, strategy } of page.groups)
          groups.push({ name: group, memberCount, topics, assignment: ASSIGNMENTS[strategy] })
        pageToken = page.nextPageToken
      } while (pageToken !== '')
      return groups
    },
    async describe(name, options = {}) {
      validateGroupName(name)
      const { stalledAfterMs } = options
      const stalled = stalledAfterMs === undefined ? {} : { stalledAfter: durationOf(stalledAfterMs) }
      const request = { group: name, ...stalled }
      const found = await caller.call(groupMethods.describeGroup, request, idempotent, options)
      return {
        name: found.group,
        assignment: ASSIGNMENTS[found.strategy],
        coordinatorNodeId: found.coordinatorNodeId,
        members: found.members.map(memberOf),
        partitions: found.partitions.map(partitionOf),
      }
    },
    async delete(name, settings) {
      validateGroupName(name)
      // An answer that was lost and a group that never was look the same when it is asked for again.
      await caller.call(groupMethods.deleteGroup, { group: name }, { idempotent: false }, settings)
    },
    async reset(name, options) {
      validateGroupName(name)
      validateTopicName(options.topic)
      const { topic, to, partitions = [], dryRun = false, force = false } = options
      const request = { group: name, topic, partitions, ...targetOf(to), dryRun, force }
      const { offsets } = await caller.call(groupMethods.resetGroupOffsets, request, idempotent, options)
      return offsets.map(({ partition, fromOffset, toOffset }) => ({
        topic,
        partition,
        fromOffset,
        toOffset,
      }))
    },
    async fetchOffsets(name, options = {}) {
      validateGroupName(name)
      const request = { group: name, partitions: options.partitions ?? [] }
      const { offsets } = await caller.call(groupMethods.fetchOffsets, request, idempotent, options)
      return offsets.map(offsetOf)
    },
  }
}

function targetOf(to: ReadFrom): Pick<ResetGroupOffsetsRequest, 'offset' | 'time' | 'position'> {
  if (to === 'beginning') return { position: 'START_POSITION_BEGINNING' }
  if (to === 'end') return { position: 'START_POSITION_END' }
  return 'offset' in to ? { offset: to.offset } : { time: timestampOf(to.time.getTime()) }
}

const dateOf = (time: GroupPartition['commitTime'] | undefined): Date | undefined =>
  time === null || time === undefined ? undefined : new Date(millisecondsOf(time))

function memberOf(member: GroupMember): GroupMemberDescription {
  const { memberId, isStatic, topics, manualPartitions, weight, sessionTimeout, clientAddress } = member
  const sessionTimeoutMs = sessionTimeout === null ? 0 : millisecondsOf(sessionTimeout)
  return { memberId, isStatic, topics, partitions: manualPartitions, weight, sessionTimeoutMs, clientAddress }
}

function partitionOf(found: GroupPartition): GroupPartitionDescription {
  const { topic, partition, state, ownerMemberId, committedOffset, lowOffset, highWatermark, lag } = found
  return {
    topic,
    partition,
    state: STATES[state],
    owner: ownerMemberId,
    committedOffset,
    lowOffset,
    highWatermark,
    lag,
    commitTime: dateOf(found.commitTime),
  }
}

function offsetOf(found: FetchedOffset): FetchedGroupOffset {
  const { topic, partition, committedOffset, lowOffset, highWatermark, error } = found
  return {
    topic,
    partition,
    committedOffset,
    lowOffset,
    highWatermark,
    commitTime: dateOf(found.commitTime),
    error: error === null || error === undefined ? undefined : errorOf(error),
  }
}
