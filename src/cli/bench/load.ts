import type { CliContext } from '../context.ts'
import { LatencyHistogram, type LatencySummary } from './latency.ts'
import { Pacer } from './pacer.ts'

/** What takes the records of a load. */
export interface LoadTarget {
  /** Sends record `number`, counted from 0. `settled` is called exactly once, perhaps at once. */
  append(number: number, intendedMs: number, settled: (error: unknown) => void): void
}

export interface LoadSettings {
  /** The most records without an answer at once. */
  readonly inFlight: number
  /** The same until `endWarmup`. Default: `inFlight`. */
  readonly warmupInFlight?: number
  /** Open loop: records become due at this rate, whatever the answers do. Undefined: as soon as there is room. */
  readonly ratePerSecond: number | undefined
}

/** What was seen between the opening and the closing of a window. */
export interface LoadResult {
  readonly seconds: number
  /** Acknowledged within the window. */
  readonly acknowledged: number
  /** Failed since the load began, before the window and after it too, or without an answer at the end. */
  readonly errors: number
  readonly firstError: string | undefined
  /** Of the records that were meant to leave within the window, from that time on. */
  readonly latency: LatencySummary | undefined
  /** How late they left: the part of the latency that lies in this process. Undefined in a closed loop. */
  readonly sendDelay: LatencySummary | undefined
}

type Clock = Pick<CliContext, 'nowMs' | 'sleep'>

/** Slots whose records failed are used again after this, so that a node that is down isn't asked without pause. */
const pauseAfterErrorMs = 100
const tickMs = 1
/**
 * After so many records the event loop has a turn, as in any program whose records come from somewhere. Else all the
 * records of an acknowledged batch were made before the first of them left, and nothing was done beside anything else.
 */
const mostAtOnce = 512

/** Keeps a target under load from `start` to `stop`, and measures in between. */
export class Load {
  readonly #clock: Clock
  readonly #settings: LoadSettings
  readonly #target: LoadTarget
  readonly #stopped = new AbortController()
  /** The same, without a look at the signal for each record. */
  #isStopped = false
  #pacer: Pacer | undefined
  #sent = 0
  #unanswered = 0
  #inFlight: number
  /** Slots that rest after an error. */
  #resting = 0
  #sending = false
  #sentAtOnce = 0
  #yielding = false
  #errors = 0
  #firstError: unknown
  #latency = new LatencyHistogram()
  #sendDelay = new LatencyHistogram()
  #acknowledged = 0
  #windowStartMs = Infinity
  #windowEndMs = Infinity
  #onDrained: (() => void) | undefined

  constructor(clock: Clock, settings: LoadSettings, target: LoadTarget) {
    this.#clock = clock
    this.#settings = settings
    this.#inFlight = settings.warmupInFlight ?? settings.inFlight
    this.#target = target
  }

  get acknowledgedInWindow(): number {
    return this.#acknowledged
  }

  /** Records that were due by now and have no answer yet; 0 in a closed loop, where none is ever due. */
  get overdue(): number {
    const answered = this.#sent - this.#unanswered
    return this.#pacer === undefined ? 0 : this.#pacer.dueCount(this.#clock.nowMs()) - answered
  }

  start(): void {
    const { ratePerSecond } = this.#settings
    if (ratePerSecond === undefined) {
      this.#send()
      return
    }
    this.#pacer = new Pacer(ratePerSecond, this.#clock.nowMs())
    void this.#keepPace()
  }

  endWarmup(): void {
    this.#inFlight = this.#settings.inFlight
  }

  openWindow(): void {
    this.#windowStartMs = this.#clock.nowMs()
  }

  closeWindow(): void {
    this.#windowEndMs = this.#clock.nowMs()
  }

  /** Sends nothing more; resolves when all is answered, or after `patienceMs`. */
  async stop(patienceMs: number): Promise<void> {
    this.#isStopped = true
    this.#stopped.abort()
    if (this.#unanswered === 0) return
    const drained = new AbortController()
    this.#onDrained = () => drained.abort()
    await this.#clock.sleep(patienceMs, drained.signal)
  }

  result(): LoadResult {
    const { message } = asError(this.#firstError)
    return {
      seconds: (this.#windowEndMs - this.#windowStartMs) / 1000,
      acknowledged: this.#acknowledged,
      errors: this.#errors + this.#unanswered,
      firstError: this.#errors > 0 ? message : this.#unanswered > 0 ? 'no answer came' : undefined,
      latency: this.#latency.summary(),
      sendDelay: this.#sendDelay.summary(),
    }
  }

  async #keepPace(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      this.#send()
      await this.#clock.sleep(tickMs, this.#stopped.signal)
    }
  }

  /** Sends what is due as far as there is room. */
  #send(): void {
    // A target that answers at once comes back here.
    if (this.#sending) return
    this.#sending = true
    try {
      while (!this.#isStopped && !this.#yielding && this.#hasRoom()) {
        const nowMs = this.#clock.nowMs()
        if (this.#pacer !== undefined && this.#sent >= this.#pacer.dueCount(nowMs)) break
        this.#sendOne(nowMs)
        if (++this.#sentAtOnce === mostAtOnce) this.#yield()
      }
    } finally {
      this.#sending = false
    }
  }

  #yield(): void {
    this.#sentAtOnce = 0
    this.#yielding = true
    void this.#clock.sleep(0, this.#stopped.signal).then(() => {
      this.#yielding = false
      this.#send()
    })
  }

  #hasRoom(): boolean {
    return this.#unanswered + this.#resting < this.#inFlight
  }

  #sendOne(nowMs: number): void {
    const number = this.#sent++
    const intendedMs = this.#pacer?.intendedMs(number) ?? nowMs
    this.#unanswered++
    if (this.#pacer !== undefined && this.#isInWindow(intendedMs)) this.#sendDelay.record(nowMs - intendedMs)
    this.#target.append(number, intendedMs, (error) => this.#settle(intendedMs, error))
  }

  #settle(intendedMs: number, error: unknown): void {
    const nowMs = this.#clock.nowMs()
    this.#unanswered--
    if (error === undefined) {
      if (this.#isInWindow(intendedMs)) this.#latency.record(nowMs - intendedMs)
      if (this.#isInWindow(nowMs)) this.#acknowledged++
      this.#send()
    } else {
      this.#firstError ??= error
      this.#errors++
      this.#rest()
    }
    if (this.#unanswered === 0 && this.#isStopped) this.#onDrained?.()
  }

  #isInWindow(ms: number): boolean {
    return ms >= this.#windowStartMs && ms < this.#windowEndMs
  }

  #rest(): void {
    this.#resting++
    // One timer for all that fail meanwhile.
    if (this.#resting > 1) return
    void this.#clock.sleep(pauseAfterErrorMs, this.#stopped.signal).then(() => {
      this.#resting = 0
      this.#send()
    })
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}
