import { assert } from './assert.ts'
import { checkConfiguration } from './configuration-change.ts'
import { decodeChange, sameConfiguration } from './configuration.ts'
import type { Bootstrap, Configuration, Entry, LogIndex, SnapshotMark } from './types.ts'

interface Mark {
  readonly index: LogIndex
  readonly configuration: Configuration
}

/**
 * The configuration entries of the log. A configuration is in force as soon as its entry is in the log (thesis §4.1), so
 * what is in force follows from the log alone: appending an entry brings it, cutting the entry takes it back.
 */
export class ConfigurationHistory {
  /** Ascending; the first is what is in force at the low end, or where this replica started from. */
  #marks: Mark[]

  constructor({ lowEnd, applied, configuration, tail }: Bootstrap) {
    const entries = tail.filter(({ kind }) => kind === 'configuration')
    const first = entries[0]
    // Storage says what is in force at the end. What was before the first entry that is here, that entry says.
    const before = first === undefined ? configuration : decodeChange(first.header).previous
    assert(before !== undefined, 'raft.bootstrap-previous', () => `entry ${first?.index} doesn't say it`)
    const isFromLowEnd = sameConfiguration(before, lowEnd.configuration)
    this.#marks = [{ index: isFromLowEnd ? lowEnd.index : tailStart(tail, applied), configuration: before }]
    for (const entry of entries) this.appended(entry)
    checkConfiguration(this.current)
    assert(sameConfiguration(this.current, configuration), 'raft.bootstrap-configuration')
  }

  get #newest(): Mark {
    return this.#marks[this.#marks.length - 1]!
  }

  get current(): Configuration {
    return this.#newest.configuration
  }

  get index(): LogIndex {
    return this.#newest.index
  }

  /** In force before `current`, where that is known. */
  get previous(): Configuration | undefined {
    return this.#marks.at(-2)?.configuration
  }

  /** A configuration entry is in the log. */
  appended(entry: Entry): void {
    const { configuration, previous } = decodeChange(entry.header)
    const newest = this.#newest
    assert(
      entry.index > newest.index,
      'raft.configuration-order',
      () => `${entry.index} after ${newest.index}`,
    )
    checkConfiguration(configuration)
    if (previous !== undefined && newest.configuration.voters.length === 0) {
      // This replica joined and knew nobody: now it learns what was in force before it came.
      this.#marks = [{ ...newest, configuration: previous }]
    } else {
      assert(
        previous === undefined || sameConfiguration(previous, newest.configuration),
        'raft.configuration-previous',
        () => `entry ${entry.index} doesn't follow the configuration of ${newest.index}`,
      )
    }
    this.#marks.push({ index: entry.index, configuration })
    assert(this.current === configuration, 'raft.configuration-newest', () => `${entry.index}`)
  }

  /** The entries after `index` are gone. */
  truncatedAfter(index: LogIndex): void {
    while (this.#marks.length > 1 && this.#newest.index > index) this.#marks.pop()
    assert(this.#marks.length > 0, 'raft.configuration-truncated-all', () => `after ${index}`)
    assert(this.#newest.index <= index, 'raft.configuration-truncated-base', () => `after ${index}`)
  }

  /** A snapshot stands for the whole log. */
  replacedBy({ index, configuration }: SnapshotMark): void {
    checkConfiguration(configuration)
    this.#marks = [{ index, configuration }]
  }

  /** The low end has moved up to `index`. */
  compactedTo(index: LogIndex): void {
    const next = this.#marks.findIndex((mark) => mark.index > index)
    const inForce = (next < 0 ? this.#marks.length : next) - 1
    const { current } = this
    if (inForce > 0) this.#marks.splice(0, inForce)
    assert(this.current === current, 'raft.configuration-compacted', () => `to ${index}`)
    assert(
      this.#marks[1] === undefined || this.#marks[1].index > index,
      'raft.configuration-compacted-marks',
      () => `${this.#marks[1]?.index} to ${index}`,
    )
  }

  /** What is in force at `index`; undefined where that isn't known. */
  at(index: LogIndex): Configuration | undefined {
    const found = this.#marks.findLast((mark) => mark.index <= index)?.configuration
    return found === undefined || found.voters.length === 0 ? undefined : found
  }
}

/** From here on nothing but the entries that are loaded changes the configuration. */
function tailStart(tail: readonly Entry[], applied: LogIndex): LogIndex {
  const first = tail[0]
  return first === undefined || first.index > applied ? applied : ((first.index - 1) as LogIndex)
}
