import { RpcError, StatusCode } from '../../../src/env/index.ts'
import type { Life } from '../life.ts'
import type { Frame } from './frame.ts'
import type { SimListener } from './listener.ts'
import { ServerCall } from './server-call.ts'
import type { Wire, WireEnd } from './wire.ts'

const KEEPALIVE_MS = 30_000
const KEEPALIVE_TIMEOUT_MS = 10_000

/** The server's end of a wire. */
export class ServerSide implements WireEnd {
  readonly life: Life
  readonly #listener: SimListener
  readonly #wire: Wire
  readonly #calls = new Map<number, ServerCall>()
  #lastCallId = 0
  #retired = false
  #lost = false
  #heard = true

  constructor(listener: SimListener, wire: Wire) {
    this.life = listener.life
    this.#listener = listener
    this.#wire = wire
    this.#watch()
  }

  get peer(): string {
    return `${this.#wire.client.host}:${10_000 + this.#wire.id}`
  }

  transmit(frame: Frame): void {
    if (!this.#lost) this.#wire.toClient(frame)
  }

  forget(callId: number): void {
    this.#calls.delete(callId)
    if (this.#retired && this.#calls.size === 0) this.hangUp()
  }

  receive(frame: Frame): void {
    if (this.#lost) return
    this.#heard = true
    switch (frame.type) {
      case 'call':
        this.#begin(frame)
        return
      case 'message':
        this.#calls.get(frame.callId)?.receive(frame.bytes)
        return
      case 'end':
        this.#calls.get(frame.callId)?.callerEnded()
        return
      case 'cancel':
        this.#calls.get(frame.callId)?.cancelled()
        return
      case 'window':
        this.#calls.get(frame.callId)?.opened(frame.bytes)
        return
      case 'ping':
        this.transmit({ type: 'pong' })
        return
      case 'fin':
        this.#wire.finished()
        this.lost()
        return
      case 'pong':
      case 'status':
      case 'goaway':
    }
  }

  #begin(frame: Extract<Frame, { type: 'call' }>): void {
    const { callId, path } = frame
    if (this.#retired) {
      this.#refuse(callId, StatusCode.unavailable, 'Stream refused by server', true)
      return
    }
    this.#lastCallId = callId
    const handler = this.#listener.handlers.get(path)
    if (handler === undefined) {
      this.#refuse(
        callId,
        StatusCode.unimplemented,
        `The server does not implement the method ${path}`,
        false,
      )
      return
    }
    const call = new ServerCall(this.#listener, this, handler, frame)
    this.#calls.set(callId, call)
    call.begin()
  }

  #refuse(callId: number, code: RpcError['code'], message: string, refused: boolean): void {
    this.transmit({ type: 'status', callId, code, message, details: undefined, refused })
  }

  /** The caller is gone, or nobody knows whether it is. */
  lost(): void {
    if (this.#lost) return
    this.#lost = true
    const calls = [...this.#calls.values()]
    this.#calls.clear()
    for (const call of calls) call.cancelled()
    this.#listener.forget(this)
  }

  /** Takes no new calls; ends when the last one has. */
  retire(): void {
    if (this.#retired) return
    this.#retired = true
    this.transmit({ type: 'goaway', lastCallId: this.#lastCallId })
    if (this.#calls.size === 0) this.hangUp()
  }

  hangUp(): void {
    if (this.#lost) return
    this.#wire.closedBy(this)
    this.lost()
  }

  #watch(): void {
    this.#heard = false
    this.life.after(KEEPALIVE_MS * 1000, () => {
      if (this.#lost) return
      if (this.#heard) return this.#watch()
      this.transmit({ type: 'ping' })
      this.life.after(KEEPALIVE_TIMEOUT_MS * 1000, () => {
        if (this.#lost) return
        if (this.#heard) return this.#watch()
        this.hangUp()
      })
    })
  }
}
