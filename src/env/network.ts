import type { Cancel } from './env.ts'

/** Turns a message into bytes and back. An identity codec on Uint8Array leaves the bytes to the layers above. */
export interface Codec<T> {
  encode(message: T): Uint8Array
  /** The same bytes in pieces, for who can send them so: what is large in a message needn't be copied into it. */
  encodeInPieces?(message: T): readonly Uint8Array[]
  /** Throws on bytes that aren't such a message. The result may be a view of `bytes`. */
  decode(bytes: Uint8Array): T
}

export type MethodKind = 'unary' | 'serverStream' | 'duplex'

/** One RPC: its path (`/package.Service/Method`), its form, and how its messages are written. */
export interface RpcMethod<Request, Response, Kind extends MethodKind = MethodKind> {
  readonly path: string
  readonly kind: Kind
  readonly request: Codec<Request>
  readonly response: Codec<Response>
}

/** The canonical gRPC status codes. */
export const StatusCode = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const
export type StatusCode = (typeof StatusCode)[keyof typeof StatusCode]

/** How a call failed, as the transport tells it. */
export class RpcError extends Error {
  override readonly name = 'RpcError'
  readonly code: StatusCode
  /** Encoded google.rpc.Status (the trailer `grpc-status-details-bin`), where the server sent one. */
  readonly details: Uint8Array | undefined
  /**
   * Whether the request surely never reached a handler. False means that it may have; the transport says true only
   * where it knows.
   */
  readonly neverSent: boolean
  constructor(
    code: StatusCode,
    message: string,
    options: { readonly details?: Uint8Array; readonly neverSent?: boolean; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options.details
    this.neverSent = options.neverSent ?? false
  }
}

/** What a handler knows of the call that it answers. */
export interface CallContext {
  /** HOST:PORT of the caller. */
  readonly peer: string
  readonly metadata: ReadonlyMap<string, string>
  /** On Clock.nowMs; undefined where the caller set none. */
  readonly deadlineMs: number | undefined
  /** Aborted when the caller cancels, goes away or its deadline passes. */
  readonly signal: AbortSignal
}

/** The sending half of a stream. */
export interface Sink<T> {
  /**
   * Sends. False: more than the buffer's bound is now waiting; send no more until `onDrain`. Never throws; what is
   * sent after the end or a failure is dropped.
   */
  send(message: T): boolean
  /** Sets the one listener that is called when sending may go on after a `false`. */
  onDrain(listener: () => void): void
  /** No more will be sent. On a server this ends the call with OK. */
  end(): void
  /** Ends the call with this error. On a client it cancels. */
  fail(error: RpcError): void
}

/** The receiving half of a stream. After `onClose` nothing more is called. */
export interface Receiver<T> {
  onMessage(message: T): void
  /** The other side will send no more. */
  onEnd(): void
  /** The call is over; `error` is undefined where it ended with OK. */
  onClose(error: RpcError | undefined): void
}

/** Stops and restarts the flow of incoming messages; the sender feels it as back-pressure. */
export interface FlowControl {
  pause(): void
  resume(): void
}

export interface UnaryHandler<Request = unknown, Response = unknown> {
  readonly method: RpcMethod<Request, Response, 'unary'>
  handle(request: Request, call: CallContext): Promise<Response>
}
export interface ServerStreamHandler<Request = unknown, Response = unknown> {
  readonly method: RpcMethod<Request, Response, 'serverStream'>
  /** `call.signal` tells when the stream is over on the caller's side. */
  handle(request: Request, sink: Sink<Response>, call: CallContext): void
}
export interface DuplexHandler<Request = unknown, Response = unknown> {
  readonly method: RpcMethod<Request, Response, 'duplex'>
  handle(sink: Sink<Response>, flow: FlowControl, call: CallContext): Receiver<Request>
}
// A handler's own message types are checked where it is made (see `handler` below) and erased in the list.
export type Handler =
  UnaryHandler<never, never> | ServerStreamHandler<never, never> | DuplexHandler<never, never>

export interface ListenOptions {
  /** HOST:PORT; port 0 takes a free one. */
  readonly address: string
  readonly handlers: readonly Handler[]
  /** Standard health: service name ('' for the whole server) to serving or not. Called when asked. */
  readonly health?: HealthSource
  /** Offers standard reflection of the project's own protos. Default true. */
  readonly reflection?: boolean
  /** The largest message that is taken, in bytes. Default 8 MiB. */
  readonly maxReceiveBytes?: number
}

export interface HealthSource {
  readonly services: readonly string[]
  isServing(service: string): boolean
  /** Calls `listener` after a state may have changed. */
  onChange(listener: (service: string) => void): Cancel
}

export interface Listener {
  /** HOST:PORT with the port really taken. */
  readonly address: string
  /** Stops taking calls, gives those under way `graceMs`, then ends them. Idempotent. */
  close(graceMs: number): Promise<void>
}

export interface CallOptions {
  /** On Clock.nowMs. */
  readonly deadlineMs?: number
  readonly signal?: AbortSignal
  readonly metadata?: Readonly<Record<string, string>>
}

export interface ConnectOptions {
  /** The largest message that is taken, in bytes. Default 64 MiB. */
  readonly maxReceiveBytes?: number
  /** HTTP/2 receive window, in bytes. Default 4 MiB. */
  readonly windowBytes?: number
  /** Ping an idle connection so often, to notice a dead peer. Default 10 s; unanswered for 5 s it is closed. */
  readonly keepaliveMs?: number
}

/** Calls to one address that stream from the server alone. */
export interface StreamConnection {
  readonly address: string
  /** Starts the call; messages go to `receiver`. The returned function cancels. */
  serverStream<Q, R>(
    method: RpcMethod<Q, R, 'serverStream'>,
    request: Q,
    receiver: Receiver<R>,
  ): FlowControl & { cancel(): void }
  close(): void
}

/** A connection of its own to one address. It connects when first used, and again after a loss. */
export interface Connection extends StreamConnection {
  unary<Q, R>(method: RpcMethod<Q, R, 'unary'>, request: Q, options?: CallOptions): Promise<R>
  serverStream<Q, R>(
    method: RpcMethod<Q, R, 'serverStream'>,
    request: Q,
    receiver: Receiver<R>,
    options?: CallOptions,
  ): FlowControl & { cancel(): void }
  duplex<Q, R>(
    method: RpcMethod<Q, R, 'duplex'>,
    receiver: Receiver<R>,
    options?: CallOptions,
  ): Sink<Q> & FlowControl
}

export interface Network {
  /** Throws AddressInUseError where the port is taken. */
  listen(options: ListenOptions): Promise<Listener>
  connect(address: string, options?: ConnectOptions): Connection
  /**
   * For streams between nodes, on the address that serves gRPC too, without what HTTP/2 costs: each call is a TCP
   * connection of its own. `windowBytes` means nothing here: TCP sizes its window itself.
   */
  connectFramed(address: string, options?: ConnectOptions): StreamConnection
}

export class AddressInUseError extends Error {
  override readonly name = 'AddressInUseError'
  readonly address: string
  constructor(address: string, options?: ErrorOptions) {
    super(
      `${address} is in use by another process; stop it, or choose another address with --listen`,
      options,
    )
    this.address = address
  }
}

/** Checks a handler against its method's types and gives it the erased type of the list. */
export function unaryHandler<Q, R>(
  method: RpcMethod<Q, R, 'unary'>,
  handle: (request: Q, call: CallContext) => Promise<R>,
): Handler {
  return { method, handle } satisfies UnaryHandler<Q, R> as unknown as Handler
}
export function serverStreamHandler<Q, R>(
  method: RpcMethod<Q, R, 'serverStream'>,
  handle: (request: Q, sink: Sink<R>, call: CallContext) => void,
): Handler {
  return { method, handle } satisfies ServerStreamHandler<Q, R> as unknown as Handler
}
export function duplexHandler<Q, R>(
  method: RpcMethod<Q, R, 'duplex'>,
  handle: (sink: Sink<R>, flow: FlowControl, call: CallContext) => Receiver<Q>,
): Handler {
  return { method, handle } satisfies DuplexHandler<Q, R> as unknown as Handler
}
