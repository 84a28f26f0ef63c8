import { describe, expect, it } from 'vitest'
import type { GroupId, LogStorage } from '../../src/log/index.ts'
import { asGroupId, DamagedEntryError, LogAssertionError } from '../../src/log/index.ts'
import type { GroupState } from '../../src/log/group-state.ts'
import { SharedRelocation } from '../../src/log/relocation.ts'
import { SegmentFiles } from '../../src/log/segments.ts'
import { SharedSegments } from '../../src/log/shared-segments.ts'
import type { Entry } from '../../src/raft/types.ts'
import { asLogIndex, asTerm } from '../../src/raft/types.ts'
import { memoryDisk } from '../../src/testing/memory-disk.ts'
import { until } from '../support/until.ts'
import { bytesOf, configuration, emptySnapshot, entriesAfter, entryAfter, flat, markOf } from './entries.ts'
import {
  allEntries,
  damageOf,
  openLog,
  recoveredOf,
  sharedLimits,
  temporaryFolder,
  testEnv,
} from './storage-env.ts'

const ids = [1, 2, 3, 4].map(asGroupId)
const shared = '/data/segments/shared'

/** Groups whose logs grow side by side, a payload of each in every turn. */
class Growing {
  readonly env = testEnv(memoryDisk())
  readonly entries = new Map<GroupId, Entry[]>(ids.map((groupId) => [groupId, []]))
  readonly limits: typeof sharedLimits
  log!: LogStorage

  constructor(limits = sharedLimits) {
    this.limits = limits
  }

  async open(): Promise<this> {
    this.log = await openLog(this.env, '/data', this.limits)
    return this
  }

  async create(): Promise<this> {
    await this.open()
    await this.log.commit(ids.map((groupId) => ({ groupId, create: emptySnapshot })))
    return this
  }

  async grow(turns: number, groupIds: readonly GroupId[] = ids, commit = true): Promise<void> {
    for (let turn = 0; turn < turns; turn++) {
      await this.log.commit(
        groupIds.map((groupId) => {
          const last = this.log.lastMark(groupId)
          const entry = entryAfter(last, { payload: [bytesOf(1000, last.index * 10 + groupId)] })
          this.entries.get(groupId)!.push(entry)
          const hardState = {
            term: entry.term,
            votedFor: undefined,
            commit: commit ? entry.index : emptySnapshot.index,
          }
          return { groupId, entries: [entry], hardState }
        }),
      )
    }
  }

  async files(): Promise<string[]> {
    return this.env.disk.files.list(shared)
  }

  /** Resolves when so few closed segments are left as may be kept, and the one that is open. */
  async relocated(most: number): Promise<void> {
    await until(`at most ${most} shared segments are left`, async () => (await this.files()).length <= most)
  }

  /** Each group is what was written to it. */
  async expectWhole(groupIds: readonly GroupId[] = ids): Promise<void> {
    for (const groupId of groupIds) {
      const entries = this.entries.get(groupId)!
      const found = await allEntries(this.log, groupId, entries[0]!.index)
      expect(found.map(flat)).toEqual(entries.map(flat))
    }
  }

  get faults(): string[] {
    return this.env.lines.filter(({ level }) => level !== 'info').map(({ message }) => message)
  }
}

describe('what the shared segments know', () => {
  const limits = { ...sharedLimits, sharedSegmentBytes: 100, sharedBytes: 250 }
  const part = (number: number) => ({ number, firstIndex: 1, lastIndex: 1, bytes: 60 })
  const filled = (count: number): SharedSegments => {
    const segments = new SharedSegments(limits, { sharedSizes: new Map(), newestShared: 0 }, [])
    for (let number = 1; number <= count; number++) {
      expect(segments.wrote({ number, bytes: 60 })).toBe(false)
      segments.changed([], [part(number)])
      expect(segments.wrote({ number, bytes: 100 })).toBe(true)
    }
    return segments
  }

  it('is what to relocate: the oldest first, once the closed ones are more than may be', () => {
    expect(filled(2).toRelocate()).toEqual([])
    expect(
      filled(3)
        .toRelocate()
        .map(({ number }) => number),
    ).toEqual([1, 2, 3])
  })

  it('is what nobody needs: what no group has a part in, but never the one that is open', () => {
    const segments = filled(2)
    segments.wrote({ number: 3, bytes: 10 })
    expect(segments.takeUnnamed({ butFound: false })).toEqual([])
    segments.changed([part(1), part(2)], [part(2)])
    expect(segments.takeUnnamed({ butFound: false })).toEqual([1])
    expect(segments.takeUnnamed({ butFound: false })).toEqual([])
  })

  it('is where the next payload goes: nowhere, while there are far too many', () => {
    expect(filled(8).end).toEqual({ number: 9, bytes: 0 })
    expect(filled(10).end).toBeUndefined()
  })

  it('is, after a start, a new one behind all that are there', () => {
    const state = { groupId: ids[0]!, shared: [part(4)] } as unknown as GroupState
    const found = new Map([
      [9, 10],
      [4, 300],
    ])
    const segments = new SharedSegments(limits, { sharedSizes: found, newestShared: 0 }, [state])
    expect(segments.end).toEqual({ number: 10, bytes: 0 })
    expect(segments.toRelocate()).toEqual([{ number: 4, bytes: 300 }])
    expect(segments.takeUnnamed({ butFound: true })).toEqual([])
    expect(segments.takeUnnamed({ butFound: false })).toEqual([9])
  })

  it('is also behind one that entries name and that is gone', () => {
    const segments = new SharedSegments(limits, { sharedSizes: new Map([[3, 10]]), newestShared: 12 }, [])
    expect(segments.end).toEqual({ number: 13, bytes: 0 })
  })
})

