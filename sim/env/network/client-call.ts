import {
  RpcError,
  StatusCode,
  type CallOptions,
  type Receiver,
  type RpcMethod,
} from '../../../src/env/index.ts'
import type { SimClock } from '../clock.ts'
import type { Life } from '../life.ts'
import type { Cancel } from '../timeline.ts'
import type { ClientLink } from './connection.ts'
import type { Frame } from './frame.ts'
import { ReceivingHalf, SendingHalf } from './halves.ts'

/** HTTP/2's default, which a grpc-js server can't raise. */
const SERVER_WINDOW_BYTES = 64 * 1024

type StatusFrame = Extract<Frame, { type: 'status' }>

/** A call at the caller's end. Whatever it tells its receiver comes later, never while it is being made. */
export class ClientCall<Q = unknown, R = unknown> {
  readonly #life: Life
  readonly #clock: SimClock
  readonly #method: RpcMethod<Q, R>
  readonly #receiver: Receiver<R>
  readonly #options: CallOptions
  readonly #limits: { readonly windowBytes: number; readonly maxReceiveBytes: number }
  #link: ClientLink | undefined
  #callId = 0
  #sending: SendingHalf | undefined
  #receiving: ReceivingHalf | undefined
  /** Before the call has a connection. */
  #unsent: Uint8Array[] = []
  #endUnsent = false
  #pausedUnsent = false
  #drainListener: (() => void) | undefined
  #cancelDeadline: Cancel | undefined
  readonly #unlink: () => void
  #over = false

  constructor(
    life: Life,
    clock: SimClock,
    method: RpcMethod<Q, R>,
    receiver: Receiver<R>,
    options: CallOptions,
    limits: { readonly windowBytes: number; readonly maxReceiveBytes: number },
  ) {
    this.#life = life
    this.#clock = clock
    this.#method = method
    this.#receiver = receiver
    this.#options = options
    this.#limits = limits
    const { signal, deadlineMs } = options
    const abort = (): void => this.cancel()
    signal?.addEventListener('abort', abort, { once: true })
    this.#unlink = () => signal?.removeEventListener('abort', abort)
    if (deadlineMs !== undefined) {
      const leftMs = Math.max(0, deadlineMs - clock.nowMs())
      this.#cancelDeadline = clock.setTimer(leftMs, () => this.#deadlinePassed())
    }
  }

  // -- what the caller does ------------------------------------------------------------------------------------

