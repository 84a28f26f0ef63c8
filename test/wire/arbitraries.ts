import fc from 'fast-check'
import type {
  AppendRequest,
  AppendResponse,
  ErrorMessage,
  ReadRequest,
  ReadResponse,
  WireRecord,
} from '../../src/wire/index.ts'
import { encodeRecordSet, ERROR_REASONS, type ErrorReason } from '../../src/wire/index.ts'

export const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array))
export const text = fc.string({ unit: 'grapheme', maxLength: 20 })
export const offset = fc.oneof(fc.nat(), fc.maxSafeNat())
export const timeMs = fc.oneof(
  fc.constantFrom(0, 1, 999, 1000, -1),
  fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }),
)
const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined })

export const record: fc.Arbitrary<WireRecord> = fc.record({
  key: optional(bytes),
  value: optional(bytes),
  headers: fc.array(fc.record({ name: text, value: bytes }), { maxLength: 3 }),
  timestampMs: optional(timeMs),
})
export const records = fc.array(record, { maxLength: 8 })

export const appendRequest: fc.Arbitrary<AppendRequest> = fc.record(
  {
    topic: text,
    partition: optional(fc.integer()),
    routingKey: optional(bytes),
    records: records.map(encodeRecordSet),
    producer: optional(
      fc.record({ producerId: text, epoch: fc.nat({ max: 0xffff_ffff }), sequence: fc.maxSafeNat() }),
    ),
    recordsCrc32: optional(fc.nat({ max: 0xffff_ffff })),
    groupCommit: fc.record({ group: text, memberId: text, epoch: offset, offset }),
  },
  { requiredKeys: ['topic', 'partition', 'routingKey', 'records', 'producer', 'recordsCrc32'] },
)

export const appendResponse: fc.Arbitrary<AppendResponse> = fc.record({
  partition: fc.nat(),
  baseOffset: offset,
  recordCount: fc.nat(),
  appendTimeMs: timeMs,
  duplicate: fc.boolean(),
})

export const errorMessage: fc.Arbitrary<ErrorMessage> = fc.record({
  reason: fc.constantFrom(...(Object.keys(ERROR_REASONS) as ErrorReason[])),
  message: text,
  effect: fc.constantFrom('none', 'unknown', 'done'),
  retryable: fc.boolean(),
  retryDelayMs: optional(fc.nat()),
  leader: optional(fc.record({ nodeId: text, address: text, term: offset })),
  offsetRange: optional(fc.record({ lowOffset: offset, highWatermark: offset })),
})

export const readRequest: fc.Arbitrary<ReadRequest> = fc.record({
  topic: text,
  partition: fc.integer(),
  start: fc.oneof(
    fc.record({ type: fc.constant('offset' as const), offset: fc.oneof(offset, fc.constant(-1)) }),
    fc.record({ type: fc.constant('time' as const), timeMs }),
    fc.record({ type: fc.constant('beginning' as const) }),
    fc.record({ type: fc.constant('end' as const) }),
  ),
  maxRecords: optional(offset),
  endOffset: optional(offset),
  untilEnd: fc.boolean(),
  maxMessageBytes: optional(fc.nat()),
  consistency: fc.constantFrom('committed', 'linearizable'),
})

export const readResponse: fc.Arbitrary<ReadResponse> = fc.record({
  batches: fc.array(
    fc.record({
      baseOffset: offset,
      recordCount: fc.nat(),
      appendTimeMs: timeMs,
      records: fc.array(records.map(encodeRecordSet), { minLength: 1, maxLength: 3 }),
    }),
    { maxLength: 4 },
  ),
  nextOffset: offset,
  highWatermark: offset,
  lowOffset: offset,
})
