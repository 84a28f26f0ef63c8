import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { performance } from 'node:perf_hooks'
import { nodeLogger } from '../env/node/logger.ts'
import { findLauncher, runProgram, spawnMember, spawnServer } from './child-processes.ts'
import type { CliContext } from './context.ts'
import { limitHeapGrowth } from './heap-growth.ts'
import { giveBackIdleMemory } from './idle-memory.ts'
import { limitYoungGeneration } from './young-generation.ts'
import { processOutput } from './process-output.ts'

// npm passes a Ctrl-C on that the terminal has sent to the whole group already: two signals, one key.
const samePressMs = 300

/** The real world. The client and the broker are loaded when a command needs them, so that --help is quick. */
export function processContext(): CliContext {
  const interruption = new AbortController()
  const stdout = processOutput(process.stdout, process.env, () => interruption.abort())
  const stderr = processOutput(process.stderr, process.env, () => undefined)
  const context: CliContext = {
    get stdin() {
      return process.stdin
    },
    stdout,
    stderr,
    env: process.env,
    interrupted: interruption.signal,
    launcher: findLauncher(),
    nowMs: () => performance.now(),
    wallMs: () => Date.now(),
    sleep,
    refusesConnections,
    connect: async (options) => (await import('../client/index.ts')).connect(options),
    createLogger: nodeLogger,
    startServer: async (config, logger) => {
      const [{ startServer }, { nodeEnv }] = await Promise.all([
        import('../broker/index.ts'),
        import('../env/node/index.ts'),
      ])
      giveBackIdleMemory()
      limitYoungGeneration()
      limitHeapGrowth()
      return startServer({ ...nodeEnv({ level: 'silent' }), logger }, config)
    },
    spawnServer,
    spawnMember,
    runProgram,
    openInput: (path) => createReadStream(path),
    readText: (path) => readFile(path, 'utf8'),
  }
  listenToSignals(interruption)
  return context
}

function listenToSignals(interruption: AbortController): void {
  let firstMs: number | undefined
  const onSignal = (): void => {
    const nowMs = performance.now()
    if (firstMs === undefined) {
      firstMs = nowMs
      interruption.abort()
      return
    }
    if (nowMs - firstMs > samePressMs) process.exit(1)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)
}

const probeMs = 1000

function refusesConnections(address: string): Promise<boolean> {
  const separator = address.lastIndexOf(':')
  const host = address.slice(0, separator).replace(/^\[|\]$/g, '')
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(address.slice(separator + 1)), timeout: probeMs })
    const end = (refused: boolean): void => {
      socket.destroy()
      resolve(refused)
    }
    socket.once('connect', () => end(false))
    // Silence, an unknown name, a network that is away: the client's own errors tell more about those.
    socket.once('timeout', () => end(false))
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code === 'ECONNREFUSED'))
  })
}

function sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve()
  if (delayMs === 0) return new Promise((resolve) => setImmediate(resolve))
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, delayMs)
    signal?.addEventListener('abort', end)
  })
}
