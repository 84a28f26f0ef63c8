import { describe, expect, it } from 'vitest'
import { asGroupId, defaultLogLimits, type GroupWrite } from '../../src/log/index.ts'
import { payloadPlaces } from '../../src/log/payload-places.ts'
import { memoryDisk } from '../../src/testing/memory-disk.ts'
import { bytesOf, emptySnapshot, entryAfter, flat } from './entries.ts'
import { allEntries, openLog, testEnv } from './storage-env.ts'

const groups = (count: number) => Array.from({ length: count }, (_, at) => asGroupId(at + 1))
const write = (groupId: GroupWrite['groupId'], bytes: number): GroupWrite => ({
  groupId,
  entries: [entryAfter(emptySnapshot, { payload: [bytesOf(bytes, 1)] })],
})

describe('where the payloads of a turn go', () => {
  const placesOf = (writes: readonly GroupWrite[], full = false) =>
    payloadPlaces(defaultLogLimits, writes, full)
  const alone = { ownFromBytes: 4096, sharedFromBytes: Infinity }
  const together = { ownFromBytes: 16_384, sharedFromBytes: 1024 }

  it('is what was set where few groups have something for a file, or none', () => {
    expect(placesOf([])).toEqual(alone)
    expect(placesOf(groups(4).map((id) => write(id, 5000)))).toEqual(alone)
    expect(placesOf(groups(50).map((id) => write(id, 1023)))).toEqual(alone)
  })

  it('counts groups, not writes', () => {
    expect(placesOf([1, 2, 3, 4, 5, 6].map(() => write(asGroupId(1), 5000)))).toEqual(alone)
  })

  it('is the shared segment for what is small, where more groups have something for a file', () => {
    expect(placesOf(groups(5).map((id) => write(id, 1024)))).toEqual(together)
    expect(placesOf(groups(5).map((id) => write(id, 100_000)))).toEqual(together)
  })

  it('is LevelDB for what is small, while the shared segments are full', () => {
    expect(
      placesOf(
        groups(5).map((id) => write(id, 1024)),
        true,
      ),
    ).toEqual(alone)
    const crowded = groups(5).map((id) => write(id, 4096))
    expect(placesOf(crowded, true)).toEqual({ ownFromBytes: 16_384, sharedFromBytes: Infinity })
  })

  it('is never less than what was set', () => {
    const writes = groups(5).map((id) => write(id, 100_000))
    const limits = { ...defaultLogLimits, segmentThresholdBytes: 65_536, sharedThresholdBytes: 5000 }
    expect(payloadPlaces(limits, writes, false)).toEqual({ ownFromBytes: 65_536, sharedFromBytes: 5000 })
  })
})

describe('a turn of many groups', () => {
  it('writes what is small to the shared segment, what is large to its own, and all of it is there after a start', async () => {
    const disk = memoryDisk()
    const log = await openLog(testEnv(disk), '/data', defaultLogLimits)
    const ids = groups(6)
    await log.commit(ids.map((groupId) => ({ groupId, create: emptySnapshot })))
    // The sixth is large, and the first goes on alone: its log has one payload in the shared segment and one in its own.
    const first = ids.map((groupId) => write(groupId, groupId === 6 ? 20_000 : 5000).entries![0]!)
    const hardState = { term: first[0]!.term, votedFor: undefined, commit: emptySnapshot.index }
    await log.commit(ids.map((groupId, at) => ({ groupId, entries: [first[at]!], hardState })))
    expect(await disk.files.list('/data/segments')).toEqual(['6', 'shared'])
    const next = entryAfter(first[0]!, { payload: [bytesOf(5000, 2)] })
    await log.commit([{ groupId: ids[0]!, entries: [next] }])
    expect(await disk.files.list('/data/segments')).toEqual(['1', '6', 'shared'])
    await log.close()
    const again = await openLog(testEnv(disk), '/data', defaultLogLimits)
    expect((await allEntries(again, ids[0]!, 1, 100_000)).map(flat)).toEqual([first[0]!, next].map(flat))
    for (const at of [1, 5])
      expect((await allEntries(again, ids[at]!, 1, 100_000)).map(flat)).toEqual([flat(first[at]!)])
  })
})
