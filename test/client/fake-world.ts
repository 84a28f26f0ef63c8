import type { Cancel, Clock, Random } from '../../src/env/index.ts'

interface Event {
  readonly atMs: number
  readonly order: number
  readonly run: () => void
}

/**
 * Time that passes only when something is due: events run one after the other by their time, and whatever promises
 * they settle runs in between. So nothing waits for real, and every run is the same.
 */
export class FakeClock implements Clock {
  /** Gets what an event throws, in place of the process. */
  onUncaught: ((error: unknown) => void) | undefined
  #nowMs = 0
  #order = 0
  #events: Event[] = []
  #running = false

  nowMs(): number {
    return this.#nowMs
  }
  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs
  }
  setTimer(delayMs: number, callback: () => void): Cancel {
    const event = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run: callback }
    this.#events.push(event)
    this.#start()
    return () => {
      this.#events = this.#events.filter((candidate) => candidate !== event)
    }
  }
  defer(callback: () => void): void {
    this.setTimer(0, callback)
  }

  #start(): void {
    if (this.#running) return
    this.#running = true
    setImmediate(() => this.#step())
  }
  #step(): void {
    this.#running = false
    const next = this.#events.reduce<Event | undefined>(
      (first, event) =>
        first === undefined ||
        event.atMs < first.atMs ||
        (event.atMs === first.atMs && event.order < first.order)
          ? event
          : first,
      undefined,
    )
    if (next === undefined) return
    this.#events = this.#events.filter((event) => event !== next)
    this.#nowMs = Math.max(this.#nowMs, next.atMs)
    if (this.#events.length > 0) this.#start()
    try {
      next.run()
    } catch (error) {
      if (this.onUncaught === undefined) throw error
      this.onUncaught(error)
    }
  }
}

/** Always the same numbers, in the order they are asked for. */
export function fakeRandom(): Random {
  let state = 1
  const next = (): number => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0)
  return {
    below: (bound) => next() % bound,
    bytes: (count) => Uint8Array.from({ length: count }, () => next() >>> 24),
  }
}

/** Resolves once `condition` holds, looking after every event of the clock. */
export async function until(clock: FakeClock, condition: () => boolean): Promise<void> {
  const deadlineMs = clock.nowMs() + 600_000
  while (!condition()) {
    if (clock.nowMs() > deadlineMs)
      throw new Error('the condition did not come true within ten minutes of fake time')
    await new Promise<void>((resolve) => clock.setTimer(1, resolve))
  }
}
