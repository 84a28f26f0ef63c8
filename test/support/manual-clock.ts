import type { Cancel, Clock } from '../../src/env/index.ts'

interface Timer {
  readonly atMs: number
  readonly callback: () => void
}

/** A clock that goes only as far as a test moves it. */
export class ManualClock implements Clock {
  /** Added to the monotonic time; a test changes it to step the wall clock. */
  wallOffsetMs = 1_700_000_000_000
  #nowMs = 0
  readonly #timers = new Set<Timer>()
  #deferred: (() => void)[] = []

  nowMs(): number {
    return this.#nowMs
  }

  wallMs(): number {
    return this.#nowMs + this.wallOffsetMs
  }

  setTimer(delayMs: number, callback: () => void): Cancel {
    const timer = { atMs: this.#nowMs + delayMs, callback }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  defer(callback: () => void): void {
    this.#deferred.push(callback)
  }

  /** Timers that wait: what a test for leaks looks at. */
  get timerCount(): number {
    return this.#timers.size
  }

  /** Runs what was deferred, and what that defers, until nothing is left. */
  runDeferred(): void {
    for (let round = 0; this.#deferred.length > 0; round++) {
      if (round === 1000) throw new Error('what is deferred defers itself again without end')
      const callbacks = this.#deferred
      this.#deferred = []
      for (const callback of callbacks) callback()
    }
  }

  /** Moves time on and calls the timers that are due, in their order. */
  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs
    for (;;) {
      const due = [...this.#timers].filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)
      const [next] = due
      if (next === undefined) break
      this.#timers.delete(next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.callback()
      this.runDeferred()
    }
    this.#nowMs = untilMs
  }
}

/** Lets promises that are settled already call what waits for them; no timer, no I/O. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve()
}
