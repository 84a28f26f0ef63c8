import type { RandomStream } from '../core/random.ts'
import type { Life } from './life.ts'

interface Scheduled {
  timeUs: number
  /** Drawn: what happens at the same time happens in any order, so that nothing comes to depend on luck. */
  readonly tie: number
  readonly sequence: number
  /** Who runs it; undefined: the world itself. */
  readonly life: Life | undefined
  /** Undefined once cancelled. */
  run: (() => void) | undefined
}

export type Cancel = () => void

/** Virtual time in microseconds: a binary heap of what happens next. */
export class Timeline {
  nowUs = 0
  /** Events that ran so far. */
  events = 0
  readonly #random: RandomStream
  readonly #heap: Scheduled[] = []
  #sequence = 0

  constructor(random: RandomStream) {
    this.#random = random
  }

  get nowMs(): number {
    return this.nowUs / 1000
  }

  after(delayUs: number, run: () => void, life?: Life): Cancel {
    return this.at(this.nowUs + Math.max(0, Math.ceil(delayUs)), run, life)
  }

  at(timeUs: number, run: () => void, life?: Life): Cancel {
    const event: Scheduled = {
      timeUs: Math.max(this.nowUs, timeUs),
      tie: this.#random.next(),
      sequence: this.#sequence++,
      life,
      run,
    }
    this.#push(event)
    return () => {
      event.run = undefined
    }
  }

  /** Runs the next event; false where none is left up to `untilUs`. */
  runNext(untilUs: number): boolean {
    for (;;) {
      const first = this.#heap[0]
      if (first === undefined || first.timeUs > untilUs) return false
      this.#pop()
      const { run, life } = first
      if (run === undefined || life?.isAlive === false) continue
      if (life !== undefined && life.pausedUntilUs > first.timeUs) {
        // A paused process does nothing, and then all of it at once.
        first.timeUs = life.pausedUntilUs
        this.#push(first)
        continue
      }
      this.nowUs = first.timeUs
      this.events++
      run()
      return true
    }
  }

  #push(event: Scheduled): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(event)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (comesBefore(heap[parent]!, event)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = event
  }

  #pop(): void {
    const heap = this.#heap
    const event = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && comesBefore(heap[child + 1]!, heap[child]!)) child++
      if (comesBefore(event, heap[child]!)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = event
  }
}

function comesBefore(left: Scheduled, right: Scheduled): boolean {
  if (left.timeUs !== right.timeUs) return left.timeUs < right.timeUs
  if (left.tie !== right.tie) return left.tie < right.tie
  return left.sequence < right.sequence
}
