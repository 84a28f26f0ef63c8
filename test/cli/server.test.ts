import { describe, expect, it } from 'vitest'
import type { ServerConfig } from '../../src/broker/index.ts'
import { runCli } from '../../src/cli/program.ts'
import type { Logger } from '../../src/env/index.ts'
import { FakeCluster, fakeContext, fakeProcesses, fakeServer, type FakeServer } from './fakes.ts'

function world(server: FakeServer | Error) {
  const logged: string[] = []
  const started: ServerConfig[] = []
  const log = (_fields: object, message: string): void => void logged.push(message)
  const logger: Logger = { debug: log, info: log, warn: log, error: log, child: () => logger }
  const readies: string[] = []
  const launcherGone = new AbortController()
  const context = fakeContext({
    createLogger: () => logger,
    launcher: { ready: () => readies.push('ready'), gone: launcherGone.signal },
    startServer: (config) => {
      started.push(config)
      return server instanceof Error ? Promise.reject(server) : Promise.resolve(server)
    },
  })
  return { context, logged, started, readies, launcherGone }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('flotilla server', () => {
  it('ends with 2 and all faults where its settings are wrong', async () => {
    const { context, started } = world(fakeServer('n1'))
    expect(await runCli(context, ['server', '--listen', 'x', '--host', 'a b'])).toBe(2)
    expect(context.stderr.text).toContain('3 settings are wrong')
    expect(started).toEqual([])
  })

  it('ends with 2 where the settings file is not there', async () => {
    const { context } = world(fakeServer('n1'))
    const reading = { ...context, readText: () => Promise.reject(new Error('ENOENT: no such file')) }
    expect(await runCli(reading, ['server', '--config', 'gone.toml'])).toBe(2)
    expect(context.stderr.text).toContain("the settings in gone.toml can't be read: ENOENT")
  })

  it('ends with 1 and one line where the node cannot start', async () => {
    const { context } = world(new Error('127.0.0.1:7101 is in use by another process'))
    expect(await runCli(context, ['server', '--id', 'n1'])).toBe(1)
    expect(context.stderr.lines).toEqual([
      "flotilla: n1 can't start: 127.0.0.1:7101 is in use by another process",
    ])
  })

  it('ends with 1 where the node has to stop by itself, without handing over', async () => {
    const server = fakeServer('n1')
    const { context } = world(server)
    const running = runCli(context, ['server', '--id', 'n1'])
    server.fail(new Error('another node has the id n1'))
    expect(await running).toBe(1)
    expect(context.stderr.lines).toEqual(['flotilla: n1 had to stop: another node has the id n1'])
    expect(server.closes).toEqual([false])
  })

  it('hands leadership over when it is told to stop', async () => {
    const server = fakeServer('n1')
    const { context, logged, readies } = world(server)
    const running = runCli(context, ['server', '--id', 'n1'])
    await turn()
    expect(server.closes).toEqual([])
    context.interrupt()
    expect(await running).toBe(0)
    expect(server.closes).toEqual([true])
    expect(logged[0]).toBe('ready')
    expect(readies).toEqual(['ready'])
    expect(context.stdout.text).toBe('')
  })

  it('stops when the process that started it is gone', async () => {
    const server = fakeServer('n1')
    const { context, launcherGone } = world(server)
    const running = runCli(context, ['server', '--id', 'n1'])
    launcherGone.abort()
    expect(await running).toBe(0)
    expect(server.closes).toEqual([true])
  })

  it('takes its settings from flags, environment and file', async () => {
    const { context, started } = world(fakeServer('n1'))
    context.interrupt()
    const configured = {
      ...context,
      env: { FLOTILLA_CONFIG: 'f.toml', FLOTILLA_HOST: 'rack-1' },
      readText: () => Promise.resolve('id = "n1"\nhost = "rack-2"\n[limits]\ntick = 10'),
    }
    expect(
      await runCli(configured, ['server', '--data', 'd', '--limit', 'tick=20', '--limit', 'shutdown=1s']),
    ).toBe(0)
    expect(started[0]).toMatchObject({
      nodeId: 'n1',
      hostLabel: 'rack-1',
      dataDirectory: 'd',
      limits: { tickMs: 20, shutdownMs: 1000 },
    })
  })
})

describe('flotilla config print', () => {
  it('ends with 2 where a server would', async () => {
    const context = fakeContext()
    expect(await runCli(context, ['config', 'print'])).toBe(2)
    expect(context.stderr.text).toContain('id is missing')
  })

  it('says where each setting comes from', async () => {
    const context = fakeContext({ env: { FLOTILLA_HOST: 'rack-1' } })
    expect(await runCli(context, ['config', 'print', '--id', 'n1', '--limit', 'tick=10', '-o', 'json'])).toBe(
      0,
    )
    expect(JSON.parse(context.stdout.text)).toMatchObject({
      id: { value: 'n1', source: 'flag --id' },
      host: { value: 'rack-1', source: 'environment FLOTILLA_HOST' },
      data: { value: 'data/n1', source: 'default, from id' },
      limits: { value: { tickMs: 10 }, source: 'flag --limit' },
    })
  })
})

describe('flotilla dev', () => {
  it('names a node that goes away, and starts nothing by itself', async () => {
    const cluster = new FakeCluster()
    const { spawned, spawnServer } = fakeProcesses(cluster)
    const processes: { kill(signal: 'SIGKILL'): void }[] = []
    const context = fakeContext({
      client: cluster.client(),
      spawnServer: (args) => {
        const process = spawnServer(args)
        processes.push(process)
        return process
      },
    })
    const running = runCli(context, ['dev'])
    while (!context.stdout.text.includes('Ctrl-C stops it')) await turn()
    processes[1]?.kill('SIGKILL')
    while (!context.stderr.text.includes('n2  is gone (signal SIGKILL)')) await turn()
    context.interrupt()
    expect(await running).toBe(0)
    expect(spawned).toHaveLength(3)
    expect(spawned.map(({ signals }) => signals.join())).toEqual(['SIGTERM', 'SIGKILL', 'SIGTERM'])
  })

  it('starts as many nodes as asked for, with one list, and stops them on Ctrl-C', async () => {
    const cluster = new FakeCluster(['n1', 'n2'])
    const { spawned, spawnServer } = fakeProcesses(cluster)
    const context = fakeContext({ client: cluster.client(), spawnServer })
    const running = runCli(context, ['dev', '--nodes', '2', '--port', '9001', '--data', 'd'])
    while (!context.stdout.text.includes('Ctrl-C stops it')) await turn()
    context.interrupt()
    expect(await running).toBe(0)
    expect(spawned.map(({ args }) => args.join(' '))).toEqual([
      '--id n1 --listen 127.0.0.1:9001 --data d/n1 --cluster n1=127.0.0.1:9001,n2=127.0.0.1:9002',
      '--id n2 --listen 127.0.0.1:9002 --data d/n2 --cluster n1=127.0.0.1:9001,n2=127.0.0.1:9002',
    ])
    expect(context.stdout.text).toContain('export FLOTILLA_BOOTSTRAP=127.0.0.1:9001,127.0.0.1:9002\n')
    expect(spawned.every(({ signals }) => signals.join() === 'SIGTERM')).toBe(true)
  })
})
