/**
 * When each record of a fixed rate is due. What leaves late keeps the time at which it was due, and latency counts from
 * there, so that a stall shows in every record that it held up (no coordinated omission). Pure.
 */
export class Pacer {
  readonly #ratePerSecond: number
  readonly #startMs: number

  constructor(ratePerSecond: number, startMs: number) {
    this.#ratePerSecond = ratePerSecond
    this.#startMs = startMs
  }

  /** When record `number`, counted from 0, is due. */
  intendedMs(number: number): number {
    return this.#startMs + (number * 1000) / this.#ratePerSecond
  }

  /** How many records are due by then. */
  dueCount(nowMs: number): number {
    const elapsedMs = nowMs - this.#startMs
    return elapsedMs < 0 ? 0 : Math.floor((elapsedMs * this.#ratePerSecond) / 1000) + 1
  }
}
