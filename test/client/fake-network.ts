import {
  RpcError,
  StatusCode,
  type CallContext,
  type CallOptions,
  type Clock,
  type Connection,
  type FlowControl,
  type Handler,
  type Listener,
  type ListenOptions,
  type Network,
  type Receiver,
  type RpcMethod,
  type Sink,
} from '../../src/env/index.ts'
import type { DuplexHandler, ServerStreamHandler, UnaryHandler } from '../../src/env/network.ts'

const LATENCY_MS = 1
const lost = (): RpcError => new RpcError(StatusCode.unavailable, 'the connection was lost')

/** The two ends of a call; a message takes a millisecond, through the real codecs. */
class Call {
  over = false
  readonly abort = new AbortController()
  readonly #clock: Clock
  readonly #onOver: (error: RpcError | undefined) => void

  constructor(clock: Clock, onOver: (error: RpcError | undefined) => void) {
    this.#clock = clock
    this.#onOver = onOver
  }
  later(run: () => void): void {
    this.#clock.setTimer(LATENCY_MS, () => {
      if (!this.over) run()
    })
  }
  finish(error: RpcError | undefined): void {
    if (this.over) return
    this.over = true
    this.abort.abort()
    this.#clock.defer(() => this.#onOver(error))
  }
}

class Server {
  up = true
  readonly calls = new Set<Call>()
  readonly handlers: ReadonlyMap<string, unknown>
  constructor(handlers: readonly Handler[]) {
    this.handlers = new Map(
      handlers.map((handler) => [(handler as { method: { path: string } }).method.path, handler]),
    )
  }
}

/** A Network within the process, whose servers can be taken down and whose connections can be cut. */
export class FakeNetwork implements Network {
  readonly #clock: Clock
  readonly #servers = new Map<string, Server>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  listen({ address, handlers }: ListenOptions): Promise<Listener> {
    this.#servers.set(address, new Server(handlers))
    const close = (): Promise<void> => {
      this.takeDown(address)
      return Promise.resolve()
    }
    return Promise.resolve({ address, close })
  }

  /** Refuses connections and cuts those that are there. */
  takeDown(address: string): void {
    this.#servers.get(address)!.up = false
    this.cut(address)
  }
  bringUp(address: string): void {
    this.#servers.get(address)!.up = true
  }
  /** Ends every call that is under way at this server, as a lost connection does. */
  cut(address: string): void {
    this.#servers.get(address)!.calls.forEach((call) => call.finish(lost()))
  }
  openCalls(address: string): number {
    return this.#servers.get(address)!.calls.size
  }

  connectFramed(): never {
    throw new Error('clients speak gRPC')
  }
  connect(address: string): Connection {
    return new FakeConnection(address, this.#clock, () => this.#servers.get(address))
  }
}

class FakeConnection implements Connection {
  readonly address: string
  readonly #clock: Clock
  readonly #find: () => Server | undefined

  constructor(address: string, clock: Clock, find: () => Server | undefined) {
    this.address = address
    this.#clock = clock
    this.#find = find
  }

  unary<Q, R>(method: RpcMethod<Q, R, 'unary'>, request: Q, options: CallOptions = {}): Promise<R> {
    return new Promise((resolve, reject) => {
      let response: R
      const opened = this.#open(options, (error) => (error === undefined ? resolve(response) : reject(error)))
      if (opened === undefined) return
      const { call, server } = opened
      const handler = server.handlers.get(method.path) as UnaryHandler<Q, R>
      const bytes = method.request.encode(request)
      call.later(() => {
        const context = this.#context(call, options)
        new Promise<R>((done) => done(handler.handle(method.request.decode(bytes), context))).then(
          (answer) =>
            call.later(() => {
              response = method.response.decode(method.response.encode(answer))
              call.finish(undefined)
            }),
          (error: unknown) => call.later(() => call.finish(asRpcError(error))),
        )
      })
    })
  }

