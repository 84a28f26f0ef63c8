import { InvalidArgumentError, Option, type Command } from 'commander'
import type { Bytes, Producer, ProducerRecord } from '../../client/types.ts'
import { LIMITS } from '../../wire/limits.ts'
import type { CliContext } from '../context.ts'
import { CommandFailure, describeError } from '../failure.ts'
import { formatCount } from '../format.ts'
import { stoppable } from '../input.ts'
import { LineTooLongError, splitLines, type Line } from '../lines.ts'
import {
  clientCommand,
  maxPartitionNumber,
  nonEmpty,
  withClient,
  wholeNumber,
  type ClientFlags,
} from '../options.ts'
import { ProduceTally } from '../produce-tally.ts'
import { showProgress } from '../progress.ts'
import { recordFromJsonLine, type ParsedRecord } from '../record-format.ts'

interface ProduceFlags extends ClientFlags {
  readonly keySeparator?: string
  readonly allowMissingKey?: boolean
  readonly partition?: number
  readonly ignorePartition?: boolean
  readonly input?: string
  readonly format: 'lines' | 'ndjson'
}

/** JSON may write a byte as six characters (\u0000), and base64 three as four. */
const maxJsonLineBytes = 8 * LIMITS.maxRecordBytes

const helpText = `
A line is a record: its end, LF or CR LF, doesn't belong to it; the last line counts also without an end; an empty
line is a record with an empty value. With --format ndjson a line is a JSON object with any of key, value, headers,
timestamp and partition, as "consume --output ndjson" writes them.

The command ends when every record is acknowledged: on stable storage on a majority of its replicas. Where one
fails it stops reading, says which line, how many are in, and ends with exit code 1.`

export function registerProduce(program: Command, context: CliContext): void {
  clientCommand(program, 'produce <topic>', 'append the lines of standard input, each as a record')
    .option('--input <file>', 'read this file in place of standard input', nonEmpty)
    .option(
      '--key-separator <sep>',
      'what stands before its first occurrence is the key, what comes after it the value; \\t is a tab',
      parseSeparator,
    )
    .option('--allow-missing-key', 'take a line without the separator as a value without a key')
    .option('--partition <n>', 'append all to this partition', wholeNumber(0, maxPartitionNumber))
    .addOption(
      new Option('--format <format>', 'what a line is').choices(['lines', 'ndjson']).default('lines'),
    )
    .option('--ignore-partition', 'with ndjson: let the key choose the partition, whatever the line says')
    .addHelpText('after', helpText)
    .action((topic: string, flags: ProduceFlags) => produce(context, topic, flags))
}

function parseSeparator(text: string): string {
  if (text === '') throw new InvalidArgumentError('It has to have at least one character.')
  return text === '\\t' ? '\t' : text
}

async function produce(context: CliContext, topic: string, flags: ProduceFlags): Promise<void> {
  const input = flags.input === undefined ? context.stdin : context.openInput(flags.input)
  if (flags.input === undefined && context.stdin.isTTY) {
    context.stderr.write('a line is a record; end with Ctrl-D\n')
  }
  const startMs = context.nowMs()
  const tally = new ProduceTally()
  const fault = await withClient(context, flags, async (client) => {
    const producer = client.producer(flags.timeout === undefined ? {} : { deliveryTimeoutMs: flags.timeout })
    const progress = showProgress(
      context,
      context.stderr,
      () =>
        `${formatCount(tally.acknowledgedCount)} acknowledged, ${formatCount(tally.waitingCount)} on the way`,
    )
    try {
      return await append(context, producer, tally, input, parserFor(topic, flags))
    } finally {
      progress[Symbol.dispose]()
      await producer.close()
    }
  })
  report(context, tally, fault, context.nowMs() - startMs)
}

type Fault =
  | { readonly type: 'line'; readonly line: number; readonly message: string }
  | { readonly type: 'input'; readonly message: string }
  | { readonly type: 'interrupted' }

/** Appends what comes in, no faster than the producer has room, and waits for every acknowledgement. */
async function append(
  context: CliContext,
  producer: Producer,
  tally: ProduceTally,
  input: AsyncIterable<Uint8Array>,
  parser: { readonly limitBytes: number; parse(line: Line): ParsedRecord },
): Promise<Fault | undefined> {
  const stop = new AbortController()
  const source = stoppable(input, AbortSignal.any([stop.signal, context.interrupted]))
  let fault: Fault | undefined
  try {
    for await (const line of splitLines(source, parser.limitBytes)) {
      const parsed = parser.parse(line)
      if (!parsed.ok) {
        fault = { type: 'line', line: line.number, message: `line ${line.number} ${parsed.fault}` }
        break
      }
      await hand(producer, tally, line.number, parsed.record, stop)
      if (stop.signal.aborted || context.interrupted.aborted) break
    }
  } catch (error) {
    fault = inputFault(error)
  }
  const interrupted = context.interrupted.aborted
  if (interrupted && tally.waitingCount > 0) {
    context.stderr.write(
      `waiting for ${formatCount(tally.waitingCount)} acknowledgements; Ctrl-C again gives up\n`,
    )
  }
  await producer.flush()
  return fault ?? (interrupted ? { type: 'interrupted' } : undefined)
}

