import { connect as connectHttp2, type ClientHttp2Session, type Settings } from 'node:http2'
import { createServer } from 'node:net'
import { status as GrpcStatus, Client, credentials } from '@grpc/grpc-js'
import { service as healthService } from 'grpc-health-check'
import { afterEach, describe, expect, it } from 'vitest'
import {
  AddressInUseError,
  RpcError,
  StatusCode,
  duplexHandler,
  serverStreamHandler,
  unaryHandler,
  type Connection,
  type ConnectOptions,
  type Handler,
  type Listener,
  type ListenOptions,
  type Sink,
  type StreamConnection,
} from '../../src/env/index.ts'
import { nodeClock } from '../../src/env/node/clock.ts'
import { CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES } from '../../src/env/node/grpc-receive-window.ts'
import { nodeNetwork } from '../../src/env/node/network.ts'
import { until } from '../support/until.ts'
import { echo, flood, rawEcho, rawFlood, rawTalk, Recorder, RecordingLogger, talk } from './echo.ts'

const clock = nodeClock()
const logger = new RecordingLogger()
const network = nodeNetwork(clock, logger)
const cleanups: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  logger.faults.length = 0
})

async function listen(handlers: Handler[], options: Partial<ListenOptions> = {}): Promise<Listener> {
  const listener = await network.listen({ address: '127.0.0.1:0', reflection: false, handlers, ...options })
  cleanups.push(() => listener.close(0))
  return listener
}
function connect(address: string, options?: ConnectOptions): Connection {
  const connection = network.connect(address, options)
  cleanups.push(() => connection.close())
  return connection
}
function connectFramed(address: string, options?: ConnectOptions): StreamConnection {
  const connection = network.connectFramed(address, options)
  cleanups.push(() => connection.close())
  return connection
}
const failureOf = async (call: Promise<unknown>): Promise<RpcError> => {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof RpcError) return error
  throw new Error('the call did not fail with RpcError', { cause: error })
}
const never = new Promise<never>(() => {})
const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

