import { describe, expect, test } from 'vitest'
import { EntryReads, type EntryReadsHost } from '../../src/broker/entry-reads.ts'
import { DamagedEntryError, encodeEntryHead } from '../../src/log/index.ts'
import { asGroupId } from '../../src/log/types.ts'
import { asLogIndex, asNodeId, type Entry } from '../../src/raft/types.ts'
import { bytesOf, emptySnapshot, entriesAfter } from '../log/entries.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { quietLogger } from './support/quiet-logger.ts'

const groupId = asGroupId(3)
const [one, two] = ['n2', 'n3'].map(asNodeId)
const entries = entriesAfter(
  emptySnapshot,
  [0, 1, 2].map((seed) => ({ payload: [bytesOf(50, seed)] })),
)
const sent = (entry: Entry): Uint8Array => Buffer.concat([encodeEntryHead(entry), ...entry.payload])
const read = (reads: EntryReads): Promise<Entry[]> =>
  reads.read(groupId, asLogIndex(1), asLogIndex(3), 1_000_000)

/** A node n1 whose disk has damaged entries at `damaged`, and what the others answer when they are asked for one. */
class Bench {
  readonly asked: string[] = []
  readonly damaged: Set<number>
  readonly answers = new Map<string, (index: number) => Promise<Uint8Array>>()
  /** Whether a payload that was written is there afterwards. */
  isDiskGood = true
  readonly clock = new ManualClock()
  readonly reads: EntryReads

  constructor(...damaged: number[]) {
    this.damaged = new Set(damaged)
    this.reads = new EntryReads(this.#host(), this.clock, quietLogger)
  }

  #host(): EntryReadsHost {
    const connection = (address: string): unknown => ({
      unary: (_method: unknown, { index }: { index: number }) => {
        this.asked.push(`${address}/${index}`)
        const entry = (this.answers.get(address) ?? (() => Promise.reject(new Error('not here'))))(index)
        return entry.then((bytes) => ({ entry: bytes }))
      },
    })
    return {
      nodeId: asNodeId('n1'),
      storage: {
        readEntries: async () => {
          const [index] = [...this.damaged].toSorted((left, right) => left - right)
          if (index !== undefined)
            throw new DamagedEntryError(groupId, asLogIndex(index), 'segment 1', 'wrong checksum')
          return [...entries]
        },
        restorePayload: async (_group, entry) => {
          if (entry.digest !== entries[entry.index - 1]?.digest) return false
          if (this.isDiskGood) this.damaged.delete(entry.index)
          return true
        },
      },
      connections: { to: connection as EntryReadsHost['connections']['to'] },
      membersOf: () => [asNodeId('n1'), one!, two!],
      addressOf: (nodeId) => nodeId,
    }
  }
}

describe('entries of which the disk has lost bytes', () => {
  test('that no other replica has are told as damaged', async () => {
    const bench = new Bench(2)
    await expect(read(bench.reads)).rejects.toThrow(DamagedEntryError)
    expect(bench.asked).toEqual(['n2/2', 'n3/2'])
  })

  test('that nobody had are not asked for again at once, but later they are', async () => {
    const bench = new Bench(2)
    await expect(read(bench.reads)).rejects.toThrow(DamagedEntryError)
    await expect(read(bench.reads)).rejects.toThrow(DamagedEntryError)
    expect(bench.asked).toHaveLength(2)
    bench.clock.advance(5000)
    bench.answers.set('n2', async (index) => sent(entries[index - 1]!))
    expect(await read(bench.reads)).toEqual(entries)
  })

  test('come from whoever has them, one after the other', async () => {
    const bench = new Bench(1, 3)
    bench.answers.set('n3', async (index) => sent(entries[index - 1]!))
    expect(await read(bench.reads)).toEqual(entries)
    expect(bench.asked).toEqual(['n2/1', 'n3/1', 'n2/3', 'n3/3'])
  })

  test('are not taken from a replica whose own are damaged, or which has another log', async () => {
    const bench = new Bench(2)
    const garbled = sent(entries[1]!).with(-1, 0).with(-2, 0)
    bench.answers.set('n2', async () => garbled)
    bench.answers.set('n3', async () => sent(entries[0]!))
    await expect(read(bench.reads)).rejects.toThrow(DamagedEntryError)
    expect([...bench.damaged]).toEqual([2])
  })

  test('are restored once for all who read them at that time', async () => {
    const bench = new Bench(2)
    bench.answers.set('n2', async (index) => sent(entries[index - 1]!))
    expect(await Promise.all([read(bench.reads), read(bench.reads)])).toEqual([entries, entries])
    expect(bench.asked).toEqual(['n2/2'])
  })

  test('are not restored for ever on a disk that garbles them again', async () => {
    const bench = new Bench(2)
    bench.isDiskGood = false
    bench.answers.set('n2', async (index) => sent(entries[index - 1]!))
    await expect(read(bench.reads)).rejects.toThrow(DamagedEntryError)
    expect(bench.asked).toEqual(['n2/2'])
  })
})
