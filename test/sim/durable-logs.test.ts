import { expect, test } from 'vitest'
import { DurableLogs } from '../../sim/checkers/durable-logs.ts'
import { nameOf } from '../../sim/env/disk/store.ts'
import { encodeRecordsAppended } from '../../src/broker/partition/event.ts'
import { entryKey, groupKey, keyKind } from '../../src/log/keys.ts'
import { encodeHardState, encodeInlineEntry, encodeState } from '../../src/log/records.ts'
import { asGroupId, asOffset } from '../../src/log/types.ts'
import { encodeConfiguration } from '../../src/raft/index.ts'
import { asLogIndex, asNodeId, asTerm, type Configuration, type Entry } from '../../src/raft/types.ts'
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

test('an append may lie on a majority with a voter whom nobody has written down yet, where the leader has added it', () => {
  const held = (...changes: string[]): string[] => {
    const reports: string[] = []
    const logs = new DurableLogs((law) => reports.push(law))
    const [members, appended] = entriesAfter(origin, [changeTo(of(['n2', 'n3'])), record(7)])
    const write = (nodeId: string, entry: Entry): void =>
      logs.onDurable(nodeId, [{ key: nameOf(entryKey(GROUP, entry.index)), value: encodeInlineEntry(entry) }])
    for (const nodeId of ['n2', 'n3', 'n4']) write(nodeId, members!)
    for (const nodeId of ['n2', 'n4']) write(nodeId, appended!)
    if (changes.length > 0) logs.membersChange(GROUP, changes)
    logs.acknowledged(GROUP, 7)
    return reports
  }
  expect(held('addVoter n4')).toEqual([])
  expect(held()).toEqual(['acknowledged-not-durable'])
  expect(held('addLearner n4')).toEqual(['acknowledged-not-durable'])
  expect(held('addVoter n4', 'remove n3')).toEqual(['acknowledged-not-durable'])
})

test('another state at an entry than was stored elsewhere is noticed', () => {
  const reports: string[] = []
  const logs = new DurableLogs((law) => reports.push(law))
  const key = groupKey(keyKind.applied, GROUP)
  const write = (nodeId: string, index: number, ...state: number[]): void =>
    logs.onDurable(nodeId, [
      {
        key: nameOf(key),
        value: encodeState({ index: asLogIndex(index), state: Uint8Array.from(state) }, key),
      },
    ])
  write('n1', 5, 1, 2)
  write('n2', 5, 1, 2)
  write('n2', 6, 1)
  expect(reports).toEqual([])
  write('n3', 5, 1, 3)
  expect(reports).toEqual(['divergence'])
})

test('an append during a change that lies on too few disks is noticed', () => {
  // n1 and n3 are no majority of the voters before, of whom only n3 knows of the phase.
  expect(verdict(['n1', 'n3'], ['n1', 'n3'])).toEqual(['acknowledged-not-durable'])
  expect(verdict(['n1', 'n2', 'n3', 'n5'], ['n1'])).toEqual(['acknowledged-not-durable'])
  expect(verdict(['n1', 'n2', 'n3', 'n5'], ['n1', 'n5'])).toEqual(['acknowledged-not-durable'])
})

test('a replica whose term goes back is noticed, unless it is another member by the life of its disk', () => {
  const reportsOf = (lifeAfter: number): string[] => {
    const reports: string[] = []
    let life = 1
    const logs = new DurableLogs(
      (law) => reports.push(law),
      () => life,
    )
    const key = groupKey(keyKind.hardState, GROUP)
    const write = (term: number): void => {
      const value = encodeHardState({ term: asTerm(term), votedFor: undefined, commit: asLogIndex(0) }, key)
      logs.onDurable('n1', [{ key: nameOf(key), value }])
    }
    write(5)
    life = lifeAfter
    write(0)
    return reports
  }
  expect(reportsOf(1)).toEqual(['vote-twice'])
  expect(reportsOf(2)).toEqual([])
})
