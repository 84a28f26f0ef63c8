import type { Socket } from 'node:net'
import type { Cancel, Clock, Logger } from '../../env.ts'
import {
  RpcError,
  StatusCode,
  type CallContext,
  type Codec,
  type ListenOptions,
  type ServerStreamHandler,
  type Sink,
} from '../../network.ts'
import { decodeMessage, rpcErrorOfHandler, type ConnectionServer } from '../serving.ts'
import {
  decodeRequest,
  encodeError,
  encodeFrame,
  frameHead,
  FrameReader,
  FrameType,
  PREFACE,
} from './frames.ts'

const DEFAULT_MAX_RECEIVE_BYTES = 8 * 1024 * 1024
/** So many bytes may wait in a connection before its sender is told to stop. */
const MAX_QUEUED_BYTES = 1024 * 1024
/** A caller pings every 10 s at the latest; one that is silent for so long is gone. */
const SILENCE_MS = 30_000

const PONG = encodeFrame(FrameType.pong)
const END = encodeFrame(FrameType.end)

type StreamHandler = ServerStreamHandler<unknown, unknown>

/** Serves those of the handlers that stream from the server alone. */
export function serveFramed(options: ListenOptions, clock: Clock, logger: Logger): ConnectionServer {
  const streams = new Map<string, StreamHandler>()
  for (const handler of options.handlers) {
    if (handler.method.kind === 'serverStream')
      streams.set(handler.method.path, handler as unknown as StreamHandler)
  }
  const maxReceiveBytes = options.maxReceiveBytes ?? DEFAULT_MAX_RECEIVE_BYTES
  const connections = new Set<FramedConnection>()
  return {
    take(socket) {
      const connection: FramedConnection = new FramedConnection(
        socket,
        streams,
        maxReceiveBytes,
        clock,
        logger,
        () => connections.delete(connection),
      )
      connections.add(connection)
      connection.start()
    },
    async close(graceMs) {
      if (connections.size === 0) return
      await new Promise<void>((resolve) => {
        const over = (): void => {
          cancelTimer()
          resolve()
        }
        const cancelTimer = clock.setTimer(graceMs, () => {
          for (const connection of connections) connection.destroy()
          over()
        })
        for (const connection of connections)
          connection.onOver(() => {
            if (connections.size === 0) over()
          })
      })
    },
  }
}

/** One connection is one call. */
class FramedConnection {
  readonly #socket: Socket
  readonly #streams: ReadonlyMap<string, StreamHandler>
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #reader: FrameReader
  readonly #abort = new AbortController()
  readonly #overListeners: (() => void)[]
  #path: string | undefined
  #sink: FramedSink<unknown> | undefined
  #prefaceBytes = 0
  #heard = true
  #cancelTimer: Cancel | undefined
  #isOver = false

  constructor(
    socket: Socket,
    streams: ReadonlyMap<string, StreamHandler>,
    maxReceiveBytes: number,
    clock: Clock,
    logger: Logger,
    onOver: () => void,
  ) {
    this.#socket = socket
    this.#streams = streams
    this.#clock = clock
    this.#logger = logger
    this.#reader = new FrameReader(maxReceiveBytes, (type, body) => this.#onFrame(type, body))
    this.#overListeners = [onOver]
  }

  start(): void {
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk))
    this.#socket.on('drain', () => this.#sink?.drained())
    this.#socket.on('error', () => this.destroy())
    this.#socket.on('end', () => this.destroy())
    this.#socket.on('close', () => this.#over())
    // It was paused when its preface was looked at.
    this.#socket.resume()
    this.#watch()
  }

  onOver(listener: () => void): void {
    this.#overListeners.push(listener)
  }

  destroy(): void {
    this.#socket.destroy()
    this.#over()
  }

  #watch(): void {
    this.#cancelTimer = this.#clock.setTimer(SILENCE_MS, () => {
      if (!this.#heard) return this.destroy()
      this.#heard = false
      this.#watch()
    })
  }

  #over(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancelTimer?.()
    this.#sink?.close()
    for (const listener of this.#overListeners) listener()
    this.#abort.abort()
  }

  #read(chunk: Buffer): void {
    this.#heard = true
    const rest = chunk.subarray(Math.min(chunk.length, PREFACE.length - this.#prefaceBytes))
    this.#prefaceBytes += chunk.length - rest.length
    try {
      this.#reader.push(rest)
    } catch (error) {
      if (!(error instanceof RpcError)) throw error
      this.#refuse(error)
    }
  }

  #refuse(error: RpcError): void {
    if (this.#sink !== undefined) this.#sink.fail(error)
    else this.#socket.end(encodeError(error))
  }

  #onFrame(type: FrameType, body: Buffer): void {
    if (type === FrameType.ping) {
      this.#socket.write(PONG)
      return
    }
    if (type !== FrameType.request || this.#path !== undefined) {
      throw new RpcError(StatusCode.internal, 'a caller sends one request, and pings')
    }
    const { path, message } = decodeRequest(body)
    this.#path = path
    const handler = this.#streams.get(path)
    if (handler === undefined) {
      throw new RpcError(StatusCode.unimplemented, `no method that streams from the server is called ${path}`)
    }
    this.#serve(handler, message)
  }

  #serve(handler: StreamHandler, message: Uint8Array): void {
    const sink = new FramedSink(this.#socket, handler.method.response)
    this.#sink = sink
    const { remoteAddress = 'unknown', remotePort = 0 } = this.#socket
    const context: CallContext = {
      peer: `${remoteAddress}:${remotePort}`,
      metadata: new Map(),
      deadlineMs: undefined,
      signal: this.#abort.signal,
    }
    try {
      handler.handle(decodeMessage(handler.method.request, message), sink, context)
    } catch (error) {
      sink.fail(rpcErrorOfHandler(error, handler.method.path, this.#logger))
    }
  }
}

class FramedSink<T> implements Sink<T> {
  readonly #socket: Socket
  readonly #codec: Codec<T>
  #closed = false
  #full = false
  #drainListener: (() => void) | undefined

  constructor(socket: Socket, codec: Codec<T>) {
    this.#socket = socket
    this.#codec = codec
  }

  send(message: T): boolean {
    if (this.#closed) return true
    const pieces = this.#codec.encodeInPieces?.(message) ?? [this.#codec.encode(message)]
    const bytes = pieces.reduce((sum, piece) => sum + piece.byteLength, 0)
    // Head and body leave in one write, without being copied together.
    this.#socket.cork()
    this.#socket.write(frameHead(FrameType.message, bytes))
    for (const piece of pieces) this.#socket.write(piece)
    this.#socket.uncork()
    // Whoever was told to stop waits for the drain, also where something small was sent in between.
    if (this.#socket.writableLength > MAX_QUEUED_BYTES) this.#full = true
    return !this.#full
  }

  onDrain(listener: () => void): void {
    this.#drainListener = listener
  }

  drained(): void {
    if (!this.#full || this.#closed) return
    this.#full = false
    this.#drainListener?.()
  }

  end(): void {
    if (this.#closed) return
    this.#closed = true
    this.#socket.end(END)
  }

  fail(error: RpcError): void {
    if (this.#closed) return
    this.#closed = true
    this.#socket.end(encodeError(error))
  }

  close(): void {
    this.#closed = true
  }
}
