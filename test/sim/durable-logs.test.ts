import { expect, test } from 'vitest'
import { DurableLogs } from '../../sim/checkers/durable-logs.ts'
import { nameOf } from '../../sim/env/disk/store.ts'
import { encodeRecordsAppended } from '../../src/broker/partition/event.ts'
import { entryKey } from '../../src/log/keys.ts'
import { encodeInlineEntry } from '../../src/log/records.ts'
import { asGroupId, asOffset } from '../../src/log/types.ts'
import { encodeConfiguration } from '../../src/raft/index.ts'
import { asNodeId, type Configuration, type Entry } from '../../src/raft/types.ts'
import { entriesAfter, origin } from '../log/entries.ts'

const GROUP = asGroupId(2)

const of = (voters: readonly string[], votersOutgoing: readonly string[] = []): Configuration => ({
  voters: voters.map(asNodeId),
  votersOutgoing: votersOutgoing.map(asNodeId),
  learners: [],
})

const changeTo = (configuration: Configuration) =>
  ({ kind: 'configuration', header: encodeConfiguration(configuration) }) as const

/** One record: its bytes don't matter here. */
const record = (offset: number) => {
  const batches = [{ recordCount: 1, byteLength: 0, producer: undefined }]
  const event = { baseOffset: asOffset(offset), recordCount: 1, appendTimeMs: 1, batches, groups: [] }
  return { header: encodeRecordsAppended(event) }
}

/** A change from n2, n3, n5 to n1, n2, n3 is under way; then offset 7 is appended. */
const [before, phase, append] = entriesAfter(origin, [
  changeTo(of(['n2', 'n3', 'n5'])),
  changeTo(of(['n1', 'n2', 'n3'], ['n2', 'n3', 'n5'])),
  record(7),
])

/** What the check says of offset 7, where these nodes have the phase and these the append on their disks. */
function verdict(withPhase: readonly string[], withAppend: readonly string[]): string[] {
  const reports: string[] = []
  const logs = new DurableLogs((law) => reports.push(law))
  const write = (nodeId: string, entry: Entry): void =>
    logs.onDurable(nodeId, [{ key: nameOf(entryKey(GROUP, entry.index)), value: encodeInlineEntry(entry) }])
  for (const nodeId of ['n1', 'n2', 'n3', 'n5']) write(nodeId, before!)
  for (const nodeId of withPhase) write(nodeId, phase!)
  for (const nodeId of withAppend) write(nodeId, append!)
  logs.acknowledged(GROUP, 7)
  return reports
}

test('an append during a change may lie on a majority of the new voters alone, once both halves have the phase', () => {
  // The leader has left the phase in its memory, and nobody has written that down yet.
  expect(verdict(['n1', 'n2', 'n3', 'n5'], ['n1', 'n3'])).toEqual([])
  expect(verdict(['n1', 'n3', 'n5'], ['n1', 'n3'])).toEqual([])
})

test('an append during a change that lies on too few disks is noticed', () => {
  // n1 and n3 are no majority of the voters before, of whom only n3 knows of the phase.
  expect(verdict(['n1', 'n3'], ['n1', 'n3'])).toEqual(['acknowledged-not-durable'])
  expect(verdict(['n1', 'n2', 'n3', 'n5'], ['n1'])).toEqual(['acknowledged-not-durable'])
  expect(verdict(['n1', 'n2', 'n3', 'n5'], ['n1', 'n5'])).toEqual(['acknowledged-not-durable'])
})
