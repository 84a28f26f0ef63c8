import { describe, expect, it } from 'vitest'
import { costOf } from '../../../src/cli/bench/cost.ts'

const before = { cpuSeconds: 10, writtenBytes: 1_000_000, rssBytes: 1 }
const after = { cpuSeconds: 13, writtenBytes: 5_000_000, rssBytes: 1 }

describe('the cost of a run', () => {
  it('is told for a million records, a gigabyte and a byte', () => {
    expect(costOf(before, after, 70, { records: 500_000, valueBytes: 2_000_000 })).toEqual({
      cpuSeconds: 3,
      cpuSecondsPerMillionRecords: 6,
      cpuSecondsPerGigabyte: 1500,
      writtenBytes: 4_000_000,
      writtenBytesPerByte: 2,
      peakRssBytes: 70,
    })
  })

  it('is divided by nothing where nothing was appended', () => {
    expect(costOf(before, after, undefined, { records: 0, valueBytes: 0 })).toEqual({
      cpuSeconds: 3,
      writtenBytes: 4_000_000,
    })
  })

  it('leaves out what the system does not tell', () => {
    expect(costOf(undefined, undefined, undefined, { records: 1, valueBytes: 1 })).toEqual({})
    const silent = { cpuSeconds: 1, writtenBytes: undefined, rssBytes: undefined }
    expect(costOf(silent, silent, 5, { records: 10, valueBytes: 10 })).toEqual({
      cpuSeconds: 0,
      cpuSecondsPerMillionRecords: 0,
      cpuSecondsPerGigabyte: 0,
      peakRssBytes: 5,
    })
  })
})
