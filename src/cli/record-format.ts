import { z } from 'zod'
import type { ConsumedRecord, ProducerRecord } from '../client/types.ts'
import { parseTime } from './times.ts'

type Encoding = 'base64'

/** A consumed record as `--output ndjson` writes it and `produce --format ndjson` takes it back. */
export interface RecordJson {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** ISO 8601 in UTC. */
  readonly timestamp: string
  /** null: the record has none. */
  readonly key: string | null
  /** Present where the bytes are no UTF-8 and stand there in base64. */
  readonly keyEncoding?: Encoding
  readonly value: string | null
  readonly valueEncoding?: Encoding
  readonly headers: readonly {
    readonly name: string
    readonly value: string
    readonly valueEncoding?: Encoding
  }[]
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The text that the bytes are in UTF-8; undefined where they are none. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes)
  } catch {
    return undefined
  }
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

export function recordToJson(record: ConsumedRecord): RecordJson {
  const key = record.key === undefined ? null : decodeUtf8(record.key)
  const value = record.value === undefined ? null : decodeUtf8(record.value)
  return {
    topic: record.topic,
    partition: record.partition,
    offset: record.offset,
    timestamp: record.timestamp.toISOString(),
    key: key === undefined ? toBase64(record.key as Uint8Array) : key,
    ...(key === undefined && { keyEncoding: 'base64' }),
    value: value === undefined ? toBase64(record.value as Uint8Array) : value,
    ...(value === undefined && { valueEncoding: 'base64' }),
    headers: record.headers.map((header) => {
      const text = decodeUtf8(header.value)
      return text === undefined
        ? { name: header.name, value: toBase64(header.value), valueEncoding: 'base64' as const }
        : { name: header.name, value: text }
    }),
  }
}

/** Bytes for a table's cell: text where they are UTF-8, else marked base64. */
export function bytesToCell(bytes: Uint8Array | undefined): string {
  if (bytes === undefined) return '-'
  return decodeUtf8(bytes) ?? `base64:${toBase64(bytes)}`
}

const encoding = z.literal('base64').optional()
const headerSchema = z.strictObject({ name: z.string(), value: z.string(), valueEncoding: encoding })
const recordSchema = z.strictObject({
  topic: z.string().optional(),
  partition: z.int().min(0).optional(),
  offset: z.int().min(0).optional(),
  timestamp: z.string().optional(),
  key: z.string().nullish(),
  keyEncoding: encoding,
  value: z.string().nullish(),
  valueEncoding: encoding,
  headers: z.union([z.array(headerSchema), z.record(z.string(), z.string())]).optional(),
})

export type ParsedRecord =
  { readonly ok: true; readonly record: ProducerRecord } | { readonly ok: false; readonly fault: string }

/**
 * The record that a line of NDJSON stands for, to be appended to `topic`. The line's own topic and offset say where it
 * was read and don't count; its partition does.
 */
export function recordFromJsonLine(line: Uint8Array, topic: string): ParsedRecord {
  const text = decodeUtf8(line)
  if (text === undefined) return { ok: false, fault: 'is no UTF-8' }
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    return { ok: false, fault: `is no JSON: ${error instanceof Error ? error.message : String(error)}` }
  }
  const parsed = recordSchema.safeParse(json)
  if (!parsed.success) return { ok: false, fault: parsed.error.issues.map(describeIssue).join('; ') }
  return toProducerRecord(parsed.data, topic)
}

function toProducerRecord(json: z.infer<typeof recordSchema>, topic: string): ParsedRecord {
  const faults: string[] = []
  const bytes = (name: string, text: string, textEncoding: Encoding | undefined): Uint8Array | string => {
    if (textEncoding === undefined) return text
    const decoded = Buffer.from(text, 'base64')
    if (decoded.toString('base64') !== text)
      faults.push(`${name} is no base64, though ${name}Encoding says so`)
    return decoded
  }
  const headerList = Array.isArray(json.headers)
    ? json.headers
    : Object.entries(json.headers ?? {}).map(([name, value]) => ({ name, value, valueEncoding: undefined }))
  const headers = headerList.map(({ name, value, valueEncoding }) => ({
    name,
    value: bytes('value', value, valueEncoding),
  }))
  const timestamp = json.timestamp === undefined ? undefined : parseTime(json.timestamp)
  if (json.timestamp !== undefined && timestamp === undefined) {
    faults.push(`timestamp is ${JSON.stringify(json.timestamp)}, which is no ISO 8601 time`)
  }
  const record: ProducerRecord = {
    topic,
    ...(typeof json.key === 'string' && { key: bytes('key', json.key, json.keyEncoding) }),
    ...(typeof json.value === 'string' && { value: bytes('value', json.value, json.valueEncoding) }),
    ...(headers.length > 0 && { headers }),
    ...(timestamp !== undefined && { timestamp }),
    ...(json.partition !== undefined && { partition: json.partition }),
  }
  return faults.length > 0 ? { ok: false, fault: faults.join('; ') } : { ok: true, record }
}

function describeIssue(issue: z.core.$ZodIssue): string {
  const path = issue.path.join('.')
  return path === '' ? issue.message : `${path}: ${issue.message}`
}
