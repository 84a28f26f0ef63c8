import {
  FlotillaError,
  GROUP_LIMITS,
  millisecondsOf,
  validateGroupName,
  validateMemberId,
  type ConsumeCredit,
  type ConsumeStart,
  type ConsumeSubscribe,
  type DurationMessage,
  type OutOfRangeName,
  type StartPositionName,
  type StrategyName,
} from '../../wire/index.ts'
import type { FetchOptions } from './partition-feed.ts'
import { partitionKey, type Strategy, type Subscription } from './types.ts'

/** A `start` that was found well-formed, with every default filled in. */
export interface CheckedStart {
  readonly group: string
  readonly subscription: Subscription
  readonly memberId: string | undefined
  readonly incarnation: number | undefined
  readonly sessionTimeoutMs: number
  readonly revokeTimeoutMs: number
  readonly strategy: Strategy
  readonly weight: number
  readonly from: 'beginning' | 'end'
  readonly outOfRange: 'fail' | 'earliest' | 'latest'
  readonly fetch: FetchOptions
  readonly credit: ConsumeCredit | undefined
}

/** Throws INVALID_ARGUMENT or INVALID_NAME. */
export function checkStart(start: ConsumeStart): CheckedStart {
  validateGroupName(start.group)
  if (start.memberId !== undefined) validateMemberId(start.memberId)
  if (start.incarnation !== undefined && start.memberId === undefined) {
    throw invalid('incarnation', start.incarnation, 'sent with the member_id that it belongs to')
  }
  const { minSessionTimeoutMs, maxSessionTimeoutMs, defaultSessionTimeoutMs } = GROUP_LIMITS
  return {
    group: start.group,
    subscription: subscriptionOf(start),
    memberId: start.memberId,
    incarnation: start.incarnation,
    sessionTimeoutMs: duration(
      'session_timeout',
      start.sessionTimeout,
      minSessionTimeoutMs,
      maxSessionTimeoutMs,
      defaultSessionTimeoutMs,
    ),
    revokeTimeoutMs: duration(
      'revoke_timeout',
      start.revokeTimeout,
      0,
      GROUP_LIMITS.maxRevokeTimeoutMs,
      GROUP_LIMITS.defaultRevokeTimeoutMs,
    ),
    strategy: strategyOf(start.strategy ?? 'ASSIGNMENT_STRATEGY_UNSPECIFIED'),
    weight: whole('weight', start.weight, 1, GROUP_LIMITS.maxWeight, 1),
    from: fromOf(start.from ?? 'START_POSITION_UNSPECIFIED'),
    outOfRange: policyOf(start.outOfRange ?? 'OUT_OF_RANGE_POLICY_UNSPECIFIED'),
    fetch: fetchOf(start),
    credit: start.credit === undefined || start.credit === null ? undefined : checkCredit(start.credit),
  }
}

/** Sorted and without repeats, so that equal wishes are equal. */
export function subscriptionOf({ topics = [], partitions = [] }: ConsumeSubscribe): Subscription {
  if (topics.length === 0 && partitions.length === 0) {
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      'topics and partitions are both empty, but a member needs at least one',
    )
  }
  const named = new Map(
    partitions.map(({ topic, partition }) => [partitionKey({ topic, partition }), { topic, partition }]),
  )
  return { topics: [...new Set(topics)].toSorted(), partitions: [...named.values()] }
}

export function checkCredit({ records, bytes }: ConsumeCredit): ConsumeCredit {
  const { maxCreditRecords, maxCreditBytes } = GROUP_LIMITS
  if (records < 1 || records > maxCreditRecords)
    throw invalid('credit.records', records, `1 to ${maxCreditRecords}`)
  if (bytes < 1 || bytes > maxCreditBytes) throw invalid('credit.bytes', bytes, `1 to ${maxCreditBytes}`)
  return { records, bytes }
}

function fetchOf({ fetch }: ConsumeStart): FetchOptions {
  const { minBytes, maxBytes, maxWaitMs, maxRecords } = GROUP_LIMITS.defaultFetch
  const { maxCreditBytes, maxCreditRecords, maxFetchWaitMs } = GROUP_LIMITS
  return {
    minBytes: whole('fetch.min_bytes', fetch?.minBytes, 0, maxCreditBytes, minBytes),
    maxBytes: whole('fetch.max_bytes', fetch?.maxBytes, 1, maxCreditBytes, maxBytes),
    maxWaitMs: duration('fetch.max_wait', fetch?.maxWait, 0, maxFetchWaitMs, maxWaitMs),
    maxRecords: whole('fetch.max_records', fetch?.maxRecords, 1, maxCreditRecords, maxRecords),
  }
}

export function strategyOf(name: StrategyName): Strategy {
  switch (name) {
    case 'ASSIGNMENT_STRATEGY_UNSPECIFIED':
    case 'ASSIGNMENT_STRATEGY_BALANCED':
      return 'balanced'
    case 'ASSIGNMENT_STRATEGY_RANGE':
      return 'range'
    case 'ASSIGNMENT_STRATEGY_ROUND_ROBIN':
      return 'round-robin'
  }
}

export function strategyName(strategy: Strategy): StrategyName {
  switch (strategy) {
    case 'balanced':
      return 'ASSIGNMENT_STRATEGY_BALANCED'
    case 'range':
      return 'ASSIGNMENT_STRATEGY_RANGE'
    case 'round-robin':
      return 'ASSIGNMENT_STRATEGY_ROUND_ROBIN'
  }
}

function fromOf(name: StartPositionName): CheckedStart['from'] {
  switch (name) {
    case 'START_POSITION_UNSPECIFIED':
    case 'START_POSITION_BEGINNING':
      return 'beginning'
    case 'START_POSITION_END':
      return 'end'
  }
}

function policyOf(name: OutOfRangeName): CheckedStart['outOfRange'] {
  switch (name) {
    case 'OUT_OF_RANGE_POLICY_UNSPECIFIED':
    case 'OUT_OF_RANGE_POLICY_FAIL':
      return 'fail'
    case 'OUT_OF_RANGE_POLICY_EARLIEST':
      return 'earliest'
    case 'OUT_OF_RANGE_POLICY_LATEST':
      return 'latest'
  }
}

function duration(
  field: string,
  value: DurationMessage | null | undefined,
  minMs: number,
  maxMs: number,
  defaultMs: number,
): number {
  if (value === undefined || value === null) return defaultMs
  const ms = millisecondsOf(value)
  if (ms < minMs || ms > maxMs) throw invalid(field, `${ms} ms`, `${minMs} to ${maxMs} ms`)
  return ms
}

function whole(
  field: string,
  value: number | undefined,
  min: number,
  max: number,
  otherwise: number,
): number {
  if (value === undefined) return otherwise
  if (value < min || value > max) throw invalid(field, value, `${min} to ${max}`)
  return value
}

function invalid(field: string, value: number | string, rule: string): FlotillaError {
  return new FlotillaError('INVALID_ARGUMENT', `${field} is ${value}, but has to be ${rule}`)
}
