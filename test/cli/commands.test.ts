import { describe, expect, it } from 'vitest'
import type { Client } from '../../src/client/types.ts'
import { runCli } from '../../src/cli/program.ts'
import { FlotillaError } from '../../src/wire/errors.ts'
import { FakeCluster, fakeContext } from './fakes.ts'

/** Runs a command line against a cluster in memory; arguments are split at spaces. */
async function run(commandLine: string, cluster = new FakeCluster(), env: Record<string, string> = {}) {
  const bootstraps: unknown[] = []
  const client = cluster.client()
  const context = fakeContext({
    env,
    connect: async (options) => {
      bootstraps.push(options.bootstrap)
      return client
    },
  })
  const exitCode = await runCli(context, commandLine.split(' '))
  return { exitCode, out: context.stdout.text, err: context.stderr.text, bootstraps, cluster }
}

function failingWith(error: Error): Client {
  const client = new FakeCluster().client()
  return { ...client, topics: { ...client.topics, list: () => Promise.reject(error) } }
}

async function withTopic(...names: string[]): Promise<FakeCluster> {
  const cluster = new FakeCluster()
  for (const name of names) await cluster.client().topics.create(name, { partitions: 2 })
  return cluster
}

describe('wrong use', () => {
  it.each([
    ['tpic list', 'Did you mean topic?'],
    ['topic creat orders', 'Did you mean create?'],
    ['topic create', "missing required argument 'name'"],
    ['topic list extra', 'too many arguments'],
    ['topic list --outptu json', 'Did you mean --output?'],
    ['topic list --output xml', 'Allowed choices are table, json, ndjson'],
    ['topic list --bootstrap nowhere', 'an address is HOST:PORT'],
    ['topic list --bootstrap a:1,b:0', 'a port is 1 to 65535'],
    ['topic list --timeout never', 'a time up to a day'],
    ['topic create orders --partitions 0', 'a whole number from 1 to 1024'],
    ['topic create orders --partitions 3.5', 'a whole number from 1 to 1024'],
    ['topic create orders --partitioner random', 'Allowed choices are hash-range, modulo'],
    ['cluster transfer orders one', 'a whole number'],
    ['cluster move orders 0', '--replicas'],
    ['consume orders --from yesterday', 'how long ago'],
    ['consume orders --max 0', '1 or more'],
    ['consume orders --partition -1', 'a whole number'],
    ['produce orders --format csv', 'Allowed choices are lines, ndjson'],
    ['produce orders --key-separator=', 'at least one character'],
  ])('%j ends with 2 and says why', async (commandLine, reason) => {
    const { exitCode, out, err, bootstraps } = await run(commandLine)
    expect(exitCode).toBe(2)
    expect(err).toContain(reason)
    expect(out).toBe('')
    expect(bootstraps).toEqual([])
  })
})

