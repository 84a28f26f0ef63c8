import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startServer, type RunningServer, type ServerConfig, type ServerLimits } from '../broker/index.ts'
import { connect, type Client, type ClientOptions } from '../client/index.ts'
import { nodeEnv, type LogLevel } from '../env/node/index.ts'
import type { Env } from '../env/index.ts'
import { freePorts } from './free-ports.ts'

export interface TestClusterOptions {
  /** Default 3. */
  readonly nodes?: number
  /** Of the nodes. Default: those of a server, with elections at 200 ms and heartbeats at 50 ms. */
  readonly limits?: ServerLimits
  /** Default 'silent'. */
  readonly logLevel?: LogLevel
  /** What a node gets its clock, randomness, disk and network from; for tests that inject faults. Default: the real ones. */
  readonly envOf?: (nodeId: string, real: Env) => Env
}

interface Member {
  readonly nodeId: string
  readonly address: string
}

/**
 * A real cluster in this process: real consensus, real LevelDB in a temporary folder, real gRPC on 127.0.0.1. Nodes are
 * n1, n2, … Close it (or use `await using`) and nothing is left.
 */
export class TestCluster implements AsyncDisposable {
  readonly #options: TestClusterOptions
  readonly #directory: string
  readonly #members: readonly Member[]
  /** Nodes that were added later. */
  readonly #joined: Member[] = []
  readonly #servers = new Map<string, RunningServer>()
  readonly #clients: Client[] = []

  private constructor(options: TestClusterOptions, directory: string, members: readonly Member[]) {
    this.#options = options
    this.#directory = directory
    this.#members = members
  }

  static async start(options: TestClusterOptions = {}): Promise<TestCluster> {
    const directory = await mkdtemp(join(tmpdir(), 'flotilla-'))
    const ports = await freePorts(options.nodes ?? 3)
    const members = ports.map((port, place) => ({ nodeId: `n${place + 1}`, address: `127.0.0.1:${port}` }))
    const cluster = new TestCluster(options, directory, members)
    try {
      await Promise.all(members.map(({ nodeId }) => cluster.startNode(nodeId)))
      await cluster.ready()
    } catch (error) {
      await cluster.close()
      throw error
    }
    return cluster
  }

  get #all(): readonly Member[] {
    return [...this.#members, ...this.#joined]
  }

  get nodeIds(): readonly string[] {
    return this.#all.map(({ nodeId }) => nodeId)
  }

  /** HOST:PORT of every node, for ClientOptions.bootstrap. */
  get bootstrap(): readonly string[] {
    return this.#all.map(({ address }) => address)
  }

  addressOf(nodeId: string): string {
    const member = this.#all.find((each) => each.nodeId === nodeId)
    if (member === undefined) throw new Error(`no node ${nodeId}; the nodes are ${this.nodeIds.join(', ')}`)
    return member.address
  }

  dataDirectoryOf(nodeId: string): string {
    return join(this.#directory, nodeId)
  }

  server(nodeId: string): RunningServer | undefined {
    return this.#servers.get(nodeId)
  }

  configOf(nodeId: string): ServerConfig {
    const isFounder = this.#members.some((each) => each.nodeId === nodeId)
    const others = this.#all.filter((each) => each.nodeId !== nodeId).map(({ address }) => address)
    return {
      nodeId,
      listen: this.addressOf(nodeId),
      dataDirectory: this.dataDirectoryOf(nodeId),
      ...(isFounder ? { cluster: this.#members } : { cluster: [], join: others }),
      clusterName: 'test',
      hostLabel: nodeId,
      limits: { tickMs: 25, electionTimeoutMs: 200, heartbeatMs: 50, ...this.#options.limits },
    }
  }

  /** Starts a node that isn't running, on the data that it left. */
  async startNode(nodeId: string): Promise<RunningServer> {
    if (this.#servers.has(nodeId)) throw new Error(`node ${nodeId} is running`)
    const real = nodeEnv({ level: this.#options.logLevel ?? 'silent' })
    const env = this.#options.envOf?.(nodeId, real) ?? real
    const server = await startServer(env, this.configOf(nodeId))
    this.#servers.set(nodeId, server)
    return server
  }

  /** Starts one node more, which joins the cluster, and returns its id: n4, n5, … */
  async addNode(): Promise<string> {
    const nodeId = `n${this.#all.length + 1}`
    const [port] = await freePorts(1)
    this.#joined.push({ nodeId, address: `127.0.0.1:${port}` })
    const server = await this.startNode(nodeId)
    await server.ready
    return nodeId
  }

  /** Deletes the data of a node that isn't running. */
  async wipeNode(nodeId: string): Promise<void> {
    if (this.#servers.has(nodeId)) throw new Error(`node ${nodeId} is running`)
    await rm(this.dataDirectoryOf(nodeId), { recursive: true, force: true })
  }

  /** Stops a node: with `handOver` (default) as an operator does, without it as abruptly as one process allows. */
  async stopNode(nodeId: string, options: { readonly handOver?: boolean } = {}): Promise<void> {
    const server = this.#servers.get(nodeId)
    this.#servers.delete(nodeId)
    await server?.close(options)
  }

  /** Resolves when every running node is known to the cluster. */
  async ready(): Promise<void> {
    await Promise.all([...this.#servers.values()].map((server) => server.ready))
  }

  /** A client of this cluster; it is closed together with it. */
  connect(options: ClientOptions = {}): Promise<Client> {
    const client = connect({ bootstrap: this.bootstrap, ...options })
    this.#clients.push(client)
    return Promise.resolve(client)
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()))
    await Promise.all(this.nodeIds.map((nodeId) => this.stopNode(nodeId, { handOver: false })))
    await rm(this.#directory, { recursive: true, force: true })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

export function startTestCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  return TestCluster.start(options)
}
