import type { Client } from '../../client/types.ts'
import { formatCount, listing } from '../format.ts'
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
    readonly onRead?: (count: number) => void
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
    options.onRead?.(batch.records.length)
  }
  return audit.finish()
}

function parseSequence(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

/** What is wrong with a reading, in words; "nothing" where nothing is. */
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
  return flaws.length === 0 ? 'nothing' : listing(flaws)
}
