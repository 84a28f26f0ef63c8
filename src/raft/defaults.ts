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
    maxUncommittedBytes: 64 * MIB,
    windowBytes: 4 * MIB,
    stalledDiskTicks: 40,
  }
}

/** Throws AssertionError with the value and the rule. */
export function checkRaftConfig(config: RaftConfig): void {
  const { id, life, ...numbers } = config
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