describe('a call that fails', () => {
  it('on an address where nobody listens was surely never sent', async () => {
    const error = await failureOf(connect(`127.0.0.1:${await freePort()}`).unary(echo, 'x'))
    expect(error).toMatchObject({ code: StatusCode.unavailable, neverSent: true })
    expect(error.message).toContain('ECONNREFUSED')
  })
  it('keeps code, message and details of the RpcError that the handler threw', async () => {
    const details = Buffer.from([1, 2, 3])
    const handler = unaryHandler(echo, () => {
      throw new RpcError(StatusCode.failedPrecondition, 'no \ud800 good', { details })
    })
    const error = await failureOf(connect((await listen([handler])).address).unary(echo, 'x'))
    expect(error).toMatchObject({
      code: StatusCode.failedPrecondition,
      message: 'no � good',
      neverSent: false,
    })
    expect(error.details).toEqual(details)
  })
  it('of a node that could not reach another does not seem never sent itself', async () => {
    const handler = unaryHandler(echo, () =>
      Promise.reject(new RpcError(StatusCode.unavailable, 'No connection established. Last error: x')),
    )
    const error = await failureOf(connect((await listen([handler])).address).unary(echo, 'x'))
    expect(error).toMatchObject({ code: StatusCode.unavailable, neverSent: false })
  })
  it('for another reason is INTERNAL, and the log tells why', async () => {
    const handler = unaryHandler(echo, () => Promise.reject(new TypeError('oops')))
    const error = await failureOf(connect((await listen([handler])).address).unary(echo, 'x'))
    expect(error.code).toBe(StatusCode.internal)
    expect(error.message).not.toContain('oops')
    expect(logger.faults).toMatchObject([{ fields: { path: echo.path }, message: expect.any(String) }])
  })
  it('with malformed bytes is refused before the handler sees it', async () => {
    const handler = unaryHandler(echo, () => Promise.reject(new Error('was called')))
    const error = await failureOf(
      connect((await listen([handler])).address).unary(rawEcho, Buffer.from([0xff])),
    )
    expect(error).toMatchObject({ code: StatusCode.invalidArgument, neverSent: false })
    expect(error.message).toContain('0xff is no text')
  })
  it('with a malformed answer says which call it was', async () => {
    const handler = unaryHandler({ ...echo, response: rawEcho.request }, async () => Buffer.from([0xff]))
    const error = await failureOf(connect((await listen([handler])).address).unary(echo, 'x'))
    expect(error.message).toContain(`the answer to ${echo.path} is malformed`)
  })
  it('for a method that nobody serves is UNIMPLEMENTED', async () => {
    const error = await failureOf(connect((await listen([])).address).unary(echo, 'x'))
    expect(error.code).toBe(StatusCode.unimplemented)
  })
  it('because it is too large names the limit', async () => {
    const handler = unaryHandler(echo, async (request) => request)
    const { address } = await listen([handler], { maxReceiveBytes: 1000 })
    const error = await failureOf(connect(address).unary(echo, 'x'.repeat(1001)))
    expect(error.code).toBe(StatusCode.resourceExhausted)
  })
  it('because its deadline passed leaves the outcome open, and the handler learns of it', async () => {
    let aborted!: Promise<unknown>
    const handler = unaryHandler(echo, (_request, { signal, deadlineMs }) => {
      expect(deadlineMs! - clock.nowMs()).toBeLessThanOrEqual(300)
      aborted = new Promise((resolve) => signal.addEventListener('abort', resolve))
      return never
    })
    const connection = connect((await listen([handler])).address)
    const error = await failureOf(connection.unary(echo, 'x', { deadlineMs: clock.nowMs() + 250 }))
    expect(error).toMatchObject({ code: StatusCode.deadlineExceeded, neverSent: false })
    await aborted
  })
  it('because its signal was aborted is CANCELLED, and the handler learns of it', async () => {
    const cancel = new AbortController()
    let aborted!: Promise<unknown>
    const handler = unaryHandler(echo, (_request, { signal }) => {
      aborted = new Promise((resolve) => signal.addEventListener('abort', resolve))
      cancel.abort()
      return never
    })
    const connection = connect((await listen([handler])).address)
    expect((await failureOf(connection.unary(echo, 'x', { signal: cancel.signal }))).code).toBe(
      StatusCode.cancelled,
    )
    await aborted
    expect(await failureOf(connection.unary(echo, 'x', { signal: cancel.signal }))).toMatchObject({
      neverSent: true,
    })
  })
  it('because the server died may have been sent', async () => {
    let arrived!: () => void
    const arrival = new Promise<void>((resolve) => (arrived = resolve))
    const handler = unaryHandler(echo, () => {
      arrived()
      return never
    })
    const listener = await listen([handler])
    const failure = failureOf(connect(listener.address).unary(echo, 'x'))
    await arrival
    await listener.close(0)
    expect(await failure).toMatchObject({ neverSent: false })
  })
})

describe('an address', () => {
  it('that is taken is refused with a way out', async () => {
    const { address } = await listen([])
    await expect(network.listen({ address, handlers: [] })).rejects.toThrow(AddressInUseError)
    await expect(network.listen({ address, handlers: [] })).rejects.toThrow(`${address} is in use`)
  })
  it.each(['nowhere', 'host:port', '127.0.0.1:70000'])('%s is refused', async (address) => {
    await expect(network.listen({ address, handlers: [] })).rejects.toThrow('is no HOST:PORT')
  })
  it('with port 0 is given a port, under the name that was asked for', async () => {
    const { address } = await listen([unaryHandler(echo, async (request) => request)], {
      address: 'localhost:0',
    })
    expect(address).toMatch(/^localhost:[1-9]\d*$/)
    expect(await connect(address.replace('localhost', '127.0.0.1')).unary(echo, 'hello')).toBe('hello')
  })
})

