import { expect, it } from 'vitest'
import { PRODUCERS_PER_PARTITION } from '../../src/broker/partition/machine.ts'
import { ProducerTable, REMEMBERED_BATCHES } from '../../src/broker/partition/producers.ts'
import { ERROR_REASONS } from '../../src/wire/index.ts'
import { read } from './pages.ts'

const page = read('docs/delivery.md')

it('tells how much a partition remembers', () => {
  expect(page).toContain(`At most **${REMEMBERED_BATCHES} batches**`)
  expect(page).toContain(`one of the last ${REMEMBERED_BATCHES} sequences`)
  expect(page).toContain(`**${PRODUCERS_PER_PARTITION.toLocaleString('en')} producers**`)
})

it('tells what the leader does with a sequence', () => {
  const table = new ProducerTable(1)
  const batch = (sequence: number) => ({ sequence, baseOffset: sequence, recordCount: 1, appendTimeMs: 0 })
  const producer = (sequence: number, epoch = 1) => ({ producerId: 'p', epoch, sequence })
  const outcome = (sequence: number, epoch = 1): string => {
    const check = table.check(producer(sequence, epoch))
    return check.type === 'refused' ? check.error.reason : check.type
  }
  for (let sequence = 0; sequence < 7; sequence++) table.record(producer(sequence), batch(sequence))

  const said = (situation: string): string =>
    page.split('\n').find((line) => line.startsWith(`| ${situation} |`)) ?? ''
  expect(said('an older sequence')).toContain(outcome(1))
  expect(said('a sequence further ahead')).toContain(outcome(8))
  expect(said('a lower epoch')).toContain(outcome(7, 0))
  expect(outcome(7)).toBe('next')
  expect(outcome(2)).toBe('duplicate')
  expect(outcome(0, 2)).toBe('next')
  // Another producer takes the only place.
  table.record({ producerId: 'q', epoch: 0, sequence: 0 }, batch(0))
  expect(said('an unknown producer and a sequence above 0')).toContain(outcome(7))
  // The repeat of a very first batch isn't known as one any more, as the page admits.
  expect(outcome(0)).toBe('next')
})

it('names only reasons that there are', () => {
  const named = [...page.matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)].map(([, reason = '']) => reason)
  expect(named.length).toBeGreaterThan(5)
  expect(named.filter((reason) => !Object.hasOwn(ERROR_REASONS, reason))).toEqual([])
})
