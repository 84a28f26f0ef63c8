import { Option, type Command } from 'commander'
import type { CliContext } from '../context.ts'
import { plural } from '../format.ts'
import {
  clientCommand,
  withClient,
  withOutput,
  wholeNumber,
  type ClientFlags,
  type OutputFlags,
} from '../options.ts'
import { printAnswer } from '../print.ts'
import { survival, topicJson, topicsTable, topicTable } from '../views.ts'

interface CreateFlags extends ClientFlags {
  readonly partitions?: number
  readonly replication?: number
  readonly partitioner?: 'hash-range' | 'modulo'
  readonly force?: boolean
  readonly validateOnly?: boolean
}

export function registerTopic(program: Command, context: CliContext): void {
  const topic = program.command('topic').description('create, list, describe and delete topics')

  clientCommand(topic, 'create <name>', 'create a topic')
    .option('--partitions <n>', 'how many partitions (default 3)', wholeNumber(1, 1024))
    .option(
      '--replication <n>',
      'replicas of each partition, an odd number (default 3, or 1 where there are fewer than 3 nodes)',
      wholeNumber(1, 249),
    )
    .addOption(
      new Option('--partitioner <name>', 'how a key finds its partition (default hash-range)').choices([
        'hash-range',
        'modulo',
      ]),
    )
    .option('--force', 'allow an even number of replicas')
    .option('--validate-only', 'check, but create nothing')
    .action((name: string, flags: CreateFlags) => create(context, name, flags))

  withOutput(clientCommand(topic, 'list', 'list all topics')).action((flags: ClientFlags & OutputFlags) =>
    list(context, flags),
  )

  withOutput(
    clientCommand(topic, 'describe <name>', 'show partitions, leaders and replicas of a topic'),
  ).action((name: string, flags: ClientFlags & OutputFlags) => describe(context, name, flags))

  clientCommand(topic, 'delete <name>', 'delete a topic and all its records').action(
    (name: string, flags: ClientFlags) => remove(context, name, flags),
  )
}

async function create(context: CliContext, name: string, flags: CreateFlags): Promise<void> {
  const topic = await withClient(context, flags, (client) =>
    client.topics.create(name, {
      signal: context.interrupted,
      ...(flags.partitions !== undefined && { partitions: flags.partitions }),
      ...(flags.replication !== undefined && { replicationFactor: flags.replication }),
      ...(flags.partitioner !== undefined && { partitioner: flags.partitioner }),
      ...(flags.force === true && { force: true }),
      ...(flags.validateOnly === true && { validateOnly: true }),
    }),
  )
  const shape = `${plural(topic.partitions.length, 'partition')}, ${plural(topic.replicationFactor, 'replica')} each, ${survival(topic)}`
  context.stderr.write(
    flags.validateOnly === true
      ? `${name} could be created: ${shape}\n`
      : `created ${topic.name}: ${shape}\n`,
  )
}

async function list(context: CliContext, flags: ClientFlags & OutputFlags): Promise<void> {
  const topics = await withClient(context, flags, (client) =>
    client.topics.list({ signal: context.interrupted }),
  )
  if (topics.length === 0 && flags.output === 'table') {
    context.stderr.write('there are no topics; create one with "flotilla topic create NAME"\n')
    return
  }
  printAnswer(context, flags.output, {
    table: (output) => topicsTable(output, topics),
    json: () => topics.map(topicJson),
    rows: () => topics.map(topicJson),
  })
}

async function describe(context: CliContext, name: string, flags: ClientFlags & OutputFlags): Promise<void> {
  const topic = await withClient(context, flags, (client) =>
    client.topics.describe(name, { signal: context.interrupted }),
  )
  printAnswer(context, flags.output, {
    table: (output) => topicTable(output, topic),
    json: () => topicJson(topic),
    rows: () => topicJson(topic).partitions.map((partition) => ({ topic: topic.name, ...partition })),
  })
}

async function remove(context: CliContext, name: string, flags: ClientFlags): Promise<void> {
  await withClient(context, flags, (client) => client.topics.delete(name, { signal: context.interrupted }))
  context.stderr.write(`deleted ${name}\n`)
}
