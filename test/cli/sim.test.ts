import { expect, test } from 'vitest'
import { runCli } from '../../src/cli/program.ts'
import { fakeContext } from './fakes.ts'

async function sim(...words: string[]): Promise<{ exitCode: number; out: string; err: string }> {
  const context = fakeContext({ nowMs: () => performance.now() })
  const exitCode = await runCli(context, ['sim', ...words])
  return { exitCode, out: context.stdout.text, err: context.stderr.text }
}

test('flotilla sim runs a seed as npm run sim does, and prints JSON where that is wanted', async () => {
  const { exitCode, out } = await sim('--seed', '7', '--seconds', '1', '--output', 'json')
  expect(exitCode).toBe(0)
  expect(JSON.parse(out)).toMatchObject({ firstSeed: 7, seeds: 1 })
})

test('flotilla sim --help explains options, scenarios, faults and checks, in its own words', async () => {
  const { exitCode, out } = await sim('--help')
  expect(exitCode).toBe(0)
  expect(out).toContain('usage: flotilla sim [options]')
  for (const line of ['nats-lazy-fsync', 'power-loss-all', 'acknowledged-not-durable', '--view FILE'])
    expect(out).toContain(line)
})

test('flotilla sim ends with 2 where it is used wrongly', async () => {
  const { exitCode, err } = await sim('--faults', 'gremlins')
  expect(exitCode).toBe(2)
  expect(err).toContain('names "gremlins"')
})
