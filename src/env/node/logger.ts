import { destination, pino } from 'pino'
import type { Logger } from '../env.ts'

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

export interface LoggerOptions {
  /** Lines below this level are dropped. */
  readonly level: LogLevel
  /** Lines for a reader instead of JSON. Default false. */
  readonly pretty?: boolean
}

/** Writes to standard error, so that standard output stays the program's own. */
export function nodeLogger(options: LoggerOptions): Logger {
  const standardError = destination({ dest: 2, sync: true })
  const pinoOptions = {
    level: options.level,
    base: null,
    formatters: { level: (label: string) => ({ level: label }) },
    timestamp: pinoTimestamp,
  }
  if (options.pretty !== true) return pino(pinoOptions, standardError)
  return pino(pinoOptions, { write: (line: string) => standardError.write(`${prettyLine(line)}\n`) })
}

function pinoTimestamp(): string {
  return `,"time":"${new Date().toISOString()}"`
}

/** One JSON line as `12:34:56.789 info  message  key=value …`; a line that is no JSON stays as it is. */
export function prettyLine(line: string): string {
  let fields: Record<string, unknown>
  try {
    fields = JSON.parse(line) as Record<string, unknown>
  } catch {
    return line.trimEnd()
  }
  const { level, time, msg, ...rest } = fields
  const clock = typeof time === 'string' ? time.slice(11, 23) : ''
  const words = Object.entries(rest).map(([name, value]) => `${name}=${prettyValue(value)}`)
  return [clock, String(level).padEnd(5), typeof msg === 'string' ? msg : '', ...words].join(' ').trimEnd()
}

function prettyValue(value: unknown): string {
  if (typeof value === 'string') return /[\s"=]/.test(value) || value === '' ? JSON.stringify(value) : value
  // pino writes an error as an object; its stack is what a reader looks for.
  if (typeof value === 'object' && value !== null && 'stack' in value) return `\n${String(value.stack)}`
  return JSON.stringify(value)
}