  serverStream<Q, R>(
    method: RpcMethod<Q, R, 'serverStream'>,
    request: Q,
    receiver: Receiver<R>,
    options: CallOptions = {},
  ): FlowControl & { cancel(): void } {
    const opened = this.#open(options, (error) => receiver.onClose(error))
    if (opened === undefined) return silent
    const { call, server } = opened
    const handler = server.handlers.get(method.path) as ServerStreamHandler<Q, R>
    const { sink, flow } = pipe(call, method.response, receiver, (error) =>
      call.later(() => call.finish(error)),
    )
    const bytes = method.request.encode(request)
    call.later(() => handler.handle(method.request.decode(bytes), sink, this.#context(call, options)))
    return { ...flow, cancel: () => call.finish(new RpcError(StatusCode.cancelled, 'cancelled')) }
  }

  duplex<Q, R>(
    method: RpcMethod<Q, R, 'duplex'>,
    receiver: Receiver<R>,
    options: CallOptions = {},
  ): Sink<Q> & FlowControl {
    let server: Receiver<Q> | undefined
    const opened = this.#open(options, (error) => {
      receiver.onClose(error)
      server?.onClose(error)
    })
    if (opened === undefined) return silent
    const { call } = opened
    const handler = opened.server.handlers.get(method.path) as DuplexHandler<Q, R>
    const down = pipe(call, method.response, receiver, (error) => call.later(() => call.finish(error)))
    const later: Receiver<Q> = {
      onMessage: (message) => server?.onMessage(message),
      onEnd: () => server?.onEnd(),
      onClose: () => {},
    }
    const up = pipe(call, method.request, later, () => call.later(() => later.onEnd()))
    call.later(() => (server = handler.handle(down.sink, up.flow, this.#context(call, options))))
    const fail = (): void => call.finish(new RpcError(StatusCode.cancelled, 'cancelled'))
    return { ...up.sink, fail, ...down.flow }
  }

  close(): void {}

  #open(
    { deadlineMs, signal }: CallOptions,
    onOver: (error: RpcError | undefined) => void,
  ): { readonly call: Call; readonly server: Server } | undefined {
    const server = this.#find()
    if (server?.up !== true) {
      const refused = `No connection established to ${this.address}`
      this.#clock.defer(() => onOver(new RpcError(StatusCode.unavailable, refused, { neverSent: true })))
      return undefined
    }
    const call = new Call(this.#clock, (error) => {
      server.calls.delete(call)
      onOver(error)
    })
    server.calls.add(call)
    if (deadlineMs !== undefined) {
      const expired = new RpcError(StatusCode.deadlineExceeded, 'the deadline passed')
      this.#clock.setTimer(deadlineMs - this.#clock.nowMs(), () => call.finish(expired))
    }
    signal?.addEventListener('abort', () => call.finish(new RpcError(StatusCode.cancelled, 'aborted')))
    return { call, server }
  }

  #context(call: Call, { deadlineMs }: CallOptions): CallContext {
    return { peer: 'test:1', metadata: new Map(), deadlineMs, signal: call.abort.signal }
  }
}

/** One direction of a call, which its receiver can pause. */
function pipe<T>(
  call: Call,
  codec: RpcMethod<T, T>['request'],
  receiver: Receiver<T>,
  onEnd: (error: RpcError | undefined) => void,
): { readonly sink: Sink<T>; readonly flow: FlowControl } {
  let paused = false
  let waiting: Uint8Array[] = []
  let drain: (() => void) | undefined
  const deliver = (bytes: Uint8Array): void => {
    if (paused) waiting.push(bytes)
    else receiver.onMessage(codec.decode(bytes))
  }
  const sink: Sink<T> = {
    send(message) {
      const bytes = codec.encode(message)
      call.later(() => deliver(bytes))
      return waiting.length < 4
    },
    onDrain: (listener) => (drain = listener),
    end: () => onEnd(undefined),
    fail: (error) => onEnd(error),
  }
  const resume = (): void => {
    paused = false
    const messages = waiting
    waiting = []
    for (const bytes of messages) deliver(bytes)
    if (messages.length > 0) call.later(() => drain?.())
  }
  return { sink, flow: { pause: () => (paused = true), resume } }
}

function asRpcError(error: unknown): RpcError {
  return error instanceof RpcError ? error : new RpcError(StatusCode.internal, String(error))
}

const silent = {
  send: () => true,
  onDrain: () => {},
  end: () => {},
  fail: () => {},
  pause: () => {},
  resume: () => {},
  cancel: () => {},
}
