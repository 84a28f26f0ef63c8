import type { CliContext } from '../context.ts'
import { CommandFailure } from '../failure.ts'
import { cut, formatBytes, formatCount, plural } from '../format.ts'
import { LineTooLongError, splitLines, type Line } from '../lines.ts'
import { decodeUtf8 } from '../record-format.ts'

/** What the show appends. */
export interface DemoEvent {
  readonly key: string
  readonly value: string
  readonly timestamp?: Date
}

export interface DemoInput {
  readonly events: readonly DemoEvent[]
  /** What it is, in a sentence. */
  readonly description: string
}

// The show keeps its input in memory, to compare with it what it reads back.
const maxEvents = 100_000
const maxTotalBytes = 64 * 1024 * 1024
const maxLineBytes = 512 * 1024

const unitSeparator = '\u001f'
const gitFormat = ['%H', '%an', '%cI', '%s'].join('%x1f')

/** Each commit of the history in the working directory, the oldest first, keyed by author. */
export async function readGitHistory(context: CliContext): Promise<DemoInput> {
  const collected = new Collected()
  let shallow = false
  try {
    shallow = (await readAll(context.runProgram('git', ['rev-parse', '--is-shallow-repository']))) === 'true'
    const log = context.runProgram('git', ['log', '--reverse', '--no-color', `--format=${gitFormat}`])
    for await (const line of splitLines(log, maxLineBytes)) {
      if (!collected.add(commitEvent(Buffer.from(line.bytes).toString()))) break
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message.trim() : String(error)
    throw noHistory(reason, error)
  }
  if (collected.events.length === 0) throw noHistory('it has no commits', undefined)
  const authors = new Set(collected.events.map(({ key }) => key)).size
  const description =
    `the git history of this folder, ${plural(collected.events.length, 'commit')} by ${plural(authors, 'author')}` +
    (shallow ? ' (a shallow clone: older commits are not here)' : '') +
    collected.cutOff
  return { events: collected.events, description }
}

function noHistory(reason: string, cause: unknown): CommandFailure {
  return new CommandFailure(
    `there is no git history to stream here: ${reason}\n` +
      '  Run it in a git checkout, or give it events of your own: --input FILE (lines, or NDJSON).',
    { cause },
  )
}

/** An event from a line of `git log` in the format above. */
export function commitEvent(line: string): DemoEvent {
  const [hash = '', author = '', date = '', ...subject] = line.split(unitSeparator)
  const time = new Date(date)
  const value = JSON.stringify({ hash, author, date, subject: subject.join(' ') })
  return {
    key: author.trim() === '' ? '(no name)' : author,
    value,
    ...(!Number.isNaN(time.getTime()) && { timestamp: time }),
  }
}

/** Each line of a file: NDJSON keyed by a field where the first line is a JSON object, else keyed by its first word. */
export async function readEventsFile(
  context: CliContext,
  path: string,
  keyField: string,
): Promise<DemoInput> {
  const collected = new Collected()
  let toEvent: ((line: Line) => DemoEvent) | undefined
  try {
    for await (const line of splitLines(context.openInput(path), maxLineBytes)) {
      if (line.bytes.length === 0) continue
      toEvent ??= isJsonObject(line) ? (next) => jsonEvent(next, keyField) : wordEvent
      if (!collected.add(toEvent(line))) break
    }
  } catch (error) {
    if (error instanceof CommandFailure) throw error
    if (error instanceof LineTooLongError) {
      throw new CommandFailure(
        `${path}: line ${error.lineNumber} is longer than ${formatBytes(maxLineBytes)}, the limit of the show`,
      )
    }
    const reason = error instanceof Error ? error.message : String(error)
    throw new CommandFailure(`${path} can't be read: ${reason}`, { cause: error })
  }
  if (collected.events.length === 0) throw new CommandFailure(`${path} has no line that isn't empty`)
  const keys = new Set(collected.events.map(({ key }) => key)).size
  const keyed = toEvent === wordEvent ? 'first words' : `values of the field ${keyField}`
  const description = `${path}, ${plural(collected.events.length, 'line')}, keyed by ${formatCount(keys)} ${keyed}`
  return { events: collected.events, description: description + collected.cutOff }
}

function isJsonObject(line: Line): boolean {
  return typeof parseObject(line) === 'object'
}

function parseObject(line: Line): Record<string, unknown> | undefined {
  try {
    const json: unknown = JSON.parse(Buffer.from(line.bytes).toString())
    return typeof json === 'object' && json !== null && !Array.isArray(json)
      ? (json as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

function jsonEvent(line: Line, keyField: string): DemoEvent {
  const json = parseObject(line)
  if (json === undefined) {
    throw new CommandFailure(`line ${line.number} is no JSON object, though the first line is one`)
  }
  const key = Object.hasOwn(json, keyField) ? json[keyField] : undefined
  if (typeof key !== 'string' && typeof key !== 'number') {
    throw new CommandFailure(
      `line ${line.number} has no text or number in the field ${JSON.stringify(keyField)}; --key-field names another`,
    )
  }
  return { key: cut(String(key), maxKeyLength), value: textOf(line) }
}

const maxKeyLength = 200

function wordEvent(line: Line): DemoEvent {
  const value = textOf(line)
  const [word = ''] = value.trimStart().split(/\s/, 1)
  return { key: cut(word, maxKeyLength), value }
}

function textOf(line: Line): string {
  const text = decodeUtf8(line.bytes)
  if (text === undefined) throw new CommandFailure(`line ${line.number} is no UTF-8; the show takes text`)
  return text
}

async function readAll(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return Buffer.concat(parts).toString().trim()
}

/** Events up to the bounds of the show. */
class Collected {
  readonly events: DemoEvent[] = []
  cutOff = ''
  #bytes = 0

  /** False: it was one too many, and isn't kept. */
  add(event: DemoEvent): boolean {
    this.#bytes += event.key.length + event.value.length
    if (this.events.length < maxEvents && this.#bytes <= maxTotalBytes) {
      this.events.push(event)
      return true
    }
    this.cutOff = ` (the first of more: the show takes ${formatCount(maxEvents)} events and ${formatBytes(maxTotalBytes)} at most)`
    return false
  }
}
