import {
  RpcError,
  StatusCode,
  type CallContext,
  type FlowControl,
  type Handler,
  type Receiver,
  type Sink,
} from '../../../src/env/index.ts'
import type { DuplexHandler, ServerStreamHandler, UnaryHandler } from '../../../src/env/network.ts'
import type { Cancel } from '../timeline.ts'
import type { Frame } from './frame.ts'
import { ReceivingHalf, SendingHalf } from './halves.ts'
import type { SimListener } from './listener.ts'
import type { ServerSide } from './server-side.ts'

const SERVER_WINDOW_BYTES = 64 * 1024
/** As the real adapter: trailers have a limit. */
const MAX_MESSAGE_LENGTH = 4096

type CallFrame = Extract<Frame, { type: 'call' }>

/** What abort() would make each time, with a stack. */
const GONE = new DOMException('This operation was aborted', 'AbortError')

/** A call at the server's end: behaves towards its handler as src/env/node/grpc-server.ts does. */
export class ServerCall implements CallContext {
  readonly metadata: ReadonlyMap<string, string>
  readonly deadlineMs: number | undefined
  readonly #listener: SimListener
  readonly #side: ServerSide
  readonly #handler: Handler
  readonly #frame: CallFrame
  readonly #sending: SendingHalf
  readonly #receiving: ReceivingHalf
  #request: Buffer | undefined
  #receiver: Receiver<unknown> | undefined
  #abort: AbortController | undefined
  #cancelDeadline: Cancel | undefined
  /** The handler has said its last word, good or bad. */
  #answered = false
  #cancelled = false
  #over = false

