import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BenchContext } from '../../../src/cli/bench/append.ts'
import { readSuite, writeSuite } from '../../../src/cli/bench/suite-file.ts'
import { suiteAnswer, suiteConditions } from '../../../src/cli/bench/suite-report.ts'
import {
  appendCases,
  appendName,
  batchedInFlight,
  chooseCases,
  faultsOf,
  quickCases,
  suiteCases,
  takeCases,
  withResult,
  type CaseResult,
  type SuiteCase,
  type SuiteReport,
} from '../../../src/cli/bench/suite.ts'
import { inFlightBound } from '../../../src/cli/bench/targets.ts'
import { Interrupted } from '../../../src/cli/cluster-ready.ts'
import { runCli } from '../../../src/cli/program.ts'
import { Captured, fakeContext, type FakeContext } from '../fakes.ts'
import {
  appendReport,
  appendRun,
  failedCase,
  failoverReport,
  followerReport,
  readReport,
  tailReport,
  takenCase,
} from './reports.ts'

const times = { quick: true, missedBytes: 1e6 }

function worldOf(context: FakeContext): BenchContext {
  return { context, version: '1', network: () => Promise.reject(new Error('not expected')) }
}

function fakeCase(name: string, run: SuiteCase['run']): SuiteCase {
  return { name, kind: 'read', run }
}

async function takeAll(cases: readonly SuiteCase[], context = fakeContext()) {
  const taken: CaseResult[] = []
  const done = takeCases(worldOf(context), cases, undefined, times, async (result) => void taken.push(result))
  return { context, taken, done }
}

describe('the cases of bench all', () => {
  it('have names that differ', () => {
    const names = suiteCases.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
  })

  it('hold those of --quick', () => {
    expect(quickCases).toHaveLength(5)
    expect(suiteCases).toEqual(expect.arrayContaining([...quickCases]))
  })

  it('never ask the producer for more than it has room for', () => {
    for (const { mode, sizeBytes, inFlight } of appendCases) {
      if (mode === 'batched') expect(inFlight).toBeLessThanOrEqual(inFlightBound(sizeBytes))
    }
  })

  it('are named by what they do', () => {
    const batched = { mode: 'batched', sizeBytes: 1024, partitions: 3, inFlight: 8192 } as const
    expect(appendName(batched)).toBe('batched-1KiB-p3-f8192')
    expect(appendName({ ...batched, sizeBytes: 100 })).toBe('batched-100B-p3-f8192')
    expect(appendName({ ...batched, ratePerSecond: 10_000 })).toBe('rate-10000-1KiB-p3')
  })

  it('are chosen by name, or by how it begins', () => {
    const { cases, unknown } = chooseCases(['tail-*', 'failover', 'sleep', 'x-*'])
    expect(cases.map(({ name }) => name)).toEqual(['tail-50000', 'tail-100000', 'failover'])
    expect(unknown).toEqual(['sleep', 'x-*'])
  })
})

describe('the default of records in flight with batching', () => {
  it('is bounded by count and by bytes, and never less than one', () => {
    expect(batchedInFlight(0)).toBe(16_384)
    expect(batchedInFlight(1024)).toBe(8192)
    expect(batchedInFlight(64 * 1024)).toBe(128)
    expect(batchedInFlight(100 * 1024 * 1024)).toBe(1)
  })
})

describe('taking the cases', () => {
  const good = fakeCase('read-old', () => Promise.resolve(readReport(1)))
  const bad = fakeCase('failover', () => Promise.reject(new Error('the disk is full')))

  it('goes on after one that failed, and tells why it did', async () => {
    const { context, taken, done } = await takeAll([bad, good])
    await done
    expect(taken).toMatchObject([
      { name: 'failover', error: 'the disk is full' },
      { name: 'read-old', report: { benchmark: 'read' } },
    ])
    expect(faultsOf(taken)).toEqual(['failover failed'])
    expect(context.stderr.text).toContain('failover failed: the disk is full')
  })

  it('says how far it is, and how long it has taken', async () => {
    const context = fakeContext()
    const slow = fakeCase('tail-50000', async () => {
      await context.sleep(90_000)
      return tailReport(50_000, true)
    })
    const { taken, done } = await takeAll([slow, good], context)
    await done
    expect(context.stderr.lines).toContain('case 1 of 2: tail-50000, 0 ms since the start')
    expect(context.stderr.lines).toContain('case 2 of 2: read-old, 1 min 30 s since the start')
    expect(taken[0]).toMatchObject({ takenAt: '2026-01-01T00:00:00.000Z', seconds: 90, quick: true })
    expect(taken[1]?.takenAt).toBe('2026-01-01T00:01:30.000Z')
  })

  it('ends where the user has had enough, with what was taken until then', async () => {
    const context = fakeContext()
    const stopped = fakeCase('follower', () => {
      context.interrupt()
      return Promise.reject(new Interrupted())
    })
    const { taken, done } = await takeAll([good, stopped, bad], context)
    await expect(done).rejects.toThrow(Interrupted)
    expect(taken.map(({ name }) => name)).toEqual(['read-old'])
  })
})

