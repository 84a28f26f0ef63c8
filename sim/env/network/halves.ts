import type { Life } from '../life.ts'
import type { Frame } from './frame.ts'

/** The same bounds as the sending queue of src/env/node. */
const MAX_QUEUED_BYTES = 1024 * 1024
const MAX_QUEUED_MESSAGES = 1024

/** The sending half of a call at one end: a bounded queue before a window that the receiver opens. */
export class SendingHalf {
  readonly #life: Life
  readonly #callId: number
  readonly #transmit: (frame: Frame) => void
  #windowBytes: number
  #queue: Buffer[] = []
  #queuedBytes = 0
  #waitingForDrain = false
  #drainListener: (() => void) | undefined
  #closed = false
  /** What goes after the last message, and who is told then. */
  #last: { readonly frame: Frame; readonly onSent: () => void } | undefined

  constructor(life: Life, callId: number, windowBytes: number, transmit: (frame: Frame) => void) {
    this.#life = life
    this.#callId = callId
    this.#windowBytes = windowBytes
    this.#transmit = transmit
  }

  /** Takes a copy. False: enough for now. */
  send(encoded: Uint8Array): boolean {
    if (this.#closed) return true
    const bytes = Buffer.from(encoded)
    if (this.#queue.length === 0 && this.#windowBytes > 0) {
      this.#windowBytes -= bytes.length
      this.#transmit({ type: 'message', callId: this.#callId, bytes })
      return !this.#waitingForDrain
    }
    this.#queue.push(bytes)
    this.#queuedBytes += bytes.length
    this.#waitingForDrain ||= this.#queuedBytes > MAX_QUEUED_BYTES || this.#queue.length > MAX_QUEUED_MESSAGES
    return !this.#waitingForDrain
  }

  onDrain(listener: () => void): void {
    this.#drainListener = listener
  }

  /** The receiver has room for so much more. */
  open(bytes: number): void {
    this.#windowBytes += bytes
    while (this.#windowBytes > 0 && this.#queue.length > 0) {
      const next = this.#queue.shift()!
      this.#queuedBytes -= next.length
      this.#windowBytes -= next.length
      this.#transmit({ type: 'message', callId: this.#callId, bytes: next })
    }
    if (this.#queue.length === 0 && this.#last !== undefined) {
      const { frame, onSent } = this.#last
      this.#last = undefined
      this.#transmit(frame)
      onSent()
    }
    if (!this.#waitingForDrain || this.#closed) return
    if (this.#queuedBytes > MAX_QUEUED_BYTES / 2 || this.#queue.length > MAX_QUEUED_MESSAGES / 2) return
    this.#waitingForDrain = false
    this.#life.after(1, () => {
      if (!this.#closed) this.#drainListener?.()
    })
  }

  /** Nothing more is taken; what is queued still goes, and `frame` after it. */
  end(frame: Frame, onSent: () => void = () => {}): void {
    if (this.#closed) return
    this.#closed = true
    if (this.#queue.length > 0) {
      this.#last = { frame, onSent }
      return
    }
    this.#transmit(frame)
    onSent()
  }

  /** What is queued is dropped. */
  drop(): void {
    this.#closed = true
    this.#queue = []
    this.#last = undefined
  }
}

/** The receiving half of a call at one end: gives messages on, or holds them while it is paused. */
export class ReceivingHalf {
  readonly #life: Life
  readonly #callId: number
  readonly #windowBytes: number
  readonly #transmit: (frame: Frame) => void
  readonly #onMessage: (bytes: Buffer) => void
  readonly #held: Buffer[] = []
  #onEmpty: (() => void) | undefined
  #untoldBytes = 0
  #paused = false
  #resuming = false
  #dropped = false

  constructor(
    life: Life,
    callId: number,
    windowBytes: number,
    transmit: (frame: Frame) => void,
    onMessage: (bytes: Buffer) => void,
  ) {
    this.#life = life
    this.#callId = callId
    this.#windowBytes = windowBytes
    this.#transmit = transmit
    this.#onMessage = onMessage
  }

  receive(bytes: Buffer): void {
    if (this.#dropped) return
    if (this.#paused || this.#held.length > 0) this.#held.push(bytes)
    else this.#take(bytes)
  }

  /** Calls back once all that arrived is taken: for an end that comes behind it. */
  whenEmpty(callback: () => void): void {
    if (this.#held.length === 0) callback()
    else this.#onEmpty = callback
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    if (this.#held.length === 0 || this.#resuming) return
    this.#resuming = true
    this.#life.after(1, () => {
      this.#resuming = false
      while (!this.#paused && !this.#dropped && this.#held.length > 0) this.#take(this.#held.shift()!)
      if (this.#held.length > 0 || this.#dropped) return
      const onEmpty = this.#onEmpty
      this.#onEmpty = undefined
      onEmpty?.()
    })
  }

  drop(): void {
    this.#dropped = true
    this.#held.length = 0
  }

  #take(bytes: Buffer): void {
    this.#untoldBytes += bytes.length
    if (this.#untoldBytes * 2 >= this.#windowBytes) {
      this.#transmit({ type: 'window', callId: this.#callId, bytes: this.#untoldBytes })
      this.#untoldBytes = 0
    }
    this.#onMessage(bytes)
  }
}