describe('what fails', () => {
  it('tells what happened and the way out, without a stack', async () => {
    const { exitCode, out, err } = await run('topic describe nope')
    expect(exitCode).toBe(1)
    expect(out).toBe('')
    expect(err).toContain('there is no topic "nope" (UNKNOWN_TOPIC)')
    expect(err).toContain('flotilla topic list')
    expect(err).not.toContain('    at ')
  })

  it('shows the stack and the causes with --verbose', async () => {
    const error = new FlotillaError('INTERNAL', 'broken', { cause: new Error('the cause') })
    const context = fakeContext({ client: failingWith(error) })
    expect(await runCli(context, ['topic', 'list', '--verbose'])).toBe(1)
    expect(context.stderr.text).toContain('    at ')
    expect(context.stderr.text).toContain('caused by: Error: the cause')
  })

  it('names the address that refuses, and how to start a node, after two seconds', async () => {
    const context = fakeContext({ refusesConnections: () => Promise.resolve(true) })
    expect(await runCli(context, ['topic', 'list', '--bootstrap', '10.0.0.1:7101'])).toBe(1)
    expect(context.stderr.text).toContain('no node answers at 10.0.0.1:7101')
    expect(context.stderr.text).toContain('flotilla dev')
    expect(context.nowMs()).toBe(2000)
  })

  it('waits for a node that is about to listen, and needs one of several', async () => {
    const cluster = new FakeCluster()
    const asked: string[] = []
    const context = fakeContext({
      client: cluster.client(),
      refusesConnections: async (address) => {
        asked.push(address)
        return address === 'a:1' || asked.length < 4
      },
    })
    expect(await runCli(context, ['topic', 'list', '--bootstrap', 'a:1,b:2'])).toBe(0)
    expect(asked).toEqual(['a:1', 'b:2', 'a:1', 'b:2'])
  })

  it('is quiet where nobody reads standard output any more', async () => {
    const context = fakeContext({ client: failingWith(new Error('aborted')) })
    context.stdout.closed = true
    context.interrupt()
    expect(await runCli(context, ['topic', 'list'])).toBe(0)
    expect(context.stderr.text).toBe('')
  })

  it('closes the client all the same', async () => {
    const { cluster } = await run('topic describe nope')
    expect(cluster.closed).toBe(1)
  })
})

describe('where the client starts', () => {
  it('takes the flag before the environment before the default', async () => {
    const env = { FLOTILLA_BOOTSTRAP: 'b:2' }
    expect((await run('topic list --bootstrap a:1', undefined, env)).bootstraps).toEqual(['a:1'])
    expect((await run('topic list', undefined, env)).bootstraps).toEqual(['b:2'])
    expect((await run('topic list')).bootstraps).toEqual(['127.0.0.1:7101'])
  })
})

describe('flotilla topic', () => {
  it('passes on how the topic shall be, and says what it became on standard error', async () => {
    const { exitCode, out, err, cluster } = await run(
      'topic create orders --partitions 4 --replication 2 --force --partitioner modulo',
    )
    expect(exitCode).toBe(0)
    expect(out).toBe('')
    expect(err).toBe('created orders: 4 partitions, 3 replicas each, survives the loss of 1 node\n')
    expect(cluster.calls).toEqual([
      'create orders {"partitions":4,"replicationFactor":2,"partitioner":"modulo","force":true}',
    ])
  })

  it('says that there are none', async () => {
    const { out, err } = await run('topic list')
    expect(out).toBe('')
    expect(err).toContain('there are no topics')
    expect((await run('topic list -o json')).out).toBe('[]\n')
    expect((await run('topic list -o ndjson')).out).toBe('')
  })

  it('lists topics as a table, as JSON and as a line each', async () => {
    const cluster = await withTopic('a', 'b')
    expect((await run('topic list', cluster)).out).toBe(
      [
        'TOPIC  PARTITIONS  REPLICAS  SURVIVES  PARTITIONER',
        'a               2         3    1 loss  hash-range',
        'b               2         3    1 loss  hash-range',
        '',
      ].join('\n'),
    )
    const list = JSON.parse((await run('topic list -o json', cluster)).out) as { name: string }[]
    expect(list.map(({ name }) => name)).toEqual(['a', 'b'])
    const lines = (await run('topic list -o ndjson', cluster)).out.trim().split('\n')
    expect(lines.map((line) => (JSON.parse(line) as { name: string }).name)).toEqual(['a', 'b'])
  })

  it('describes partitions, leaders, replicas, and the losses that it survives', async () => {
    const cluster = await withTopic('orders')
    const { out } = await run('topic describe orders', cluster)
    expect(out).toContain('orders · 2 partitions · 3 replicas each · survives the loss of 1 node')
    expect(out).toMatch(/^ +1 {2}n1 +3 {2}n1,n2,n3 {2}000003e8-000007cf$/m)
    const json = JSON.parse((await run('topic describe orders -o json', cluster)).out) as object
    expect(json).toMatchObject({
      survivableLosses: 1,
      partitions: [{ leader: 'n1', replicas: ['n1', 'n2', 'n3'] }, { partition: 1 }],
    })
    const rows = (await run('topic describe orders -o ndjson', cluster)).out.trim().split('\n')
    expect(JSON.parse(rows[1] ?? '')).toMatchObject({ topic: 'orders', partition: 1 })
  })

  it('deletes', async () => {
    const cluster = await withTopic('orders')
    expect((await run('topic delete orders', cluster)).err).toBe('deleted orders\n')
    expect(cluster.topics.size).toBe(0)
  })
})

