import {
  errorOf,
  FlotillaError,
  GROUP_LIMITS,
  type CommitResult,
  type ConsumeCommit,
  type ErrorReason,
} from '../../wire/index.ts'
import type { HeldPartition } from './held-partition.ts'

/** A commit that failed and may succeed is asked for again after this. */
const RETRY_MS = 200

/** One partition's part of a commit. */
interface Item {
  readonly held: HeldPartition
  readonly offset: number
  readonly request: CommitRequest
  wasSent: boolean
  isSettled: boolean
}

/** What was asked for at once, settled when each part is. */
export interface CommitRequest {
  /** undefined: nobody waits for it, so it isn't given up either. */
  readonly onSettled: ((error: Error | undefined) => void) | undefined
  readonly deadlineMs: number
  left: number
  error: Error | undefined
}

/** What came of a part of a commit that nobody waits for. */
export interface UnwatchedFailure {
  readonly held: HeldPartition
  readonly error: FlotillaError
}

/** The member doesn't have the partition any more. */
const GONE: ReadonlySet<ErrorReason> = new Set([
  'STALE_GROUP_EPOCH',
  'PARTITION_NOT_OWNED',
  'UNKNOWN_TOPIC',
  'UNKNOWN_PARTITION',
  'UNKNOWN_GROUP',
])
export const meansGone = ({ reason }: FlotillaError): boolean => GONE.has(reason)

/**
 * Commits from asking to answer, over all the streams that it takes: one that was under way when a stream broke is asked
 * for again on the next, as a commit of what is committed does no harm. Pure.
 */
export class Commits {
  #unsent: Item[] = []
  readonly #underWay = new Map<number, Item[]>()
  #nextCorrelationId = 1
  #retryAtMs = 0

  /** When the first one is given up that somebody waits for, on Clock.nowMs. */
  get deadlineMs(): number {
    return Math.min(Infinity, ...this.#items().map(({ request }) => request.deadlineMs))
  }

  /** When what failed for now is to be sent again. */
  get retryMs(): number {
    return this.#unsent.some(({ held }) => held.isConfirmed) ? this.#retryAtMs : Infinity
  }

  concerns(held: HeldPartition): boolean {
    return this.#items().some((item) => item.held === held)
  }

  add(
    positions: readonly { readonly held: HeldPartition; readonly offset: number }[],
    deadlineMs: number,
    onSettled: CommitRequest['onSettled'],
  ): void {
    const request: CommitRequest = { onSettled, deadlineMs, left: positions.length, error: undefined }
    if (positions.length === 0) return onSettled?.(undefined)
    for (const { held, offset } of positions) {
      held.committing = Math.max(held.committing, offset)
      this.#unsent.push({ held, offset, request, wasSent: false, isSettled: false })
    }
    // What was just asked for doesn't wait for what is to be tried again.
    this.#retryAtMs = 0
  }

  /** The messages that are due; none for partitions of which this stream hasn't said yet that they are the member's. */
  toSend(nowMs: number): ConsumeCommit[] {
    if (this.#unsent.length === 0 || nowMs < this.#retryAtMs) return []
    const ready = this.#unsent.filter(({ held }) => held.isConfirmed)
    if (ready.length === 0) return []
    this.#unsent = this.#unsent.filter(({ held }) => !held.isConfirmed)
    const messages: ConsumeCommit[] = []
    for (let at = 0; at < ready.length; at += GROUP_LIMITS.maxPositions) {
      const items = ready.slice(at, at + GROUP_LIMITS.maxPositions)
      const correlationId = this.#nextCorrelationId++
      for (const item of items) item.wasSent = true
      this.#underWay.set(correlationId, items)
      messages.push({ correlationId, positions: items.map(({ held, offset }) => held.positionAt(offset)) })
    }
    return messages
  }

  /** A commit of nothing, of which the answer shows that the node is alive. */
  probe(): ConsumeCommit {
    return { correlationId: this.#nextCorrelationId++, positions: [] }
  }

  /** Tells of failures that nobody waits for. */
  answered(correlationId: number, results: readonly CommitResult[], nowMs: number): UnwatchedFailure[] {
    const items = this.#underWay.get(correlationId)
    // The answer to a probe.
    if (items === undefined) return []
    this.#underWay.delete(correlationId)
    return items.flatMap((item, at) => {
      if (item.isSettled) return []
      const result = results[at]
      const error = failureOf(result)
      if (error?.retryable === true) {
        this.#unsent.push(item)
        this.#retryAtMs = nowMs + Math.max(RETRY_MS, error.retryDelayMs ?? 0)
        return []
      }
      if (result?.committedOffset !== undefined) item.held.committedTo(result.committedOffset)
      this.#settle(item, error)
      return error === undefined || item.request.onSettled !== undefined ? [] : [{ held: item.held, error }]
    })
  }

  /** The stream is gone: what had no answer is asked for again. */
  lostStream(): void {
    this.#unsent = this.#items()
    this.#underWay.clear()
  }

  /** All parts for these partitions fail. */
  lost(partitions: ReadonlySet<HeldPartition>, error: Error): void {
    this.#takeOut(({ held }) => partitions.has(held), error)
  }

  fail(error: Error): void {
    this.#takeOut(() => true, error)
  }

  /** Gives up what somebody has waited for until its deadline. */
  expire(nowMs: number): void {
    for (const item of this.#items()) {
      const { deadlineMs } = item.request
      if (nowMs < deadlineMs) continue
      const { topic, partition } = item.held
      const what = `the commit of offset ${item.offset} of partition ${partition} of topic ${topic}`
      const failure = item.wasSent
        ? new FlotillaError('UNKNOWN_OUTCOME', `${what} was given no answer in time`)
        : new FlotillaError('UNREACHABLE', `${what} could not be sent in time`)
      this.#takeOut((each) => each === item, failure)
    }
  }

  #items(): Item[] {
    return [...this.#unsent, ...[...this.#underWay.values()].flat()].filter(({ isSettled }) => !isSettled)
  }

  #takeOut(isMeant: (item: Item) => boolean, error: Error): void {
    for (const item of this.#items()) if (isMeant(item)) this.#settle(item, error)
    this.#unsent = this.#unsent.filter(({ isSettled }) => !isSettled)
  }

  #settle(item: Item, error: Error | undefined): void {
    const { held, request } = item
    item.isSettled = true
    // What the loop has come past is committed again with the next commit.
    if (error !== undefined) held.committing = held.committed
    request.left--
    request.error ??= error
    if (request.left === 0) request.onSettled?.(request.error)
  }
}

function failureOf(result: CommitResult | undefined): FlotillaError | undefined {
  if (result === undefined) return new FlotillaError('INTERNAL', 'a commit was answered without a result')
  return result.error === undefined || result.error === null ? undefined : errorOf(result.error)
}
