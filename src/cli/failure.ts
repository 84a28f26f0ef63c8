import { ERROR_REASONS, FlotillaError } from '../wire/errors.ts'

export const exitCodes = { done: 0, failed: 1, wrongUse: 2 } as const

/** Ends a command with this text on standard error and this exit code; it has no stack to show. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure'
  readonly exitCode: number
  constructor(message: string, options: { readonly exitCode?: number; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.exitCode = options.exitCode ?? exitCodes.failed
  }
}

/** The command line asks for something that can't be. */
export function wrongUse(message: string): CommandFailure {
  return new CommandFailure(message, { exitCode: exitCodes.wrongUse })
}

/** What a person sees of an error: what happened, then the way out. */
export function describeError(error: unknown): string {
  if (error instanceof CommandFailure) return error.message
  if (error instanceof FlotillaError) {
    const { wayOut } = ERROR_REASONS[error.reason]
    return `${error.message} (${error.reason})\n  ${wayOut}`
  }
  if (error instanceof Error) return error.message === '' ? error.name : error.message
  return String(error)
}

/** The error with its stack and all its causes, for --verbose. */
export function describeAtLength(error: unknown): string {
  const parts: string[] = []
  for (const link of causes(error)) {
    parts.push(link instanceof Error ? (link.stack ?? `${link.name}: ${link.message}`) : String(link))
  }
  return parts.join('\ncaused by: ')
}

export function noNodeAnswers(bootstrap: string): string {
  const [first = bootstrap] = bootstrap.split(',')
  const where = bootstrap.includes(',') ? `any of ${bootstrap}` : first
  return (
    `no node answers at ${where}: the connection was refused\n` +
    '  Start a cluster with "flotilla dev" (or a node with "flotilla server"), or name a node that runs with --bootstrap HOST:PORT.'
  )
}

function causes(error: unknown): unknown[] {
  const links: unknown[] = []
  for (let link = error; link !== undefined && links.length < 10;) {
    links.push(link)
    link = link instanceof Error ? link.cause : undefined
  }
  return links
}
