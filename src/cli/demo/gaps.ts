/** The longest time between two acknowledgements of a partition, as the producer sees it. Pure. */
export class AcknowledgementGaps {
  readonly #last = new Map<number, number>()
  readonly #longest = new Map<number, number>()

  acknowledged(partition: number, nowMs: number): void {
    const last = this.#last.get(partition)
    if (last !== undefined) {
      this.#longest.set(partition, Math.max(this.#longest.get(partition) ?? 0, nowMs - last))
    }
    this.#last.set(partition, nowMs)
  }

  /** Milliseconds; undefined before the second acknowledgement. */
  longestMs(partition: number): number | undefined {
    return this.#longest.get(partition)
  }

  /** Forgets the gaps so far; one that is open counts from its beginning. */
  restart(): void {
    this.#longest.clear()
  }
}
