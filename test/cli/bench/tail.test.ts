import { describe, expect, it } from 'vitest'
import { keepsUp } from '../../../src/cli/bench/tail.ts'
import { loadResult } from './reports.ts'

// 500,000 records in ten seconds.
const run = { appends: loadResult, halvesP50Ms: [20, 22], missedRecords: 0 }

describe('readers of the tail keep up', () => {
  it('where the records came at the rate and the lag stayed what it was', () => {
    expect(keepsUp(run, 50_000)).toBe(true)
    expect(keepsUp(run, 50_400)).toBe(true)
  })

  it('not where fewer records came than they should have kept up with', () => {
    expect(keepsUp(run, 51_000)).toBe(false)
  })

  it('not where the lag grew from one half to the next', () => {
    expect(keepsUp({ ...run, halvesP50Ms: [20, 500] }, 50_000)).toBe(false)
    expect(keepsUp({ ...run, halvesP50Ms: [500, 20] }, 50_000)).toBe(true)
  })

  it('not where a record never came, or an append failed', () => {
    expect(keepsUp({ ...run, missedRecords: 1 }, 50_000)).toBe(false)
    expect(keepsUp({ ...run, appends: { ...loadResult, errors: 1 } }, 50_000)).toBe(false)
  })

  it('not where they read nothing in a half', () => {
    expect(keepsUp({ ...run, halvesP50Ms: [20, undefined] }, 50_000)).toBe(false)
  })
})
