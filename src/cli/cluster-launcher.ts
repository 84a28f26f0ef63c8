/** A cluster on this machine, each node in a process of its own, so that taking one down is a real loss. */
import { prettyLine } from '../env/node/logger.ts'
import { Interrupted, untilAborted } from './cluster-ready.ts'
import type { CliContext, ExitStatus, ServerProcess } from './context.ts'
import { CommandFailure } from './failure.ts'

export interface NodePlan {
  readonly nodeId: string
  readonly address: string
  /** Arguments of `flotilla server`. */
  readonly args: readonly string[]
}

export interface ClusterPlan {
  readonly nodes: readonly NodePlan[]
  /** Every node's address, for --bootstrap. */
  readonly bootstrap: string
}

/** Nodes n1, n2, … on ports from `firstPort` on, each with its folder below `dataDirectory`. */
export function planCluster(options: {
  readonly nodes: number
  readonly firstPort: number
  readonly dataDirectory: string
}): ClusterPlan {
  const members = Array.from({ length: options.nodes }, (_, index) => ({
    nodeId: `n${index + 1}`,
    address: `127.0.0.1:${options.firstPort + index}`,
  }))
  const cluster = members.map(({ nodeId, address }) => `${nodeId}=${address}`).join(',')
  const nodes = members.map(({ nodeId, address }) => ({
    nodeId,
    address,
    args: serverArguments(nodeId, address, `${options.dataDirectory}/${nodeId}`, cluster),
  }))
  return { nodes, bootstrap: members.map(({ address }) => address).join(',') }
}

function serverArguments(nodeId: string, address: string, data: string, cluster: string): string[] {
  return ['--id', nodeId, '--listen', address, '--data', data, '--cluster', cluster]
}

interface Running {
  readonly process: ServerProcess
  /** The last lines that it wrote, for the case that it ends. */
  readonly lines: string[]
  ready: boolean
}

const keptLines = 30

export interface LauncherEvents {
  /** A line of a node's standard error. */
  onLine?(nodeId: string, line: string): void
  /** A node ended that nobody told to. */
  onLoss?(nodeId: string, status: ExitStatus, lastWords: string): void
}

export class ClusterLauncher implements AsyncDisposable {
  readonly plan: ClusterPlan
  readonly #context: CliContext
  readonly #events: LauncherEvents
  readonly #running = new Map<string, Running>()

  constructor(context: CliContext, plan: ClusterPlan, events: LauncherEvents = {}) {
    this.#context = context
    this.plan = plan
    this.#events = events
  }

  get runningNodeIds(): readonly string[] {
    return [...this.#running.keys()]
  }

  /** Undefined where the node isn't running. */
  pidOf(nodeId: string): number | undefined {
    return this.#running.get(nodeId)?.process.pid
  }

  async startAll(): Promise<void> {
    await Promise.all(this.plan.nodes.map(({ nodeId }) => this.start(nodeId)))
  }

  /**
   * Resolves when the node takes calls. Throws with what it said last where it ends before that, and Interrupted where
   * the user stops waiting.
   */
  async start(nodeId: string): Promise<void> {
    const plan = this.plan.nodes.find((node) => node.nodeId === nodeId)
    if (plan === undefined) throw new CommandFailure(`the cluster has no node ${nodeId}`)
    const lines: string[] = []
    const process = this.#context.spawnServer(plan.args, (line) => {
      lines.push(line)
      if (lines.length > keptLines) lines.shift()
      this.#events.onLine?.(nodeId, line)
    })
    const running: Running = { process, lines, ready: false }
    this.#running.set(nodeId, running)
    void process.exited.then((status) => this.#onExit(nodeId, running, status))
    const { interrupted } = this.#context
    // Whoever waited here takes its listener along: a benchmark starts many nodes under one signal.
    const over = new AbortController()
    const stopped = untilAborted(AbortSignal.any([interrupted, over.signal]))
    const ended = await Promise.race([process.ready, process.exited, stopped])
    over.abort()
    if (interrupted.aborted) throw new Interrupted()
    if (ended !== undefined) {
      const words = lastWords(lines)
      throw new CommandFailure(
        `${nodeId} ended before it was ready (${describeExit(ended)}): ${words}\n` +
          '  Other ports: --port N. Another folder: --data DIR.',
      )
    }
    running.ready = true
  }

  /** SIGKILL: the node has no moment to prepare. Resolves when the process is gone. */
  async kill(nodeId: string): Promise<{ readonly pid: number }> {
    const running = this.#running.get(nodeId)
    if (running === undefined) throw new CommandFailure(`${nodeId} isn't running`)
    this.#running.delete(nodeId)
    running.process.kill('SIGKILL')
    await running.process.exited
    return { pid: running.process.pid }
  }

  /** Tells all to stop, at the same time; what isn't gone after `graceMs` is killed. */
  async stopAll(graceMs = 10_000): Promise<void> {
    const processes = [...this.#running.values()].map(({ process }) => process)
    this.#running.clear()
    for (const process of processes) process.kill('SIGTERM')
    await Promise.all(processes.map((process) => this.#awaitEnd(process, graceMs)))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stopAll()
  }

  async #awaitEnd(process: ServerProcess, graceMs: number): Promise<void> {
    const ended = new AbortController()
    void process.exited.then(() => ended.abort())
    await this.#context.sleep(graceMs, ended.signal)
    if (ended.signal.aborted) return
    process.kill('SIGKILL')
    await process.exited
  }

  #onExit(nodeId: string, running: Running, status: ExitStatus): void {
    if (this.#running.get(nodeId) !== running) return
    this.#running.delete(nodeId)
    // Before it was ready `start` tells.
    if (running.ready) this.#events.onLoss?.(nodeId, status, lastWords(running.lines))
  }
}

export function describeExit({ code, signal }: ExitStatus): string {
  return signal === null ? `exit code ${code}` : `signal ${signal}`
}

/** What a node said last: the line that says why, for a person. */
function lastWords(lines: readonly string[]): string {
  const last = lines.findLast((line) => line.trim() !== '')
  return last === undefined ? 'it said nothing' : prettyLine(last).replace(/^flotilla: /, '')
}
