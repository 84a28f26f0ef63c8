import { Option, type Command } from 'commander'
import type {
  ConsumedBatch,
  ConsumedRecord,
  ConsumeOptions,
  GroupConsumer,
  PartitionName,
  Reader,
  ReaderOptions,
} from '../../client/types.ts'
import type { CliContext, Output } from '../context.ts'
import { CommandFailure, wrongUse } from '../failure.ts'
import { cut, paint, printable } from '../format.ts'
import {
  clientCommand,
  maxPartitionNumber,
  nonEmpty,
  withClient,
  withOutput,
  wholeNumber,
  type ClientFlags,
  type OutputFlags,
  type OutputFormat,
} from '../options.ts'
import { bytesToCell, recordToJson } from '../record-format.ts'
import { parseReadFrom } from '../times.ts'

interface ConsumeFlags extends ClientFlags, OutputFlags {
  readonly partition?: number
  readonly from: string
  readonly untilEnd?: boolean
  readonly max?: number
  readonly node?: string
  readonly group?: string
  readonly memberId?: string
  readonly commit: 'auto' | 'manual'
}

export function registerConsume(program: Command, context: CliContext): void {
  withOutput(clientCommand(program, 'consume <topic>', 'print the records of a topic'))
    .option('--partition <n>', 'of this partition alone', wholeNumber(0, maxPartitionNumber))
    .option(
      '--from <where>',
      'beginning, end, an offset, a time (2024-05-01T12:00Z), or how long ago (-2h, -1d12h)',
      'beginning',
    )
    .option('--until-end', 'stop at the end as it is now, in place of waiting for more')
    .option('--max <n>', 'stop after so many records', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--node <id>', "read from this node's replicas alone", nonEmpty)
    .option(
      '--group <name>',
      'as a member of this consumer group: go on where it is, share the topic with its other members',
      nonEmpty,
    )
    .option(
      '--member-id <id>',
      'as a static member, which comes back within its lease (with --group)',
      nonEmpty,
    )
    .addOption(
      new Option(
        '--commit <how>',
        'auto, or manual to leave the place of the group where it is (with --group)',
      )
        .choices(['auto', 'manual'])
        .default('auto'),
    )
    .action((topic: string, flags: ConsumeFlags) => consume(context, topic, flags))
}

async function consume(context: CliContext, topic: string, flags: ConsumeFlags): Promise<void> {
  if (flags.group !== undefined) return consumeInGroup(context, flags.group, topic, flags)
  if (flags.memberId !== undefined)
    throw wrongUse("error: option '--member-id <id>' goes with '--group <name>'")
  const from = parseReadFrom(flags.from, context.wallMs())
  if (from === undefined) {
    throw wrongUse(
      `error: option '--from <where>' argument '${flags.from}' is invalid. It is beginning, end, an offset, ` +
        'an ISO 8601 time (2024-05-01, 2024-05-01T12:00Z), or how long ago (-30s, -2h, -1d12h).',
    )
  }
  const options: ReaderOptions = {
    topic,
    from,
    signal: context.interrupted,
    ...(flags.partition !== undefined && { partitions: [flags.partition] }),
    ...(flags.untilEnd === true && { untilEnd: true }),
    ...(flags.max !== undefined && { maxRecords: flags.max }),
    ...(flags.node !== undefined && { nodeId: flags.node }),
  }
  await withClient(context, flags, async (client) => {
    const reader = client.reader(options)
    try {
      await print(context, reader, recordPrinter(context.stdout, flags.output))
    } finally {
      await reader.close()
    }
  })
  // Without an end of its own the interruption is how it ends; with one, something is missing.
  const hasEnd = flags.untilEnd === true || flags.max !== undefined
  if (hasEnd && context.interrupted.aborted && !context.stdout.closed) {
    throw new CommandFailure('interrupted before the end')
  }
}

async function print(context: CliContext, reader: Reader, printer: RecordPrinter): Promise<void> {
  const { stdout, interrupted } = context
  // The head waits for the first records, so that nothing is written where there is only an error.
  let { head } = printer
  try {
    for await (const batch of reader.batches()) {
      if (interrupted.aborted) break
      const hasRoom = stdout.write(head + printer.batch(batch))
      head = ''
      if (!hasRoom) await stdout.drained()
    }
  } catch (error) {
    if (!interrupted.aborted) throw error
  }
  stdout.write(head + printer.tail)
}

async function consumeInGroup(
  context: CliContext,
  group: string,
  topic: string,
  flags: ConsumeFlags,
): Promise<void> {
  const { from, partition, memberId, commit } = flags
  if (from !== 'beginning' && from !== 'end') {
    throw wrongUse(
      `error: option '--from <where>' argument '${from}' is invalid with --group. It is beginning or end, and counts ` +
        'where the group has committed nothing; to go elsewhere: flotilla group reset',
    )
  }
  for (const name of ['node', 'untilEnd'] as const) {
    if (flags[name] !== undefined) {
      throw wrongUse(
        `error: option '${name === 'node' ? '--node' : '--until-end'}' can't be used with '--group <name>'`,
      )
    }
  }
  const options: ConsumeOptions = {
    group,
    ...(partition === undefined ? { topics: [topic] } : { partitions: [{ topic, partition }] }),
    from,
    commit,
    signal: context.interrupted,
    ...(memberId !== undefined && { memberId }),
  }
  await withClient(context, flags, async (client) => {
    await using consumer = client.consume(options)
    narrate(context, consumer)
    await printOwned(context, consumer, recordPrinter(context.stdout, flags.output), flags)
  })
  if (flags.max !== undefined && context.interrupted.aborted && !context.stdout.closed) {
    throw new CommandFailure('interrupted before the end')
  }
}

/** On standard error, so that it doesn't stand between the records. */
function narrate({ stderr }: CliContext, consumer: GroupConsumer): void {
  const names = (partitions: readonly PartitionName[]): string =>
    partitions.map(({ topic, partition }) => `${topic}/${partition}`).join(', ')
  consumer.on('assigned', (partitions) => void stderr.write(`assigned: ${names(partitions)}\n`))
  consumer.on('revoked', (partitions) => void stderr.write(`revoked: ${names(partitions)}\n`))
  consumer.on(
    'lost',
    (partitions, error) => void stderr.write(`lost: ${names(partitions)} (${error.message})\n`),
  )
}

/** A record counts as handled when standard output has taken it. */
async function printOwned(
  { stdout, interrupted }: CliContext,
  consumer: GroupConsumer,
  printer: RecordPrinter,
  { max = Infinity, commit }: ConsumeFlags,
): Promise<void> {
  let { head } = printer
  let left = max
  try {
    for await (const batch of consumer.batches()) {
      const records = batch.records.slice(0, left)
      const hasRoom = stdout.write(head + printer.batch({ records }))
      head = ''
      if (!hasRoom) await stdout.drained()
      if (stdout.closed) break
      left -= records.length
      if (left > 0) continue
      const { topic, partition, offset } = records.at(-1)!
      if (commit === 'auto') await consumer.commit([{ topic, partition, offset: offset + 1 }])
      break
    }
  } catch (error) {
    if (!interrupted.aborted) throw error
  }
  stdout.write(head + printer.tail)
}

/** Turns records into text as they come; keeps nothing of them. */
export interface RecordPrinter {
  readonly head: string
  readonly tail: string
  batch(batch: Pick<ConsumedBatch, 'records'>): string
}

export function recordPrinter(output: Output, format: OutputFormat): RecordPrinter {
  switch (format) {
    case 'table':
      return tablePrinter(output)
    case 'json':
      return jsonPrinter()
    case 'ndjson':
      return {
        head: '',
        tail: '',
        batch: ({ records }) => records.map((record) => `${JSON.stringify(recordToJson(record))}\n`).join(''),
      }
  }
}

/** One array, written as it grows. */
function jsonPrinter(): RecordPrinter {
  let separator = '\n'
  return {
    head: '[',
    tail: '\n]\n',
    batch: ({ records }) => {
      let text = ''
      for (const record of records) {
        text += `${separator}${JSON.stringify(recordToJson(record))}`
        separator = ',\n'
      }
      return text
    },
  }
}

const widestKey = 40

/** Columns of a fixed width, but for the key's, which grows with the keys seen so far up to a bound. */
function tablePrinter(output: Output): RecordPrinter {
  let keyWidth = 12
  const line = (cells: readonly [string, string, string, string, string]): string => {
    const [partition, offset, time, key, value] = cells
    return `${partition.padStart(9)}  ${offset.padStart(10)}  ${time.padEnd(24)}  ${key.padEnd(keyWidth)}  ${value}`
  }
  const row = (record: ConsumedRecord): string => {
    const key = cut(printable(bytesToCell(record.key)), widestKey)
    keyWidth = Math.max(keyWidth, key.length)
    const headers = record.headers.map(
      ({ name, value }) => `${printable(name)}=${printable(bytesToCell(value))}`,
    )
    const value = [printable(bytesToCell(record.value)), ...headers].join('  ')
    const text = line([
      String(record.partition),
      String(record.offset),
      record.timestamp.toISOString(),
      key,
      value,
    ])
    return `${cut(text, output.columns)}\n`
  }
  return {
    head: `${paint(output, 'bold', line(['PARTITION', 'OFFSET', 'TIME', 'KEY', 'VALUE']))}\n`,
    tail: '',
    batch: ({ records }) => records.map(row).join(''),
  }
}
