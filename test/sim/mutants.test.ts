import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { main } from '../../sim/main.ts'
import { hunt } from '../../sim/mutants/hunt.ts'
import { mutants } from '../../sim/mutants/list.ts'
import { isNoticed, main as huntMain } from '../../sim/mutants/main.ts'
import { edited, type Edit, type Mutant } from '../../sim/mutants/mutant.ts'
import { readResults, tableText, withTable } from '../../sim/mutants/table.ts'
import { root } from '../../sim/mutants/tree.ts'

/** What the issue allows. */
const MOST_SEEDS = 10_000

/** Quick ones of each kind: they prove in every run of the tests that the simulators and their checkers see. */
const canaries = [
  'vote-before-write',
  'commit-of-earlier-term',
  'read-before-own-term',
  'no-stickiness',
  'answer-before-write',
  'truncate-without-conflict',
  'store-not-synced',
  'answer-before-commit',
  'producers-unknown',
  'real-clock',
]

const named = (name: string): Mutant => {
  const found = mutants.find((mutant) => mutant.name === name)
  if (found === undefined) throw new Error(`no mutant ${name}`)
  return found
}

describe('a mutant', () => {
  test.for(mutants)('$name can be made of the code as it is', async ({ name, edits }) => {
    const files = new Map<string, string>()
    for (const edit of edits) {
      const source = files.get(edit.file) ?? (await readFile(join(root, edit.file), 'utf8'))
      files.set(edit.file, edited(source, edit, name))
    }
    expect(files.size).toBeGreaterThan(0)
  })

  test('has a name of its own', () => {
    const names = mutants.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    for (const name of names) expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/)
  })

  test('fails loudly where its place is gone, or is there twice', () => {
    const edit: Edit = { file: 'a.ts', find: 'one', put: 'two' }
    expect(edited('is one here', edit, 'm')).toBe('is two here')
    expect(() => edited('none', { ...edit, find: 'gone' }, 'm')).toThrow('a.ts has no place')
    expect(() => edited('one and one', edit, 'm')).toThrow('several places')
    expect(() => edited('one', { ...edit, put: 'one' }, 'm')).toThrow('changes nothing')
  })
})

describe('the table of mutants', () => {
  test('was made by hunts that noticed each by a law that fits, in the seeds that are allowed', async () => {
    for (const [name, { law, seeds }] of await readResults()) {
      expect(named(name).laws, name).toContain(law)
      expect(seeds, name).toBeLessThanOrEqual(MOST_SEEDS)
    }
  })

  test('is in docs/simulation.md as it is', async () => {
    const page = await readFile(join(root, 'docs/simulation.md'), 'utf8')
    expect(withTable(page, tableText(await readResults()))).toBe(page)
  })
})

describe('a canary', () => {
  test.for(canaries)('%s is noticed', { timeout: 120_000 }, async (name) => {
    const found = await hunt(named(name), { firstSeed: 1, seeds: 50, jobs: 1, silenceMs: 60_000 })
    expect(isNoticed(found), JSON.stringify(found.notice)).toBe(true)
  })

  test(
    'is not noticed where its fault is mended: it is the fault that the checkers see',
    { timeout: 60_000 },
    async () => {
      const harmless: Mutant = {
        ...named('vote-before-write'),
        name: 'vote-before-write',
        edits: [{ file: 'src/raft/election.ts', find: '/** Standing for', put: '/** Standing, for' }],
      }
      const found = await hunt(harmless, { firstSeed: 1, seeds: 50, jobs: 1, silenceMs: 60_000 })
      expect(found).toMatchObject({ notice: undefined, seeds: 50 })
    },
  )
})

describe('the command', () => {
  /** Exit code and all that is printed. */
  const run = (...argv: string[]): Promise<{ readonly code: number; readonly text: string }> =>
    new Promise((resolve) => {
      const child = execFile(
        process.execPath,
        ['--import', 'tsx', 'sim/run.ts', ...argv],
        { cwd: root },
        (_error, stdout, stderr) => resolve({ code: child.exitCode ?? -1, text: stdout + stderr }),
      )
    })

  test('runs a broken cluster, says what broke and how to see it again', { timeout: 120_000 }, async () => {
    const out = await mkdtemp(join(tmpdir(), 'flotilla-sim-'))
    try {
      const words = '--mutant answer-before-commit --first-seed 1 --seeds 5 --jobs 1 --shrink-seconds 0 --out'
      const { code, text } = await run(...words.split(' '), out)
      expect(code, text).toBe(1)
      expect(text).toMatch(/again: npm run sim -- --seed \d+ --mutant answer-before-commit --nodes 3/)
    } finally {
      await rm(out, { recursive: true, force: true })
    }
  })

  test('runs a broken core', { timeout: 60_000 }, async () => {
    const { code, text } = await run('--mutant', 'vote-before-write', '--seed', '1')
    expect(code, text).toBe(1)
    expect(text).toContain('durable-before-answer')
  })

  test('knows the names', async () => {
    const told: string[] = []
    const io = { print: () => {}, tell: (text: string) => told.push(text), isTerminal: false, nowMs: () => 0 }
    expect(await main(['--mutant', 'gremlins'], io)).toBe(2)
    expect(told.join()).toContain('no mutant gremlins')
    const printed: string[] = []
    const print = (text: string): void => void printed.push(text)
    expect(await huntMain(['gremlins'], print)).toBe(2)
    expect(await huntMain(['--seeds', 'all'], print)).toBe(2)
    expect(await huntMain(['--list'], print)).toBe(0)
    expect(printed.filter((line) => line.startsWith('vote-twice '))).toHaveLength(1)
  })
})
