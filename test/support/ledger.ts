import { expect } from 'vitest'
import type { Client, ConsumedRecord } from '../../src/client/index.ts'

export interface Acknowledged {
  readonly partition: number
  readonly offset: number
  readonly key: string
  readonly value: string
}

const text = new TextDecoder()
export const textOf = (bytes: Uint8Array | undefined): string => text.decode(bytes ?? new Uint8Array(0))

export async function readAll(client: Client, topic: string, nodeId?: string): Promise<ConsumedRecord[]> {
  const records: ConsumedRecord[] = []
  const reader = client.reader({
    topic,
    untilEnd: true,
    ...(nodeId === undefined ? {} : { nodeId, consistency: 'committed' as const }),
  })
  for await (const record of reader) records.push(record)
  return records
}

/**
 * Holds what was read against what was acknowledged: each acknowledged record is there once, at its offset; offsets are
 * dense; the values of a key, which count up, are in order.
 */
export function expectKept(acknowledged: readonly Acknowledged[], read: readonly ConsumedRecord[]): void {
  const places = new Map<string, string>()
  const seen = new Map<string, number>()
  const newestOfKey = new Map<string, number>()
  const nextOffset = new Map<number, number>()
  for (const { partition, offset, key, value } of read) {
    expect(offset, `offsets of partition ${partition} are dense`).toBe(nextOffset.get(partition) ?? 0)
    nextOffset.set(partition, offset + 1)
    const name = `${textOf(key)}=${textOf(value)}`
    places.set(`${partition}/${offset}`, name)
    seen.set(name, (seen.get(name) ?? 0) + 1)
    const number = Number(textOf(value))
    expect(number, `values of key ${textOf(key)} are in order`).toBeGreaterThan(
      newestOfKey.get(textOf(key)) ?? -1,
    )
    newestOfKey.set(textOf(key), number)
  }
  for (const { partition, offset, key, value } of acknowledged) {
    expect(places.get(`${partition}/${offset}`), `acknowledged at ${partition}/${offset}`).toBe(
      `${key}=${value}`,
    )
  }
  for (const [name, times] of seen) expect(times, `${name} is there once`).toBe(1)
}
