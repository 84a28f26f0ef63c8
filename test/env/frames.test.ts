import { connect as connectTcp } from 'node:net'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import {
  RpcError,
  StatusCode,
  serverStreamHandler,
  unaryHandler,
  type Listener,
} from '../../src/env/index.ts'
import { nodeClock } from '../../src/env/node/clock.ts'
import {
  decodeError,
  decodeRequest,
  encodeError,
  encodeFrame,
  encodeRequest,
  FrameReader,
  FrameType,
  HEAD_BYTES,
  PREFACE,
} from '../../src/env/node/framed/frames.ts'
import { nodeNetwork } from '../../src/env/node/network.ts'
import { echo, flood, RecordingLogger } from './echo.ts'

const anyType = fc.constantFrom(...Object.values(FrameType))
const body = fc.uint8Array({ maxLength: 3000 })
const code = fc.constantFrom(...Object.values(StatusCode).filter((value) => value !== StatusCode.ok))
const plain = (bytes: Uint8Array): number[] => [...bytes]

describe('a reader of frames', () => {
  it('refuses a frame over its limit before it makes room for it', () => {
    const reader = new FrameReader(1000, () => expect.unreachable())
    const head = Buffer.from([0xff, 0xff, 0xff, 0xff, FrameType.message])
    expect(() => reader.push(head)).toThrow('4294967295 bytes passes the limit of 1000')
  })
  it.each([0, 7, 255])('refuses a frame of type %i', (type) => {
    const reader = new FrameReader(1000, () => expect.unreachable())
    expect(() => reader.push(Buffer.from([0, 0, 0, 0, type]))).toThrow(`type ${type}`)
  })
  it('finds the same frames however the bytes are cut, and keeps none of the chunks', () => {
    const frames = fc.array(fc.record({ type: anyType, body }), { maxLength: 6 })
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 1200 }), { minLength: 1 }), (sent, cuts) => {
        const bytes = Buffer.concat(sent.map((frame) => encodeFrame(frame.type, frame.body)))
        const found: { type: FrameType; body: Buffer }[] = []
        const reader = new FrameReader(3000, (type, body) => found.push({ type, body }))
        const chunk = Buffer.alloc(1200)
        for (let at = 0, cut = 0; at < bytes.length; cut++) {
          const length = Math.min(cuts[cut % cuts.length]!, bytes.length - at)
          bytes.copy(chunk, 0, at, at + length)
          reader.push(chunk.subarray(0, length))
          chunk.fill(0xee)
          at += length
        }
        expect(found.map(({ type, body }) => [type, plain(body)])).toEqual(
          sent.map(({ type, body }) => [type, plain(body)]),
        )
      }),
    )
  })
})

describe('requests and errors in frames', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(fc.string(), body, (path, message) => {
        const found = decodeRequest(encodeRequest({ path, message }).subarray(HEAD_BYTES))
        expect([found.path, plain(found.message)]).toEqual([Buffer.from(path).toString(), plain(message)])
      }),
    )
    fc.assert(
      fc.property(code, fc.string(), fc.option(body, { nil: undefined }), (status, text, details) => {
        const error = new RpcError(status, text, details === undefined ? {} : { details })
        const found = decodeError(encodeError(error).subarray(HEAD_BYTES))
        expect([found.code, found.message]).toEqual([status, Buffer.from(text).toString()])
        expect(found.details && plain(found.details)).toEqual(details && plain(details))
      }),
    )
  })
  it('that are cut short are refused', () => {
    const request = encodeRequest({ path: '/a', message: new Uint8Array(0) }).subarray(HEAD_BYTES)
    const error = encodeError(new RpcError(StatusCode.internal, 'oops')).subarray(HEAD_BYTES)
    for (let end = 0; end < request.length; end++)
      expect(() => decodeRequest(request.subarray(0, end))).toThrow('malformed frame')
    for (let end = 0; end < error.length; end++)
      expect(() => decodeError(error.subarray(0, end))).toThrow('malformed frame')
  })
})