describe('shared segments', () => {
  it('hold the payloads of all groups until there are too many, then each group has its own again', async () => {
    const node = await new Growing().create()
    await node.grow(4)
    expect(await node.files()).toEqual(['0000000001.seg', '0000000002.seg'])
    expect(await node.env.disk.files.list('/data/segments')).toEqual(['shared'])
    await node.grow(40)
    await node.relocated(3)
    expect(await node.env.disk.files.list('/data/segments')).toEqual([...ids.map(String), 'shared'])
    await node.expectWhole()
    await node.log.close()
    await node.open()
    await node.expectWhole()
    expect(node.faults).toEqual([])
  })

  it('are relocated after the next start, where a stop came in between', async () => {
    const node = await new Growing().create()
    for (let round = 0; round < 6; round++) {
      await node.grow(5 + round)
      await node.log.close()
      await node.open()
    }
    // There is no room any more by now: every 64th turn makes an attempt.
    await node.grow(64)
    await node.relocated(4)
    await node.expectWhole()
    expect(node.faults).toEqual([])
  })

  it('are read while they are relocated', async () => {
    const node = await new Growing().create()
    let done = false
    const reading = (async () => {
      let rounds = 0
      for (; !done; rounds++) {
        await new Promise((resolve) => setImmediate(resolve))
        for (const groupId of ids) {
          const end = node.log.lastMark(groupId).index
          if (end === 0) continue
          const found = await node.log.readEntries(groupId, asLogIndex(1), asLogIndex(end), 1_000_000)
          expect(found.map(flat)).toEqual(node.entries.get(groupId)!.slice(0, found.length).map(flat))
          expect(found).toHaveLength(end)
        }
      }
      return rounds
    })()
    for (let turn = 0; turn < 60; turn++) {
      await node.grow(1)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await node.relocated(3)
    done = true
    expect(await reading).toBeGreaterThan(3)
  })

  it('lose nothing of a group that is deleted, replaced or cut short meanwhile, whenever that comes', async () => {
    for (let turns = 1; turns < 12; turns++) {
      const node = await new Growing().create()
      await node.grow(8)
      const [doomed, replaced, short, kept] = ids as [GroupId, GroupId, GroupId, GroupId]
      await node.grow(turns, [kept])
      const snapshot = { ...markOf(node.log.lastMark(replaced)), configuration, state: bytesOf(5, 1) }
      const low = { ...markOf(node.entries.get(short)![turns % 8]!), configuration, state: bytesOf(5, 2) }
      await node.log.commit([
        { groupId: doomed, destroy: true },
        { groupId: replaced, snapshot },
        { groupId: short, applied: { index: low.index, state: low.state, indexPoints: [] }, lowEnd: low },
      ])
      node.entries.set(replaced, [])
      node.entries.set(
        short,
        node.entries.get(short)!.filter(({ index }) => index > low.index),
      )
      await node.grow(12, [replaced, short, kept])
      await node.relocated(3)
      await node.expectWhole([replaced, short, kept])
      await node.log.close()
      await node.open()
      await node.expectWhole([replaced, short, kept])
      expect(node.faults).toEqual([])
      await node.log.close()
    }
  })

  it('keep what is not committed, which may still be replaced', async () => {
    const node = await new Growing().create()
    await node.grow(40, ids, false)
    expect((await node.files()).length).toBeGreaterThan(5)
    const [first] = ids as [GroupId]
    // The cut takes back what a relocation would have moved.
    const others = entriesAfter(emptySnapshot, [{ term: 2, payload: [bytesOf(900, 5)] }])
    const hardState = { term: others[0]!.term, votedFor: undefined, commit: emptySnapshot.index }
    await node.log.commit([{ groupId: first, entries: others, hardState }])
    node.entries.set(first, [...others])
    // While there is no room, LevelDB takes the payloads, and now and then another attempt is made.
    await node.grow(70)
    await node.relocated(3)
    await node.expectWhole()
    expect(node.faults).toEqual([])
  })

  it('go at once where no group needs them any more', async () => {
    const node = await new Growing().create()
    await node.grow(7)
    expect(await node.files()).toHaveLength(3)
    await node.log.commit(ids.map((groupId) => ({ groupId, destroy: true as const })))
    await node.relocated(1)
  })

  it('keep a damaged payload in its place, where another replica can restore it', async () => {
    const node = await new Growing().create()
    await node.grow(3)
    const file = await node.env.disk.files.open(`${shared}/0000000001.seg`)
    // In the first turn each group has a thousand bytes, one group after the other.
    const groupId = ids[2]!
    const entry = node.entries.get(groupId)![0]!
    await file.write([Uint8Array.of(0xff ^ entry.payload[0]![500]!)], 2500)
    await node.grow(20)
    await until('the damage is told', () => node.faults.length > 0)
    const told = node.faults.length
    expect(node.faults[0]).toBe('a payload in a shared segment is damaged and stays there')
    await node.relocated(4)
    expect((await node.files())[0]).toBe('0000000001.seg')
    const read = node.log.readEntries(groupId, asLogIndex(1), asLogIndex(1), 1)
    await expect(read).rejects.toThrow(DamagedEntryError)
    await expect(read).rejects.toThrow('entry 1 in shared segment 1 is damaged')
    // Once, however often the rest is moved meanwhile.
    await node.grow(20)
    expect(node.faults).toHaveLength(told)
    expect(await node.log.restorePayload(groupId, entry)).toBe(true)
    await node.expectWhole()
    await node.grow(20)
    await node.relocated(3)
    expect(await node.files()).not.toContain('0000000001.seg')
    await node.expectWhole()
  })

  it('stay as they are while a group is damaged; what it had in them is put aside with the rest', async () => {
    const node = await new Growing({ ...sharedLimits, sharedBytes: 1_000_000 }).create()
    await node.grow(6)
    await node.log.close()
    const store = await node.env.disk.openStore('/data/store')
    const [damaged, ...others] = ids as [GroupId, ...GroupId[]]
    const hardState = Uint8Array.of(0x12, 0, 0, 0, 0, 0, 0, 0, damaged)
    await store.batch([{ type: 'del', key: hardState }], { sync: true })
    await store.close()
    await node.open()
    expect(damageOf(node.log, damaged)).toBe('its hard state is missing')
    const before = await node.files()
    await node.log.commit(others.map((groupId) => ({ groupId, destroy: true as const })))
    await node.log.close()
    await node.open()
    expect(await node.files()).toEqual(before)
    const aside = await node.log.quarantine(damaged, 'its hard state is missing')
    const kept = await node.env.disk.files.open(`${aside}/shared`)
    const bytes = Buffer.from(await kept.read(0, 1_000_000))
    for (const { payload } of node.entries.get(damaged)!) {
      expect(bytes.includes(Buffer.concat(payload))).toBe(true)
    }
    await node.relocated(0)
  })

  it('never get the number of one that is gone, which a damaged group may still name', async () => {
    const node = await new Growing().create()
    await node.grow(1, ids.slice(0, 2))
    await node.log.close()
    await node.env.disk.files.remove(`${shared}/0000000001.seg`)
    await node.open()
    await node.grow(1, ids.slice(2))
    expect(await node.files()).toEqual(['0000000002.seg'])
    await node.log.close()
    await node.open()
    expect(damageOf(node.log, ids[0]!)).toBe("shared segment 1, with entries up to 1, isn't there")
    await node.expectWhole(ids.slice(2))
  })

  it('that came after the start go while a group is damaged, for it can have nothing in them', async () => {
    const node = await new Growing({ ...sharedLimits, sharedBytes: 1_000_000 }).create()
    await node.grow(4)
    await node.log.close()
    const file = await node.env.disk.files.open(`${shared}/0000000001.seg`)
    await file.truncate(12_000)
    await node.open()
    const [damaged, ...others] = ids.toReversed() as [GroupId, ...GroupId[]]
    expect(damageOf(node.log, damaged)).toContain('shared segment 1')
    await node.grow(7, others)
    expect(await node.files()).toHaveLength(5)
    await node.log.commit(others.map((groupId) => ({ groupId, destroy: true as const })))
    await node.relocated(3)
    expect(await node.files()).toEqual(['0000000001.seg', '0000000002.seg', '0000000005.seg'])
  })

  it('that are cut short or gone are damage of every group that has something there, and of no other', async () => {
    const node = await new Growing().create()
    await node.grow(1, ids.slice(0, 2))
    await node.log.close()
    await node.open()
    await node.grow(1, ids.slice(2))
    await node.log.close()
    const file = await node.env.disk.files.open(`${shared}/0000000001.seg`)
    await file.truncate(1500)
    await node.open()
    expect(ids.map((groupId) => damageOf(node.log, groupId))).toEqual([
      undefined,
      'shared segment 1, with entries up to 1, has 1500 bytes of 2000',
      undefined,
      undefined,
    ])
    await node.log.close()
    await node.env.disk.files.remove(`${shared}/0000000001.seg`)
    await node.open()
    expect(ids.slice(0, 2).map((groupId) => damageOf(node.log, groupId))).toEqual([
      "shared segment 1, with entries up to 1, isn't there",
      "shared segment 1, with entries up to 1, isn't there",
    ])
  })

  it('leave nothing but the payloads in memory where a start reads the ends of the logs', async () => {
    const folder = await temporaryFolder()
    const limits = { ...sharedLimits, sharedSegmentBytes: 1_000_000, tailBytes: 10_000 }
    const log = await openLog(testEnv(), folder, limits)
    await log.commit(ids.map((groupId) => ({ groupId, create: emptySnapshot })))
    for (let turn = 0; turn < 5; turn++) {
      const hardState = { term: asTerm(1), votedFor: undefined, commit: emptySnapshot.index }
      await log.commit(
        ids.map((groupId) => {
          const entry = entryAfter(log.lastMark(groupId), { payload: [bytesOf(5000, turn)] })
          return { groupId, entries: [entry], hardState }
        }),
      )
    }
    await log.close()
    const again = await openLog(testEnv(), folder, limits)
    for (const groupId of ids) {
      const { tail } = recoveredOf(again, groupId).bootstrap
      expect(tail).toHaveLength(5)
      for (const { payload } of tail) expect(payload[0]!.buffer.byteLength).toBe(5000)
    }
  })

  it('end the storage where an assertion of their relocation is broken, rather than go on', async () => {
    const disk = memoryDisk()
    await disk.files.makeDirectory('/segments/shared')
    const limits = { ...sharedLimits, sharedBytes: 1 }
    const state = {
      groupId: ids[0]!,
      commit: 1,
      shared: [{ number: 1, firstIndex: 1, lastIndex: 1, bytes: 5 }],
    } as unknown as GroupState
    const found = { sharedSizes: new Map([[1, 10]]), newestShared: 1 }
    const failures: LogAssertionError[] = []
    const commits: unknown[] = []
    const { logger, lines } = testEnv(disk)
    const relocation = new SharedRelocation(
      await disk.openStore('/store'),
      new SegmentFiles(disk.files, '/segments'),
      new SharedSegments(limits, found, [state]),
      logger,
      {
        groups: () => [state],
        stateOf: () => state,
        commit: async (relocations) => {
          commits.push(relocations)
          throw new LogAssertionError('log.some', 'broken')
        },
        fail: (error) => failures.push(error),
      },
    )
    relocation.start()
    await until('it has failed', () => failures.length > 0)
    relocation.start()
    await relocation.close()
    expect(failures.map(({ id }) => id)).toEqual(['log.some'])
    expect(commits).toHaveLength(1)
    expect(lines).toEqual([])
  })

  it('move so few groups in one turn that no turn writes more than 32 files for it', async () => {
    const disk = memoryDisk()
    await disk.files.makeDirectory('/segments/shared')
    const states = Array.from({ length: 70 }, (_, at) => ({
      groupId: asGroupId(at + 1),
      commit: 1,
      shared: [{ number: 1, firstIndex: 1, lastIndex: 1, bytes: 5 }],
    })) as unknown as GroupState[]
    const found = { sharedSizes: new Map([[1, 350]]), newestShared: 1 }
    const turns: GroupId[][] = []
    const relocation = new SharedRelocation(
      await disk.openStore('/store'),
      new SegmentFiles(disk.files, '/segments'),
      new SharedSegments({ ...sharedLimits, sharedBytes: 1 }, found, states),
      testEnv(disk).logger,
      {
        groups: () => states,
        stateOf: (groupId) => states.find((state) => state.groupId === groupId),
        commit: (relocations) => {
          turns.push(relocations.map(({ groupId }) => groupId))
          return Promise.resolve()
        },
        fail: (error) => {
          throw error
        },
      },
    )
    relocation.start()
    await until('all groups had their turn', () => turns.flat().length === states.length)
    await relocation.close()
    expect(turns.map((turn) => turn.length)).toEqual([32, 32, 6])
    expect(new Set(turns.flat()).size).toBe(states.length)
  })
})
