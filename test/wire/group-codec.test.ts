import { fc, test } from '@fast-check/vitest'
import protobuf from 'protobufjs'
import { describe, expect, it } from 'vitest'
import {
  FlotillaError,
  embeddedError,
  encodeRecordSet,
  errorOf,
  groupMethods,
  headOfRecordSet,
  toErrorMessage,
  fromErrorMessage,
  type ConsumeRequest,
  type ConsumeResponse,
} from '../../src/wire/index.ts'
import { protoRoot } from '../../src/wire/protos.ts'
import { errorMessage, offset, readResponse, records, text } from './arbitraries.ts'

const { request, response } = groupMethods.consume

/** What protobufjs makes of the bytes and writes again. */
function rewritten(encoded: Uint8Array): Buffer {
  const type = protoRoot().lookupType('flotilla.v1.ConsumeResponse')
  return Buffer.from(type.encode(type.decode(new protobuf.Reader(encoded))).finish())
}

describe('the responses of Consume', () => {
  const consumed = fc.record({
    topic: text,
    partition: fc.nat(),
    epoch: offset,
    batches: readResponse.map(({ batches }) => batches),
    nextOffset: offset,
    highWatermark: offset,
  })
  test.prop([consumed])('records: the codec by hand agrees with the .proto file', (message) => {
    const encoded = response.encode({ records: message })
    const byReflection = rewritten(encoded)
    expect(response.decode(byReflection)).toEqual(response.decode(encoded))
    expect(rewritten(response.encode(response.decode(byReflection)))).toEqual(byReflection)
  })

  const others: readonly ConsumeResponse[] = [
    { joined: { memberId: 'm', incarnation: 7, sessionTimeout: { seconds: 10, nanos: 0 } } },
    { assigned: { partitions: [{ topic: 't', partition: 1, epoch: 2, startOffset: 3, highWatermark: 4 }] } },
    { committed: { correlationId: 9, results: [{ topic: 't', partition: 0, committedOffset: 0 }] } },
    { revoked: { partitions: [{ topic: 't', partition: 0 }], timeout: { seconds: 0, nanos: 5 } } },
    { caughtUp: { topic: 't', partition: 0, offset: 0 } },
    { position: { topic: 't', partition: 0, nextOffset: 1, highWatermark: 2 } },
  ]
  it.each(others.map((message) => [Object.keys(message)[0], message] as const))(
    '%s comes back as it went',
    (_name, message) => {
      expect(response.decode(response.encode(message))).toEqual(message)
    },
  )

  it('an error within them keeps all that it says', () => {
    fc.assert(
      fc.property(errorMessage, (message) => {
        const error = errorOf(embeddedError(fromErrorMessage(message)))
        expect(error).toBeInstanceOf(FlotillaError)
        expect(toErrorMessage(error)).toEqual(message)
      }),
    )
  })
})

describe('the requests of Consume', () => {
  it('are one of several, and an unknown one is none', () => {
    const commit: ConsumeRequest = {
      commit: { correlationId: 1, positions: [{ topic: 't', partition: 0, offset: 5, epoch: 3 }] },
    }
    expect(request.decode(request.encode(commit))).toEqual(commit)
    expect(request.decode(request.encode({ heartbeat: {} }))).toEqual({ heartbeat: { positions: [] } })
    expect(request.decode(Uint8Array.of(0xfa, 0x01, 0x00))).toEqual({})
  })
  it('a strategy that this version does not know is refused', () => {
    const type = protoRoot().lookupType('flotilla.v1.ConsumeRequest')
    const encoded = type.encode({ start: { group: 'g', strategy: 9 } }).finish()
    expect(() => request.decode(encoded)).toThrow('strategy has the value 9')
  })
})

describe('the head of a record set', () => {
  test.prop([
    records.filter(({ length }) => length > 0),
    fc.integer({ min: 1, max: 9 }),
    fc.nat({ max: 2000 }),
  ])('holds as many whole records as fit, and one at least', (input, maxRecords, maxBytes) => {
    const encoded = encodeRecordSet(input)
    const { recordCount, byteLength } = headOfRecordSet(encoded, maxRecords, maxBytes)
    expect(encoded.subarray(0, byteLength)).toEqual(encodeRecordSet(input.slice(0, recordCount)))
    expect(recordCount).toBeGreaterThanOrEqual(1)
    expect(recordCount).toBeLessThanOrEqual(maxRecords)
    if (recordCount > 1) expect(byteLength).toBeLessThanOrEqual(maxBytes)
    const oneMore = encodeRecordSet(input.slice(0, recordCount + 1))
    if (recordCount < Math.min(maxRecords, input.length)) expect(oneMore.byteLength).toBeGreaterThan(maxBytes)
  })
})
