import { spawn, type ChildProcess } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'

const FLOTILLA = join(import.meta.dirname, '../../bin/flotilla.js')
const FOUNDERS = 3

/** `flotilla server` processes, which are killed for real. The first three begin the cluster, the others join it. */
export class Processes {
  readonly nodeIds: readonly string[]
  readonly directory: string
  readonly addresses: readonly string[]
  readonly #running = new Map<string, ChildProcess>()

  constructor(directory: string, ports: readonly number[]) {
    this.directory = directory
    this.nodeIds = ports.map((_, place) => `n${place + 1}`)
    this.addresses = ports.map((port) => `127.0.0.1:${port}`)
  }

  start(nodeId: string): void {
    const place = this.nodeIds.indexOf(nodeId)
    const founders = this.nodeIds.slice(0, FOUNDERS).map((id, each) => `${id}=${this.addresses[each]}`)
    const others = this.addresses.filter((_, each) => each !== place && each < FOUNDERS)
    const isFounder = place < FOUNDERS
    const process = spawn(
      globalThis.process.execPath,
      [
        FLOTILLA,
        'server',
        '--id',
        nodeId,
        '--listen',
        this.addresses[place] ?? '',
        '--data',
        join(this.directory, nodeId),
        ...(isFounder ? ['--cluster', founders.join()] : ['--join', others.join()]),
      ],
      { stdio: 'ignore' },
    )
    this.#running.set(nodeId, process)
  }

  dataDirectoryOf(nodeId: string): string {
    return join(this.directory, nodeId)
  }

  /** Resolves when a process has ended by itself. */
  async ended(nodeId: string): Promise<number | null> {
    const process = this.#running.get(nodeId)
    if (process === undefined || process.exitCode !== null) return process?.exitCode ?? null
    return new Promise((resolve) => process.once('exit', (code) => resolve(code)))
  }

  async end(nodeId: string, signal: NodeJS.Signals): Promise<number | null> {
    const process = this.#running.get(nodeId)
    if (process === undefined) return null
    this.#running.delete(nodeId)
    if (process.exitCode !== null) return process.exitCode
    const ended = new Promise<number | null>((resolve) => process.once('exit', (code) => resolve(code)))
    process.kill(signal)
    return ended
  }

  async close(): Promise<void> {
    await Promise.all(this.nodeIds.map((nodeId) => this.end(nodeId, 'SIGKILL')))
    await rm(this.directory, { recursive: true, force: true })
  }
}
