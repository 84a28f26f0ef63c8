import type { Client, ConsumedBatch } from '../../client/types.ts'
import { cut, formatCount, listing, plural, printable } from '../format.ts'
import { decodeUtf8 } from '../record-format.ts'
import type { AuditResult, Ledger } from './ledger.ts'
import { sequenceHeader } from './traffic.ts'

/** Reads the topic from the beginning to the end that it has now, and compares it with the ledger. */
export async function readAndAudit(
  client: Client,
  topic: string,
  ledger: Ledger,
  options: {
    readonly nodeId?: string
    readonly signal: AbortSignal
    readonly onRead?: (batch: ConsumedBatch) => void
  },
): Promise<AuditResult> {
  const audit = ledger.audit()
  const { nodeId, signal } = options
  await using reader = client.reader({
    topic,
    from: 'beginning',
    untilEnd: true,
    signal,
    ...(nodeId !== undefined && { nodeId }),
  })
  for await (const batch of reader.batches()) {
    for (const record of batch.records) {
      const header = record.headers.find(({ name }) => name === sequenceHeader)
      audit.see({
        partition: record.partition,
        offset: record.offset,
        sequence: header === undefined ? undefined : parseSequence(decodeUtf8(header.value)),
        key: record.key === undefined ? undefined : decodeUtf8(record.key),
        value: record.value === undefined ? undefined : decodeUtf8(record.value),
      })
    }
    options.onRead?.(batch)
  }
  return audit.finish()
}

function parseSequence(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

const sampledKeys = 1000
const sampledOffsets = 4

/** The first keys of a reading with where their events lie, to show some of them. */
export class KeySample {
  readonly #keys = new Map<
    string,
    { readonly partition: number; readonly offsets: number[]; count: number }
  >()

  take({ partition, records }: ConsumedBatch): void {
    for (const { key, offset } of records) {
      const name = key === undefined ? undefined : decodeUtf8(key)
      if (name === undefined) continue
      let place = this.#keys.get(name)
      if (place === undefined) {
        if (this.#keys.size === sampledKeys) continue
        place = { partition, offsets: [], count: 0 }
        this.#keys.set(name, place)
      }
      place.count++
      if (place.offsets.length < sampledOffsets) place.offsets.push(offset)
    }
  }

  /** A line for each of the keys with the most events. */
  lines(keys: number): string[] {
    const largest = [...this.#keys].sort(([, a], [, b]) => b.count - a.count).slice(0, keys)
    return largest.map(([key, { partition, offsets, count }]) => {
      const more = count > offsets.length ? ', …' : ''
      return `${cut(printable(key), 40)}: ${plural(count, 'event')}, all in partition ${partition}, at the offsets ${offsets.join(', ')}${more}`
    })
  }
}

/** What is wrong with a reading, in words. */
export function describeFlaws(result: AuditResult): string {
  const flaws: string[] = []
  const add = (count: number, what: string): void => {
    if (count > 0) flaws.push(`${formatCount(count)} ${what}`)
  }
  add(result.lost, 'lost')
  add(result.twice, 'twice')
  add(result.outOfOrder, 'out of order')
  add(result.altered, 'altered')
  add(result.gaps, 'offsets missing')
  add(result.foreign, 'that nobody sent')
  return flaws.length === 0 ? 'nothing wrong' : listing(flaws)
}
