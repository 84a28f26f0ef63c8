import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'

const sources = new URL('../../src/raft/', import.meta.url)
const tests = new URL('./', import.meta.url)
const read = (folder: URL, name: string): string => readFileSync(new URL(name, folder), 'utf8')

const code = readdirSync(sources)
  .filter((name) => name.endsWith('.ts'))
  .map((name) => read(sources, name))
  .join('\n')
const ids = [...code.matchAll(/'(raft\.[a-z0-9-]+)'/g)].map((match) => match[1]!)

/** The rows of SPEC.md's table of invariants. */
const rows = read(sources, 'SPEC.md')
  .split('\n')
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .filter((cells) => /^\d+$/.test(cells[1] ?? ''))
  .map(
    ([, number = '', what = '', assertions = '', where = '']) => [number, what, assertions, where] as const,
  )

describe('SPEC.md', () => {
  test('numbers its invariants without a gap', () => {
    expect(rows.map(([number]) => Number(number))).toEqual(rows.map((_, at) => at + 1))
    expect(rows.length).toBeGreaterThanOrEqual(20)
  })

  test.for(rows)(
    'invariant %s: %s names assertions and a test that are there',
    ([, what, assertions, where]) => {
      for (const [, id] of assertions.matchAll(/`([^`]+)`/g)) expect(ids, what).toContain(id)
      const separator = where.indexOf(': ')
      const file = read(tests, where.slice(0, separator))
      expect(file, what).toContain(where.slice(separator + 2))
    },
  )
})

describe('assertions', () => {
  test('have an id each, so that a report names one place', () => {
    const twice = ids.filter((id, at) => ids.indexOf(id) !== at)
    expect(twice).toEqual([])
  })

  test('are many', () => {
    expect(ids.length).toBeGreaterThanOrEqual(150)
  })
})
