import { lookup } from 'node:dns/promises'
import { createServer, isIP } from 'node:net'
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
  AddressInUseError,
  RpcError,
  StatusCode,
  type Codec,
  type DuplexHandler,
  type Listener,
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

const DEFAULT_MAX_RECEIVE_BYTES = 8 * 1024 * 1024

/** Serves the handlers on `options.address`, without TLS. */
export async function listenGrpc(options: ListenOptions, clock: Clock, logger: Logger): Promise<Listener> {
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
  const { host, port } = splitAddress(options.address)
  const bound = await bind(server, host, port, options.address)
  openReceiveWindows(server)
  return new GrpcListener(server, `${host}:${bound.port}`, bound.target)
}

type AnyHandler =
  UnaryHandler<unknown, unknown> | ServerStreamHandler<unknown, unknown> | DuplexHandler<unknown, unknown>

function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const at = address.lastIndexOf(':')
  const host = address.slice(0, at)
  const port = Number(address.slice(at + 1))
  if (at < 1 || !Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new TypeError(`${address} is no HOST:PORT to listen on; the port is 0 to 65535`)
  }
  return { host, port }
}

interface Bound {
  readonly port: number
  /** ADDRESS:PORT as grpc-js knows it. */
  readonly target: string
}

async function bind(server: Server, host: string, port: number, address: string): Promise<Bound> {
  // One address, and the port tried first: grpc-js listens on all addresses of a name, is content with some of them,
  // and writes to the console where a port is taken.
  const bare = host.replace(/^\[(.*)\]$/, '$1')
  const ip = isIP(bare) === 0 ? (await lookup(bare)).address : bare
  if (port !== 0) await probe(ip, port, address)
  const targetOf = (chosen: number): string => `${isIP(ip) === 6 ? `[${ip}]` : ip}:${chosen}`
  return new Promise((resolve, reject) => {
    server.bindAsync(targetOf(port), ServerCredentials.createInsecure(), (error, boundPort) => {
      if (error === null) resolve({ port: boundPort, target: targetOf(boundPort) })
      else
        reject(
          error.message.includes('EADDRINUSE') ? new AddressInUseError(address, { cause: error }) : error,
        )
    })
  })
}

function probe(ip: string, port: number, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const probing = createServer()
    probing.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'EADDRINUSE' ? new AddressInUseError(address, { cause: error }) : error),
    )
    probing.listen(port, ip, () => probing.close(() => resolve()))
  })
}

class GrpcListener implements Listener {
  readonly address: string
  readonly #server: Server
  /** What grpc-js knows the address as. */
  readonly #target: string
  #closing: Promise<void> | undefined

  constructor(server: Server, address: string, target: string) {
    this.#server = server
    this.address = address
    this.#target = target
  }

  close(graceMs: number): Promise<void> {
    this.#closing ??= new Promise((resolve, reject) => {
      // Ends after the grace the connections that are open now. (forceShutdown finds none where channelz is off, and
      // drain none that tryShutdown has begun to close.)
      this.#server.drain(this.#target, graceMs)
      this.#server.tryShutdown((error) => (error === undefined ? resolve() : reject(error)))
    })
    return this.#closing
  }
}

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
    const request = decodeRequest(handler.method.request, bytes)
    return asBuffer(handler.method.response.encode(await handler.handle(request, context)))
  }

  serverStream(handler: ServerStreamHandler<unknown, unknown>, call: WritableCall): void {
    const context = new GrpcCallContext(call, this.#clock)
    const sink = sinkOf(handler.method.response, call, context)
    call.on('cancelled', () => sink.over())
    try {
      handler.handle(decodeRequest(handler.method.request, call.request), sink, context)
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
        receiver.onMessage(decodeRequest(handler.method.request, bytes))
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

  /** A handler throws RpcError; anything else is a fault of ours, which the log has to show. */
  #rpcErrorOf(error: unknown): RpcError {
    if (error instanceof RpcError) return error
    this.#logger.error({ err: error, path: this.#path }, 'a handler failed unexpectedly')
    return new RpcError(
      StatusCode.internal,
      `${this.#path} failed unexpectedly; the log of the node tells more`,
      {
        cause: error,
      },
    )
  }
}

/** A codec may throw an RpcError of its own, with details; it is kept. */
function decodeRequest(codec: Codec<unknown>, bytes: Buffer): unknown {
  try {
    return codec.decode(bytes)
  } catch (cause) {
    if (cause instanceof RpcError) throw cause
    throw new RpcError(StatusCode.invalidArgument, `the request is malformed: ${String(cause)}`, { cause })
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
