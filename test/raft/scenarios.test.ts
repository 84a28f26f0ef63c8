import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { play } from './scenario.ts'

const folder = new URL('scenarios/', import.meta.url)
const names = readdirSync(folder).filter((name) => name.endsWith('.txt'))

/** From etcd-io/raft's testdata, re-told: what a scenario shows is theirs, words and format are ours. */
const BEHAVIOUR = 27
const QUORUMS = 4
const CHANGES = 9

describe('scenarios: changed behaviour shows as a difference to be reviewed (UPDATE_SCENARIOS=1 writes it)', () => {
  test('are all there', () => {
    const count = (prefix: string): number => names.filter((name) => name.startsWith(prefix)).length
    const pure = [count('quorum-'), count('change-')]
    expect(pure).toEqual([QUORUMS, CHANGES])
    expect(names.length - QUORUMS - CHANGES).toBeGreaterThanOrEqual(BEHAVIOUR)
  })

  test.for(names)('%s', (name) => {
    const file = new URL(name, folder)
    const text = readFileSync(file, 'utf8')
    const played = play(text)
    if (process.env['UPDATE_SCENARIOS'] === '1') writeFileSync(file, played)
    else expect(played).toBe(text)
  })

  test('say what a command is that nobody knows', () => {
    expect(() => play('> dance a')).toThrow('unknown command dance')
    expect(() => play('> group a\n> change a sideways')).toThrow('sideways is no change')
  })

  test('begin with what they show', () => {
    for (const name of names) {
      const [first = ''] = readFileSync(new URL(name, folder), 'utf8').split('\n')
      expect(first, name).toMatch(/^# \S/)
    }
  })
})
