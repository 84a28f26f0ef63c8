interface Waiter {
  readonly bytes: number
  readonly enter: () => void
}

/** Lets records in, first come first served, while fewer than `maxBytes` are inside; one alone may be larger. Pure. */
export class RoomGate {
  readonly #maxBytes: number
  #waiters: Waiter[] = []
  /** Where the first waiter is: hundreds of thousands may wait, and moving them up one by one would take for ever. */
  #first = 0
  #insideBytes = 0
  #admitting = false

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** True: inside; leave as many bytes as you entered with. False: there is no room yet, wait for it. */
  enter(bytes: number): boolean {
    if (this.#first !== this.#waiters.length || !this.#hasRoom(bytes)) return false
    this.#insideBytes += bytes
    return true
  }

  /** `enter` is called when there is room. */
  wait(bytes: number, enter: () => void): void {
    this.#waiters.push({ bytes, enter })
  }

  leave(bytes: number): void {
    this.#insideBytes -= bytes
    this.#admit((waiter) => this.#hasRoom(waiter.bytes))
  }

  /** Whoever waits enters at once; for an end, where all fail inside. */
  open(): void {
    this.#admit(() => true)
  }

  /** Who enters may leave at once; the loop that is running sees to who comes then. */
  #admit(mayEnter: (waiter: Waiter) => boolean): void {
    if (this.#admitting) return
    this.#admitting = true
    for (let next = this.#waiters[this.#first]; next !== undefined; next = this.#waiters[this.#first]) {
      if (!mayEnter(next)) break
      this.#pass()
      this.#insideBytes += next.bytes
      next.enter()
    }
    this.#admitting = false
  }

  #pass(): void {
    this.#first++
    if (this.#first < 1024 || this.#first < this.#waiters.length / 2) return
    this.#waiters = this.#waiters.slice(this.#first)
    this.#first = 0
  }

  #hasRoom(bytes: number): boolean {
    return this.#insideBytes === 0 || this.#insideBytes + bytes <= this.#maxBytes
  }
}
