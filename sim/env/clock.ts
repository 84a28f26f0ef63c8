import type { RandomStream } from '../core/random.ts'
import type { Cancel, Clock } from '../../src/env/index.ts'
import type { Life } from './life.ts'
import type { Timeline } from './timeline.ts'

/** Virtual time zero by the wall clock: 2026-01-01T00:00:00Z. */
const EPOCH_MS = 1_767_225_600_000
/** As setTimeout. */
const LONGEST_DELAY_MS = 2 ** 31 - 1

/** The clocks of a machine: they outlive its processes. */
export class HostClock {
  readonly #timeline: Timeline
  #ppm = 0
  #wallOffsetMs = 0
  #anchorUs = 0
  #anchorLocalUs = 0

  constructor(timeline: Timeline) {
    this.#timeline = timeline
  }

  /** Microseconds that the machine has counted; runs faster or slower than true time, never back. */
  localUs(): number {
    return (
      this.#anchorLocalUs + ((this.#timeline.nowUs - this.#anchorUs) * (1_000_000 + this.#ppm)) / 1_000_000
    )
  }

  get wallOffsetMs(): number {
    return this.#wallOffsetMs
  }

  trueUs(localUs: number): number {
    return (localUs * 1_000_000) / (1_000_000 + this.#ppm)
  }

  /** From now on the clock gains so many microseconds a second. */
  drift(ppm: number): void {
    this.#anchorLocalUs = this.localUs()
    this.#anchorUs = this.#timeline.nowUs
    this.#ppm = ppm
  }

  /** Somebody sets the wall clock. */
  step(byMs: number): void {
    this.#wallOffsetMs += byMs
  }
}

/** The clock of one process. Timers come a little early or late, as they do with Node. */
export class SimClock implements Clock {
  readonly #life: Life
  readonly #host: HostClock
  readonly #random: RandomStream
  readonly #startUs: number

  constructor(life: Life, host: HostClock, random: RandomStream) {
    this.#life = life
    this.#host = host
    this.#random = random
    this.#startUs = host.localUs() - random.below(1_000_000)
  }

  nowMs(): number {
    return (this.#host.localUs() - this.#startUs) / 1000
  }

  wallMs(): number {
    return Math.floor(EPOCH_MS + this.#host.wallOffsetMs + this.#host.localUs() / 1000)
  }

  setTimer(delayMs: number, callback: () => void): Cancel {
    const wholeMs = Math.min(Math.max(delayMs, 1), LONGEST_DELAY_MS)
    // Node counts timers in whole milliseconds of its loop, so one may fire up to a millisecond before its time.
    const earlyUs = this.#random.below(900)
    const lateUs = this.#random.below(2000)
    return this.#life.after(Math.max(100, this.#host.trueUs(wholeMs * 1000) - earlyUs + lateUs), callback)
  }

  defer(callback: () => void): void {
    this.#life.after(1 + this.#random.below(40), callback)
  }
}
