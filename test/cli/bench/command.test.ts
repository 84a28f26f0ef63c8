import { describe, expect, it } from 'vitest'
import { readerCounts } from '../../../src/cli/bench/command.ts'
import { runCli } from '../../../src/cli/program.ts'
import { fakeContext } from '../fakes.ts'

async function run(commandLine: string) {
  const context = fakeContext({ env: { FLOTILLA_BOOTSTRAP: 'production:7101' } })
  const exitCode = await runCli(context, commandLine.split(' '))
  return { exitCode, err: context.stderr.text }
}

describe('wrong use of bench', () => {
  it.each([
    ['bench append --size -1', 'a whole number from 0 to'],
    ['bench append --size 2000000', 'a whole number from 0 to'],
    ['bench append --mode fast', 'Allowed choices are batched, single'],
    ['bench append --rate 0', 'a whole number from 1 to'],
    ['bench append --runs 0', 'a whole number from 1 to 100'],
    ['bench append --bootstrap nowhere', 'an address is HOST:PORT'],
    ['bench append --in-flight 999999', 'the producer has room for 32,263 records of 1,024 bytes at once'],
    ['bench read --size 4', 'a whole number from 8 to'],
    ['bench failover --kill-after-s 20 --duration-s 20', 'choose a lower --kill-after-s'],
    ['bench group --members 0', 'a whole number from 1 to 64'],
    ['bench failover --bootstrap 127.0.0.1:7101', "unknown option '--bootstrap'"],
  ])('%s', async (commandLine, complaint) => {
    const { exitCode, err } = await run(commandLine)
    expect(err).toContain(complaint)
    expect(exitCode).toBe(2)
  })
})

describe('the counts of readers', () => {
  it('double up to the one that was asked for', () => {
    expect(readerCounts(1)).toEqual([1])
    expect(readerCounts(4)).toEqual([1, 2, 4])
    expect(readerCounts(6)).toEqual([1, 2, 4, 6])
  })
})

describe('the warm-up', () => {
  it.each(['append', 'read', 'follower'])('of %s is long enough for V8 to compile', async (name) => {
    const context = fakeContext()
    await runCli(context, ['bench', name, '--help'])
    expect(context.stdout.text).toMatch(/--warmup-s <n> +seconds before that \(default: 6\)/)
  })
})
