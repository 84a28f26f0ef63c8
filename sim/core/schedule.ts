interface Event {
  readonly timeMs: number
  readonly order: number
  readonly run: () => void
}

const comesBefore = (left: Event, right: Event): boolean =>
  left.timeMs < right.timeMs || (left.timeMs === right.timeMs && left.order < right.order)

/** Virtual time: a binary heap of what happens next; what was asked for first goes first at equal times. */
export class Schedule {
  nowMs = 0
  #heap: Event[] = []
  #order = 0

  after(delayMs: number, run: () => void): void {
    const event = { timeMs: this.nowMs + delayMs, order: this.#order, run }
    this.#order += 1
    let at = this.#heap.length
    this.#heap.push(event)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (comesBefore(this.#heap[parent]!, event)) break
      this.#heap[at] = this.#heap[parent]!
      at = parent
    }
    this.#heap[at] = event
  }

  /** Runs the next event; false where none is left up to `untilMs`. */
  runNext(untilMs: number): boolean {
    const first = this.#heap[0]
    if (first === undefined || first.timeMs > untilMs) return false
    const moved = this.#heap.pop()!
    if (this.#heap.length > 0) this.#sink(moved)
    this.nowMs = first.timeMs
    first.run()
    return true
  }

  #sink(event: Event): void {
    const heap = this.#heap
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && comesBefore(heap[child + 1]!, heap[child]!)) child += 1
      if (comesBefore(event, heap[child]!)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = event
  }
}
