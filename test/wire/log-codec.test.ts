import { fc, test } from '@fast-check/vitest'
import protobuf from 'protobufjs'
import { describe, expect, it } from 'vitest'
import type { Codec } from '../../src/env/index.ts'
import { encodeError, decodeError } from '../../src/wire/error-codec.ts'
import {
  appendRequestCodec,
  appendResponseCodec,
  appendStreamRequestCodec,
  appendStreamResponseCodec,
} from '../../src/wire/log-codec.ts'
import { readRequestCodec, readResponseCodec } from '../../src/wire/read-codec.ts'
import { MalformedMessageError, type AppendRequest } from '../../src/wire/index.ts'
import { protoRoot } from '../../src/wire/protos.ts'
import {
  appendRequest,
  appendResponse,
  errorMessage,
  offset,
  readRequest,
  readResponse,
} from './arbitraries.ts'

const append = { request: appendRequestCodec, response: appendResponseCodec }
const appendStream = { request: appendStreamRequestCodec, response: appendStreamResponseCodec }
const read = { request: readRequestCodec, response: readResponseCodec }
const errorCodec = { encode: encodeError, decode: decodeError }

/** What protobufjs makes of the bytes and writes again: canonical, since it writes fields in order. */
function rewritten(typeName: string, encoded: Uint8Array): Buffer {
  const type = protoRoot().lookupType(`flotilla.v1.${typeName}`)
  return Buffer.from(type.encode(type.decode(new protobuf.Reader(encoded))).finish())
}

/** Both ways: protobufjs reads what the codec writes, and the codec reads what protobufjs writes. */
function agrees<T>(typeName: string, codec: Codec<T>, message: T): void {
  const encoded = codec.encode(message)
  const byReflection = rewritten(typeName, encoded)
  expect(codec.decode(byReflection)).toEqual(codec.decode(encoded))
  expect(rewritten(typeName, codec.encode(codec.decode(byReflection)))).toEqual(byReflection)
}

describe('the codecs written by hand agree with the .proto files', () => {
  test.prop([appendRequest])('AppendRequest', (message) => {
    agrees('AppendRequest', append.request, message)
    expect(append.request.decode(append.request.encode(message))).toEqual({
      ...message,
      records: Buffer.from(message.records),
    })
  })
  test.prop([appendResponse])('AppendResponse', (message) => {
    agrees('AppendResponse', append.response, message)
    expect(append.response.decode(append.response.encode(message))).toEqual(message)
  })
  test.prop([fc.array(fc.record({ correlationId: offset, append: appendRequest }), { maxLength: 4 })])(
    'AppendStreamRequest',
    (appends) => agrees('AppendStreamRequest', appendStream.request, { appends }),
  )
  test.prop([
    fc.array(
      fc.oneof(
        fc.record({ correlationId: offset, appended: appendResponse }),
        fc.record({ correlationId: offset, error: errorMessage }),
      ),
      { maxLength: 4 },
    ),
  ])('AppendStreamResponse', (results) => {
    agrees('AppendStreamResponse', appendStream.response, { results })
    expect(appendStream.response.decode(appendStream.response.encode({ results }))).toEqual({ results })
  })
  test.prop([readRequest])('ReadRequest', (message) => {
    agrees('ReadRequest', read.request, message)
    expect(read.request.decode(read.request.encode(message))).toEqual(message)
  })
  test.prop([readResponse])('ReadResponse', (message) => {
    agrees('ReadResponse', read.response, message)
    const { batches } = read.response.decode(read.response.encode(message))
    expect(batches.map((batch) => Buffer.concat(batch.records))).toEqual(
      message.batches.map((batch) => Buffer.concat(batch.records)),
    )
  })
  test.prop([errorMessage])('Error', (message) => {
    agrees('Error', errorCodec, message)
    expect(decodeError(encodeError(message))).toEqual(message)
  })
})

const request: AppendRequest = {
  topic: 'orders',
  partition: 1,
  routingKey: undefined,
  records: Buffer.from('0a030a016b', 'hex'),
  producer: { producerId: 'p', epoch: 1, sequence: 2 },
  recordsCrc32: 7,
}

describe('bytes that are no such message', () => {
  it('are refused wherever the message is cut within a field', () => {
    const encoded = append.request.encode({ ...request, producer: undefined, recordsCrc32: undefined })
    const boundaries = new Set([0, 8, 10, encoded.length])
    for (let length = 0; length < encoded.length; length++) {
      const decode = (): unknown => append.request.decode(encoded.subarray(0, length))
      if (boundaries.has(length)) expect(decode()).toBeDefined()
      else expect(decode).toThrow(MalformedMessageError)
    }
  })
  it.each([
    ['a field number 0', '00', /field has the number 0/],
    ['a number of eleven bytes', `10${'ff'.repeat(10)}01`, /more than ten bytes/],
    ['an unknown field cut short', '7d0000', /ends within a field/],
    ['a group that never ends', '7b', /ends within a number/],
    ['a text that is not UTF-8', '0a02c328', /not valid UTF-8/],
    ['a length beyond the end', '0a7f61', /127 bytes are announced where 1 are left/],
    ['a length beyond 2^53', '0affffffffffffff7f', /beyond/],
  ])('%s', (_what, hex, message) => {
    const decode = (): unknown => append.request.decode(Buffer.from(hex, 'hex'))
    expect(decode).toThrow(MalformedMessageError)
    expect(decode).toThrow(message)
  })
  it('a sequence beyond 2^53 is refused and not rounded', () => {
    const encoded = Buffer.from('2a0a18ffffffffffffffff7f', 'hex')
    expect(() => append.request.decode(encoded)).toThrow(/beyond/)
  })
  it('a correlated append or result without content is refused', () => {
    expect(() => appendStream.request.decode(Buffer.from('0a020807', 'hex'))).toThrow('request 7')
    expect(() => appendStream.response.decode(Buffer.from('0a020807', 'hex'))).toThrow('result 7')
  })
  it('a position and a consistency that this version does not know are refused', () => {
    expect(() => read.request.decode(Buffer.from('2809', 'hex'))).toThrow('position has the value 9')
    expect(() => read.request.decode(Buffer.from('5009', 'hex'))).toThrow('consistency has the value 9')
  })
  test.prop([fc.uint8Array({ maxLength: 60 })])(
    'any bytes either decode or throw MalformedMessageError',
    (any) => {
      for (const codec of [
        append.request,
        appendStream.request,
        read.request,
        read.response,
        appendStream.response,
      ]) {
        try {
          codec.decode(any)
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedMessageError)
        }
      }
    },
  )
})

describe('decoding copies no records', () => {
  it('of an append', () => {
    const encoded = append.request.encode(request)
    expect(append.request.decode(encoded).records.buffer).toBe(encoded.buffer)
  })
  it('but joins a records field that comes twice, as protobuf merges messages', () => {
    const twice = Buffer.from('2205'.concat('0a030a016b', '2205', '0a030a016c'), 'hex')
    expect(Buffer.from(append.request.decode(twice).records).toString('hex')).toBe('0a030a016b0a030a016c')
  })
  it('and fields from a newer version are passed over', () => {
    const newer = Buffer.concat([
      append.request.encode(request),
      Buffer.from('f80601fb0608fc06', 'hex').subarray(0, 3),
    ])
    expect(append.request.decode(newer).topic).toBe('orders')
  })
})