describe.each([
  ['over gRPC', connect],
  ['in plain frames', connectFramed],
])('a stream of messages from the server, %s,', (_way, dial) => {
  it('makes its sender wait when the reader is slow, and nothing is lost', async () => {
    const chunk = Buffer.alloc(64 * 1024, 'x')
    const count = 800
    let sent = 0
    let waited!: () => void
    const sawWait = new Promise<void>((resolve) => (waited = resolve))
    const handler = serverStreamHandler(flood, (_request, sink) => {
      const pump = (): void => {
        while (sent < count) {
          sent++
          if (!sink.send(chunk)) return waited()
        }
        sink.end()
      }
      sink.onDrain(pump)
      pump()
    })
    const connection = dial((await listen([handler])).address, { windowBytes: 256 * 1024 })
    const recorder = new Recorder<Uint8Array>()
    const call = connection.serverStream(flood, 'go', recorder)
    call.pause()
    await sawWait
    // What both ends hold while nothing is read: the sender's queue, the window, sixteen messages of the reader.
    expect(sent * chunk.length).toBeLessThan(8 * 1024 * 1024)
    call.resume()
    expect(await recorder.closed).toBeUndefined()
    expect(recorder.ended).toBe(true)
    expect(recorder.messages).toHaveLength(count)
    expect(recorder.messages.every((message) => message.length === chunk.length)).toBe(true)
  })
  it('ends when the reader cancels, and the sender learns of it', async () => {
    let signal!: AbortSignal
    const handler = serverStreamHandler(flood, (_request, sink, call) => {
      signal = call.signal
      sink.send(Buffer.from('one'))
    })
    const recorder = new Recorder<Uint8Array>()
    const call = dial((await listen([handler])).address).serverStream(flood, 'go', recorder)
    await recorder.received(1)
    call.cancel()
    expect(await recorder.closed).toMatchObject({ code: StatusCode.cancelled })
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve))
    expect(signal.aborted).toBe(true)
  })
  it('ends with an error when the server dies, after what came before', async () => {
    const handler = serverStreamHandler(flood, (_request, sink) => void sink.send(Buffer.from('one')))
    const listener = await listen([handler])
    const recorder = new Recorder<Uint8Array>()
    dial(listener.address).serverStream(flood, 'go', recorder)
    await recorder.received(1)
    await listener.close(0)
    expect(await recorder.closed).toMatchObject({ neverSent: false })
    expect(recorder.ended).toBe(false)
  })
  it('on a closed connection fails without having been sent', async () => {
    const connection = dial((await listen([])).address)
    connection.close()
    const recorder = new Recorder<Uint8Array>()
    connection.serverStream(flood, 'go', recorder)
    expect(await recorder.closed).toMatchObject({ neverSent: true })
  })
  it('carries the error that the handler failed it with', async () => {
    const handler = serverStreamHandler(flood, (_request, sink) =>
      sink.fail(new RpcError(StatusCode.outOfRange, 'offset 9 is beyond 5')),
    )
    const recorder = new Recorder<Uint8Array>()
    dial((await listen([handler])).address).serverStream(flood, 'go', recorder)
    expect(await recorder.closed).toMatchObject({
      code: StatusCode.outOfRange,
      message: 'offset 9 is beyond 5',
    })
  })
  it('fails without having been sent where nobody listens', async () => {
    const recorder = new Recorder<Uint8Array>()
    dial(`127.0.0.1:${await freePort()}`).serverStream(flood, 'go', recorder)
    expect(await recorder.closed).toMatchObject({ code: StatusCode.unavailable, neverSent: true })
  })
  it('that nobody serves is UNIMPLEMENTED', async () => {
    const recorder = new Recorder<Uint8Array>()
    dial((await listen([])).address).serverStream(flood, 'go', recorder)
    expect(await recorder.closed).toMatchObject({ code: StatusCode.unimplemented })
  })
  it('whose request is malformed is INVALID_ARGUMENT', async () => {
    const recorder = new Recorder<Uint8Array>()
    const handler = serverStreamHandler(flood, (_request, sink) => sink.end())
    dial((await listen([handler])).address).serverStream(rawFlood, Buffer.of(0xff), recorder)
    expect(await recorder.closed).toMatchObject({ code: StatusCode.invalidArgument })
  })
  it('whose handler fails unexpectedly is INTERNAL, and the log tells more', async () => {
    const handler = serverStreamHandler(flood, () => {
      throw new TypeError('oops')
    })
    const recorder = new Recorder<Uint8Array>()
    dial((await listen([handler])).address).serverStream(flood, 'go', recorder)
    expect(await recorder.closed).toMatchObject({ code: StatusCode.internal })
    expect(logger.faults).toHaveLength(1)
  })
  it('with a message over the reader’s limit ends with RESOURCE_EXHAUSTED', async () => {
    const handler = serverStreamHandler(flood, (_request, sink) => void sink.send(Buffer.alloc(1001)))
    const recorder = new Recorder<Uint8Array>()
    dial((await listen([handler])).address, { maxReceiveBytes: 1000 }).serverStream(flood, 'go', recorder)
    expect(await recorder.closed).toMatchObject({ code: StatusCode.resourceExhausted })
    expect(recorder.messages).toEqual([])
  })
})

