import { describe, expect, it } from 'vitest'
import { BLOCK_BYTES, type Disk } from '../../src/env/index.ts'
import type { Entry } from '../../src/raft/types.ts'
import { asLogIndex, asTerm } from '../../src/raft/types.ts'
import { DamagedEntryError, FolderDamagedError, asGroupId, asOffset } from '../../src/log/index.ts'
import { memoryDisk } from '../../src/testing/memory-disk.ts'
import { bytesOf, emptySnapshot, entriesAfter, entryAfter, flat } from './entries.ts'
import { faultyDisk } from './faulty-disk.ts'
import type { Faults } from './faulty-disk.ts'
import { allEntries, damageOf, group, openLog, recoveredOf, smallLimits, testEnv } from './storage-env.ts'

/** Room for the two large entries of the last turn in the segment of the first one, and no more. */
const limits = { ...smallLimits, segmentBytes: 4500 }
const other = asGroupId(8)
const hardState = (commit: number) => ({ term: asTerm(1), votedFor: undefined, commit: asLogIndex(commit) })
const large = (seed: number) => ({ payload: [bytesOf(300, seed)] })
const small = (seed: number) => ({ payload: [bytesOf(20, seed)] })

interface Stopped {
  readonly disk: Disk
  /** Durable and acknowledged before the last turn. */
  readonly entries: readonly Entry[]
  /** Of the last turn. */
  readonly last: readonly Entry[]
}

/** A folder after a stop: two groups, the last turn with three entries of which two are in a segment. */
async function stopped(options: { readonly noted: boolean }): Promise<Stopped> {
  const disk = memoryDisk()
  const faults: Faults = {}
  const log = await openLog(testEnv(faultyDisk(disk, faults)), '/data', limits)
  const entries = entriesAfter(emptySnapshot, [large(1), small(2), large(3), small(4)])
  await log.commit([
    { groupId: group, create: emptySnapshot, entries, hardState: hardState(2) },
    { groupId: other, create: emptySnapshot, entries, hardState: hardState(2) },
  ])
  const last = entriesAfter(entries.at(-1)!, [small(5), large(6), large(7)])
  await log.commit([{ groupId: group, entries: last, hardState: hardState(7) }])
  if (!options.noted) faults.keepWrite = (path) => path !== '/data/turn'
  await log.close()
  return { disk, entries, last }
}

/** Where the payloads of the last turn end: it began with a block of its own, and zeros fill its last one. */
const lastEnd = BLOCK_BYTES + 600

async function segmentFile(disk: Disk, groupId = group, which = -1) {
  const name = (await disk.files.list(`/data/segments/${groupId}`)).at(which)!
  return disk.files.open(`/data/segments/${groupId}/${name}`)
}

async function flipByte(disk: Disk, position: number, groupId = group, which = -1): Promise<void> {
  const file = await segmentFile(disk, groupId, which)
  const at = position < 0 ? lastEnd + position : position
  const byte = await file.read(at, 1)
  await file.write([Uint8Array.of(byte[0]! ^ 0x10)], at)
  await file.close()
}

async function cutTail(disk: Disk, byBytes: number): Promise<void> {
  const file = await segmentFile(disk)
  await file.truncate(lastEnd - byBytes)
  await file.close()
}

/** Changes values in the store of a stopped node; undefined deletes. */
async function changeStore(
  disk: Disk,
  keyHex: string,
  change: (value: Uint8Array) => Uint8Array | undefined,
) {
  const store = await disk.openStore('/data/store')
  const key = Buffer.from(keyHex, 'hex')
  const value = await store.get(key)
  if (value === undefined) throw new Error(`the store has no key ${keyHex}`)
  const changed = change(value)
  await store.batch([changed === undefined ? { type: 'del', key } : { type: 'put', key, value: changed }], {
    sync: true,
  })
  await store.close()
}

