import { type CallOptions, type Env, RpcError, type RpcMethod } from '../env/index.ts'
import { FlotillaError, fromRpcError } from '../wire/index.ts'
import { AbortError, throwIfAborted } from './abort.ts'
import { backoffDelayMs, sleep } from './backoff.ts'
import type { Connections } from './connections.ts'
import type { LayoutWatch } from './layout-watch.ts'
import type { CallSettings } from './types.ts'

/** A node that doesn't answer may take so much of the total time, then the next one is asked. */
const ATTEMPT_TIMEOUT_MS = 10_000

export interface CallPlan {
  /** Twice is as once: the call only reads, or carries a request id. */
  readonly idempotent: boolean
}

/**
 * Unary calls to any node, with retries under one total deadline. By what an error says of the call:
 * - it had no effect, and may succeed later: again, at the node that the error names or the next one;
 * - its outcome is unknown: again only if it is idempotent;
 * - refused: the error goes to the caller.
 */
export class Caller {
  readonly #env: Pick<Env, 'clock' | 'random'>
  readonly #connections: Connections
  readonly #watch: LayoutWatch
  readonly #timeoutMs: number
  /** Stays at a node while it answers. */
  #nodeNumber = 0

  constructor(
    env: Pick<Env, 'clock' | 'random'>,
    connections: Connections,
    watch: LayoutWatch,
    timeoutMs: number,
  ) {
    this.#env = env
    this.#connections = connections
    this.#watch = watch
    this.#timeoutMs = timeoutMs
  }

  async call<Q, R>(
    method: RpcMethod<Q, R, 'unary'>,
    request: Q,
    plan: CallPlan,
    settings: CallSettings = {},
  ): Promise<R> {
    const { clock, random } = this.#env
    const { signal } = settings
    const deadlineMs = clock.nowMs() + (settings.timeoutMs ?? this.#timeoutMs)
    let namedLeader: string | undefined
    for (let attempt = 1; ; attempt++) {
      throwIfAborted(signal)
      const addresses = this.#watch.addresses()
      const address = namedLeader ?? addresses[this.#nodeNumber % addresses.length]!
      const attemptDeadlineMs = plan.idempotent
        ? Math.min(deadlineMs, clock.nowMs() + ATTEMPT_TIMEOUT_MS)
        : deadlineMs
      const outcome = await this.#attempt(address, method, request, withSignal(attemptDeadlineMs, signal))
      if (!(outcome instanceof FlotillaError)) return outcome.response
      const mayRepeat = outcome.retryable && (outcome.effect === 'none' || plan.idempotent)
      if (!mayRepeat) throw outcome
      if (outcome.leader === undefined || outcome.leader.address === address) this.#nodeNumber++
      namedLeader = outcome.leader?.address === address ? undefined : outcome.leader?.address
      // Two nodes that name each other must not be asked in turn without a pause.
      const atOnce = namedLeader !== undefined && attempt <= 2
      const delayMs = atOnce ? 0 : backoffDelayMs(attempt, random, outcome.retryDelayMs)
      if (clock.nowMs() + delayMs >= deadlineMs) throw outcome
      await sleep(clock, delayMs, signal)
    }
  }

  async #attempt<Q, R>(
    address: string,
    method: RpcMethod<Q, R, 'unary'>,
    request: Q,
    options: CallOptions,
  ): Promise<{ readonly response: R } | FlotillaError> {
    try {
      return { response: await this.#connections.to(address).unary(method, request, options) }
    } catch (error) {
      if (options.signal?.aborted === true) throw new AbortError(options.signal.reason)
      if (!(error instanceof RpcError)) throw error
      return fromRpcError(error)
    }
  }
}

const withSignal = (deadlineMs: number, signal: AbortSignal | undefined): CallOptions =>
  signal === undefined ? { deadlineMs } : { deadlineMs, signal }
