import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startServer, type ServerConfig } from '../../src/broker/index.ts'
import { nodeEnv } from '../../src/env/node/index.ts'
import { freePorts, startTestCluster, type TestCluster } from '../../src/testing/index.ts'

describe('a node that isn’t who it should be says so and stops', () => {
  let cluster: TestCluster
  let directory: string
  const env = nodeEnv({ level: 'silent' })

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'flotilla-identity-'))
    cluster = await startTestCluster()
  })
  afterAll(async () => {
    await cluster.close()
    await rm(directory, { recursive: true, force: true })
  })

  async function ownAddress(): Promise<string> {
    const [port = 0] = await freePorts(1)
    return `127.0.0.1:${port}`
  }

  async function failureOf(config: ServerConfig): Promise<Error> {
    const server = await startServer(env, config)
    const error = await server.failed
    await server.close({ handOver: false })
    return error
  }

  test('a second node with the id of another', async () => {
    const listen = await ownAddress()
    const original = cluster.configOf('n2')
    const error = await failureOf({
      ...original,
      listen,
      dataDirectory: join(directory, 'double'),
      cluster: original.cluster.map((member) =>
        member.nodeId === 'n2' ? { ...member, address: listen } : member,
      ),
    })
    expect(error.message).toMatch(/n2/)
    expect(error.message).toContain(listen)
    expect(error.message).toContain(cluster.addressOf('n2'))
  })

  test('a node that was given another cluster list', async () => {
    const listen = await ownAddress()
    const error = await failureOf({
      ...cluster.configOf('n2'),
      nodeId: 'n4',
      listen,
      dataDirectory: join(directory, 'stranger'),
      cluster: [...cluster.configOf('n2').cluster, { nodeId: 'n4', address: listen }],
    })
    expect(error.message).toMatch(/n4|cluster list/)
  })

  test('a data folder of another node, or of another cluster', async () => {
    const own = cluster.configOf('n1')
    await cluster.stopNode('n1')
    await expect(startServer(env, { ...own, nodeId: 'n2', listen: await ownAddress() })).rejects.toThrow(
      /n1.*n2|n2.*n1/,
    )
    await expect(
      startServer(env, { ...own, clusterName: 'other', listen: await ownAddress() }),
    ).rejects.toThrow(/test.*other|other.*test/)
    await cluster.startNode('n1')
  })

  test('a data folder and a port that are in use', async () => {
    await expect(startServer(env, { ...cluster.configOf('n1'), listen: await ownAddress() })).rejects.toThrow(
      /in use/,
    )
    await expect(
      startServer(env, { ...cluster.configOf('n1'), dataDirectory: join(directory, 'port') }),
    ).rejects.toThrow(/in use.*--listen|--listen/)
  })
})
