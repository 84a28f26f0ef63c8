import { describe, expect, it } from 'vitest'
import { ClusterLauncher, planCluster } from '../../src/cli/cluster-launcher.ts'
import type { ExitStatus, ServerProcess } from '../../src/cli/context.ts'
import { FakeCluster, fakeContext, fakeProcesses } from './fakes.ts'

const plan = planCluster({ nodes: 2, firstPort: 9001, dataDirectory: 'd' })

/** A process that ignores SIGTERM. */
function stubborn(signals: string[]): ServerProcess {
  let exit: (status: ExitStatus) => void = () => undefined
  const exited = new Promise<ExitStatus>((resolve) => (exit = resolve))
  return {
    pid: 7,
    ready: Promise.resolve(),
    exited,
    kill: (signal) => {
      signals.push(signal)
      if (signal === 'SIGKILL') exit({ code: null, signal })
    },
  }
}

describe('a cluster of processes', () => {
  it('says with the last words of a node why it did not become ready', async () => {
    const context = fakeContext({
      spawnServer: (_args, onLine) => {
        onLine('{"level":"info","time":"2026-01-01T00:00:00.000Z","msg":"opening"}')
        onLine('flotilla: n1 can’t start: the data folder d/n1 is in use')
        onLine('')
        return {
          ...stubborn([]),
          ready: new Promise(() => undefined),
          exited: Promise.resolve({ code: 1, signal: null }),
        }
      },
    })
    const launcher = new ClusterLauncher(context, plan)
    await expect(launcher.start('n1')).rejects.toThrow(
      'n1 ended before it was ready (exit code 1): n1 can’t start: the data folder d/n1 is in use',
    )
    expect(launcher.runningNodeIds).toEqual([])
  })

  it('waits no longer for a node when it is interrupted', async () => {
    const context = fakeContext({
      spawnServer: () => ({ ...stubborn([]), ready: new Promise(() => undefined) }),
    })
    const starting = new ClusterLauncher(context, plan).start('n1')
    context.interrupt()
    await expect(starting).rejects.toThrow('interrupted')
  })

  it('kills what does not stop in time', async () => {
    const signals: string[] = []
    const context = fakeContext({ spawnServer: () => stubborn(signals) })
    const launcher = new ClusterLauncher(context, plan)
    await launcher.start('n1')
    await launcher.stopAll()
    expect(signals).toEqual(['SIGTERM', 'SIGKILL'])
    expect(context.nowMs()).toBe(10_000)
  })

  it('tells of a node that ends by itself, but not of one that it ends', async () => {
    const lost: string[] = []
    const { spawnServer } = fakeProcesses(new FakeCluster())
    const processes: ServerProcess[] = []
    const context = fakeContext({
      spawnServer: (args) => {
        const process = spawnServer(args)
        processes.push(process)
        return process
      },
    })
    const launcher = new ClusterLauncher(context, plan, { onLoss: (nodeId) => lost.push(nodeId) })
    await launcher.startAll()
    processes[1]?.kill('SIGKILL')
    await processes[1]?.exited
    await launcher.kill('n1')
    expect(lost).toEqual(['n2'])
    expect(launcher.runningNodeIds).toEqual([])
    await expect(launcher.kill('n1')).rejects.toThrow("n1 isn't running")
  })

  it('starts a killed node again with the same arguments', async () => {
    const { spawned, spawnServer } = fakeProcesses(new FakeCluster())
    await using launcher = new ClusterLauncher(fakeContext({ spawnServer }), plan)
    await launcher.startAll()
    await launcher.kill('n1')
    await launcher.start('n1')
    expect(spawned[2]?.args).toEqual(spawned[0]?.args)
    expect([...launcher.runningNodeIds].sort()).toEqual(['n1', 'n2'])
  })
})
