import { describe, expect, it } from 'vitest'
import { runCli } from '../../src/cli/program.ts'
import { FakeCluster, fakeContext, type FakeContext } from './fakes.ts'

async function clusterWithRecords(): Promise<FakeCluster> {
  const cluster = new FakeCluster()
  const client = cluster.client()
  await client.topics.create('orders', { partitions: 2 })
  const producer = client.producer()
  const timestamp = new Date('2026-01-01T00:00:00Z')
  await producer.send({ topic: 'orders', partition: 0, key: 'ann', value: 'tea', timestamp })
  await producer.send({ topic: 'orders', partition: 1, value: Uint8Array.of(0xff), timestamp })
  await producer.send({
    topic: 'orders',
    partition: 1,
    key: 'b\u001b[31m',
    value: 'two\nlines',
    headers: [{ name: 'h', value: 'x' }],
    timestamp,
  })
  return cluster
}

async function consume(args: string, context?: FakeContext) {
  const cluster = await clusterWithRecords()
  const world = context ?? fakeContext({ client: cluster.client() })
  const exitCode = await runCli(world, ['consume', ...args.split(' ')])
  return { exitCode, out: world.stdout.text, err: world.stderr.text }
}

describe('flotilla consume', () => {
  it('fails on an unknown topic', async () => {
    const { exitCode, out, err } = await consume('nope --until-end')
    expect(exitCode).toBe(1)
    expect(out).toBe('')
    expect(err).toContain('UNKNOWN_TOPIC')
  })

  it('fails where it is interrupted before the end that was asked for', async () => {
    const cluster = await clusterWithRecords()
    const context = fakeContext({ client: cluster.client() })
    context.interrupt()
    expect((await consume('orders --until-end', context)).exitCode).toBe(1)
    expect(context.stderr.text).toContain('interrupted before the end')
  })

  it('ends quietly where nobody reads on', async () => {
    const cluster = await clusterWithRecords()
    const context = fakeContext({ client: cluster.client() })
    context.stdout.closed = true
    context.interrupt()
    expect(await consume('orders --until-end', context)).toMatchObject({ exitCode: 0, err: '' })
  })

  it('goes on until Ctrl-C where no end is asked for', async () => {
    const cluster = await clusterWithRecords()
    const context = fakeContext({ client: cluster.client() })
    const reading = consume('orders -o ndjson', context)
    while (context.stdout.lines.length < 3) await new Promise((resolve) => setImmediate(resolve))
    context.interrupt()
    expect(await reading).toMatchObject({ exitCode: 0, err: '' })
  })

  it('waits where standard output takes no more', async () => {
    const cluster = await clusterWithRecords()
    const context = fakeContext({ client: cluster.client() })
    let waits = 0
    context.stdout.write = (text) => {
      context.stdout.text += text
      return false
    }
    context.stdout.drained = async () => {
      waits++
    }
    await consume('orders --until-end -o ndjson', context)
    expect(waits).toBe(2)
  })

  it('writes one JSON object a line, with bytes that are no UTF-8 marked', async () => {
    const { exitCode, out } = await consume('orders --until-end --output ndjson')
    expect(exitCode).toBe(0)
    const timestamp = '2026-01-01T00:00:00.000Z'
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as object),
    ).toEqual([
      { topic: 'orders', partition: 0, offset: 0, timestamp, key: 'ann', value: 'tea', headers: [] },
      {
        topic: 'orders',
        partition: 1,
        offset: 0,
        timestamp,
        key: null,
        value: '/w==',
        valueEncoding: 'base64',
        headers: [],
      },
      {
        topic: 'orders',
        partition: 1,
        offset: 1,
        timestamp,
        key: 'b\u001b[31m',
        value: 'two\nlines',
        headers: [{ name: 'h', value: 'x' }],
      },
    ])
  })

  it('writes JSON as one array, also where there is nothing', async () => {
    expect(JSON.parse((await consume('orders --until-end -o json')).out)).toHaveLength(3)
    expect(JSON.parse((await consume('orders --until-end -o json --partition 0 --from 1')).out)).toEqual([])
  })

  it('writes aligned columns in which no byte can command the terminal', async () => {
    const { out } = await consume('orders --until-end')
    expect(out).toBe(
      [
        'PARTITION      OFFSET  TIME                      KEY           VALUE',
        '        0           0  2026-01-01T00:00:00.000Z  ann           tea',
        '        1           0  2026-01-01T00:00:00.000Z  -             base64:/w==',
        '        1           1  2026-01-01T00:00:00.000Z  b\\u001b[31m   two\\nlines  h=x',
        '',
      ].join('\n'),
    )
  })

  it('cuts lines to the width of a terminal', async () => {
    const cluster = await clusterWithRecords()
    const context = fakeContext({ client: cluster.client() })
    context.stdout.columns = 67
    await consume('orders --until-end --partition 1', context)
    expect(context.stdout.lines.at(-1)).toMatch(/ two…$/)
  })

  it('reads from an offset, of one partition, and so many records', async () => {
    const { out } = await consume('orders --partition 1 --from 1 --max 1 -o ndjson')
    expect(out.trim().split('\n')).toHaveLength(1)
    expect(out).toContain('two\\nlines')
  })
})
