import {
  Client,
  credentials,
  Metadata,
  type CallOptions as GrpcCallOptions,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ServiceError,
  type StatusObject,
} from '@grpc/grpc-js'
import type { Clock } from '../env.ts'
import {
  RpcError,
  StatusCode,
  type CallOptions,
  type Codec,
  type Connection,
  type ConnectOptions,
  type FlowControl,
  type Receiver,
  type RpcMethod,
  type Sink,
} from '../network.ts'
import { SendQueue } from './grpc-sink.ts'
import { asBuffer, identity, rpcErrorOf } from './grpc-status.ts'

const DEFAULT_MAX_RECEIVE_BYTES = 64 * 1024 * 1024
const DEFAULT_WINDOW_BYTES = 4 * 1024 * 1024
const DEFAULT_KEEPALIVE_MS = 10_000
const KEEPALIVE_TIMEOUT_MS = 5_000

/** Opens a connection of its own to `address`, without TLS. */
export function connectGrpc(address: string, options: ConnectOptions, clock: Clock): Connection {
  const client = new Client(address, credentials.createInsecure(), {
    'grpc.max_receive_message_length': options.maxReceiveBytes ?? DEFAULT_MAX_RECEIVE_BYTES,
    'grpc.max_send_message_length': -1,
    'grpc-node.flow_control_window': options.windowBytes ?? DEFAULT_WINDOW_BYTES,
    'grpc.keepalive_time_ms': options.keepaliveMs ?? DEFAULT_KEEPALIVE_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc.keepalive_permit_without_calls': 1,
    // Whether a retry is safe is known only to the layers above.
    'grpc.enable_retries': 0,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.initial_reconnect_backoff_ms': 50,
    'grpc.max_reconnect_backoff_ms': 1000,
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_http_proxy': 0,
    'grpc.enable_channelz': 0,
  })
  return new GrpcConnection(address, client, clock)
}

class GrpcConnection implements Connection {
  readonly address: string
  readonly #client: Client
  readonly #clock: Clock
  #closed = false

  constructor(address: string, client: Client, clock: Clock) {
    this.address = address
    this.#client = client
    this.#clock = clock
  }

  unary<Q, R>(method: RpcMethod<Q, R, 'unary'>, request: Q, options: CallOptions = {}): Promise<R> {
    return new Promise((resolve, reject) => {
      const refusal = this.#refusal(options)
      if (refusal !== undefined) return reject(refusal)
      let unlink = (): void => {}
      const call = this.#client.makeUnaryRequest(
        method.path,
        identity,
        identity,
        asBuffer(method.request.encode(request)),
        metadataOf(options),
        this.#callOptions(options),
        (error: ServiceError | null, reply?: Buffer) => {
          unlink()
          if (error !== null) return reject(rpcErrorOf(error))
          const response = decodeReply(method.response, reply ?? Buffer.alloc(0), method.path)
          if (response instanceof RpcError) reject(response)
          else resolve(response.message)
        },
      )
      unlink = cancelOnAbort(options.signal, () => call.cancel())
    })
  }

  serverStream<Q, R>(
    method: RpcMethod<Q, R, 'serverStream'>,
    request: Q,
    receiver: Receiver<R>,
    options: CallOptions = {},
  ): FlowControl & { cancel(): void } {
    const refusal = this.#refusal(options)
    if (refusal !== undefined) return new RefusedCall(receiver, refusal, this.#clock)
    const stream = this.#client.makeServerStreamRequest(
      method.path,
      identity,
      identity,
      asBuffer(method.request.encode(request)),
      metadataOf(options),
      this.#callOptions(options),
    )
    receive(stream, method, receiver, options.signal)
    return {
      pause: () => void stream.pause(),
      resume: () => void stream.resume(),
      cancel: () => stream.cancel(),
    }
  }

  duplex<Q, R>(
    method: RpcMethod<Q, R, 'duplex'>,
    receiver: Receiver<R>,
    options: CallOptions = {},
  ): Sink<Q> & FlowControl {
    const refusal = this.#refusal(options)
    if (refusal !== undefined) return new RefusedCall(receiver, refusal, this.#clock)
    const stream = this.#client.makeBidiStreamRequest(
      method.path,
      identity,
      identity,
      metadataOf(options),
      this.#callOptions(options),
    )
    const queue = new SendQueue<Q>(stream, method.request)
    receive(stream, method, receiver, options.signal, () => queue.close())
    return {
      send: (message) => queue.send(message),
      onDrain: (listener) => queue.onDrain(listener),
      end: () => queue.end(),
      fail: () => stream.cancel(),
      pause: () => void stream.pause(),
      resume: () => void stream.resume(),
    }
  }

  close(): void {
    this.#closed = true
    this.#client.close()
  }

  /** Why a call isn't even begun. */
  #refusal({ signal }: CallOptions): RpcError | undefined {
    const neverSent = true
    if (this.#closed) {
      return new RpcError(StatusCode.unavailable, `the connection to ${this.address} is closed`, {
        neverSent,
      })
    }
    if (signal?.aborted === true) {
      return new RpcError(StatusCode.cancelled, 'cancelled before it was sent', {
        neverSent,
        cause: signal.reason,
      })
    }
    return undefined
  }

  #callOptions({ deadlineMs }: CallOptions): GrpcCallOptions {
    if (deadlineMs === undefined) return {}
    // grpc-js counts in wall-clock milliseconds.
    return { deadline: Date.now() + Math.max(0, deadlineMs - this.#clock.nowMs()) }
  }
}