const flip = (value: Uint8Array): Uint8Array =>
  value.map((byte, i) => (i === value.length >> 1 ? byte ^ 1 : byte))
const number64 = (value: number): string => value.toString(16).padStart(16, '0')
const groupHex = (kind: string, groupId = group): string => kind + number64(groupId)
const entryHex = (index: number, groupId = group): string => groupHex('20', groupId) + number64(index)

describe('a power cut during the last turn', () => {
  const harms: readonly (readonly [string, (disk: Disk) => Promise<void>, number])[] = [
    ['lost the end of a segment', (disk) => cutTail(disk, 100), 6],
    ['lost both payloads', (disk) => cutTail(disk, 600), 5],
    ['left other bytes in the last payload', (disk) => flipByte(disk, -5), 6],
    ['left other bytes in the first payload', (disk) => flipByte(disk, -305), 5],
  ]
  for (const [what, harm, lastIndex] of harms) {
    it(`that ${what} cuts the log before it, durably`, async () => {
      const { disk, entries, last } = await stopped({ noted: false })
      await harm(disk)
      const env = testEnv(disk)
      const log = await openLog(env, '/data', limits)
      const whole = [...entries, ...last].slice(0, lastIndex)
      expect(damageOf(log, group)).toBeUndefined()
      expect((await allEntries(log, group)).map(flat)).toEqual(whole.map(flat))
      expect(recoveredOf(log, group).bootstrap.hardState.commit).toBe(lastIndex)
      expect(env.lines.filter(({ level }) => level === 'warn')).toHaveLength(1)
      // The log goes on from there, and the next start has nothing more to say.
      const next = entryAfter(whole.at(-1)!, { ...large(50), term: 1 })
      await log.commit([{ groupId: group, entries: [next] }])
      await log.close()
      const calm = testEnv(disk)
      const again = await openLog(calm, '/data', limits)
      expect((await allEntries(again, group)).map(flat)).toEqual([...whole, next].map(flat))
      expect(calm.lines.filter(({ level }) => level !== 'info')).toEqual([])
    })
  }

  it('is damage where the turn is known to have been durable', async () => {
    for (const [, harm, lastIndex] of harms) {
      const { disk } = await stopped({ noted: true })
      await harm(disk)
      const log = await openLog(testEnv(disk), '/data', limits)
      expect(damageOf(log, group)).toMatch(`entry ${lastIndex + 1}, of the last turn, which was durable`)
      expect(damageOf(log, other)).toBeUndefined()
      await log.close()
    }
  })

  it('excuses nothing that is older', async () => {
    const { disk } = await stopped({ noted: false })
    await disk.files.removeDirectory(`/data/segments/${group}`)
    const log = await openLog(testEnv(disk), '/data', limits)
    expect(damageOf(log, group)).toMatch(/^segment 1, with entries up to 3, isn't there/)
  })

  it('leaves garbage that no entry names, which is cut', async () => {
    const { disk, entries, last } = await stopped({ noted: false })
    const file = await segmentFile(disk)
    const size = await file.sizeBytes()
    await file.write([bytesOf(123, 4)], size)
    await (await disk.files.open(`/data/segments/${group}/0000000009.seg`)).write([bytesOf(10, 1)], 0)
    const log = await openLog(testEnv(disk), '/data', limits)
    expect(await file.sizeBytes()).toBe(size)
    expect(await disk.files.list(`/data/segments/${group}`)).not.toContain('0000000009.seg')
    expect((await allEntries(log, group)).map(flat)).toEqual([...entries, ...last].map(flat))
  })

  it('leaves directories of groups that never came to be; they are told and left alone', async () => {
    const { disk } = await stopped({ noted: false })
    await disk.files.makeDirectory('/data/segments/99')
    const env = testEnv(disk)
    await openLog(env, '/data', limits)
    expect(env.lines.find(({ level }) => level === 'warn')?.fields).toMatchObject({ directories: ['99'] })
    expect(await disk.files.list('/data/segments')).toContain('99')
  })
})

describe('damage', () => {
  const inStore: readonly (readonly [string, string, RegExp])[] = [
    ['an entry with its payload', entryHex(2), /^entry 2: /],
    ['an entry in the middle whose payload is in a segment', entryHex(3), /^entry 3: /],
    ['the newest entry', entryHex(7), /^entry 7: /],
    ['the low end', groupHex('10'), /^its record of its low end: a record has a wrong checksum/],
    ['the state at the low end', groupHex('11'), /^the state at its low end: a record has a wrong checksum/],
    ['the hard state', groupHex('12'), /^its hard state: a record has a wrong checksum/],
  ]
  for (const [what, keyHex, message] of inStore) {
    it(`of ${what} is noticed, and nothing is deleted`, async () => {
      const { disk, entries } = await stopped({ noted: true })
      await changeStore(disk, keyHex, flip)
      for (const _start of [1, 2]) {
        const env = testEnv(disk)
        const log = await openLog(env, '/data', limits)
        expect(damageOf(log, group)).toMatch(message)
        expect((await allEntries(log, other)).map(flat)).toEqual(entries.map(flat))
        expect(env.lines.some(({ level }) => level === 'error')).toBe(true)
        await log.close()
      }
      await changeStore(disk, keyHex, flip)
      expect(damageOf(await openLog(testEnv(disk), '/data', limits), group)).toBeUndefined()
    })
  }

  const missing: readonly (readonly [string, string, RegExp])[] = [
    ['the first entry', entryHex(1), /^entry 1 is missing: the next one that is there is 2/],
    ['an entry in the middle', entryHex(4), /^entry 4 is missing: the next one that is there is 5/],
    ['a committed tail', entryHex(7), /^entry 7 is missing: entries up to 7 were committed/],
    ['the low end', groupHex('10'), /^the record of its low end is missing/],
    ['the state at the low end', groupHex('11'), /^the state at its low end is missing/],
    ['the hard state', groupHex('12'), /^its hard state is missing/],
  ]
  for (const [what, keyHex, message] of missing) {
    it(`is noticed where ${what} is missing`, async () => {
      const { disk } = await stopped({ noted: true })
      await changeStore(disk, keyHex, () => undefined)
      const log = await openLog(testEnv(disk), '/data', limits)
      expect(damageOf(log, group)).toMatch(message)
      expect(damageOf(log, other)).toBeUndefined()
    })
  }

  it('is noticed where an entry stands in the place of another one', async () => {
    const { disk } = await stopped({ noted: true })
    let third: Uint8Array | undefined
    await changeStore(disk, entryHex(2), (value) => (third = value))
    await changeStore(disk, entryHex(4), () => third)
    const log = await openLog(testEnv(disk), '/data', limits)
    expect(damageOf(log, group)).toBe('entry 4: its head says that it is 2')
  })

  it('is noticed where an entry is of another log', async () => {
    const { disk } = await stopped({ noted: true })
    const foreign = entriesAfter(emptySnapshot, [large(42), small(99)])
    const elsewhere = await openLog(testEnv(disk), '/elsewhere', limits)
    await elsewhere.commit([
      { groupId: group, create: emptySnapshot, entries: foreign, hardState: hardState(0) },
    ])
    await elsewhere.close()
    const store = await disk.openStore('/elsewhere/store')
    const value = await store.get(Buffer.from(entryHex(2), 'hex'))
    await store.close()
    await changeStore(disk, entryHex(2), () => value)
    expect(damageOf(await openLog(testEnv(disk), '/data', limits), group)).toMatch(
      /^entry 2: its digest doesn't continue/,
    )
  })

  it('of an old payload in a segment is told by the read that meets it, with group, entry and segment', async () => {
    const { disk, entries } = await stopped({ noted: true })
    const before = await openLog(testEnv(disk), '/data', limits)
    await before.commit([
      { groupId: group, applied: { index: asLogIndex(7), state: bytesOf(3, 3), indexPoints: [] } },
    ])
    await before.close()
    await flipByte(disk, 10, group, 0)
    const log = await openLog(testEnv(disk), '/data', { ...limits, tailBytes: 0 })
    const read = log.readEntries(group, asLogIndex(1), asLogIndex(2), 1000)
    await expect(read).rejects.toThrow(DamagedEntryError)
    await expect(read).rejects.toThrow(/group 7: entry 1 in segment 1 is damaged: a payload has CRC-32/)
    const next = await log.readEntries(group, asLogIndex(2), asLogIndex(3), 1000)
    expect(next.map(flat)).toEqual(entries.slice(1, 3).map(flat))
  })

  it('of an old payload that is still to be applied is noticed at the start', async () => {
    const { disk } = await stopped({ noted: true })
    await flipByte(disk, 10, group, 0)
    const log = await openLog(testEnv(disk), '/data', limits)
    expect(damageOf(log, group)).toMatch(/^entry 1: a payload has CRC-32/)
  })

  it('while running is told by the read that meets it', async () => {
    const disk = memoryDisk()
    const log = await openLog(testEnv(disk), '/data', limits)
    const entries = entriesAfter(emptySnapshot, [large(1), large(2), small(3)])
    await log.commit([{ groupId: group, create: emptySnapshot, entries, hardState: hardState(0) }])
    await flipByte(disk, 310)
    const read = log.readEntries(group, asLogIndex(1), asLogIndex(3), 10_000)
    await expect(read).rejects.toThrow('group 7: entry 2 in segment 1 is damaged')
  })

  it('of a signpost only makes a search longer', async () => {
    const disk = memoryDisk()
    const first = await openLog(testEnv(disk), '/data', limits)
    const entries = entriesAfter(emptySnapshot, [small(1), small(2), small(3)])
    const indexPoints = entries.map(({ index }) => ({ index, offset: asOffset(index), appendTimeMs: index }))
    const applied = { index: asLogIndex(3), state: bytesOf(3, 3), indexPoints }
    await first.commit([{ groupId: group, create: emptySnapshot, entries, hardState: hardState(3), applied }])
    await first.close()
    for (const offset of [2, 3]) await changeStore(disk, groupHex('30') + number64(offset), flip)
    const log = await openLog(testEnv(disk), '/data', limits)
    expect((await log.findByOffset(group, asOffset(9)))?.index).toBe(1)
    expect((await log.findByTime(group, 9))?.index).toBe(3)
  })

  it('of the turn record leaves no group trusted, now and at every later start', async () => {
    const { disk } = await stopped({ noted: false })
    await changeStore(disk, '0102', flip)
    for (const _start of [1, 2]) {
      const log = await openLog(testEnv(disk), '/data', limits)
      expect(damageOf(log, group)).toMatch(/^the store's turn record: a record has a wrong checksum/)
      expect(damageOf(log, other)).toMatch(/^the store's turn record/)
      await log.close()
    }
  })

  it('is seen where the store lost a turn that was noted as durable, also after more turns', async () => {
    const disk = memoryDisk()
    const faults: Faults = {}
    const log = await openLog(testEnv(faultyDisk(disk, faults)), '/data', limits)
    await log.commit([{ groupId: group, create: emptySnapshot, hardState: hardState(0) }])
    // As if recovery had skipped the record of this turn in LevelDB's log, but not the marker after it.
    faults.keep = () => false
    await log.commit([{ groupId: group, entries: [entryAfter(emptySnapshot)] }])
    delete faults.keep
    await log.close()
    const again = await openLog(testEnv(disk), '/data', limits)
    const damage = "the store's newest turn is 1, but turn 2 was durable: what came between is lost"
    expect(damageOf(again, group)).toBe(damage)
    await again.commit([{ groupId: other, create: emptySnapshot, hardState: hardState(0) }])
    await again.close()
    const third = await openLog(testEnv(disk), '/data', limits)
    expect(damageOf(third, group)).toBe(damage)
    expect(damageOf(third, other)).toBeUndefined()
  })

  it('is seen where the store lost a turn in the middle, though nothing else would miss it', async () => {
    const disk = memoryDisk()
    const faults: Faults = {}
    const log = await openLog(testEnv(faultyDisk(disk, faults)), '/data', limits)
    await log.commit([{ groupId: group, create: emptySnapshot, hardState: hardState(0) }])
    // A vote, in a record that LevelDB's recovery skips because one of its bits is flipped.
    faults.keep = () => false
    await log.commit([{ groupId: group, hardState: { ...hardState(0), term: asTerm(9) } }])
    delete faults.keep
    await log.commit([{ groupId: other, create: emptySnapshot, hardState: hardState(0) }])
    await log.close()
    for (const _start of [1, 2]) {
      const again = await openLog(testEnv(disk), '/data', limits)
      expect(damageOf(again, group)).toBe('the store has turn 3, but lost turn 2 before it (1 in all)')
      await again.close()
    }
    const third = await openLog(testEnv(disk), '/data', limits)
    const young = asGroupId(9)
    await third.commit([{ groupId: young, create: emptySnapshot, hardState: hardState(0) }])
    await third.close()
    expect(damageOf(await openLog(testEnv(disk), '/data', limits), young)).toBeUndefined()
  })

  it('ends with the group, which may then begin anew', async () => {
    const { disk } = await stopped({ noted: true })
    await changeStore(disk, entryHex(2), flip)
    const log = await openLog(testEnv(disk), '/data', limits)
    expect(() => log.lastMark(group)).toThrow('is damaged')
    await expect(log.commit([{ groupId: group, create: emptySnapshot }])).rejects.toThrow(
      'log.create-over-damage',
    )
    await log.commit([{ groupId: group, destroy: true }])
    await log.commit([{ groupId: group, create: emptySnapshot, hardState: hardState(0) }])
    await log.close()
    expect(damageOf(await openLog(testEnv(disk), '/data', limits), group)).toBeUndefined()
  })
})

describe('the note of the last turn', () => {
  async function withNote(change: (bytes: Uint8Array) => Uint8Array): Promise<Disk> {
    const { disk } = await stopped({ noted: true })
    const file = await disk.files.open('/data/turn')
    const bytes = await file.read(0, 1000)
    await file.truncate(0)
    await file.write([change(bytes)], 0)
    await file.close()
    return disk
  }

  it('that is something else keeps the node from starting, for it says what the store must have', async () => {
    for (const change of [(bytes: Uint8Array) => bytes.subarray(0, 10), () => bytesOf(700, 1)]) {
      const opening = openLog(testEnv(await withNote(change)), '/data', limits)
      await expect(opening).rejects.toThrow(FolderDamagedError)
      await expect(opening).rejects.toThrow(
        "the data folder /data has a file turn that isn't what the node wrote",
      )
    }
  })

  it('is read from its other copy where a bit of one is flipped', async () => {
    for (let byte = 0; byte < 24; byte++) {
      const disk = await withNote((bytes) => bytes.map((value, i) => (i === byte ? value ^ 4 : value)))
      await cutTail(disk, 100)
      const log = await openLog(testEnv(disk), '/data', limits)
      expect(damageOf(log, group)).toMatch('of the last turn, which was durable')
      await log.close()
    }
  })

  it('that is empty, or zeros as after a power cut, says nothing: the last turn is only looked at', async () => {
    for (const change of [() => new Uint8Array(0), (bytes: Uint8Array) => bytes.fill(0)]) {
      const disk = await withNote(change)
      const log = await openLog(testEnv(disk), '/data', limits)
      expect(damageOf(log, group)).toBeUndefined()
      await log.close()
    }
  })
})
