import { InvalidArgumentError, Option, type Command } from 'commander'
import type { Client, ClientOptions } from '../client/types.ts'
import type { CliContext } from './context.ts'
import { CommandFailure, noNodeAnswers } from './failure.ts'
import { parseDuration } from './times.ts'

export const defaultBootstrap = '127.0.0.1:7101'

export const outputFormats = ['table', 'json', 'ndjson'] as const
export type OutputFormat = (typeof outputFormats)[number]

/** Far above any limit on partitions: what is above it is a typing error. */
export const maxPartitionNumber = 1_000_000

/** What every command that talks to a cluster takes. */
export interface ClientFlags {
  readonly bootstrap?: string
  /** Milliseconds. */
  readonly timeout?: number
}

export interface OutputFlags {
  readonly output: OutputFormat
}

/** A command with the flag that all have. */
export function leafCommand(parent: Command, usage: string, summary: string): Command {
  return parent
    .command(usage)
    .description(summary)
    .option('--verbose', 'show the stack of an error and what caused it')
}

export function clientCommand(parent: Command, usage: string, summary: string): Command {
  return leafCommand(parent, usage, summary)
    .option(
      '--bootstrap <HOST:PORT,...>',
      `nodes to ask first (or FLOTILLA_BOOTSTRAP; default ${defaultBootstrap})`,
      parseBootstrap,
    )
    .option('--timeout <duration>', 'the total time for a call, as 500ms or 30s', parseTimeout)
}

export function withOutput(command: Command): Command {
  return command.addOption(
    new Option('-o, --output <format>', 'how to print').choices(outputFormats).default('table'),
  )
}

/** Where the client starts: flag, environment, default. */
export function bootstrapOf(
  context: Pick<CliContext, 'env'>,
  flags: { readonly bootstrap?: string },
): string {
  const fromEnvironment = context.env['FLOTILLA_BOOTSTRAP']
  return flags.bootstrap ?? (fromEnvironment ? fromEnvironment : defaultBootstrap)
}

/** Connects, runs, and closes whatever happens. */
export async function withClient<T>(
  context: CliContext,
  flags: ClientFlags,
  run: (client: Client) => Promise<T>,
): Promise<T> {
  const bootstrap = bootstrapOf(context, flags)
  await awaitAnyListener(context, bootstrap)
  const options: ClientOptions = {
    bootstrap,
    ...(flags.timeout !== undefined && { timeoutMs: flags.timeout }),
  }
  const client = await context.connect(options)
  try {
    return await run(client)
  } finally {
    await client.close()
  }
}

const listenerPatienceMs = 2000
const listenerPollMs = 200

/**
 * A client retries for as long as its calls may take, which is right for a node that is being restarted, and leaves a
 * person who has started none without a word for half a minute. So where all addresses refuse, this fails soon.
 */
async function awaitAnyListener(context: CliContext, bootstrap: string): Promise<void> {
  const deadlineMs = context.nowMs() + listenerPatienceMs
  for (;;) {
    const refusals = await Promise.all(
      bootstrap.split(',').map((address) => context.refusesConnections(address)),
    )
    if (!refusals.every(Boolean) || context.interrupted.aborted) return
    if (context.nowMs() >= deadlineMs) throw new CommandFailure(noNodeAnswers(bootstrap))
    await context.sleep(listenerPollMs, context.interrupted)
  }
}

/** A parser for whole numbers from `min` to `max`. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    throw new InvalidArgumentError(
      max === Number.MAX_SAFE_INTEGER
        ? `It has to be a whole number, ${min} or more.`
        : `It has to be a whole number from ${min} to ${max}.`,
    )
  }
}

export function nonEmpty(text: string): string {
  if (text === '') throw new InvalidArgumentError('It has to have at least one character.')
  return text
}

/** What is wrong with HOST:PORT; undefined where nothing is. `lowestPort` 0 allows "a free one". */
export function addressFault(address: string, lowestPort: 0 | 1): string | undefined {
  const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(address)
  if (match === null) return 'an address is HOST:PORT, as 127.0.0.1:7101 or [::1]:7101'
  const port = Number(match[2])
  return port < lowestPort || port > 65_535 ? `a port is ${lowestPort} to 65535` : undefined
}

function parseBootstrap(text: string): string {
  for (const address of text.split(',')) {
    const fault = addressFault(address.trim(), 1)
    if (fault !== undefined) throw new InvalidArgumentError(`${JSON.stringify(address)}: ${fault}.`)
  }
  return text
    .split(',')
    .map((address) => address.trim())
    .join(',')
}

export function parseTimeout(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined || ms <= 0 || ms > 86_400_000) {
    throw new InvalidArgumentError('It has to be a time up to a day, as 500ms, 30s or 5m.')
  }
  return ms
}