  send(message: Q): boolean {
    if (this.#over) return true
    const bytes = this.#method.request.encode(message)
    if (this.#sending !== undefined) return this.#sending.send(bytes)
    this.#unsent.push(Uint8Array.from(bytes))
    return this.#unsent.length <= 1024
  }

  onDrain(listener: () => void): void {
    this.#drainListener = listener
    this.#sending?.onDrain(listener)
  }

  end(): void {
    if (this.#sending === undefined) this.#endUnsent = true
    else this.#sending.end({ type: 'end', callId: this.#callId })
  }

  pause(): void {
    this.#pausedUnsent = true
    this.#receiving?.pause()
  }

  resume(): void {
    this.#pausedUnsent = false
    this.#receiving?.resume()
  }

  cancel(): void {
    if (this.#over) return
    this.#link?.transmit({ type: 'cancel', callId: this.#callId })
    const neverSent = this.#link === undefined
    this.#close(new RpcError(StatusCode.cancelled, 'Cancelled on client', { neverSent }))
  }

  // -- what becomes of it --------------------------------------------------------------------------------------

  begin(callId: number, link: ClientLink): void {
    if (this.#over) return link.forget(callId)
    this.#link = link
    this.#callId = callId
    const { deadlineMs, metadata = {} } = this.#options
    const { windowBytes } = this.#limits
    const transmit = (frame: Frame): void => link.transmit(frame)
    transmit({
      type: 'call',
      callId,
      path: this.#method.path,
      kind: this.#method.kind,
      timeoutMs: deadlineMs === undefined ? undefined : Math.max(0, deadlineMs - this.#clock.nowMs()),
      metadata: new Map(Object.entries(metadata)),
      windowBytes,
    })
    this.#sending = new SendingHalf(this.#life, callId, SERVER_WINDOW_BYTES, transmit)
    if (this.#drainListener !== undefined) this.#sending.onDrain(this.#drainListener)
    this.#receiving = new ReceivingHalf(this.#life, callId, windowBytes, transmit, (bytes) =>
      this.#message(bytes),
    )
    if (this.#pausedUnsent) this.#receiving.pause()
    let flowing = true
    for (const bytes of this.#unsent) flowing = this.#sending.send(bytes)
    if (!this.#endUnsent && this.#unsent.length > 1024 && flowing) {
      this.#life.after(1, () => this.#drainListener?.())
    }
    this.#unsent = []
    if (this.#endUnsent) this.#sending.end({ type: 'end', callId })
  }

  receive(bytes: Buffer): void {
    if (bytes.length > this.#limits.maxReceiveBytes) {
      this.#link?.transmit({ type: 'cancel', callId: this.#callId })
      this.#close(
        new RpcError(StatusCode.resourceExhausted, `a message of ${bytes.length} bytes is too large`),
      )
      return
    }
    this.#receiving?.receive(bytes)
  }

  opened(bytes: number): void {
    this.#sending?.open(bytes)
  }

  ended(status: StatusFrame): void {
    const { code, message, details, refused } = status
    if (code === StatusCode.ok) {
      this.#receiving?.whenEmpty(() => this.#finish(undefined))
      return
    }
    const text = refused ? 'Stream refused by server' : message
    this.#finish(
      new RpcError(code, text, { neverSent: refused, ...(details === undefined ? {} : { details }) }),
    )
  }

  /** The server told that it never looked at it. */
  refused(): void {
    this.#finish(new RpcError(StatusCode.unavailable, 'Stream refused by server', { neverSent: true }))
  }

  lost(why: string): void {
    this.#finish(new RpcError(StatusCode.unavailable, why))
  }

  failUnsent(why: string): void {
    this.#close(new RpcError(StatusCode.unavailable, why, { neverSent: true }))
  }

  cancelUnsent(cause: unknown): void {
    this.#close(
      new RpcError(StatusCode.cancelled, 'cancelled before it was sent', { neverSent: true, cause }),
    )
  }

  #deadlinePassed(): void {
    if (this.#over) return
    this.#link?.transmit({ type: 'cancel', callId: this.#callId })
    const neverSent = this.#link === undefined
    const text = neverSent ? 'Deadline exceeded. Waiting for LB pick' : 'Deadline exceeded'
    this.#close(new RpcError(StatusCode.deadlineExceeded, text, { neverSent }))
  }

  #message(bytes: Buffer): void {
    if (this.#over) return
    let message: R
    try {
      message = this.#method.response.decode(bytes)
    } catch (cause) {
      this.#link?.transmit({ type: 'cancel', callId: this.#callId })
      const text = `the answer to ${this.#method.path} is malformed: ${String(cause)}`
      this.#finish(new RpcError(StatusCode.internal, text, { cause }))
      return
    }
    this.#receiver.onMessage(message)
  }

  /** Told in an event of its own: the caller is in the middle of something. */
  #close(error: RpcError): void {
    if (this.#over) return
    this.#settle()
    this.#life.after(1, () => this.#receiver.onClose(error))
  }

  /** Told now: this is an event of its own. */
  #finish(error: RpcError | undefined): void {
    if (this.#over) return
    this.#settle()
    if (error === undefined) this.#receiver.onEnd()
    this.#receiver.onClose(error)
  }

  #settle(): void {
    this.#over = true
    this.#cancelDeadline?.()
    this.#unlink()
    this.#sending?.drop()
    this.#receiving?.drop()
    this.#link?.forget(this.#callId)
  }
}