describe('a stream of messages both ways', () => {
  const answering = duplexHandler(talk, (sink) => ({
    onMessage: (message) => void sink.send(`you said ${message}`),
    onEnd: () => sink.end(),
    onClose: () => {},
  }))

  it('answers in order and ends when the caller has ended', async () => {
    const recorder = new Recorder<string>()
    const sink = connect((await listen([answering])).address).duplex(talk, recorder)
    sink.send('a')
    sink.send('b')
    sink.end()
    expect(await recorder.closed).toBeUndefined()
    expect(recorder.messages).toEqual(['you said a', 'you said b'])
  })
  it('makes the caller wait when the server is slow, and nothing is lost', async () => {
    let resume!: () => void
    let got = 0
    const handler = duplexHandler(talk, (sink, flow) => {
      flow.pause()
      resume = () => flow.resume()
      sink.send('ready')
      return { onMessage: (message) => (got += message.length), onEnd: () => sink.end(), onClose: () => {} }
    })
    const recorder = new Recorder<string>()
    const sink = connect((await listen([handler])).address).duplex(talk, recorder)
    await recorder.received(1)
    const chunk = 'x'.repeat(64 * 1024)
    let sent = 1
    while (sink.send(chunk)) sent++
    expect(sent * chunk.length).toBeLessThan(4 * 1024 * 1024)
    const drained = new Promise<void>((resolve) => sink.onDrain(resolve))
    resume()
    await drained
    sink.end()
    expect(await recorder.closed).toBeUndefined()
    expect(got).toBe(sent * chunk.length)
  })
  it('with malformed bytes in it fails with a clear error', async () => {
    let closed!: Promise<unknown>
    const handler = duplexHandler(talk, (sink) => {
      let close!: (error: unknown) => void
      closed = new Promise((resolve) => (close = resolve))
      return { onMessage: (message) => void sink.send(message), onEnd: () => {}, onClose: close }
    })
    const recorder = new Recorder<string>()
    const sink = connect((await listen([handler])).address).duplex(rawTalk, recorder)
    sink.send(Buffer.from('fine'))
    await recorder.received(1)
    sink.send(Buffer.from([0xff]))
    expect(await recorder.closed).toMatchObject({ code: StatusCode.invalidArgument })
    expect(await closed).toMatchObject({ code: StatusCode.invalidArgument })
  })
  it('tells the server when the caller is gone', async () => {
    let closed!: Promise<unknown>
    const handler = duplexHandler(talk, (sink: Sink<string>) => {
      let close!: (error: unknown) => void
      closed = new Promise((resolve) => (close = resolve))
      sink.send('hello')
      return { onMessage: () => {}, onEnd: () => {}, onClose: close }
    })
    const recorder = new Recorder<string>()
    const sink = connect((await listen([handler])).address).duplex(talk, recorder)
    await recorder.received(1)
    sink.fail(new RpcError(StatusCode.cancelled, 'enough'))
    expect(await closed).toMatchObject({ code: StatusCode.cancelled })
    expect(await recorder.closed).toMatchObject({ code: StatusCode.cancelled })
  })
  it('connects again by itself after the server was away', async () => {
    const first = await listen([unaryHandler(echo, async (request) => request)])
    const connection = connect(first.address)
    expect(await connection.unary(echo, 'before')).toBe('before')
    await first.close(0)
    await failureOf(connection.unary(echo, 'away'))
    await listen([unaryHandler(echo, async (request) => request)], { address: first.address })
    const again = async (): Promise<string> => {
      try {
        return await connection.unary(echo, 'after')
      } catch {
        return again()
      }
    }
    expect(await again()).toBe('after')
  })
})