describe('flotilla cluster and partition', () => {
  it('shows nodes, the metadata leader, and every replica', async () => {
    const cluster = await withTopic('orders')
    cluster.lose('n1')
    const { out } = await run('cluster describe', cluster)
    expect(out).toContain('cluster flotilla · id abc · metadata led by n2 · answered by n2')
    expect(out).toMatch(/^n1 +127\.0\.0\.1:7101 +n1 +not reachable +0$/m)
    expect(out).toMatch(/^orders +1 {2}n2 +leader +4 +1 +1 +0 +0 {2}serving$/m)
    const json = JSON.parse((await run('cluster describe -o json', cluster)).out) as object
    expect(json).toMatchObject({
      metadataLeader: 'n2',
      replicas: [{ topic: 'orders', role: 'leader' }, {}, {}, {}],
    })
    const types = (await run('cluster describe -o ndjson', cluster)).out
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { type: string }).type)
    expect(types).toEqual(['cluster', 'node', 'node', 'node', 'replica', 'replica', 'replica', 'replica'])
  })

  it('moves leadership and says who leads now', async () => {
    const { err, cluster } = await run('cluster transfer orders 1 --to n3')
    expect(cluster.calls).toEqual(['transfer orders/1 to n3'])
    expect(err).toBe('orders/1 is led by n3 in term 4\n')
  })

  it('moves replicas, and says so when they are there', async () => {
    const { err, out, cluster, exitCode } = await run(
      'cluster move orders 1 --replicas n4,n2,n3',
      await withTopic('orders'),
    )
    expect(cluster.calls.at(-1)).toBe('move orders/1 to n4,n2,n3')
    expect([exitCode, out]).toEqual([0, ''])
    expect(err).toBe('1 partition moving\norders/1 is on n4, n2, n3\n')
  })

  it('shows where replicas move to', async () => {
    const cluster = await withTopic('orders')
    cluster.moving = { nodeIds: ['n4', 'n2', 'n3'], describesLeft: 9 }
    expect((await run('topic describe orders', cluster)).out).toContain('n1,n2,n3 → n4,n2,n3')
  })

  it('drains a node until nothing remains, and takes it out', async () => {
    const cluster = new FakeCluster()
    cluster.draining = [3, 3, 1]
    const drained = await run('cluster drain n1', cluster)
    expect(drained.err.split('\n').slice(0, 3)).toEqual([
      '3 partitions moving',
      '1 partition moving',
      'n1 holds no replicas any more; to take it out of the cluster: flotilla cluster remove n1',
    ])
    expect(cluster.calls).toEqual(['drain n1', 'drain n1', 'drain n1', 'drain n1'])
    expect((await run('cluster remove n1', cluster)).err).toContain('n1 is out of the cluster')
    expect(cluster.calls.at(-1)).toBe('remove n1')
  })

  it('shows where a key belongs', async () => {
    const cluster = await withTopic('orders')
    expect((await run('partition key orders ann', cluster)).out).toBe(
      'KEY  HASH      PARTITION  LEADER  REPLICAS\nann  0000beef          1  n1      n1,n2,n3\n',
    )
    const json = JSON.parse((await run('partition key orders ann -o ndjson', cluster)).out) as object
    expect(json).toMatchObject({ topic: 'orders', key: 'ann', hash: 0xbeef, partition: 1, leader: 'n1' })
  })
})
