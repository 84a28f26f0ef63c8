import { describe, expect, it } from 'vitest'
import { runCli } from '../../../src/cli/program.ts'
import { chunksOf, FakeCluster, fakeContext, fakeProcesses } from '../fakes.ts'

const lines = Array.from({ length: 50 }, (_, index) => `${['ann', 'bob', 'cid'][index % 3]} ${index}\n`).join(
  '',
)

function stage(cluster = new FakeCluster()) {
  const { spawned, spawnServer } = fakeProcesses(cluster)
  const context = fakeContext({ client: cluster.client(), spawnServer, openInput: () => chunksOf(lines) })
  const signals = () => spawned.map(({ signals: each }) => each.join())
  return { cluster, context, spawned, signals }
}

describe('the show', () => {
  it('ends with 1 and says what is missing where a node has lost an acknowledged event', async () => {
    const { cluster, context, signals } = stage()
    cluster.withhold = (nodeId, partition, offset) => nodeId === 'n2' && partition === 1 && offset === 2
    expect(await runCli(context, ['demo', '--once', '--input', 'FILE'])).toBe(1)
    expect(context.stderr.text).toContain('not all is well; 1 lost, 0 twice, 0 out of order')
    expect(context.stderr.text).toContain('n2: 1 lost')
    expect(signals()).toEqual(['SIGKILL', 'SIGTERM', 'SIGTERM', 'SIGTERM'])
  })

  it('ends with 1 where events fail, and stops the nodes', async () => {
    const { cluster, context, signals } = stage()
    cluster.refuse = (_record, count) => (count === 7 ? new Error('no room') : undefined)
    expect(await runCli(context, ['demo', '--once', '--input', 'FILE'])).toBe(1)
    expect(context.stderr.text).toContain('1 of 50 events failed, the first: no room')
    expect(signals()).toEqual(['SIGTERM', 'SIGTERM', 'SIGTERM'])
  })

  it('ends with 1 and the last words of a node that does not start', async () => {
    const { context, spawned } = stage()
    const broken = {
      ...context,
      spawnServer: (args: readonly string[], onLine: (line: string) => void) => {
        if (!args.includes('n2')) return context.spawnServer(args, onLine)
        onLine('flotilla: n2 can’t start: 127.0.0.1:7102 is in use')
        return {
          pid: 1,
          ready: new Promise<void>(() => undefined),
          exited: Promise.resolve({ code: 1, signal: null }),
          kill: () => undefined,
        }
      },
    }
    expect(await runCli(broken, ['demo', '--once', '--input', 'FILE'])).toBe(1)
    expect(context.stderr.text).toContain(
      'n2 ended before it was ready (exit code 1): n2 can’t start: 127.0.0.1:7102',
    )
    expect(spawned.every(({ signals }) => signals.join() === 'SIGTERM')).toBe(true)
  })

  it('ends with 1 where it is interrupted before its verdict', async () => {
    const { context } = stage()
    context.interrupt()
    expect(await runCli(context, ['demo', '--once', '--input', 'FILE'])).toBe(1)
    expect(context.stderr.text).toContain('interrupted before the verdict')
  })

  it('refuses ports that there are not', async () => {
    const { context } = stage()
    expect(await runCli(context, ['demo', '--port', '65534', '--input', 'FILE'])).toBe(2)
    expect(context.stderr.text).toContain('above 65535')
  })

  it('loses a leader and nothing else', async () => {
    const { context, cluster, spawned, signals } = stage()
    expect(
      await runCli(context, ['demo', '--once', '--input', 'FILE', '--data', 'd', '--port', '9001']),
    ).toBe(0)
    const text = context.stdout.text
    expect(text).toContain('FILE, 50 lines, keyed by 3 first words')
    expect(text).toMatch(/n1 led partition \d in term 3; SIGKILL to its process 1001/)
    expect(text).toMatch(/n2 leads partition \d in term 4/)
    expect(text).toMatch(/time without a leader, as the producer saw it: \d+ ms \(/)
    const verdict =
      /([\d,]+) acknowledged, ([\d,]+) read back from each of n1, n2 and n3; 0 lost, 0 twice, 0 out of order/
    const [, acknowledged, read] = verdict.exec(text) ?? []
    expect(acknowledged).toBe(read)
    expect(Number(acknowledged?.replace(',', ''))).toBeGreaterThan(500)
    expect(spawned.map(({ args }) => args.slice(0, 6).join(' '))).toEqual([
      '--id n1 --listen 127.0.0.1:9001 --data d/n1',
      '--id n2 --listen 127.0.0.1:9002 --data d/n2',
      '--id n3 --listen 127.0.0.1:9003 --data d/n3',
      '--id n1 --listen 127.0.0.1:9001 --data d/n1',
    ])
    expect(signals()).toEqual(['SIGKILL', 'SIGTERM', 'SIGTERM', 'SIGTERM'])
    expect([...cluster.topics.keys()]).toEqual([expect.stringMatching(/^commits-20260101-\d{6}$/)])
    expect(cluster.closed).toBe(1)
    expect(context.stderr.text).toBe('')
  })

  it('stays up until it is told to stop, and says what to try', async () => {
    const { context, spawned, signals } = stage()
    const show = runCli(context, ['demo', '--input', 'FILE'])
    while (!context.stdout.text.includes('Ctrl-C stops it'))
      await new Promise((resolve) => setImmediate(resolve))
    expect(spawned.slice(1).every((process) => process.signals.length === 0)).toBe(true)
    context.interrupt()
    expect(await show).toBe(0)
    expect(signals()).toEqual(['SIGKILL', 'SIGTERM', 'SIGTERM', 'SIGTERM'])
  })
})
