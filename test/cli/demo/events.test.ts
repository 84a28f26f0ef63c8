import { describe, expect, it } from 'vitest'
import { commitEvent, readEventsFile, readGitHistory } from '../../../src/cli/demo/events.ts'
import { roundRobin } from '../../../src/cli/demo/traffic.ts'
import { chunksOf, fakeContext } from '../fakes.ts'

const fileOf = (text: string | Uint8Array) => fakeContext({ openInput: () => chunksOf(text) })

async function* failing(message: string): AsyncGenerator<Uint8Array> {
  yield Buffer.alloc(0)
  throw new Error(message)
}

describe('the input of the show', () => {
  it('says how to go on where there is no git history', async () => {
    const context = fakeContext({ runProgram: () => failing('fatal: not a git repository') })
    await expect(readGitHistory(context)).rejects.toThrow(/not a git repository[^]*--input FILE/)
  })

  it('says how to go on where the history is empty', async () => {
    const context = fakeContext({ runProgram: () => chunksOf('') })
    await expect(readGitHistory(context)).rejects.toThrow('it has no commits')
  })

  it.each([
    ['', 'no line that isn'],
    ['{"key":"a"}\nnot json\n', 'line 2 is no JSON object'],
    ['{"key":"a"}\n{"id":"b"}\n', 'line 2 has no text or number in the field "key"'],
    [Uint8Array.of(0x61, 0x0a, 0xff, 0x0a), 'line 2 is no UTF-8'],
    ['x'.repeat(600_000), 'line 1 is longer than 512 KiB'],
  ])('refuses a file that it cannot show (%#)', async (text, reason) => {
    await expect(readEventsFile(fileOf(text), 'FILE', 'key')).rejects.toThrow(reason)
  })

  it('names a file that cannot be read', async () => {
    const context = fakeContext({ openInput: () => failing('ENOENT: no such file') })
    await expect(readEventsFile(context, 'gone.txt', 'key')).rejects.toThrow("gone.txt can't be read: ENOENT")
  })

  it('reads commits, keyed by author, with their date, and says when the clone is shallow', async () => {
    const log = ['a1', 'Ann', '2026-01-02T03:04:05+01:00', 'Say "hello"'].join('\u001f')
    const context = fakeContext({
      runProgram: (_command, args) => chunksOf(args[0] === 'rev-parse' ? 'true\n' : `${log}\n`),
    })
    const input = await readGitHistory(context)
    expect(input.description).toContain('1 commit by 1 author (a shallow clone')
    expect(input.events).toEqual([
      {
        key: 'Ann',
        value: '{"hash":"a1","author":"Ann","date":"2026-01-02T03:04:05+01:00","subject":"Say \\"hello\\""}',
        timestamp: new Date('2026-01-02T02:04:05Z'),
      },
    ])
  })

  it('gives a commit without an author a key all the same', () => {
    expect(commitEvent('a1\u001f \u001fnonsense\u001f').key).toBe('(no name)')
  })

  it('keys lines by their first word and NDJSON by a field', async () => {
    const words = await readEventsFile(fileOf('ann tea\n\nbob\tcoffee\n'), 'FILE', 'key')
    expect(words.events.map(({ key }) => key)).toEqual(['ann', 'bob'])
    const json = await readEventsFile(fileOf('{"user":7}\r\n{"user":"x"}'), 'FILE', 'user')
    expect(json.events).toEqual([
      { key: '7', value: '{"user":7}' },
      { key: 'x', value: '{"user":"x"}' },
    ])
  })

  it('takes the first 100,000 lines of a longer file and says so', async () => {
    const input = await readEventsFile(fileOf('a b\n'.repeat(100_001)), 'FILE', 'key')
    expect(input.events).toHaveLength(100_000)
    expect(input.description).toContain('the first of more')
  })

  it('goes round and round, every other time in the partition that must not be quiet', () => {
    const [a, b, c] = ['a', 'b', 'c'].map((key) => ({ key, value: key })) as [never, never, never]
    const next = roundRobin([a, b, c], [b])
    expect(Array.from({ length: 7 }, next)).toEqual([a, b, b, b, c, b, a])
    const alone = roundRobin([a, b], [])
    expect(Array.from({ length: 3 }, alone)).toEqual([a, b, a])
  })
})
