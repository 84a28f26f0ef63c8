import { spawn } from 'node:child_process'

/** What a program that ended with another status than 0, or not in time, had said. */
export class ProgramFailed extends Error {
  name = 'ProgramFailed'
  /**
   * @param {string} command
   * @param {string} ending
   * @param {string} output
   */
  constructor(command, ending, output) {
    super(`${command} ${ending}${output.trim() === '' ? '' : `\n${output.trimEnd()}`}`)
    this.lastLine = output.trimEnd().split('\n').at(-1) ?? ''
  }
}

/** A program under way, with its standard input open. */
export class Program {
  #command
  #child
  #output = ''
  #errors = ''
  /** @type {(() => void)[]} */
  #watchers = []
  /** @type {string | undefined} */
  #ending

  /**
   * @param {string} command
   * @param {readonly string[]} args
   * @param {{ env?: NodeJS.ProcessEnv, cwd?: string, timeoutMs: number }} options
   */
  constructor(command, args, { env, cwd, timeoutMs }) {
    this.#command = [command, ...args].join(' ')
    this.#child = spawn(command, args, { env, cwd, stdio: 'pipe', timeout: timeoutMs, killSignal: 'SIGKILL' })
    this.#child.stdout.setEncoding('utf8').on('data', (text) => {
      this.#output += text
      this.#wake()
    })
    this.#child.stderr.setEncoding('utf8').on('data', (text) => {
      this.#errors += text
    })
    // The end of a program that no longer reads is told by its status.
    this.#child.stdin.on('error', () => {})
    this.#child.once('error', (error) => this.#end(`can't be started: ${error.message}`))
    this.#child.once('close', (code, signal) => {
      const timedOut = signal === 'SIGKILL' ? ` (it may take ${timeoutMs / 1000} s)` : ''
      this.#end(signal === null ? `ended with status ${code}` : `was ended by ${signal}${timedOut}`)
    })
  }

  /** What it has written so far. */
  get output() {
    return this.#output
  }

  /** Ends it as `kill -9` does. */
  kill() {
    this.#child.kill('SIGKILL')
  }

  /** @param {readonly string[]} lines */
  write(lines) {
    this.#child.stdin.write(lines.map((line) => `${line}\n`).join(''))
  }

  /**
   * Resolves when it has written so many lines; rejects where it ends before.
   * @param {number} count
   */
  async untilLines(count) {
    while (this.#lines().length < count) {
      if (this.#ending !== undefined) throw this.#failure()
      await this.#change()
    }
  }

  /**
   * Closes its input and gives the lines of its output. Rejects with ProgramFailed where its status isn't 0.
   * @returns {Promise<string[]>}
   */
  async finish() {
    this.#child.stdin.end()
    while (this.#ending === undefined) await this.#change()
    if (this.#child.exitCode !== 0) throw this.#failure()
    return this.#lines()
  }

  #lines() {
    return this.#output.split('\n').slice(0, -1)
  }

  #failure() {
    return new ProgramFailed(this.#command, this.#ending ?? 'goes on', this.#output + this.#errors)
  }

  #end(ending) {
    this.#ending ??= ending
    this.#wake()
  }

  #change() {
    return new Promise((resolve) => this.#watchers.push(() => resolve(undefined)))
  }

  #wake() {
    for (const watcher of this.#watchers.splice(0)) watcher()
  }
}

/**
 * Runs a program to its end and gives the lines of its output.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, cwd?: string, timeoutMs: number }} options
 */
export function runProgram(command, args, options) {
  return new Program(command, args, options).finish()
}
