import { assert } from './assert.ts'
import {
  asDigest,
  asLogIndex,
  asTerm,
  type Bootstrap,
  type Configuration,
  type NodeId,
  type RaftConfig,
} from './types.ts'

/** Stands after the shortest timeout. */
export const HIGHEST_PRIORITY = 3

const KIB = 1024
const MIB = 1024 * KIB

export function defaultRaftConfig(id: NodeId): RaftConfig {
  return {
    id,
    life: 0,
    electionTicks: 10,
    heartbeatTicks: 2,
    maxAppendBytes: MIB,
    maxInflightMessages: 64,
    maxInflightBytes: 16 * MIB,
    catchUpBytes: 8 * MIB,
    maxUncommittedBytes: 64 * MIB,
    commitEntries: 1,
    windowBytes: 4 * MIB,
    maxSnapshotChunkBytes: MIB,
    maxSnapshotBytesPerTick: 4 * MIB,
    maxSnapshotBytes: 1024 * MIB,
    leaseClockDriftPercent: undefined,
    leaderPriority: HIGHEST_PRIORITY,
    stalledDiskTicks: 40,
  }
}

/**
 * How long a lease holds, in the leader's ticks. A follower keeps to its leader for electionTicks of its own ticks, the
 * first of which may come right after the heartbeat, and its clock may be the faster one.
 */
export function leaseTicksOf({ electionTicks, leaseClockDriftPercent = 0 }: RaftConfig): number {
  return Math.floor(((electionTicks - 1) * 100) / (100 + leaseClockDriftPercent))
}

/** Throws AssertionError with the value and the rule. */
export function checkRaftConfig(config: RaftConfig): void {
  const { id, life, leaseClockDriftPercent, leaderPriority, ...numbers } = config
  assert(id.length > 0, 'raft.config-id', () => 'id must not be empty')
  assert(Number.isSafeInteger(life) && life >= 0, 'raft.config-life', () => `life is ${life}`)
  for (const [name, value] of Object.entries(numbers)) {
    assert(
      Number.isSafeInteger(value) && value >= 1,
      'raft.config-number',
      () => `${name} is ${value}, must be an integer from 1`,
    )
  }
  assert(
    Number.isSafeInteger(leaderPriority) && leaderPriority >= 0 && leaderPriority <= HIGHEST_PRIORITY,
    'raft.config-priority',
    () => `leaderPriority is ${leaderPriority}, must be an integer from 0 to ${HIGHEST_PRIORITY}`,
  )
  assert(
    leaseClockDriftPercent === undefined ||
      (Number.isSafeInteger(leaseClockDriftPercent) &&
        leaseClockDriftPercent >= 0 &&
        leaseTicksOf(config) >= 1),
    'raft.config-lease',
    () =>
      `leaseClockDriftPercent is ${leaseClockDriftPercent}, which leaves no lease of ${config.electionTicks} ticks`,
  )
  assert(
    config.heartbeatTicks < config.electionTicks,
    'raft.config-heartbeat',
    () => `heartbeatTicks ${config.heartbeatTicks} must be below electionTicks ${config.electionTicks}`,
  )
}

/**
 * What a replica begins with that joins a group which others run: it knows nobody, so it neither stands nor decides, and
 * takes appends or a snapshot from whoever leads. Those bring it the configuration that names it.
 */
export function joiningBootstrap(): Bootstrap {
  return emptyBootstrap({ voters: [], votersOutgoing: [], learners: [] })
}

/** What the first start of a new group's replica begins with: nothing but who takes part. */
export function emptyBootstrap(configuration: Configuration): Bootstrap {
  const origin = { index: asLogIndex(0), term: asTerm(0), digest: asDigest(0n) }
  return {
    hardState: { term: asTerm(0), votedFor: undefined, commit: asLogIndex(0) },
    lowEnd: { ...origin, configuration },
    last: origin,
    termRuns: [],
    applied: asLogIndex(0),
    tail: [],
    configuration,
  }
}
