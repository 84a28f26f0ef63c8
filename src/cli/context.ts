import type { Client, ClientOptions } from '../client/types.ts'
import type { RunningServer, ServerConfig } from '../broker/index.ts'
import type { Logger } from '../env/index.ts'
import type { LoggerOptions } from '../env/node/logger.ts'

/** Where text goes: standard output or standard error. */
export interface Output {
  readonly isTTY: boolean
  /** Whether to colour: a terminal, and NO_COLOR isn't set. */
  readonly colours: boolean
  /** Width of the terminal in characters; Infinity where there is none. */
  readonly columns: number
  /** Nobody takes any more (EPIPE): what is written from now on is dropped. */
  readonly closed: boolean
  /** Never throws. False: enough waits to be taken; write no more until `drained`. */
  write(text: string): boolean
  /** Resolves when what waits has been taken, or when nobody takes any more. */
  drained(): Promise<void>
}

export interface ExitStatus {
  readonly code: number | null
  readonly signal: string | null
}

export interface RunningProcess {
  readonly pid: number
  readonly exited: Promise<ExitStatus>
  kill(signal: 'SIGTERM' | 'SIGKILL'): void
}

/** A `flotilla server` in a process of its own. It stops when this process goes away, however that happens. */
export interface ServerProcess extends RunningProcess {
  /** Resolves when the node has said that it is ready; never rejects, and never resolves where it ends first. */
  readonly ready: Promise<void>
}

/** The process that started this one as a node of its own cluster (`flotilla dev`, `flotilla demo`). */
export interface Launcher {
  /** Tells it that the cluster knows the node. */
  ready(): void
  /** Aborted when it is gone. */
  readonly gone: AbortSignal
}

/** All that a command reaches of the world, so that a test can put itself in its place. */
export interface CliContext {
  readonly stdin: AsyncIterable<Uint8Array> & { readonly isTTY: boolean }
  readonly stdout: Output
  readonly stderr: Output
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborted at the first Ctrl-C or SIGTERM, and when nobody reads standard output any more. */
  readonly interrupted: AbortSignal
  readonly launcher: Launcher | undefined
  /** Monotonic milliseconds. */
  nowMs(): number
  /** Milliseconds since 1970. */
  wallMs(): number
  /**
   * Resolves after `delayMs`, or at once when `signal` is aborted; never rejects. With 0: once the event loop has seen to
   * what is there.
   */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>
  /** Whether nothing listens at HOST:PORT: a connection is refused at once. */
  refusesConnections(address: string): Promise<boolean>
  connect(options: ClientOptions): Promise<Client>
  createLogger(options: LoggerOptions): Logger
  startServer(config: ServerConfig, logger: Logger): Promise<RunningServer>
  /** Starts `flotilla server` with these arguments; `onLine` gets each line of its standard error. */
  spawnServer(args: readonly string[], onLine: (line: string) => void): ServerProcess
  /** Starts `flotilla consume` with these arguments, its standard output dropped; `onLine` gets each line of its standard error. */
  spawnMember(args: readonly string[], onLine: (line: string) => void): RunningProcess
  /** Runs a program and hands on its standard output; ends with an error that carries its standard error where it fails. */
  runProgram(command: string, args: readonly string[]): AsyncIterable<Uint8Array>
  /** Throws as node:fs does. */
  openInput(path: string): AsyncIterable<Uint8Array>
  readText(path: string): Promise<string>
}
