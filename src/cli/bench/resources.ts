import type { CliContext } from '../context.ts'
import { costOf, type Cost, type Work } from './cost.ts'
import { readProcessUsage, readRssBytes, type ProcessUsage } from './proc.ts'

export interface WatchedNode {
  readonly nodeId: string
  /** Undefined where the process isn't this one's. */
  readonly pid: number | undefined
}

export interface NodeCost extends Cost {
  readonly nodeId: string
}

/** What client and nodes spent in a window. */
export interface Costs {
  readonly client: Cost
  readonly nodes: readonly NodeCost[]
}

interface Watched {
  readonly nodeId: string
  readonly pid: number
  before: ProcessUsage | undefined
  after: ProcessUsage | undefined
  peakRssBytes: number | undefined
}

const sampleMs = 1000

/** Looks at the processes when a window opens and closes, and at their memory in between. */
export class ResourceWatch {
  readonly #context: Pick<CliContext, 'readText' | 'sleep'>
  readonly #nodes: Watched[]
  readonly #ended = new AbortController()
  readonly #client: Watched = blank('client', process.pid)

  constructor(context: Pick<CliContext, 'readText' | 'sleep'>, nodes: readonly WatchedNode[]) {
    this.#context = context
    this.#nodes = nodes.flatMap(({ nodeId, pid }) => (pid === undefined ? [] : [blank(nodeId, pid)]))
  }

  async open(): Promise<void> {
    await Promise.all(this.#nodes.map(async (node) => (node.before = await this.#look(node))))
    this.#client.before = this.#lookAtClient()
    void this.#sample()
  }

  async close(): Promise<void> {
    this.#ended.abort()
    this.#client.after = this.#lookAtClient()
    await Promise.all(this.#nodes.map(async (node) => (node.after = await this.#look(node))))
  }

  costs(work: Work): Costs {
    const cost = ({ before, after, peakRssBytes }: Watched): Cost => costOf(before, after, peakRssBytes, work)
    return {
      client: cost(this.#client),
      nodes: this.#nodes.map((node) => ({ nodeId: node.nodeId, ...cost(node) })),
    }
  }

  async #sample(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      await this.#context.sleep(sampleMs, this.#ended.signal)
      notePeak(this.#client, process.memoryUsage.rss())
      await Promise.all(
        this.#nodes.map(async (node) => notePeak(node, await readRssBytes(this.#context, node.pid))),
      )
    }
  }

  async #look(node: Watched): Promise<ProcessUsage | undefined> {
    const usage = await readProcessUsage(this.#context, node.pid)
    notePeak(node, usage?.rssBytes)
    return usage
  }

  #lookAtClient(): ProcessUsage {
    const { user, system } = process.cpuUsage()
    const rssBytes = process.memoryUsage.rss()
    notePeak(this.#client, rssBytes)
    return { cpuSeconds: (user + system) / 1e6, writtenBytes: undefined, rssBytes }
  }
}

function blank(nodeId: string, pid: number): Watched {
  return { nodeId, pid, before: undefined, after: undefined, peakRssBytes: undefined }
}

function notePeak(watched: Watched, rssBytes: number | undefined): void {
  if (rssBytes !== undefined) watched.peakRssBytes = Math.max(watched.peakRssBytes ?? 0, rssBytes)
}