/** Resolves when the producer has room for the next record, or has failed. */
async function hand(
  producer: Producer,
  tally: ProduceTally,
  line: number,
  record: ProducerRecord,
  stop: AbortController,
): Promise<void> {
  const bytes = byteLength(record.key) + byteLength(record.value)
  tally.sent(line)
  await producer.produce(record, (error, acknowledgement) => {
    if (acknowledgement !== undefined) {
      tally.acknowledged(bytes, acknowledgement.partition)
    } else {
      tally.failed(line, error)
      stop.abort()
    }
  })
}

function byteLength(bytes: Bytes | undefined): number {
  if (bytes === undefined) return 0
  return typeof bytes === 'string' ? Buffer.byteLength(bytes) : bytes.length
}

function inputFault(error: unknown): Fault {
  if (error instanceof LineTooLongError) {
    const limit = formatCount(error.limitBytes)
    const message = `line ${error.lineNumber} is longer than ${limit} bytes, the limit`
    return { type: 'line', line: error.lineNumber, message }
  }
  const message = error instanceof Error ? error.message : String(error)
  return { type: 'input', message: `the input can't be read: ${message}` }
}

function parserFor(topic: string, flags: ProduceFlags) {
  if (flags.format === 'ndjson') {
    return {
      limitBytes: maxJsonLineBytes,
      parse: (line: Line) => place(recordFromJsonLine(line.bytes, topic), flags),
    }
  }
  const separator = flags.keySeparator === undefined ? undefined : Buffer.from(flags.keySeparator)
  return {
    limitBytes: LIMITS.maxRecordBytes,
    parse: (line: Line) =>
      place(recordFromLine(line.bytes, topic, separator, flags.allowMissingKey === true), flags),
  }
}

function place(parsed: ParsedRecord, flags: ProduceFlags): ParsedRecord {
  if (!parsed.ok) return parsed
  if (flags.partition !== undefined) {
    return { ok: true, record: { ...parsed.record, partition: flags.partition } }
  }
  if (flags.ignorePartition !== true) return parsed
  const { partition: _ignored, ...record } = parsed.record
  return { ok: true, record }
}

/** Splits a line at the first separator. */
export function recordFromLine(
  line: Uint8Array,
  topic: string,
  separator: Uint8Array | undefined,
  allowMissingKey: boolean,
): ParsedRecord {
  if (separator === undefined) return { ok: true, record: { topic, value: line } }
  const at = Buffer.from(line.buffer, line.byteOffset, line.byteLength).indexOf(separator)
  if (at !== -1) {
    const record = { topic, key: line.subarray(0, at), value: line.subarray(at + separator.length) }
    return { ok: true, record }
  }
  if (allowMissingKey) return { ok: true, record: { topic, value: line } }
  const shown = JSON.stringify(Buffer.from(separator).toString())
  return { ok: false, fault: `has no separator ${shown}; --allow-missing-key takes such lines without a key` }
}

function report(context: CliContext, tally: ProduceTally, fault: Fault | undefined, elapsedMs: number): void {
  const summary = tally.summary(elapsedMs)
  const failure = tally.firstFailure
  if (failure === undefined && fault === undefined) {
    context.stderr.write(`${summary}\n`)
    return
  }
  const sentences: string[] = []
  if (failure !== undefined) {
    const reason = describeError(failure.error)
    sentences.push(`line ${failure.line} failed: ${reason}`, ...tally.aftermath())
  }
  if (fault !== undefined) sentences.push(...describeFault(fault, failure === undefined))
  throw new CommandFailure(`${sentences.join('\n  ')}\n${summary}`, { cause: failure?.error })
}

function describeFault(fault: Fault, allBeforeAreIn: boolean): string[] {
  switch (fault.type) {
    case 'line': {
      const before = allBeforeAreIn && fault.line > 1 ? `, and all lines before it are` : ''
      return [fault.message, `it is not in, nor is any line after it${before}`]
    }
    case 'input':
      return [fault.message]
    case 'interrupted':
      return ['interrupted: what came after the last acknowledged line was not read']
  }
}
