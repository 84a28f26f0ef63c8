import { assert } from './assert.ts'

/**
 * One turn at a time. Between the turns of the node come those of the storage itself, in the order in which they were asked for, and
 * after each of the node's at most one of them: neither waits for ever.
 */
export class TurnOrder {
  #turn: Promise<void> | undefined
  #own: Promise<void> | undefined
  readonly #waiting: (() => Promise<void>)[] = []

  get isTurnUnderWay(): boolean {
    return this.#turn !== undefined
  }

  get isIdle(): boolean {
    return this.#turn === undefined && this.#own === undefined
  }

  /** A turn of the node, which must not have another one under way. */
  async turn(commit: () => Promise<void>): Promise<void> {
    assert(this.#turn === undefined, 'log.one-turn-at-a-time', () => 'another one is under way')
    this.#turn = this.#own === undefined ? commit() : this.#own.then(commit)
    try {
      await this.#turn
    } finally {
      this.#turn = undefined
      this.#next()
    }
  }

  /** Calls `act` where no turn is under way, and lets none begin until it is done. */
  async between(act: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => act().then(resolve, reject))
      assert(this.#waiting.length < 100_000, 'log.between-waiting', () => `${this.#waiting.length}`)
      this.#next()
    })
  }

  /** Resolves when no turn is under way, whatever became of those that were. */
  async idle(): Promise<void> {
    while (!this.isIdle) await (this.#turn ?? this.#own)?.catch(() => undefined)
  }

  #next(): void {
    if (!this.isIdle) return
    const act = this.#waiting.shift()
    if (act === undefined) return
    assert(this.#own === undefined, 'log.between-turns', () => `${this.#waiting.length} more are waiting`)
    this.#own = act().then(() => {
      this.#own = undefined
      this.#next()
    })
  }
}
