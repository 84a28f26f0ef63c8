import type { Cancel } from '../../env/index.ts'
import { FlotillaError } from '../../wire/index.ts'

/** Counts the streams that clients have open; each costs memory, so there is a limit. */
export class OpenStreams {
  readonly #limit: number
  #open = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get count(): number {
    return this.#open
  }

  /** Takes a place and returns what gives it back, any number of times. Throws LIMIT_EXCEEDED. */
  enter(): Cancel {
    if (this.#open >= this.#limit) {
      throw new FlotillaError(
        'LIMIT_EXCEEDED',
        `this node has ${this.#open} streams open, which is its limit; end some, or use another node`,
        { retryable: true, retryDelayMs: 1000 },
      )
    }
    this.#open += 1
    let left = false
    return () => {
      if (left) return
      left = true
      this.#open -= 1
    }
  }
}
