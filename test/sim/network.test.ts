import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Life } from '../../sim/env/life.ts'
import {
  RpcError,
  StatusCode,
  duplexHandler,
  serverStreamHandler,
  unaryHandler,
  type Connection,
  type ConnectOptions,
  type Handler,
} from '../../src/env/index.ts'
import { echo, flood, rawEcho, Recorder, talk } from '../env/echo.ts'
import { Bench } from './support.ts'

let bench: Bench
let server: Life
beforeEach(() => {
  bench = new Bench()
  server = bench.life('server')
})
afterEach(() => bench.stop())

const address = 'server:1'
const answer = unaryHandler(echo, async (request) => request)
const never = new Promise<never>(() => {})

async function listen(...handlers: Handler[]): Promise<{ close(graceMs: number): Promise<void> }> {
  return bench.env(server, bench.drive()).network.listen({ address, handlers })
}
function connect(options?: ConnectOptions): Connection {
  return bench.env(bench.life('client'), bench.drive()).network.connect(address, options)
}
const failureOf = async (call: Promise<unknown>): Promise<RpcError> => {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof RpcError) return error
  throw new Error('the call did not fail with RpcError', { cause: error })
}

describe('a call over the simulated network', () => {
  it('where nobody listens was surely never sent', async () => {
    expect(await failureOf(connect().unary(echo, 'x'))).toMatchObject({
      code: StatusCode.unavailable,
      neverSent: true,
    })
  })
  it('goes through the codecs, and malformed bytes are refused', async () => {
    await listen(answer)
    const connection = connect()
    expect(await connection.unary(echo, 'hello')).toBe('hello')
    expect(await failureOf(connection.unary(rawEcho, Buffer.from([0xff])))).toMatchObject({
      code: StatusCode.invalidArgument,
    })
  })
  it('keeps code, message and details of the error that its handler threw', async () => {
    const details = Buffer.from([1, 2, 3])
    await listen(
      unaryHandler(echo, () => Promise.reject(new RpcError(StatusCode.aborted, 'no', { details }))),
    )
    const error = await failureOf(connect().unary(echo, 'x'))
    expect(error).toMatchObject({ code: StatusCode.aborted, message: 'no', neverSent: false })
    expect(Buffer.from(error.details!)).toEqual(details)
  })
  it('may have been sent when its server is killed', async () => {
    await listen(unaryHandler(echo, () => never))
    const failure = failureOf(connect().unary(echo, 'x'))
    await bench.sleep(10)
    server.end()
    bench.fabric.processEnded(server, false)
    expect(await failure).toMatchObject({ code: StatusCode.unavailable, neverSent: false })
  })
  it('hears nothing of a server without power until its ping is not answered', async () => {
    await listen(unaryHandler(echo, () => never))
    const failure = failureOf(connect({ keepaliveMs: 2000 }).unary(echo, 'x'))
    await bench.sleep(10)
    server.end()
    bench.fabric.setDark('server', true)
    bench.fabric.processEnded(server, true)
    expect((await failure).message).toBe('Keepalive timeout')
    expect(bench.timeline.nowMs).toBeGreaterThan(5000)
  })
  it('is held back by a partition and arrives when that is over', async () => {
    await listen(answer)
    const connection = connect()
    await connection.unary(echo, 'before')
    bench.fabric.block('client', 'server', bench.timeline.nowUs + 3_000_000)
    expect(await connection.unary(echo, 'during')).toBe('during')
    expect(bench.timeline.nowMs).toBeGreaterThan(3000)
  })
  it('is slow on a slow way, and no longer than the way is', async () => {
    await listen(answer)
    const connection = connect()
    await connection.unary(echo, 'before')
    const untilUs = bench.timeline.nowUs + 3_000_000
    bench.fabric.slowDown('client', 'server', { untilUs, latencyUs: 1000, bytesPerMs: 20 })
    await connection.unary(echo, 'x'.repeat(20_000))
    expect(bench.timeline.nowMs).toBeGreaterThan(1000)
    // At 20 bytes a millisecond this one would take a minute.
    await connection.unary(echo, 'x'.repeat(1_000_000))
    expect(bench.timeline.nowUs).toBeGreaterThan(untilUs)
    expect(bench.timeline.nowUs).toBeLessThan(untilUs + 100_000)
  })
  it('ends at its deadline, and the handler hears of it', async () => {
    let aborted!: () => void
    const heard = new Promise<void>((resolve) => (aborted = resolve))
    await listen(
      unaryHandler(echo, (_request, call) => {
        call.signal.addEventListener('abort', () => aborted())
        return never
      }),
    )
    const client = bench.life('client')
    const clock = bench.clock(client)
    const env = bench.env(client, bench.drive())
    const connection = env.network.connect(address)
    const error = await failureOf(connection.unary(echo, 'x', { deadlineMs: env.clock.nowMs() + 250 }))
    expect(error).toMatchObject({ code: StatusCode.deadlineExceeded, neverSent: false })
    await heard
    expect(clock.nowMs()).toBeGreaterThan(0)
  })
  it('on a listener that has closed was never looked at', async () => {
    const listener = await listen(answer)
    const connection = connect()
    await connection.unary(echo, 'before')
    await listener.close(10)
    expect(await failureOf(connection.unary(echo, 'after'))).toMatchObject({ neverSent: true })
  })
})

