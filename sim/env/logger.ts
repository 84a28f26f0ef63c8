import type { Logger } from '../../src/env/index.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export interface LogLine {
  readonly level: LogLevel
  readonly message: string
  /** Those of the line and of the loggers that it comes from. */
  readonly fields: Readonly<Record<string, unknown>>
}

/** Hands every line to one listener. */
export class SimLogger implements Logger {
  readonly #onLine: (line: LogLine) => void
  readonly #fields: Readonly<Record<string, unknown>>

  constructor(onLine: (line: LogLine) => void, fields: object = {}) {
    this.#onLine = onLine
    this.#fields = fields as Record<string, unknown>
  }

  debug(fields: object, message: string): void {
    this.#tell('debug', fields, message)
  }
  info(fields: object, message: string): void {
    this.#tell('info', fields, message)
  }
  warn(fields: object, message: string): void {
    this.#tell('warn', fields, message)
  }
  error(fields: object, message: string): void {
    this.#tell('error', fields, message)
  }
  child(fields: object): Logger {
    return new SimLogger(this.#onLine, { ...this.#fields, ...fields })
  }

  #tell(level: LogLevel, fields: object, message: string): void {
    this.#onLine({ level, message, fields: { ...this.#fields, ...fields } })
  }
}
