import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import {
  decodeRecordSet,
  encodeRecordSet,
  firstRecordKey,
  FlotillaError,
  LIMITS,
  MalformedMessageError,
  RecordSetBuilder,
  sizeOfRecord,
  skimRecordSet,
  sliceRecordSet,
  type RecordLimits,
  type WireRecord,
} from '../../src/wire/index.ts'
import { protoRoot } from '../../src/wire/protos.ts'
import { record, records } from './arbitraries.ts'

const recordOf = (value: string, key?: string): WireRecord => ({
  key: key === undefined ? undefined : Buffer.from(key),
  value: Buffer.from(value),
  headers: [],
  timestampMs: undefined,
})

function refusal(bytes: Uint8Array, limits: Partial<RecordLimits> = {}): FlotillaError {
  try {
    skimRecordSet(bytes, { ...LIMITS, ...limits })
  } catch (error) {
    if (error instanceof FlotillaError) return error
    throw error
  }
  throw new Error('the record set was taken')
}

describe('a record set over a limit is refused with the record, its size and the limit', () => {
  it('a record', () => {
    const error = refusal(encodeRecordSet([recordOf('small'), recordOf('x'.repeat(50))]), {
      maxRecordBytes: 51,
    })
    expect(error.reason).toBe('RECORD_TOO_LARGE')
    expect(error.message).toBe('record 1 of the batch: 52 bytes, the limit is 51')
  })
  it('a key', () => {
    const error = refusal(encodeRecordSet([recordOf('v', 'long key')]), { maxKeyBytes: 7 })
    expect(error.reason).toBe('KEY_TOO_LARGE')
    expect(error.message).toBe('the key of record 0 of the batch: 8 bytes, the limit is 7')
  })
  it('headers, all of a record together, names and values', () => {
    const headers = [
      { name: 'abc', value: Buffer.from('1234') },
      { name: 'ü', value: Buffer.from('') },
    ]
    const bytes = encodeRecordSet([{ ...recordOf('v'), headers }])
    expect(refusal(bytes, { maxHeadersBytes: 8 }).message).toBe(
      'the headers of record 0 of the batch: 9 bytes, the limit is 8',
    )
    expect(skimRecordSet(bytes, { ...LIMITS, maxHeadersBytes: 9 })).toEqual({ recordCount: 1 })
  })
  it('a batch by bytes and by records', () => {
    const bytes = encodeRecordSet([recordOf('a'), recordOf('b'), recordOf('c')])
    expect(refusal(bytes, { maxBatchBytes: bytes.length - 1 })).toMatchObject({ reason: 'BATCH_TOO_LARGE' })
    expect(refusal(bytes, { maxBatchRecords: 2 }).message).toContain('more than 2 records')
    expect(
      skimRecordSet(bytes, { ...LIMITS, maxBatchRecords: 3, maxBatchBytes: bytes.length }).recordCount,
    ).toBe(3)
  })
  it('an empty batch', () => {
    expect(refusal(new Uint8Array(0)).reason).toBe('EMPTY_BATCH')
  })
})

describe('a malformed record set is refused with the number of the record', () => {
  const good = Buffer.from(encodeRecordSet([recordOf('a')])).toString('hex')
  it.each([
    ['cut within a record', '0a05120161', 'record 1'],
    ['a field other than records', '1201', 'field 2'],
    ['a header name that is not UTF-8', '0a061a040a02c328', 'UTF-8'],
    ['nanoseconds beyond a second', '0a082206108094ebdc03', 'nanoseconds'],
    ['a key beyond its record', '0a020a05', '5 bytes are announced'],
  ])('%s', (_what, hex, part) => {
    const bytes = Buffer.from(good + hex, 'hex')
    const error = refusal(bytes)
    expect(error.reason).toBe('MALFORMED_REQUEST')
    expect(error.message).toContain('record 1 of the batch is malformed')
    expect(error.message).toContain(part)
    expect(() => decodeRecordSet(bytes)).toThrow(MalformedMessageError)
  })
})

describe('laws', () => {
  test.prop([records])('what is decoded is what was encoded', (input) => {
    expect(decodeRecordSet(encodeRecordSet(input))).toEqual(input)
  })
  test.prop([records])('protobufjs writes the same bytes', (input) => {
    const type = protoRoot().lookupType('flotilla.v1.RecordSet')
    const encoded = Buffer.from(encodeRecordSet(input))
    expect(Buffer.from(type.encode(type.decode(encoded)).finish())).toEqual(encoded)
  })
  test.prop([record])('a record is as long as was computed', (input) => {
    const encoded = encodeRecordSet([input])
    const size = sizeOfRecord(input)
    expect(encoded.length).toBe(size.framedBytes)
    if (size.recordBytes > 0) {
      expect(refusal(encoded, { maxRecordBytes: size.recordBytes - 1 }).message).toContain(
        `${size.recordBytes} bytes`,
      )
    }
  })
  test.prop([fc.array(record, { minLength: 1, maxLength: 8 })])(
    'skimming sees the keys that decoding sees',
    (input) => {
      const encoded = encodeRecordSet(input)
      const keys: (Uint8Array | undefined)[] = []
      const { recordCount } = skimRecordSet(encoded, LIMITS, (start, end) =>
        keys.push(start < 0 ? undefined : encoded.subarray(start, end)),
      )
      expect(recordCount).toBe(input.length)
      expect(keys).toEqual(input.map(({ key }) => key))
      expect(firstRecordKey(encoded)).toEqual(input[0]?.key)
    },
  )
  const damaged = fc
    .tuple(fc.array(record, { minLength: 1, maxLength: 3 }), fc.nat(), fc.nat({ max: 255 }))
    .map(([input, at, byte]) => {
      const encoded = Buffer.from(encodeRecordSet(input))
      encoded[at % encoded.length] = byte
      return encoded
    })
  test.prop([fc.oneof(damaged, fc.uint8Array({ minLength: 1, maxLength: 40 }))])(
    'skimming takes exactly what can be decoded',
    (any) => {
      const attempt = (work: () => unknown): 'taken' | 'refused' => {
        try {
          work()
          return 'taken'
        } catch (error) {
          if (error instanceof MalformedMessageError || error instanceof FlotillaError) return 'refused'
          throw error
        }
      }
      expect(attempt(() => skimRecordSet(any, LIMITS))).toBe(attempt(() => decodeRecordSet(any)))
    },
  )
  test.prop([records, fc.nat({ max: 10 }), fc.nat({ max: 10 })])(
    'a slice decodes to the slice',
    (input, skip, take) => {
      const slice = sliceRecordSet(encodeRecordSet(input), skip, take)
      expect(decodeRecordSet(slice)).toEqual(input.slice(skip, skip + take))
      expect(decodeRecordSet(sliceRecordSet(encodeRecordSet(input), skip))).toEqual(input.slice(skip))
    },
  )
  test.prop([records, records])('two record sets end to end are one', (first, second) => {
    const joined = Buffer.concat([encodeRecordSet(first), encodeRecordSet(second)])
    expect(decodeRecordSet(joined)).toEqual([...first, ...second])
  })
})

describe('the builder', () => {
  it('hands out views that later records leave alone', () => {
    const builder = new RecordSetBuilder(4)
    builder.append(recordOf('first'))
    const before = Buffer.from(builder.finish())
    const view = builder.finish()
    builder.append(recordOf('second'))
    expect(Buffer.from(view)).toEqual(before)
    expect(decodeRecordSet(builder.finish())).toHaveLength(2)
    expect(builder.byteLength).toBe(builder.finish().length)
    expect(builder.recordCount).toBe(2)
  })
})
