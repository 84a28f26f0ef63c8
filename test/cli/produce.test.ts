import { describe, expect, it } from 'vitest'
import type { ProducerRecord } from '../../src/client/types.ts'
import { runCli } from '../../src/cli/program.ts'
import { FlotillaError } from '../../src/wire/errors.ts'
import { chunksOf, FakeCluster, fakeContext } from './fakes.ts'

async function produce(
  input: string | Uint8Array,
  args = '',
  prepare: (cluster: FakeCluster) => void = () => undefined,
) {
  const cluster = new FakeCluster()
  await cluster.client().topics.create('orders', { partitions: 3 })
  prepare(cluster)
  const context = fakeContext({ client: cluster.client() })
  const stdin = Object.assign(chunksOf(input), { isTTY: false })
  const exitCode = await runCli({ ...context, stdin }, [
    'produce',
    'orders',
    ...args.split(' ').filter(Boolean),
  ])
  const records = [...(cluster.topics.get('orders') ?? [])].map((stored) =>
    stored.map(({ record }) => record),
  )
  const text = (bytes: unknown) => (bytes === undefined ? undefined : Buffer.from(bytes as string).toString())
  const pairs = records.flat().map(({ key, value }) => [text(key), text(value)])
  return { exitCode, err: context.stderr.text, out: context.stdout.text, records, pairs, cluster }
}

const failAt = (line: number, error: Error) => (cluster: FakeCluster) => {
  cluster.refuse = (_record: ProducerRecord, count: number) => (count === line ? error : undefined)
}