describe('a run of bench all', () => {
  it('is a failure where records were lost, and not where appends were slow', () => {
    expect(faultsOf([takenCase('failover', failoverReport(9999, 0))])).toEqual([])
    expect(faultsOf([takenCase('failover', failoverReport(10, 1))])).toEqual([
      'failover: what was read back is not what was acknowledged',
    ])
  })

  it.each([
    ['bench all --only sleep', 'no case is called sleep; there are batched-100B-p1-f16384,'],
    ['bench all --missed much', 'an amount as 500MB, 5GB or 4GiB'],
  ])('is refused: %s', async (commandLine, complaint) => {
    const context = fakeContext()
    expect(await runCli(context, commandLine.split(' '))).toBe(2)
    expect(context.stderr.text).toContain(complaint)
  })
})

describe('merging', () => {
  let folder: string
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'suite-'))))
  afterEach(() => rm(folder, { recursive: true }))

  const readText = (path: string): Promise<string> => readFile(path, 'utf8')
  const files = fakeContext({ readText })

  it('puts a result in the place of the earlier one, in the order of the suite', () => {
    const earlier: SuiteReport = {
      benchmark: 'all',
      cases: [failedCase('read-old', 'x'), takenCase('failover', failoverReport(1, 0))],
    }
    const again = withResult(earlier, takenCase('read-old', readReport(2)))
    const more = withResult(again, takenCase('tail-50000', tailReport(50_000, true)))
    expect(more.cases.map(({ name }) => name)).toEqual(['read-old', 'tail-50000', 'failover'])
    expect(more.cases[0]).toMatchObject({ report: { benchmark: 'read' } })
    expect(more.cases[0]).not.toHaveProperty('error')
  })

  it('begins with nothing where there is no file, and reads what it wrote', async () => {
    const path = join(folder, 'suite.json')
    const empty = await readSuite(files, path)
    expect(empty.cases).toEqual([])
    const suite = withResult(empty, takenCase('read-old', readReport(2)))
    await writeSuite(path, suite)
    expect(await readSuite(files, path)).toEqual(suite)
    expect(await readdir(folder)).toEqual(['suite.json'])
  })

  it.each(['{', '{"benchmark":"append"}', '{"benchmark":"all","appends":[]}'])(
    'refuses what is no suite, and leaves it alone: %s',
    async (text) => {
      const path = join(folder, 'other.json')
      await writeFile(path, text)
      const context = fakeContext({ readText })
      expect(await runCli(context, ['bench', 'all', '--only', 'read-old', '--merge', path])).toBe(1)
      expect(context.stderr.text).toContain('is not the JSON of "flotilla bench all"')
      expect(await readFile(path, 'utf8')).toBe(text)
    },
  )
})

describe('the table of all', () => {
  const output = new Captured()
  const cases = [
    takenCase('single-1KiB-p1-f256', appendReport([appendRun(8000), appendRun(8500)])),
    takenCase('read-old', readReport(450)),
    takenCase('tail-100000', tailReport(100_000, false)),
    takenCase('follower', followerReport({ isLevel: false })),
    takenCase('failover', failoverReport(512, 7)),
    failedCase('tail-50000', 'the disk is full'),
  ]
  const text = suiteAnswer({ benchmark: 'all', cases }).table(output)

  it('begins with the marks', () => {
    expect(text).toMatch(/^1 KiB, one request each, 256 in flight +20,000\/s +40,000\/s +8,500\/s +no$/m)
    expect(text.indexOf('FIRST MARK')).toBeLessThan(text.indexOf('LOWEST–HIGHEST'))
  })

  it('has a line a case that was taken', () => {
    expect(text).toMatch(
      /^single-1KiB-p1-f256 +8,500 +8,000–9,000 +8\.50 +0 .* 4\.50 +15\.0 +15\.0 +1\.02 +128 MiB$/m,
    )
    expect(text).toMatch(/^read-old +450 /m)
    expect(text).toMatch(/^tail-100000 +50,000 +250,000 +0 +0 +no +1\.50 +12\.3 +1,234 +85\.0 +40\.0$/m)
    expect(text).toMatch(/^follower .* 0\.85 +4\.7 GiB +not in 10\.0, 100 behind +0$/m)
    expect(text).toMatch(/^failover +512 +512–512 +20,000 +2 +7 +6$/m)
    expect(text).not.toContain('batched-100B')
  })

  it('says which case failed, and why', () => {
    expect(text).toMatch(/^tail-50000 +failed +-/m)
    expect(text).toContain('failed: tail-50000: the disk is full')
  })

  it('says when the cases were taken, and whether in short', () => {
    const [first, ...others] = cases
    const later = { ...first!, takenAt: '2026-01-03T00:00:00.000Z', quick: true }
    expect(suiteConditions({ benchmark: 'all', cases })).toContain('taken 2026-01-02 03:04 UTC')
    expect(suiteConditions({ benchmark: 'all', cases: [later, ...others] })).toContain(
      'taken from 2026-01-02 03:04 to 2026-01-03 00:00 UTC; 1 of the cases are --quick',
    )
  })
})