  constructor(listener: SimListener, side: ServerSide, handler: Handler, frame: CallFrame) {
    this.#listener = listener
    this.#side = side
    this.#handler = handler
    this.#frame = frame
    this.metadata = frame.metadata
    const transmit = (out: Frame): void => side.transmit(out)
    this.#sending = new SendingHalf(listener.life, frame.callId, frame.windowBytes, transmit)
    this.#receiving = new ReceivingHalf(listener.life, frame.callId, SERVER_WINDOW_BYTES, transmit, (bytes) =>
      this.#message(bytes),
    )
    if (frame.timeoutMs !== undefined) {
      this.deadlineMs = listener.clock.nowMs() + frame.timeoutMs
      this.#cancelDeadline = listener.clock.setTimer(frame.timeoutMs, () => {
        this.#fail(new RpcError(StatusCode.deadlineExceeded, 'Deadline exceeded'))
        this.cancelled()
      })
    }
  }

  // -- what the handler sees -----------------------------------------------------------------------------------

  get peer(): string {
    return this.#side.peer
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#cancelled) this.#abort.abort(GONE)
    }
    return this.#abort.signal
  }

  // -- what arrives --------------------------------------------------------------------------------------------

  begin(): void {
    if (this.#handler.method.kind !== 'duplex') return
    const handler = this.#handler as DuplexHandler<unknown, unknown>
    const flow: FlowControl = {
      pause: () => this.#receiving.pause(),
      resume: () => this.#receiving.resume(),
    }
    try {
      this.#receiver = handler.handle(this.#sink(), flow, this)
    } catch (error) {
      this.#fail(this.#rpcErrorOf(error))
    }
  }

  receive(bytes: Buffer): void {
    if (bytes.length > this.#listener.maxReceiveBytes) {
      this.#fail(
        new RpcError(
          StatusCode.resourceExhausted,
          `Received message larger than max (${bytes.length} vs ${this.#listener.maxReceiveBytes})`,
        ),
      )
      this.cancelled()
      return
    }
    this.#receiving.receive(bytes)
  }

  opened(bytes: number): void {
    this.#sending.open(bytes)
  }

  callerEnded(): void {
    this.#receiving.whenEmpty(() => {
      if (this.#over) return
      switch (this.#handler.method.kind) {
        case 'unary':
          void this.#unary(this.#handler as UnaryHandler<unknown, unknown>)
          return
        case 'serverStream':
          this.#serverStream(this.#handler as ServerStreamHandler<unknown, unknown>)
          return
        case 'duplex':
          this.#receiver?.onEnd()
      }
    })
  }

  /** The caller went away, or its deadline passed. */
  cancelled(): void {
    if (this.#over) return
    this.#over = true
    this.#cancelled = true
    this.#cancelDeadline?.()
    this.#sending.drop()
    this.#receiving.drop()
    this.#side.forget(this.#frame.callId)
    if (!this.#answered) this.#abort?.abort(GONE)
    this.#receiver?.onClose(
      this.#answered ? undefined : new RpcError(StatusCode.cancelled, 'the caller is gone'),
    )
  }

  #message(bytes: Buffer): void {
    if (this.#over) return
    if (this.#handler.method.kind !== 'duplex') {
      this.#request = bytes
      return
    }
    if (this.#answered) return
    const handler = this.#handler as DuplexHandler<unknown, unknown>
    try {
      this.#receiver?.onMessage(decode(handler.method.request, bytes))
    } catch (error) {
      const failure = this.#rpcErrorOf(error)
      const receiver = this.#receiver
      this.#receiver = undefined
      this.#fail(failure)
      receiver?.onClose(failure)
    }
  }

  async #unary(handler: UnaryHandler<unknown, unknown>): Promise<void> {
    try {
      const request = decode(handler.method.request, this.#request ?? Buffer.alloc(0))
      const bytes = handler.method.response.encode(await handler.handle(request, this))
      if (this.#over) return
      this.#sending.send(bytes)
      this.#end()
    } catch (error) {
      this.#fail(this.#rpcErrorOf(error))
    }
  }

  #serverStream(handler: ServerStreamHandler<unknown, unknown>): void {
    try {
      handler.handle(decode(handler.method.request, this.#request ?? Buffer.alloc(0)), this.#sink(), this)
    } catch (error) {
      this.#fail(this.#rpcErrorOf(error))
    }
  }

  // -- what goes back ------------------------------------------------------------------------------------------

  #sink(): Sink<unknown> {
    const codec = (this.#handler as DuplexHandler<unknown, unknown>).method.response
    return {
      send: (message) => (this.#over || this.#answered ? true : this.#sending.send(codec.encode(message))),
      onDrain: (listener) => this.#sending.onDrain(listener),
      end: () => this.#end(),
      fail: (error) => this.#fail(error),
    }
  }

  #end(): void {
    if (this.#answered || this.#over) return
    this.#answered = true
    this.#sending.end(this.#status(StatusCode.ok, '', undefined), () => this.#leaveSoon())
  }

  #fail(error: RpcError): void {
    if (this.#answered || this.#over) return
    this.#answered = true
    const text = error.message.slice(0, MAX_MESSAGE_LENGTH)
    this.#sending.drop()
    this.#side.transmit(this.#status(error.code, text, error.details))
    this.#leaveSoon()
  }

  /** The handler hears of the end of its call a little later. */
  #leaveSoon(): void {
    this.#listener.life.after(1, () => {
      if (this.#over) return
      this.#over = true
      this.#cancelDeadline?.()
      this.#side.forget(this.#frame.callId)
      this.#receiver?.onClose(undefined)
    })
  }

  #status(code: StatusCode, message: string, details: Uint8Array | undefined): Frame {
    const { callId } = this.#frame
    const copy = details === undefined ? undefined : Uint8Array.from(details)
    return { type: 'status', callId, code, message, details: copy, refused: false }
  }

  #rpcErrorOf(error: unknown): RpcError {
    if (error instanceof RpcError) return error
    const { path } = this.#handler.method
    this.#listener.logger.error({ err: error, path }, 'a handler failed unexpectedly')
    return new RpcError(StatusCode.internal, `${path} failed unexpectedly; the log of the node tells more`, {
      cause: error,
    })
  }
}

function decode(codec: { decode(bytes: Uint8Array): unknown }, bytes: Buffer): unknown {
  try {
    return codec.decode(bytes)
  } catch (cause) {
    if (cause instanceof RpcError) throw cause
    throw new RpcError(StatusCode.invalidArgument, `the request is malformed: ${String(cause)}`, { cause })
  }
}
