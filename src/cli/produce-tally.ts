import { FlotillaError } from '../wire/errors.ts'
import { formatBytes, formatCount, formatDuration, plural } from './format.ts'

/** Counts what became of each line, so that the end can say exactly what is in and what isn't. */
export class ProduceTally {
  /** Of the last line that was handed to the producer; every line up to it was. */
  #lastSentLine = 0
  #acknowledged = 0
  #acknowledgedBytes = 0
  #surelyNotAppended = 0
  #maybeAppended = 0
  readonly #partitions = new Set<number>()
  #firstFailure: { readonly line: number; readonly error: unknown } | undefined

  get acknowledgedCount(): number {
    return this.#acknowledged
  }

  get waitingCount(): number {
    return this.#lastSentLine - this.#acknowledged - this.#surelyNotAppended - this.#maybeAppended
  }

  get firstFailure(): { readonly line: number; readonly error: unknown } | undefined {
    return this.#firstFailure
  }

  sent(line: number): void {
    this.#lastSentLine = line
  }

  acknowledged(bytes: number, partition: number): void {
    this.#acknowledged++
    this.#acknowledgedBytes += bytes
    this.#partitions.add(partition)
  }

  failed(line: number, error: unknown): void {
    if (mayBeAppended(error)) this.#maybeAppended++
    else this.#surelyNotAppended++
    if (this.#firstFailure === undefined || line < this.#firstFailure.line) {
      this.#firstFailure = { line, error }
    }
  }

  /** "1,234 records (56 KiB) acknowledged over 3 partitions in 1.2 s". */
  summary(elapsedMs: number): string {
    const partitions =
      this.#partitions.size === 0 ? '' : ` over ${plural(this.#partitions.size, 'partition')}`
    return (
      `${plural(this.#acknowledged, 'record')} (${formatBytes(this.#acknowledgedBytes)}) acknowledged` +
      `${partitions} in ${formatDuration(elapsedMs)}`
    )
  }

  /** What is in after a failure, for the lines that were sent. Says nothing where none failed. */
  aftermath(): string[] {
    const failure = this.#firstFailure
    if (failure === undefined) return []
    const sentences: string[] = []
    // Every line before the first that failed was acknowledged, so what is left over came after it.
    const before = failure.line - 1
    if (before > 0) sentences.push(`all lines before it (${formatCount(before)}) are in`)
    const mayBe = mayBeAppended(failure.error)
    sentences.push(
      mayBe ? `line ${failure.line} itself may be in or may yet go in` : `line ${failure.line} is not in`,
    )
    const after = [
      describeCount(this.#acknowledged - before, 'acknowledged'),
      describeCount(this.#maybeAppended - (mayBe ? 1 : 0), 'perhaps in'),
      describeCount(this.#surelyNotAppended - (mayBe ? 0 : 1), 'not in'),
    ].filter((part) => part !== '')
    const sentAfter = this.#lastSentLine - failure.line
    sentences.push(
      sentAfter > 0
        ? `of the ${sentAfter === 1 ? 'one line' : plural(sentAfter, 'line')} sent after it: ${after.join(', ')}`
        : 'no line after it was sent',
    )
    return sentences
  }
}

function describeCount(count: number, what: string): string {
  return count > 0 ? `${formatCount(count)} ${what}` : ''
}

function mayBeAppended(error: unknown): boolean {
  return error instanceof FlotillaError ? error.mayHaveTakenEffect : !isAbort(error)
}

/** An abort before the record left is the one other error that says that it surely isn't in. */
function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError'
}
