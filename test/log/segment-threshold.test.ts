import { describe, expect, it } from 'vitest'
import { asGroupId, defaultLogLimits, type GroupWrite } from '../../src/log/index.ts'
import { segmentThreshold } from '../../src/log/segment-threshold.ts'
import { memoryDisk } from '../../src/testing/memory-disk.ts'
import { bytesOf, emptySnapshot, entryAfter, flat } from './entries.ts'
import { allEntries, openLog, testEnv } from './storage-env.ts'

const groups = (count: number) => Array.from({ length: count }, (_, at) => asGroupId(at + 1))
const write = (groupId: GroupWrite['groupId'], bytes: number): GroupWrite => ({
  groupId,
  entries: [entryAfter(emptySnapshot, { payload: [bytesOf(bytes, 1)] })],
})

describe('from how many bytes on payloads go to segments', () => {
  const limits = { ...defaultLogLimits, segmentThresholdBytes: 4096 }
  const thresholdOf = (writes: readonly GroupWrite[]): number => segmentThreshold(limits, writes)

  it('is what was set where a turn writes to few files, or to none', () => {
    expect(thresholdOf([])).toBe(4096)
    expect(thresholdOf(groups(4).map((id) => write(id, 5000)))).toBe(4096)
    expect(thresholdOf(groups(50).map((id) => write(id, 4095)))).toBe(4096)
  })

  it('counts groups, not writes', () => {
    const group = asGroupId(1)
    expect(thresholdOf([1, 2, 3, 4, 5, 6].map(() => write(group, 5000)))).toBe(4096)
  })

  it('is more where each of many files would get little', () => {
    expect(thresholdOf(groups(5).map((id) => write(id, 4096)))).toBe(16_384)
  })

  it('is never less than what was set', () => {
    const writes = groups(5).map((id) => write(id, 100_000))
    expect(segmentThreshold({ ...limits, segmentThresholdBytes: 65_536 }, writes)).toBe(65_536)
  })
})

describe('a turn of many groups', () => {
  it('writes what is small to no segment, what is large to one, and all of it is there after a start', async () => {
    const disk = memoryDisk()
    const log = await openLog(testEnv(disk), '/data', defaultLogLimits)
    const ids = groups(6)
    await log.commit(ids.map((groupId) => ({ groupId, create: emptySnapshot })))
    // The sixth is large, and the first goes on alone: its log has one payload in LevelDB and one in a segment.
    const first = ids.map((groupId) => write(groupId, groupId === 6 ? 20_000 : 5000).entries![0]!)
    const hardState = { term: first[0]!.term, votedFor: undefined, commit: emptySnapshot.index }
    await log.commit(ids.map((groupId, at) => ({ groupId, entries: [first[at]!], hardState })))
    expect(await disk.files.list('/data/segments')).toEqual(['6'])
    const next = entryAfter(first[0]!, { payload: [bytesOf(5000, 2)] })
    await log.commit([{ groupId: ids[0]!, entries: [next] }])
    expect(await disk.files.list('/data/segments')).toEqual(['1', '6'])
    await log.close()
    const again = await openLog(testEnv(disk), '/data', defaultLogLimits)
    expect((await allEntries(again, ids[0]!, 1, 100_000)).map(flat)).toEqual([first[0]!, next].map(flat))
    for (const at of [1, 5])
      expect((await allEntries(again, ids[at]!, 1, 100_000)).map(flat)).toEqual([flat(first[at]!)])
  })
})