describe('a listener', () => {
  const network = nodeNetwork(nodeClock(), new RecordingLogger())
  let listener: Listener | undefined
  afterEach(async () => {
    await listener?.close(0)
    listener = undefined
  })

  async function serve(method = flood): Promise<string> {
    const stream = serverStreamHandler(method, (request, sink) => {
      sink.send(Buffer.from(request))
      sink.end()
    })
    const unary = unaryHandler(echo, (request) => Promise.resolve(request))
    const options = { address: '127.0.0.1:0', reflection: false, handlers: [stream, unary] }
    listener = await network.listen(options)
    return listener.address
  }

  /** What the server says to these bytes until it ends the connection. */
  function say(address: string, chunks: readonly Uint8Array[]): Promise<Buffer> {
    const [host = '', port = ''] = address.split(':')
    return new Promise((resolve, reject) => {
      const heard: Buffer[] = []
      const socket = connectTcp({ host, port: Number(port), noDelay: true })
      const sayNext = (at: number): void => {
        const chunk = chunks[at]
        if (chunk !== undefined) socket.write(chunk, () => setImmediate(sayNext, at + 1))
      }
      sayNext(0)
      socket.on('data', (bytes: Buffer) => heard.push(bytes))
      socket.on('close', () => resolve(Buffer.concat(heard)))
      socket.on('error', reject)
    })
  }

  const go = Buffer.concat([PREFACE, encodeRequest({ path: flood.path, message: Buffer.from('go') })])
  const answer = Buffer.concat([
    encodeFrame(FrameType.message, Buffer.from('go')),
    encodeFrame(FrameType.end),
  ])

  it('knows plain frames by their preface, also when it comes byte by byte', async () => {
    const address = await serve()
    expect(await say(address, [go])).toEqual(answer)
    expect(
      await say(
        address,
        [...go].map((byte) => Uint8Array.of(byte)),
      ),
    ).toEqual(answer)
  })
  it('takes anything else for HTTP/2, whose server says what is wrong with it', async () => {
    const heard = await say(await serve(), [Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')])
    expect(heard.toString('latin1')).not.toBe('')
  })
  it('still serves gRPC whose first bytes come with a message of a megabyte', async () => {
    const connection = network.connect(await serve())
    const text = 'x'.repeat(1024 * 1024)
    expect(await connection.unary(echo, text)).toBe(text)
    connection.close()
  })
  it.each([
    ['a second request', [go, encodeRequest({ path: flood.path, message: Buffer.from('go') })]],
    ['a frame that only servers send', [PREFACE, encodeFrame(FrameType.message)]],
    ['a frame of no known type', [PREFACE, Buffer.from([0, 0, 0, 0, 99])]],
    ['a frame over the limit', [PREFACE, Buffer.from([0xff, 0, 0, 0, FrameType.request])]],
    ['a request cut short', [PREFACE, encodeFrame(FrameType.request, Buffer.of(0, 9))]],
  ])('ends a connection on which comes %s', async (_what, chunks) => {
    const heard = await say(await serve(), chunks)
    const types: FrameType[] = []
    new FrameReader(10_000, (type) => types.push(type)).push(heard)
    expect([FrameType.error, FrameType.end]).toContain(types.at(-1))
  })
  it('sends a message in the pieces that its codec makes, as one frame', async () => {
    const encodeInPieces = (message: Uint8Array) => [message.subarray(0, 1), message.subarray(1)]
    const method = { ...flood, response: { ...flood.response, encodeInPieces } }
    expect(await say(await serve(method), [go])).toEqual(answer)
  })
  it('answers pings', async () => {
    const heard = await say(await serve(), [
      PREFACE,
      encodeFrame(FrameType.ping),
      go.subarray(PREFACE.length),
    ])
    expect(heard).toEqual(Buffer.concat([encodeFrame(FrameType.pong), answer]))
  })
})
