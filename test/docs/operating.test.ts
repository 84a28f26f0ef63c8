import { readdirSync, readFileSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { survivableLosses } from '../../src/broker/metadata/decide.ts'
import { resolveServerConfig } from '../../src/cli/server-config.ts'
import { environmentName, settingNames } from '../../src/cli/server-settings.ts'
import type { Client } from '../../src/client/index.ts'
import { startTestCluster } from '../../src/testing/index.ts'
import { ERROR_REASONS } from '../../src/wire/index.ts'
import { until } from '../support/until.ts'
import { read, root, rowsOf } from './pages.ts'

const page = read('docs/operating.md')

describe('the table of settings', () => {
  it.each(settingNames)('%s', (name) => {
    const [row] = rowsOf(page, name).filter((cells) => cells.length === 5)
    expect(row?.[1]).toContain(`\`--${name === 'limits' ? 'limit' : name}\``)
    expect(row?.[2]).toBe(`\`${environmentName(name)}\``)
  })
})

it('shows a configuration file that a node takes', () => {
  const [, fileText = ''] = /<!-- config -->\n```toml\n([^]*?)```/.exec(page) ?? []
  const resolution = resolveServerConfig({ flags: {}, env: {}, filePath: 'node.toml', fileText })
  expect(resolution).toMatchObject({
    ok: true,
    config: { server: { nodeId: 'n1', clusterName: 'orders', hostLabel: 'rack-a' } },
  })
})

it('tells of each replication factor what it survives', () => {
  for (const factor of [1, 3, 5]) {
    const [row] = rowsOf(page, String(factor))
    expect(row?.[1]).toBe(String(factor - survivableLosses(factor)))
    expect(row?.[2]).toBe(factor === 1 ? 'none' : String(survivableLosses(factor)))
  }
})

it('names log lines that the sources write', () => {
  const rows = page.split('\n').filter((line) => /^\| (error|warn|info) \|/.test(line))
  expect(rows.length).toBeGreaterThan(8)
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readFileSync(join(root, 'src', path), 'utf8'))
    .join('\n')
  const messages = rows.map((row) => /`([^`]+)`/.exec(row)?.[1] ?? row)
  expect(messages.filter((message) => !sources.includes(`'${message}'`))).toEqual([])
})

it('names only reasons that there are', () => {
  const named = [...page.matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)].map(([, reason = '']) => reason)
  const settings = new Set(settingNames.map(environmentName))
  const unknown = named.filter((name) => !settings.has(name) && !Object.hasOwn(ERROR_REASONS, name))
  expect(named.length).toBeGreaterThan(10)
  expect(unknown).toEqual([])
})

/** So many replicas of each group serve, all of them have everything and know it, and one of them leads. */
async function haveEverything(client: Client, groups: number, replicas: number): Promise<boolean> {
  const described = (await client.cluster.describe()).replicas
  const known = new Set(described.map(({ groupId, appliedIndex }) => `${groupId} up to ${appliedIndex}`))
  return (
    known.size === groups &&
    described.length === groups * replicas &&
    described.every(
      ({ lagEntries, unavailableReason, role }) =>
        lagEntries === 0 && unavailableReason === undefined && role !== 'REPLICA_ROLE_LEARNER',
    ) &&
    described.filter(({ role }) => role === 'REPLICA_ROLE_LEADER').length === groups
  )
}

it('a node that lost its data comes back by the procedure', async () => {
  await using cluster = await startTestCluster()
  const client = await cluster.connect()
  await client.topics.create('kept', { partitions: 2 })
  const producer = client.producer()
  const keys = Array.from({ length: 40 }, (_, number) => `key ${number}`)
  await Promise.all(keys.map((key) => producer.send({ topic: 'kept', key, value: 'v'.repeat(5000) })))
  const groups = 3
  await until('all have everything', () => haveEverything(client, groups, 3))

  await cluster.stopNode('n2')
  await rename(cluster.dataDirectoryOf('n2'), `${cluster.dataDirectoryOf('n2')}.kept`)
  const n2 = await cluster.startNode('n2')
  const failure = n2.failed.then((error) => Promise.reject(error))
  await Promise.race([failure, until('n2 has everything', () => haveEverything(client, groups, 3))])

  const read: string[] = []
  for await (const { key } of client.reader({ topic: 'kept', nodeId: 'n2', untilEnd: true })) {
    read.push(new TextDecoder().decode(key))
  }
  expect(read.toSorted()).toEqual(keys.toSorted())
})
