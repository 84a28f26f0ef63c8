import type { Socket } from 'node:net'
import {
  Server,
  ServerCredentials,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedHandleCall,
} from '@grpc/grpc-js'
import type { Clock, Logger } from '../env.ts'
import {
  RpcError,
  StatusCode,
  type Codec,
  type DuplexHandler,
  type ListenOptions,
  type Receiver,
  type ServerStreamHandler,
  type Sink,
  type UnaryHandler,
} from '../network.ts'
import { GrpcCallContext } from './grpc-call-context.ts'
import { addHealth } from './grpc-health.ts'
import { addReflection } from './grpc-reflection.ts'
import { openReceiveWindows, setStreamWindow } from './grpc-receive-window.ts'
import { SendQueue } from './grpc-sink.ts'
import { asBuffer, identity, serviceStatusOf } from './grpc-status.ts'
import { decodeMessage, rpcErrorOfHandler, type ConnectionServer } from './serving.ts'

const DEFAULT_MAX_RECEIVE_BYTES = 8 * 1024 * 1024

/** Serves the handlers over gRPC on the connections that it is given, without TLS. */
export function serveGrpc(options: ListenOptions, clock: Clock, logger: Logger): ConnectionServer {
  const server = new Server({
    'grpc.max_receive_message_length': options.maxReceiveBytes ?? DEFAULT_MAX_RECEIVE_BYTES,
    'grpc.max_send_message_length': -1,
    // Callers that are gone without a word hold streams; pings find them. Callers' own pings are all answered.
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.enable_channelz': 0,
  })
  setStreamWindow(server)
  for (const handler of options.handlers) register(server, handler as AnyHandler, clock, logger)
  if (options.health !== undefined) addHealth(server, options.health)
  if (options.reflection !== false) addReflection(server)
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  openReceiveWindows(server)
  return new GrpcServer(server, injector)
}

type AnyHandler =
  UnaryHandler<unknown, unknown> | ServerStreamHandler<unknown, unknown> | DuplexHandler<unknown, unknown>

/** A gRPC server for connections that something else accepts. */
class GrpcServer implements ConnectionServer {
  readonly #server: Server
  readonly #injector: ConnectionInjector

  constructor(server: Server, injector: ConnectionInjector) {
    this.#server = server
    this.#injector = injector
  }

  take(socket: Socket): void {
    this.#injector.injectConnection(socket)
  }

  close(graceMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      // Ends after the grace the connections that are open now. (forceShutdown finds none where channelz is off, and
      // drain none that tryShutdown has begun to close.)
      this.#injector.drain(graceMs)
      this.#server.tryShutdown((error) => (error === undefined ? resolve() : reject(error)))
    })
  }
}

type ConnectionInjector = ReturnType<Server['createConnectionInjector']>

function register(server: Server, handler: AnyHandler, clock: Clock, logger: Logger): void {
  const { path, kind } = handler.method
  const serving = new Serving(clock, logger, path)
  const add = (handle: unknown, type: 'unary' | 'serverStream' | 'bidi'): void => {
    // grpc-js's types tie a handler to one of its stubs; here bytes go in and out.
    if (!server.register(path, handle as UntypedHandleCall, identity, identity, type)) {
      throw new TypeError(`two handlers serve ${path}`)
    }
  }
  if (isUnary(handler)) {
    add((call: UnaryCall, reply: sendUnaryData<Buffer>) => serving.unary(handler, call, reply), 'unary')
  } else if (isServerStream(handler)) {
    add((call: WritableCall) => serving.serverStream(handler, call), 'serverStream')
  } else if (kind === 'duplex') {
    add((call: DuplexCall) => serving.duplex(handler, call), 'bidi')
  }
}

type UnaryCall = ServerUnaryCall<Buffer, Buffer>
type WritableCall = ServerWritableStream<Buffer, Buffer>
type DuplexCall = ServerDuplexStream<Buffer, Buffer>

const isUnary = (handler: AnyHandler): handler is UnaryHandler<unknown, unknown> =>
  handler.method.kind === 'unary'
const isServerStream = (handler: AnyHandler): handler is ServerStreamHandler<unknown, unknown> =>
  handler.method.kind === 'serverStream'

class Serving {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #path: string

  constructor(clock: Clock, logger: Logger, path: string) {
    this.#clock = clock
    this.#logger = logger
    this.#path = path
  }

  unary(handler: UnaryHandler<unknown, unknown>, call: UnaryCall, reply: sendUnaryData<Buffer>): void {
    const context = new GrpcCallContext(call, this.#clock)
    this.#answer(handler, call.request, context).then(
      (bytes) => {
        context.answered()
        reply(null, bytes)
      },
      (error: unknown) => {
        context.answered()
        reply(serviceStatusOf(this.#rpcErrorOf(error)))
      },
    )
  }

  async #answer(
    handler: UnaryHandler<unknown, unknown>,
    bytes: Buffer,
    context: GrpcCallContext,
  ): Promise<Buffer> {
    const request = decodeMessage(handler.method.request, bytes)
    return asBuffer(handler.method.response.encode(await handler.handle(request, context)))
  }

  serverStream(handler: ServerStreamHandler<unknown, unknown>, call: WritableCall): void {
    const context = new GrpcCallContext(call, this.#clock)
    const sink = sinkOf(handler.method.response, call, context)
    call.on('cancelled', () => sink.over())
    try {
      handler.handle(decodeMessage(handler.method.request, call.request), sink, context)
    } catch (error) {
      sink.fail(this.#rpcErrorOf(error))
    }
  }

  duplex(handler: DuplexHandler<unknown, unknown>, call: DuplexCall): void {
    const context = new GrpcCallContext(call, this.#clock)
    const sink = sinkOf(handler.method.response, call, context)
    const flow = { pause: () => void call.pause(), resume: () => void call.resume() }
    let receiver: Receiver<unknown>
    try {
      receiver = handler.handle(sink, flow, context)
    } catch (error) {
      sink.fail(this.#rpcErrorOf(error))
      return
    }
    let over = false
    const close = (error: RpcError | undefined): void => {
      if (over) return
      over = true
      receiver.onClose(error)
    }
    call.on('data', (bytes: Buffer) => {
      if (over) return
      try {
        receiver.onMessage(decodeMessage(handler.method.request, bytes))
      } catch (error) {
        const failure = this.#rpcErrorOf(error)
        sink.fail(failure)
        close(failure)
      }
    })
    call.on('end', () => {
      if (!over) receiver.onEnd()
    })
    call.on('cancelled', () => {
      const gone = sink.ended ? undefined : new RpcError(StatusCode.cancelled, 'the caller is gone')
      sink.over()
      close(gone)
    })
  }

  #rpcErrorOf(error: unknown): RpcError {
    return rpcErrorOfHandler(error, this.#path, this.#logger)
  }
}

interface ServerSink extends Sink<unknown> {
  readonly ended: boolean
  /** The call is over. */
  over(): void
}

function sinkOf(
  codec: Codec<unknown>,
  call: WritableCall | DuplexCall,
  context: GrpcCallContext,
): ServerSink {
  const queue = new SendQueue(call, codec)
  let ended = false
  return {
    get ended() {
      return ended
    },
    send: (message) => queue.send(message),
    onDrain: (listener) => queue.onDrain(listener),
    end() {
      ended = true
      context.answered()
      queue.end()
    },
    fail(error) {
      if (ended) return
      ended = true
      context.answered()
      queue.close()
      call.emit('error', serviceStatusOf(error))
    },
    over: () => queue.close(),
  }
}
