import type { Cancel, Timeline } from './timeline.ts'

/**
 * One process from its start to its end. All that it waits for is an event of its own; when it ends they are forgotten,
 * so its promises never settle and nothing of it runs again.
 */
export class Life {
  /** For traces: "n1#2" is the second life of node n1. */
  readonly name: string
  /** Where it runs; its connections begin and end here. */
  readonly host: string
  readonly #timeline: Timeline
  #isAlive = true
  #pausedUntilUs = 0

  constructor(timeline: Timeline, name: string, host: string) {
    this.#timeline = timeline
    this.name = name
    this.host = host
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  /** Until then the process is stopped (SIGSTOP, a virtual machine that moves, a garbage collection). */
  get pausedUntilUs(): number {
    return this.#pausedUntilUs
  }

  after(delayUs: number, run: () => void): Cancel {
    return this.#timeline.after(delayUs, run, this)
  }

  pauseUntil(timeUs: number): void {
    this.#pausedUntilUs = Math.max(this.#pausedUntilUs, timeUs)
  }

  end(): void {
    this.#isAlive = false
  }
}
