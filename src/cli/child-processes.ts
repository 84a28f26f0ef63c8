import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { ExitStatus, Launcher, RunningProcess, ServerProcess } from './context.ts'

const script = fileURLToPath(new URL('../../bin/flotilla.js', import.meta.url))

/** Set for a node that another flotilla process started; the two are connected by a channel of Node's. */
const launchedVariable = 'FLOTILLA_LAUNCHED'

/**
 * Of the C library's pools of memory: each thread has one of its own otherwise, and with it what it has freed. Can't be set
 * from inside of a process; docs/operating.md names it for nodes that are started in another way.
 */
const mallocArenas = '1'

type LaunchedMessage = { readonly type: 'ready' }

export function spawnServer(args: readonly string[], onLine: (line: string) => void): ServerProcess {
  const child = spawn(process.execPath, [script, 'server', ...args], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: { MALLOC_ARENA_MAX: mallocArenas, ...process.env, [launchedVariable]: '1' },
    // A process group of its own: Ctrl-C in the terminal is for this process, which then stops the node in order.
    detached: true,
  })
  const ready = new Promise<void>((resolve) => {
    child.on('message', (message) => {
      if ((message as LaunchedMessage).type === 'ready') resolve()
    })
  })
  return { ...watch(child, onLine), ready }
}

export function spawnMember(args: readonly string[], onLine: (line: string) => void): RunningProcess {
  const child = spawn(process.execPath, [script, 'consume', ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  })
  return watch(child, onLine)
}

/** However this process ends, the other isn't left behind. */
function watch(child: ChildProcess, onLine: (line: string) => void): RunningProcess {
  const exited = new Promise<ExitStatus>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
    child.once('error', (error) => {
      onLine(`can't be started: ${error.message}`)
      resolve({ code: null, signal: null })
    })
  })
  if (child.stderr !== null) createInterface({ input: child.stderr }).on('line', onLine)
  const killAtExit = (): void => void child.kill('SIGKILL')
  process.once('exit', killAtExit)
  void exited.then(() => process.off('exit', killAtExit))
  return { pid: child.pid ?? -1, exited, kill: (signal) => void child.kill(signal) }
}

/** The process that launched this one, where one did. */
export function findLauncher(): Launcher | undefined {
  if (process.env[launchedVariable] !== '1' || process.send === undefined) return undefined
  const gone = new AbortController()
  process.once('disconnect', () => gone.abort())
  return {
    ready: () => {
      const message: LaunchedMessage = { type: 'ready' }
      if (process.connected) process.send?.(message)
    },
    gone: gone.signal,
  }
}

const keptErrorBytes = 4096

export async function* runProgram(
  command: string,
  args: readonly string[],
): AsyncGenerator<Uint8Array, void, undefined> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(0, keptErrorBytes)
  })
  const ended = new Promise<Error | undefined>((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'ENOENT' ? new Error(`${command} is not installed`) : error),
    )
    child.once('close', (code, signal) =>
      resolve(
        code === 0 ? undefined : new Error(complaint.trim() || `${command} ended with ${signal ?? code}`),
      ),
    )
  })
  let complete = false
  try {
    for await (const chunk of child.stdout) yield chunk as Uint8Array
    complete = true
  } finally {
    if (!complete) child.kill()
  }
  const error = await ended
  if (error !== undefined) throw error
}