describe('a listener that closes', () => {
  it('lets what is under way finish within the grace', async () => {
    let finish!: (answer: string) => void
    let arrived!: () => void
    const arrival = new Promise<void>((resolve) => (arrived = resolve))
    const handler = unaryHandler(echo, () => {
      arrived()
      return new Promise<string>((resolve) => (finish = resolve))
    })
    const listener = await listen([handler])
    const answer = connect(listener.address).unary(echo, 'x')
    await arrival
    const closed = listener.close(30_000)
    finish('done')
    expect(await answer).toBe('done')
    await closed
    expect(await failureOf(connect(listener.address).unary(echo, 'x'))).toMatchObject({ neverSent: true })
  })
})

describe('standard services', () => {
  it('tell health by service, and changes of it', async () => {
    let serving = false
    const listeners = new Set<(service: string) => void>()
    const { address } = await listen([], {
      health: {
        services: ['', 'a.B'],
        isServing: () => serving,
        onChange(listener) {
          listeners.add(listener)
          return () => listeners.delete(listener)
        },
      },
    })
    const client = new Client(address, credentials.createInsecure())
    cleanups.push(() => client.close())
    const { Check, Watch } = healthService as Record<string, typeof healthService.Check>
    const check = (name: string): Promise<unknown> =>
      new Promise((resolve) =>
        client.makeUnaryRequest(
          Check!.path,
          Check!.requestSerialize,
          Check!.responseDeserialize,
          { service: name },
          (error, reply) => resolve(error?.code ?? reply),
        ),
      )
    expect(await check('a.B')).toMatchObject({ status: 'NOT_SERVING' })
    expect(await check('nobody')).toBe(GrpcStatus.NOT_FOUND)
    const watch = client.makeServerStreamRequest(
      Watch!.path,
      Watch!.requestSerialize,
      Watch!.responseDeserialize,
      {
        service: 'a.B',
      },
    )
    watch.on('error', () => {})
    const next = (): Promise<unknown> => new Promise((resolve) => watch.once('data', resolve))
    expect(await next()).toMatchObject({ status: 'NOT_SERVING' })
    serving = true
    for (const listener of listeners) listener('a.B')
    expect(await next()).toMatchObject({ status: 'SERVING' })
    expect(await check('')).toMatchObject({ status: 'SERVING' })
    watch.cancel()
  })
  it('offer reflection of the public protos', async () => {
    const { address } = await listen([], { reflection: true })
    const bytes = { encode: (message: Uint8Array) => message, decode: (encoded: Uint8Array) => encoded }
    const recorder = new Recorder<Uint8Array>()
    const method = {
      path: '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
      kind: 'duplex',
      request: bytes,
      response: bytes,
    } as const
    const sink = connect(address).duplex(method, recorder)
    // list_services = "*"
    sink.send(Buffer.from('3a012a', 'hex'))
    await recorder.received(1)
    expect(Buffer.from(recorder.messages[0]!).toString()).toContain('flotilla.v1.LogService')
    sink.end()
    await recorder.closed
  })
})

describe('the receive windows of a server', () => {
  async function sessionTo(address: string): Promise<{ session: ClientHttp2Session; settings: Settings }> {
    const session = connectHttp2(`http://${address}`)
    cleanups.push(() => session.destroy())
    return new Promise((resolve, reject) => {
      session.once('error', reject)
      session.once('remoteSettings', (settings) => resolve({ session, settings }))
    })
  }

  it('hold a batch of the usual size on a call, and two on a connection', async () => {
    const { address } = await listen([])
    const { session, settings } = await sessionTo(address)
    expect(settings.initialWindowSize).toBe(STREAM_WINDOW_BYTES)
    await until(
      'the window of the connection is open',
      () => session.state.remoteWindowSize === CONNECTION_WINDOW_BYTES,
    )
  })
})
