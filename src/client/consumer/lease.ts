/**
 * When a member has to be heard, and when its node has been silent for too long: every third of the session time-out it asks a
 * question that is always answered, which renews the lease like anything else. Where nothing was heard by the next one, the
 * node hangs, with its connection open. A third of the lease is left then to go on at another node. Pure.
 */
export class Lease {
  #intervalMs = Infinity
  #beatAtMs = Infinity
  #askedMs: number | undefined

  begin(nowMs: number, sessionTimeoutMs: number): void {
    this.#intervalMs = Math.max(1, Math.floor(sessionTimeoutMs / 3))
    this.#beatAtMs = nowMs + this.#intervalMs
    this.#askedMs = undefined
  }

  end(): void {
    this.#beatAtMs = Infinity
  }

  /** On Clock.nowMs. */
  get wakeMs(): number {
    return this.#beatAtMs
  }

  heard(): void {
    this.#askedMs = undefined
  }

  /** A question that is due soon is asked now, with those of others. False: none is due soon. */
  beatsEarly(nowMs: number): boolean {
    const isDueSoon = this.#beatAtMs - nowMs <= this.#intervalMs / 2
    // Whether the node is silent is seen when the next one is due.
    if (!isDueSoon || this.#askedMs !== undefined) return false
    this.#beatAtMs = nowMs + this.#intervalMs
    this.#askedMs = nowMs
    return true
  }

  /** What is due. */
  tick(nowMs: number): 'nothing' | 'ask' | 'silent' {
    if (nowMs < this.#beatAtMs) return 'nothing'
    if (this.#askedMs !== undefined && nowMs - this.#askedMs >= this.#intervalMs) return 'silent'
    this.#beatAtMs = nowMs + this.#intervalMs
    this.#askedMs ??= nowMs
    return 'ask'
  }
}
