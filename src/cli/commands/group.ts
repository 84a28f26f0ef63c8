import { InvalidArgumentError, type Command } from 'commander'
import type { CliContext } from '../context.ts'
import { wrongUse } from '../failure.ts'
import { groupJson, groupRows, groupsTable, groupTable, resetJson, resetTable } from '../group-views.ts'
import {
  clientCommand,
  maxPartitionNumber,
  nonEmpty,
  withClient,
  withOutput,
  type ClientFlags,
  type OutputFlags,
} from '../options.ts'
import { printAnswer } from '../print.ts'
import { parseReadFrom } from '../times.ts'

interface ResetFlags extends ClientFlags, OutputFlags {
  readonly topic: string
  readonly to: string
  readonly partition?: readonly number[]
  readonly dryRun?: boolean
  readonly force?: boolean
}

export function registerGroup(program: Command, context: CliContext): void {
  const group = program.command('group').description('list, describe, delete and reset consumer groups')

  withOutput(clientCommand(group, 'list', 'list all groups')).action((flags: ClientFlags & OutputFlags) =>
    list(context, flags),
  )

  withOutput(
    clientCommand(group, 'describe <name>', 'show members, what each owns, what is committed, ends and lag'),
  ).action((name: string, flags: ClientFlags & OutputFlags) => describe(context, name, flags))

  clientCommand(group, 'delete <name>', 'forget a group without members, and its offsets').action(
    async (name: string, flags: ClientFlags) => {
      await withClient(context, flags, (client) =>
        client.groups.delete(name, { signal: context.interrupted }),
      )
      context.stderr.write(`deleted ${name}\n`)
    },
  )

  withOutput(clientCommand(group, 'reset <name>', 'set where a group goes on in a topic'))
    .requiredOption('--topic <topic>', 'of this topic', nonEmpty)
    .requiredOption(
      '--to <where>',
      'beginning, end, an offset, a time (2024-05-01T12:00Z), or how long ago (-2h, -1d12h)',
    )
    .option('--partition <n,...>', 'these partitions alone (default: all)', parsePartitions)
    .option('--dry-run', 'show what would be set, and set nothing')
    .option('--force', 'also while the group has members, who then go on from the new place')
    .action((name: string, flags: ResetFlags) => reset(context, name, flags))
}

async function list(context: CliContext, flags: ClientFlags & OutputFlags): Promise<void> {
  const groups = await withClient(context, flags, (client) =>
    client.groups.list({ signal: context.interrupted }),
  )
  if (groups.length === 0 && flags.output === 'table') {
    context.stderr.write(
      'there are no groups; the first member makes one: flotilla consume TOPIC --group NAME\n',
    )
    return
  }
  printAnswer(context, flags.output, {
    table: (output) => groupsTable(output, groups),
    json: () => groups,
    rows: () => groups,
  })
}

async function describe(context: CliContext, name: string, flags: ClientFlags & OutputFlags): Promise<void> {
  const group = await withClient(context, flags, (client) =>
    client.groups.describe(name, { signal: context.interrupted }),
  )
  printAnswer(context, flags.output, {
    table: (output) => groupTable(output, group, context.wallMs()),
    json: () => groupJson(group),
    rows: () => groupRows(group),
  })
}

async function reset(context: CliContext, name: string, flags: ResetFlags): Promise<void> {
  const to = parseReadFrom(flags.to, context.wallMs())
  if (to === undefined) {
    throw wrongUse(
      `error: option '--to <where>' argument '${flags.to}' is invalid. It is beginning, end, an offset, ` +
        'an ISO 8601 time (2024-05-01, 2024-05-01T12:00Z), or how long ago (-30s, -2h, -1d12h).',
    )
  }
  const offsets = await withClient(context, flags, (client) =>
    client.groups.reset(name, {
      topic: flags.topic,
      to,
      signal: context.interrupted,
      ...(flags.partition !== undefined && { partitions: flags.partition }),
      ...(flags.dryRun === true && { dryRun: true }),
      ...(flags.force === true && { force: true }),
    }),
  )
  printAnswer(context, flags.output, {
    table: (output) => resetTable(output, offsets),
    json: () => offsets.map(resetJson),
    rows: () => offsets.map(resetJson),
  })
  if (flags.dryRun === true) context.stderr.write('nothing was set: this was a dry run\n')
}

function parsePartitions(text: string): number[] {
  return text.split(',').map((part) => {
    const partition = /^\d+$/.test(part.trim()) ? Number(part) : Number.NaN
    if (partition <= maxPartitionNumber) return partition
    throw new InvalidArgumentError('It has to be whole numbers, as 0,3.')
  })
}