/** A call that never began, told as any other: later, not while it is being made. */
class RefusedCall<Q> implements Sink<Q>, FlowControl {
  constructor(receiver: Receiver<never>, refusal: RpcError, clock: Clock) {
    clock.defer(() => receiver.onClose(refusal))
  }
  send(): boolean {
    return true
  }
  onDrain(): void {}
  end(): void {}
  fail(): void {}
  pause(): void {}
  resume(): void {}
  cancel(): void {}
}

function metadataOf({ metadata }: CallOptions): Metadata {
  const result = new Metadata()
  for (const [name, value] of Object.entries(metadata ?? {})) result.set(name, value)
  return result
}

function cancelOnAbort(signal: AbortSignal | undefined, cancel: () => void): () => void {
  if (signal === undefined) return () => {}
  signal.addEventListener('abort', cancel, { once: true })
  return () => signal.removeEventListener('abort', cancel)
}

function decodeReply<R>(codec: Codec<R>, bytes: Buffer, path: string): { readonly message: R } | RpcError {
  try {
    return { message: codec.decode(bytes) }
  } catch (cause) {
    return new RpcError(StatusCode.internal, `the answer to ${path} is malformed: ${String(cause)}`, {
      cause,
    })
  }
}

function receive<R>(
  stream: ClientReadableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>,
  method: Pick<RpcMethod<unknown, R>, 'path' | 'response'>,
  receiver: Receiver<R>,
  signal: AbortSignal | undefined,
  onOver: () => void = () => {},
): void {
  let over = false
  let ended = false
  let endedWell = false
  const unlink = cancelOnAbort(signal, () => stream.cancel())
  const close = (error: RpcError | undefined): void => {
    if (over) return
    over = true
    unlink()
    onOver()
    if (error === undefined) receiver.onEnd()
    receiver.onClose(error)
  }
  stream.on('data', (bytes: Buffer) => {
    if (over) return
    const reply = decodeReply(method.response, bytes, method.path)
    if (reply instanceof RpcError) {
      close(reply)
      stream.cancel()
    } else receiver.onMessage(reply.message)
  })
  // The status may be told before the messages that lie in the stream are taken; the end comes after them.
  stream.on('end', () => {
    ended = true
    if (endedWell) close(undefined)
  })
  stream.on('status', ({ code }: StatusObject) => {
    endedWell = (code as StatusCode) === StatusCode.ok
    if (endedWell && ended) close(undefined)
  })
  stream.on('error', (error: ServiceError) => close(rpcErrorOf(error)))
}
