import { connect, type Socket } from 'node:net'
import type { Cancel, Clock } from '../../env.ts'
import {
  RpcError,
  StatusCode,
  type Codec,
  type ConnectOptions,
  type FlowControl,
  type Receiver,
  type RpcMethod,
  type StreamConnection,
} from '../../network.ts'
import { splitAddress } from '../address.ts'
import { decodeError, encodeFrame, encodeRequest, FrameReader, FrameType, PREFACE } from './frames.ts'

const DEFAULT_MAX_RECEIVE_BYTES = 64 * 1024 * 1024
const DEFAULT_KEEPALIVE_MS = 10_000
const KEEPALIVE_TIMEOUT_MS = 5_000
/** One read from the system takes at most so much; the buffer is used again and again. */
const READ_BYTES = 256 * 1024

const PING = encodeFrame(FrameType.ping)

/** A call is a TCP connection of its own. */
export function connectFramed(address: string, options: ConnectOptions, clock: Clock): StreamConnection {
  const calls = new Set<FramedCall<unknown>>()
  let closed = false
  return {
    address,
    serverStream<Q, R>(method: RpcMethod<Q, R, 'serverStream'>, request: Q, receiver: Receiver<R>) {
      const message = method.request.encode(request)
      const call: FramedCall<R> = new FramedCall(address, method.response, receiver, options, clock, () =>
        calls.delete(call),
      )
      calls.add(call)
      if (closed) call.cancel()
      else call.start(encodeRequest({ path: method.path, message }))
      return call
    },
    close() {
      closed = true
      for (const call of calls) call.cancel()
    },
  }
}

class FramedCall<R> implements FlowControl {
  readonly #address: string
  readonly #codec: Codec<R>
  readonly #receiver: Receiver<R>
  readonly #clock: Clock
  readonly #keepaliveMs: number
  readonly #maxReceiveBytes: number
  readonly #onOver: () => void
  #socket: Socket | undefined
  #connected = false
  #over = false
  #heard = true
  #paused = false
  /** Came in one read with the message at which the receiver paused. */
  #held: { readonly type: FrameType; readonly body: Buffer }[] = []
  #cancelTimer: Cancel | undefined

  constructor(
    address: string,
    codec: Codec<R>,
    receiver: Receiver<R>,
    options: ConnectOptions,
    clock: Clock,
    onOver: () => void,
  ) {
    this.#address = address
    this.#codec = codec
    this.#receiver = receiver
    this.#clock = clock
    this.#keepaliveMs = Math.min(options.keepaliveMs ?? DEFAULT_KEEPALIVE_MS, DEFAULT_KEEPALIVE_MS)
    this.#maxReceiveBytes = options.maxReceiveBytes ?? DEFAULT_MAX_RECEIVE_BYTES
    this.#onOver = onOver
  }

  start(request: Buffer): void {
    const { host, port } = splitAddress(this.#address)
    const reader = new FrameReader(this.#maxReceiveBytes, (type, body) => {
      if (this.#paused) this.#held.push({ type, body })
      else this.#onFrame(type, body)
    })
    const socket = connect({
      host,
      port,
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafeSlow(READ_BYTES),
        callback: (bytes, buffer) => {
          this.#guarded(() => reader.push(buffer.subarray(0, bytes)))
          return true
        },
      },
    })
    this.#socket = socket
    socket.once('connect', () => (this.#connected = true))
    socket.once('error', (error) => this.#lost(error))
    socket.once('close', () => this.#lost(undefined))
    // The other half is never closed while a call goes on.
    socket.once('end', () => this.#lost(undefined))
    socket.write(PREFACE)
    socket.write(request)
    this.#watch(KEEPALIVE_TIMEOUT_MS)
  }

  pause(): void {
    this.#paused = true
    this.#socket?.pause()
  }

  resume(): void {
    this.#paused = false
    this.#guarded(() => {
      while (!this.#paused && this.#held.length > 0) {
        const { type, body } = this.#held.shift()!
        this.#onFrame(type, body)
      }
    })
    if (!this.#paused) this.#socket?.resume()
  }

  cancel(): void {
    const neverSent = this.#socket === undefined
    this.#finish(new RpcError(StatusCode.cancelled, 'the call was cancelled', { neverSent }))
  }

  /** What the other side did wrong ends the call; a fault of the receiver is none of ours. */
  #guarded(take: () => void): void {
    if (this.#over) return
    this.#heard = true
    try {
      take()
    } catch (error) {
      if (!(error instanceof RpcError)) throw error
      this.#finish(error)
    }
  }

  #onFrame(type: FrameType, body: Buffer): void {
    if (this.#over) return
    switch (type) {
      case FrameType.message:
        this.#receiver.onMessage(this.#decode(body))
        return
      case FrameType.end:
        this.#receiver.onEnd()
        this.#finish(undefined)
        return
      case FrameType.error:
        this.#finish(decodeError(body))
        return
      case FrameType.pong:
        return
      case FrameType.request:
      case FrameType.ping:
        throw new RpcError(StatusCode.internal, `${this.#address} sent a frame that only a caller sends`)
    }
  }

  #decode(body: Buffer): R {
    try {
      return this.#codec.decode(body)
    } catch (cause) {
      throw new RpcError(StatusCode.internal, `malformed message from ${this.#address}: ${String(cause)}`, {
        cause,
      })
    }
  }

  /** Asks after a silence, and gives the connection up when that has no answer either. */
  #watch(delayMs: number): void {
    this.#cancelTimer = this.#clock.setTimer(delayMs, () => {
      if (!this.#connected || (!this.#heard && !this.#paused)) {
        this.#finish(this.#unavailable(`nothing came from ${this.#address} for too long`))
        return
      }
      // Also while much comes in: the server wants to hear that the caller is alive.
      this.#heard = false
      this.#socket?.write(PING)
      this.#watch(Math.max(this.#keepaliveMs, KEEPALIVE_TIMEOUT_MS))
    })
  }

  #lost(cause: Error | undefined): void {
    const told = cause === undefined ? '' : `: ${cause.message}`
    this.#finish(this.#unavailable(`the connection to ${this.#address} is lost${told}`, cause))
  }

  #unavailable(message: string, cause?: Error): RpcError {
    return new RpcError(StatusCode.unavailable, message, { neverSent: !this.#connected, cause })
  }

  #finish(error: RpcError | undefined): void {
    if (this.#over) return
    this.#over = true
    this.#cancelTimer?.()
    this.#socket?.destroy()
    this.#onOver()
    // Never from within a call of the receiver.
    this.#clock.defer(() => this.#receiver.onClose(error))
  }
}
