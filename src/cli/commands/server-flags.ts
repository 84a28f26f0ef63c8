import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import { CommandFailure, exitCodes } from '../failure.ts'
import {
  describeFaults,
  resolveServerConfig,
  type Provenance,
  type ServerFlags,
  type Settings,
} from '../server-config.ts'

interface RawFlags {
  readonly id?: string
  readonly listen?: string
  readonly data?: string
  readonly cluster?: string
  readonly join?: string
  readonly clusterName?: string
  readonly host?: string
  readonly logLevel?: string
  readonly limit?: readonly string[]
  readonly config?: string
}

/** The flags that name a node's settings. They are checked together with environment and file, not one by one. */
export function withServerFlags(command: Command): Command {
  return command
    .option('--id <name>', "the node's id, unique in the cluster")
    .option('--listen <HOST:PORT>', "where it listens (default: the node's address in --cluster)")
    .option('--data <dir>', "the node's own data folder (default data/ID)")
    .option(
      '--cluster <ID=HOST:PORT,...>',
      'all nodes that the cluster starts with (default: the node alone)',
    )
    .option(
      '--join <HOST:PORT,...>',
      'in place of --cluster: nodes of a cluster that is there, which takes this one in',
    )
    .option('--cluster-name <name>', 'keeps clusters apart (default flotilla)')
    .option('--host <label>', 'replicas of a partition are kept on different hosts (default: the id)')
    .option('--log-level <level>', 'debug, info, warn, error or silent (default info)')
    .option(
      '--limit <NAME=VALUE>',
      'a limit or a time, as max-inflight-per-connection=32MiB; repeatable',
      collect,
    )
    .option('--config <file>', 'a TOML file with the same names as keys')
    .addHelpText(
      'after',
      '\nA flag goes before its environment variable (FLOTILLA_ID, FLOTILLA_CLUSTER_NAME, …), that before the file.',
    )
}

function collect(item: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), item]
}

/** Reads and checks; ends the command with the list of all faults where there are any. */
export async function readSettings(
  context: CliContext,
  flags: object,
): Promise<{ readonly config: Settings; readonly provenance: Provenance }> {
  const raw = flags as RawFlags
  const path = raw.config ?? context.env['FLOTILLA_CONFIG']
  const file = path ? { filePath: path, fileText: await readConfigFile(context, path) } : {}
  const resolution = resolveServerConfig({ flags: settingFlags(raw), env: context.env, ...file })
  if (resolution.ok) return resolution
  throw new CommandFailure(describeFaults(resolution.faults), { exitCode: exitCodes.wrongUse })
}

async function readConfigFile(context: CliContext, path: string): Promise<string> {
  try {
    return await context.readText(path)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new CommandFailure(`the settings in ${path} can't be read: ${reason}`, {
      exitCode: exitCodes.wrongUse,
      cause: error,
    })
  }
}

function settingFlags(raw: RawFlags): ServerFlags {
  return {
    ...(raw.id !== undefined && { id: raw.id }),
    ...(raw.listen !== undefined && { listen: raw.listen }),
    ...(raw.data !== undefined && { data: raw.data }),
    ...(raw.cluster !== undefined && { cluster: raw.cluster }),
    ...(raw.join !== undefined && { join: raw.join }),
    ...(raw.clusterName !== undefined && { 'cluster-name': raw.clusterName }),
    ...(raw.host !== undefined && { host: raw.host }),
    ...(raw.logLevel !== undefined && { 'log-level': raw.logLevel }),
    ...(raw.limit !== undefined && { limits: raw.limit }),
  }
}
