import type { ErrorEffect } from '../../src/client/index.ts'
import type { Report } from './violation.ts'

type Fate = 'open' | 'acknowledged' | 'unknown' | 'none' | 'done'

export interface SentRecord {
  /** Unique in the run; the value begins with it. */
  readonly id: string
  readonly key: string
  /** Who sent it, and its place among what that one sent for the key: later ones come later. */
  readonly source: string
  readonly number: number
  readonly value: string
  /** Of a producer whose epochs fence each other. */
  readonly writer?: { readonly id: string; readonly epoch: number }
  fate: Fate
  partition: number | undefined
  offset: number | undefined
}

/**
 * What clients sent and were told, against what readers see. One canonical history a partition: whoever sees an offset
 * first settles what is there.
 */
export class Ledger {
  readonly #report: Report
  readonly #sent = new Map<string, SentRecord>()
  /** By partition and offset. */
  readonly #history = new Map<number, (SentRecord | undefined)[]>()
  /** Where a record was seen. */
  readonly #place = new Map<SentRecord, { readonly partition: number; readonly offset: number }>()
  readonly #acknowledgedEnd = new Map<number, number>()
  acknowledged = 0
  recordsRead = 0

  constructor(report: Report) {
    this.#report = report
  }

  send(record: Omit<SentRecord, 'fate' | 'partition' | 'offset'>): SentRecord {
    const sent: SentRecord = { ...record, fate: 'open', partition: undefined, offset: undefined }
    this.#sent.set(sent.id, sent)
    return sent
  }

  acknowledge(record: SentRecord, partition: number, offset: number): void {
    if (record.offset !== undefined && (record.offset !== offset || record.partition !== partition)) {
      this.#report(
        'duplicate',
        `${record.id} was acknowledged at ${record.partition}/${record.offset} and at ${partition}/${offset}`,
      )
    }
    if (record.fate !== 'acknowledged') this.acknowledged++
    record.fate = 'acknowledged'
    record.partition = partition
    record.offset = offset
    this.#acknowledgedEnd.set(partition, Math.max(this.acknowledgedEnd(partition), offset + 1))
    this.#settle(record, partition, offset, 'an acknowledgement')
  }

  fail(record: SentRecord, effect: ErrorEffect): void {
    // A batch that was also sent another way may have been acknowledged there.
    if (record.fate === 'acknowledged') return
    record.fate = effect
    if (effect !== 'none') return
    const place = this.#place.get(record)
    if (place === undefined) return
    this.#report('failed-but-there', `${record.id} failed without effect and is at ${placeOf(place)}`)
  }

  /** After the last acknowledged record. */
  acknowledgedEnd(partition: number): number {
    return this.#acknowledgedEnd.get(partition) ?? 0
  }

  /** After the last record that anybody was told of or has read: it is committed, so a linearizable read has to reach it. */
  knownEnd(partition: number): number {
    return Math.max(this.acknowledgedEnd(partition), this.history(partition).length)
  }

  /** A reader got this. */
  read(partition: number, offset: number, key: string, value: string, reader: string): void {
    this.recordsRead++
    const known = this.history(partition)[offset]
    // Mostly it is what was seen there before.
    const record = known?.value === value ? known : this.#sent.get(value.slice(0, value.indexOf(' ')))
    if (record === undefined || record.key !== key || record.value !== value) {
      this.#report('phantom', `${reader} read ${key}=${value.slice(0, 60)} at ${partition}/${offset}`)
      return
    }
    if (record.fate === 'none') {
      this.#report(
        'failed-but-there',
        `${reader} read ${record.id} at ${partition}/${offset}, it failed without effect`,
      )
    }
    this.#settle(record, partition, offset, reader)
  }

  #settle(record: SentRecord, partition: number, offset: number, witness: string): void {
    const history = this.history(partition)
    const known = history[offset]
    if (known === record) return
    if (known !== undefined) {
      this.#report(
        'offset-reassigned',
        `${partition}/${offset} is ${known.id}, and by ${witness} ${record.id}`,
      )
      return
    }
    const place = this.#place.get(record)
    if (place !== undefined) {
      this.#report(
        'duplicate',
        `${record.id} is at ${placeOf(place)}, and by ${witness} at ${partition}/${offset}`,
      )
      return
    }
    history[offset] = record
    this.#place.set(record, { partition, offset })
  }

  history(partition: number): (SentRecord | undefined)[] {
    let history = this.#history.get(partition)
    if (history === undefined) this.#history.set(partition, (history = []))
    return history
  }

  get partitions(): number[] {
    return [...this.#history.keys()].sort((left, right) => left - right)
  }

  get open(): number {
    let open = 0
    for (const { fate } of this.#sent.values()) if (fate === 'open') open++
    return open
  }

  /** At the end, when every replica has been read to its end: nothing acknowledged is missing, and all is in order. */
  finish(): void {
    for (const partition of this.partitions) this.#checkOrder(partition, this.history(partition))
    for (const record of this.#sent.values()) {
      if (record.fate !== 'done' || this.#place.has(record)) continue
      this.#report(
        'acknowledged-lost',
        `${record.id} was appended long ago, said the leader, and is not there`,
      )
    }
  }

  #checkOrder(partition: number, history: readonly (SentRecord | undefined)[]): void {
    const newest = new Map<string, SentRecord>()
    const epochs = new Map<string, number>()
    for (const record of history) {
      if (record === undefined) continue
      const { writer } = record
      if (writer !== undefined) {
        const epoch = epochs.get(writer.id) ?? 0
        if (writer.epoch < epoch) {
          const detail = `partition ${partition}: ${record.id}, of epoch ${writer.epoch}, comes after epoch ${epoch}`
          this.#report('zombie-wrote', detail)
        }
        epochs.set(writer.id, writer.epoch)
      }
      const name = `${record.source}/${record.key}`
      const before = newest.get(name)
      if (before !== undefined && before.number > record.number) {
        this.#report('key-order', `partition ${partition}: ${record.id} comes after ${before.id}`)
      }
      newest.set(name, record)
    }
  }
}

function placeOf(place: { readonly partition: number; readonly offset: number }): string {
  return `${place.partition}/${place.offset}`
}
