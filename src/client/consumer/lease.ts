/**
 * When a member has to be heard, and when its node has been silent for too long: a beat every third of the session
 * time-out; where nothing came for half of that, in its place a question that is always answered; where that has no answer by
 * the next beat, the node hangs, with its connection open. That is seen within two and a half thirds of the session time-out:
 * before the lease ends, so that the member can go on at another node. Pure.
 */
export class Lease {
  #intervalMs = Infinity
  #beatAtMs = Infinity
  #heardMs = 0
  #askedMs: number | undefined

  begin(nowMs: number, sessionTimeoutMs: number): void {
    this.#intervalMs = Math.max(1, Math.floor(sessionTimeoutMs / 3))
    this.#beatAtMs = nowMs + this.#intervalMs
    this.#heardMs = nowMs
    this.#askedMs = undefined
  }

  end(): void {
    this.#beatAtMs = Infinity
  }

  /** On Clock.nowMs. */
  get wakeMs(): number {
    return this.#beatAtMs
  }

  heard(nowMs: number): void {
    this.#heardMs = nowMs
    this.#askedMs = undefined
  }

  /** A beat that is due soon goes out now, with those of others, as a question. False: none is due soon. */
  beatsEarly(nowMs: number): boolean {
    const isDueSoon = this.#beatAtMs - nowMs <= this.#intervalMs / 2
    // Whether the node is silent is seen when the beat is due.
    if (!isDueSoon || this.#askedMs !== undefined) return false
    this.#beatAtMs = nowMs + this.#intervalMs
    this.#askedMs = nowMs
    return true
  }

  /** What is due. */
  tick(nowMs: number): 'nothing' | 'beat' | 'ask' | 'silent' {
    if (nowMs < this.#beatAtMs) return 'nothing'
    if (this.#askedMs !== undefined && nowMs - this.#askedMs >= this.#intervalMs) return 'silent'
    this.#beatAtMs = nowMs + this.#intervalMs
    if (nowMs - this.#heardMs < this.#intervalMs / 2) return 'beat'
    this.#askedMs ??= nowMs
    return 'ask'
  }
}
