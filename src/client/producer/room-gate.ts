interface Waiter {
  readonly bytes: number
  readonly enter: () => void
}

/** Lets records in, first come first served, while fewer than `maxBytes` are inside; one alone may be larger. Pure. */
export class RoomGate {
  readonly #maxBytes: number
  #waiters: Waiter[] = []
  #insideBytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** True: inside. False: `enter` is called when there is room; leave as many bytes as you entered with. */
  enter(bytes: number, enter: () => void): boolean {
    if (this.#waiters.length === 0 && this.#hasRoom(bytes)) {
      this.#insideBytes += bytes
      return true
    }
    this.#waiters.push({ bytes, enter })
    return false
  }

  leave(bytes: number): void {
    this.#insideBytes -= bytes
    let entering = 0
    for (; entering < this.#waiters.length && this.#hasRoom(this.#waiters[entering]!.bytes); entering++) {
      this.#insideBytes += this.#waiters[entering]!.bytes
    }
    if (entering === 0) return
    for (const waiter of this.#waiters.splice(0, entering)) waiter.enter()
  }

  /** Whoever waits enters at once; for an end, where all fail inside. */
  open(): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const waiter of waiters) {
      this.#insideBytes += waiter.bytes
      waiter.enter()
    }
  }

  #hasRoom(bytes: number): boolean {
    return this.#insideBytes === 0 || this.#insideBytes + bytes <= this.#maxBytes
  }
}
