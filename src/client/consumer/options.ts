import {
  durationOf,
  FlotillaError,
  GROUP_LIMITS,
  validateGroupName,
  validateMemberId,
  validateTopicName,
  type ConsumeCredit,
  type ConsumeStart,
  type ConsumeSubscribe,
  type OutOfRangeName,
  type StartPositionName,
  type StrategyName,
} from '../../wire/index.ts'
import type { ConsumeOptions } from '../types.ts'

const MAX_COMMIT_INTERVAL_MS = 24 * 60 * 60 * 1000
/** The longest delay that a timer of Node.js takes. */
const MAX_HANDLING_MS = 2 ** 31 - 1

const STRATEGIES: Record<NonNullable<ConsumeOptions['assignment']>, StrategyName> = {
  balanced: 'ASSIGNMENT_STRATEGY_BALANCED',
  range: 'ASSIGNMENT_STRATEGY_RANGE',
  'round-robin': 'ASSIGNMENT_STRATEGY_ROUND_ROBIN',
}
const STARTS: Record<NonNullable<ConsumeOptions['from']>, StartPositionName> = {
  beginning: 'START_POSITION_BEGINNING',
  end: 'START_POSITION_END',
}
const POLICIES: Record<NonNullable<ConsumeOptions['whenOutOfRange']>, OutOfRangeName> = {
  fail: 'OUT_OF_RANGE_POLICY_FAIL',
  earliest: 'OUT_OF_RANGE_POLICY_EARLIEST',
  latest: 'OUT_OF_RANGE_POLICY_LATEST',
}

/** What decides how a member behaves on the client's side, with every default filled in. */
export interface MemberOptions {
  readonly isStatic: boolean
  readonly commit: NonNullable<ConsumeOptions['commit']>
  readonly commitIntervalMs: number
  readonly sessionTimeoutMs: number
  readonly maxHandlingMs: number
  readonly credit: ConsumeCredit
  /** Where the group's offset may be out of range without an error, records may be missing between two messages. */
  readonly mayJump: boolean
  /** What `start` says each time; who the member is comes to it. */
  readonly start: Omit<ConsumeStart, 'incarnation' | 'credit'>
}

/** Throws INVALID_ARGUMENT or INVALID_NAME, so that a wrong option is told before anything is sent. */
export function memberOptionsOf(options: ConsumeOptions): MemberOptions {
  validateGroupName(options.group)
  if (options.memberId !== undefined) validateMemberId(options.memberId)
  const { minSessionTimeoutMs, maxSessionTimeoutMs, defaultSessionTimeoutMs } = GROUP_LIMITS
  const { defaultRevokeTimeoutMs, maxRevokeTimeoutMs } = GROUP_LIMITS
  const session = within(minSessionTimeoutMs, maxSessionTimeoutMs, defaultSessionTimeoutMs)
  const revoke = within(0, maxRevokeTimeoutMs, defaultRevokeTimeoutMs)
  const sessionTimeoutMs = session('sessionTimeoutMs', options.sessionTimeoutMs)
  const revokeTimeoutMs = revoke('revokeTimeoutMs', options.revokeTimeoutMs)
  const { maxCreditRecords, maxCreditBytes } = GROUP_LIMITS
  return {
    isStatic: options.memberId !== undefined,
    commit: oneOf('commit', ['auto', 'manual', 'before'], options.commit ?? 'auto'),
    commitIntervalMs: within(1, MAX_COMMIT_INTERVAL_MS, 1000)('commitIntervalMs', options.commitIntervalMs),
    sessionTimeoutMs,
    maxHandlingMs: within(1, MAX_HANDLING_MS, 300_000)('maxHandlingMs', options.maxHandlingMs),
    credit: {
      records: within(1, maxCreditRecords, 100_000)('maxWaitingRecords', options.maxWaitingRecords),
      bytes: within(1, maxCreditBytes, 16 * 1024 * 1024)('maxWaitingBytes', options.maxWaitingBytes),
    },
    mayJump: (options.whenOutOfRange ?? 'fail') !== 'fail',
    start: {
      group: options.group,
      ...subscriptionOf(options),
      ...(options.memberId !== undefined && { memberId: options.memberId }),
      sessionTimeout: durationOf(sessionTimeoutMs),
      revokeTimeout: durationOf(revokeTimeoutMs),
      strategy: named('assignment', STRATEGIES, options.assignment ?? 'balanced'),
      weight: within(1, GROUP_LIMITS.maxWeight, 1)('weight', options.weight),
      from: named('from', STARTS, options.from ?? 'beginning'),
      outOfRange: named('whenOutOfRange', POLICIES, options.whenOutOfRange ?? 'fail'),
      fetch: fetchOf(options.fetch),
    },
  }
}

/** Throws INVALID_ARGUMENT or INVALID_NAME. */
export function subscriptionOf({
  topics = [],
  partitions = [],
}: Pick<ConsumeOptions, 'topics' | 'partitions'>): Required<ConsumeSubscribe> {
  const count = topics.length + partitions.length
  if (count === 0) {
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      'topics and partitions are both empty; a member of a group needs at least one topic or partition',
    )
  }
  if (count > GROUP_LIMITS.maxTopicsPerMember) {
    const message = `${count} topics and partitions are named, the limit is ${GROUP_LIMITS.maxTopicsPerMember}`
    throw new FlotillaError('INVALID_ARGUMENT', message)
  }
  for (const topic of topics) validateTopicName(topic)
  for (const { topic, partition } of partitions) {
    validateTopicName(topic)
    if (!Number.isSafeInteger(partition) || partition < 0) {
      const message = `partition ${partition} of topic ${topic} is no whole number from 0 on`
      throw new FlotillaError('INVALID_ARGUMENT', message)
    }
  }
  return { topics: [...topics], partitions: partitions.map(({ topic, partition }) => ({ topic, partition })) }
}

function fetchOf(fetch: ConsumeOptions['fetch'] = {}): NonNullable<ConsumeStart['fetch']> {
  const { defaultFetch, maxCreditBytes, maxCreditRecords, maxFetchWaitMs } = GROUP_LIMITS
  const { minBytes, maxBytes, maxWaitMs, maxRecords } = defaultFetch
  return {
    minBytes: within(0, maxCreditBytes, minBytes)('fetch.minBytes', fetch.minBytes),
    maxBytes: within(1, maxCreditBytes, maxBytes)('fetch.maxBytes', fetch.maxBytes),
    maxWait: durationOf(within(0, maxFetchWaitMs, maxWaitMs)('fetch.maxWaitMs', fetch.maxWaitMs)),
    maxRecords: within(1, maxCreditRecords, maxRecords)('fetch.maxRecords', fetch.maxRecords),
  }
}

const within =
  (min: number, max: number, otherwise: number) =>
  (name: string, value: number | undefined): number => {
    if (value === undefined) return otherwise
    if (Number.isSafeInteger(value) && value >= min && value <= max) return value
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `${name} is ${value}; it has to be a whole number from ${min} to ${max}`,
    )
  }

/** Callers without types may pass any text. */
function oneOf<T extends string>(name: string, choices: readonly T[], value: T): T {
  if (choices.includes(value)) return value
  const message = `${name} is ${JSON.stringify(value)}; it has to be one of ${choices.join(', ')}`
  throw new FlotillaError('INVALID_ARGUMENT', message)
}

function named<T extends string, V>(name: string, values: Readonly<Record<T, V>>, value: T): V {
  return values[oneOf(name, Object.keys(values) as T[], value)]
}