describe('flotilla produce', () => {
  it('stops at a line without the separator, names it, and says what is in', async () => {
    const { exitCode, err, pairs } = await produce('a:1\nb:2\nthree\nd:4\n', '--key-separator :')
    expect(exitCode).toBe(1)
    expect(err).toContain('line 3 has no separator ":"')
    expect(err).toContain('not in, nor is any line after it, and all lines before it are')
    expect(err).toContain('2 records (4 bytes) acknowledged')
    expect(pairs).toHaveLength(2)
  })

  it('stops at a line over the limit, naming line and limit', async () => {
    const { exitCode, err, pairs } = await produce(`ok\n${'x'.repeat(1024 * 1024 + 1)}\nlater\n`)
    expect(exitCode).toBe(1)
    expect(err).toContain('line 2 is longer than 1,048,576 bytes, the limit')
    expect(pairs).toEqual([[undefined, 'ok']])
  })

  it('says of a refused line that it is not in, and what became of those after it', async () => {
    const { exitCode, err } = await produce(
      'one\ntwo\nthree\nfour\n',
      '',
      failAt(2, new FlotillaError('RECORD_TOO_LARGE', 'the record is too large')),
    )
    expect(exitCode).toBe(1)
    expect(err).toContain('line 2 failed: the record is too large (RECORD_TOO_LARGE)')
    expect(err).toContain('all lines before it (1) are in')
    expect(err).toContain('line 2 is not in')
    expect(err).toMatch(/of the (one line|\d lines) sent after it: \d acknowledged|no line after it was sent/)
  })

  it('says of a line with an unknown outcome that it may be in', async () => {
    const { exitCode, err } = await produce(
      'one\ntwo\n',
      '',
      failAt(2, new FlotillaError('UNKNOWN_OUTCOME', 'too late')),
    )
    expect(exitCode).toBe(1)
    expect(err).toContain('line 2 itself may be in or may yet go in')
    expect(err).toContain('1 record (3 bytes) acknowledged')
  })

  it('stops reading an endless input at the first failure', async () => {
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        yield Buffer.from('again\n')
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    const cluster = new FakeCluster()
    const context = fakeContext({ client: cluster.client(), openInput: endless })
    expect(await runCli(context, ['produce', 'nope', '--input', 'FILE'])).toBe(1)
    expect(context.stderr.text).toContain('line 1 failed: there is no topic "nope"')
  })

  it('ends at a failure also where no more input comes', async () => {
    async function* quiet(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('one\n')
      await new Promise(() => undefined)
    }
    const context = fakeContext({ client: new FakeCluster().client(), openInput: quiet })
    expect(await runCli(context, ['produce', 'nope', '--input', 'FILE'])).toBe(1)
  })

  it('names an input that cannot be read', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('one\n')
      throw new Error('EIO: broken disk')
    }
    const cluster = new FakeCluster()
    await cluster.client().topics.create('orders')
    const context = fakeContext({ client: cluster.client(), openInput: broken })
    expect(await runCli(context, ['produce', 'orders', '--input', 'FILE'])).toBe(1)
    expect(context.stderr.text).toContain("the input can't be read: EIO: broken disk")
    expect(context.stderr.text).toContain('1 record (3 bytes) acknowledged')
  })

  it('waits for what is on the way when it is interrupted, and ends with 1', async () => {
    const cluster = new FakeCluster()
    await cluster.client().topics.create('orders')
    async function* typed(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('one\ntwo\n')
      context.interrupt()
      await new Promise(() => undefined)
    }
    const context = fakeContext({ client: cluster.client(), openInput: typed })
    expect(await runCli(context, ['produce', 'orders', '--input', 'FILE'])).toBe(1)
    expect(context.stderr.text).toContain('interrupted')
    expect(context.stderr.text).toContain('2 records (6 bytes) acknowledged')
  })

  it('refuses a line of NDJSON that is none', async () => {
    const { exitCode, err } = await produce('{"value":"x"}\n{"vlaue":"y"}\n', '--format ndjson')
    expect(exitCode).toBe(1)
    expect(err).toContain('line 2 Unrecognized key: "vlaue"')
  })

  it('takes each line as a record and says how many went in', async () => {
    const { exitCode, err, out, pairs } = await produce('one\r\n\nthree', '--partition 1')
    expect(exitCode).toBe(0)
    expect(pairs).toEqual([
      [undefined, 'one'],
      [undefined, ''],
      [undefined, 'three'],
    ])
    expect(out).toBe('')
    expect(err).toMatch(/^3 records \(8 bytes\) acknowledged over 1 partition in \d+ ms\n$/)
  })

  it('takes nothing as nothing', async () => {
    const { exitCode, err } = await produce('')
    expect(exitCode).toBe(0)
    expect(err).toContain('0 records (0 bytes) acknowledged')
  })

  it('splits key and value at the first separator, and takes a line without it where that is allowed', async () => {
    const { exitCode, pairs } = await produce(
      'a::1::2\nnone\n',
      '--key-separator :: --allow-missing-key --partition 0',
    )
    expect(exitCode).toBe(0)
    expect(pairs).toEqual([
      ['a', '1::2'],
      [undefined, 'none'],
    ])
  })

  it('knows \\t as a tab', async () => {
    expect((await produce('k\tv\n', '--key-separator \\t')).pairs).toEqual([['k', 'v']])
  })

  it('takes what consume writes: headers, timestamp and partition', async () => {
    const line = JSON.stringify({
      topic: 'elsewhere',
      partition: 2,
      offset: 99,
      timestamp: '2026-01-01T00:00:00.000Z',
      key: '/w==',
      keyEncoding: 'base64',
      value: null,
      headers: [{ name: 'h', value: 'x' }],
    })
    const { exitCode, records } = await produce(line, '--format ndjson')
    expect(exitCode).toBe(0)
    expect(records[2]).toEqual([
      {
        topic: 'orders',
        partition: 2,
        key: Buffer.from([0xff]),
        timestamp: new Date('2026-01-01T00:00:00Z'),
        headers: [{ name: 'h', value: 'x' }],
      },
    ])
    const byKey = await produce(line, '--format ndjson --ignore-partition')
    expect(byKey.records[0]).toHaveLength(1)
    const placed = await produce(line, '--format ndjson --partition 1')
    expect(placed.records[1]).toHaveLength(1)
  })
})