describe('a stream over the simulated network', () => {
  it('keeps its order, makes a sender wait for a slow reader, and loses nothing', async () => {
    const chunk = Buffer.alloc(64 * 1024, 'x')
    let sent = 0
    await listen(
      serverStreamHandler(flood, (_request, sink) => {
        const pump = (): void => {
          while (sent < 200) {
            sent++
            if (!sink.send(chunk)) return
          }
          sink.end()
        }
        sink.onDrain(pump)
        pump()
      }),
    )
    const recorder = new Recorder<Uint8Array>()
    const call = connect({ windowBytes: 256 * 1024 }).serverStream(flood, 'go', recorder)
    call.pause()
    await bench.sleep(2000)
    expect(sent).toBeLessThan(40)
    call.resume()
    expect(await recorder.closed).toBeUndefined()
    expect(recorder.messages).toHaveLength(200)
  })
  it('that breaks in the middle ends with UNAVAILABLE at both ends', async () => {
    let closed!: (error: unknown) => void
    const atServer = new Promise((resolve) => (closed = resolve))
    await listen(
      duplexHandler(talk, (sink) => {
        sink.send('hello')
        return { onMessage: () => {}, onEnd: () => {}, onClose: closed }
      }),
    )
    const recorder = new Recorder<string>()
    connect().duplex(talk, recorder)
    await recorder.received(1)
    for (const wire of bench.fabric.wires) wire.reset('connection reset')
    expect(await recorder.closed).toMatchObject({ code: StatusCode.unavailable, neverSent: false })
    expect(await atServer).toMatchObject({ code: StatusCode.cancelled })
  })
  it('may break with an answer on it: the call took effect, and its caller never hears so', async () => {
    let calls = 0
    await listen(unaryHandler(echo, async (request) => (calls++, request)))
    const connection = connect()
    expect(await connection.unary(echo, 'a')).toBe('a')
    for (const wire of bench.fabric.wires) wire.resetWithNextMessage(() => true)
    const error = await failureOf(connection.unary(echo, 'b'))
    expect(error).toMatchObject({ code: StatusCode.unavailable, neverSent: false })
    expect(calls).toBe(2)
    for (const wire of bench.fabric.wires) wire.resetWithNextMessage(() => false)
    expect(await connection.unary(echo, 'c')).toBe('c')
  })
  it('tells the server that its caller went away', async () => {
    let closed!: (error: unknown) => void
    const atServer = new Promise((resolve) => (closed = resolve))
    await listen(
      duplexHandler(talk, (sink) => {
        sink.send('hello')
        return { onMessage: () => {}, onEnd: () => {}, onClose: closed }
      }),
    )
    const recorder = new Recorder<string>()
    const sink = connect().duplex(talk, recorder)
    await recorder.received(1)
    sink.fail(new RpcError(StatusCode.cancelled, 'enough'))
    expect(await recorder.closed).toMatchObject({ code: StatusCode.cancelled })
    expect(await atServer).toMatchObject({ code: StatusCode.cancelled })
  })
  it('carries nothing any more where it is half-open', async () => {
    await listen(
      duplexHandler(talk, (sink) => ({
        onMessage: (message) => void sink.send(message),
        onEnd: () => sink.end(),
        onClose: () => {},
      })),
    )
    const recorder = new Recorder<string>()
    const sink = connect({ keepaliveMs: 1000 }).duplex(talk, recorder)
    sink.send('a')
    await recorder.received(1)
    for (const wire of bench.fabric.wires) wire.isBlackHole = true
    sink.send('b')
    expect(await recorder.closed).toMatchObject({ code: StatusCode.unavailable })
    expect(recorder.messages).toEqual(['a'])
  })
})
