import { spawn, type ChildProcess } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'

const flotilla = join(import.meta.dirname, '../../bin/flotilla.js')

/** Three `flotilla server` processes of one cluster. */
export class ServerProcesses implements AsyncDisposable {
  readonly nodeIds = ['n1', 'n2', 'n3']
  readonly addresses: readonly string[]
  readonly #directory: string
  readonly #running = new Map<string, ChildProcess>()

  constructor(directory: string, ports: readonly number[]) {
    this.#directory = directory
    this.addresses = ports.map((port) => `127.0.0.1:${port}`)
  }

  start(nodeId: string): void {
    const own = this.addresses[this.nodeIds.indexOf(nodeId)] ?? ''
    const cluster = this.nodeIds.map((id, place) => `${id}=${this.addresses[place]}`).join()
    const flags = [
      '--id',
      nodeId,
      '--listen',
      own,
      '--data',
      join(this.#directory, nodeId),
      '--cluster',
      cluster,
    ]
    this.#running.set(nodeId, spawn(process.execPath, [flotilla, 'server', ...flags], { stdio: 'ignore' }))
  }

  async kill(nodeId: string): Promise<void> {
    const child = this.#running.get(nodeId)
    this.#running.delete(nodeId)
    if (child === undefined || child.exitCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodeIds.map((nodeId) => this.kill(nodeId)))
    await rm(this.#directory, { recursive: true, force: true })
  }
}
