import { decodeRecordsAppended } from '../../src/broker/partition/event.ts'
import { keyKind } from '../../src/log/keys.ts'
import { decodeHardState, decodeStoredEntry } from '../../src/log/records.ts'
import { bytesOf, type StoredOperation } from '../env/disk/store.ts'
import { MOST_ROWS, type CommitRow, type EntryRow, type HardStateRow } from './picture.ts'

/** What reaches the disks of nodes, and from when on a majority has it. */
export class DiskRows {
  readonly entries: EntryRow[] = []
  readonly hardStates: HardStateRow[] = []
  readonly commits: CommitRow[] = []
  /** Rows that had no room. */
  full = 0
  /** How many vote in a group; undefined while nobody knows. */
  readonly #votersIn: (group: number) => number | undefined
  readonly #host: (name: string) => number
  /** "group:index" to digest and the hosts that have it durably. */
  readonly #holders = new Map<string, Map<number, Set<number>>>()
  readonly #committed = new Set<string>()

  constructor(votersIn: (group: number) => number | undefined, host: (name: string) => number) {
    this.#votersIn = votersIn
    this.#host = host
  }

  durable(nowUs: number, host: number, operations: readonly StoredOperation[]): void {
    for (const { key, value } of operations) {
      const kind = key.charCodeAt(0)
      if (kind === keyKind.entry) this.#entry(nowUs, host, numberAt(key, 1), numberAt(key, 9), value)
      else if (kind === keyKind.hardState && value !== undefined) {
        const { term, votedFor, commit } = decodeHardState(value, bytesOf(key))
        const vote = votedFor === undefined ? -1 : this.#host(votedFor)
        this.#add(this.hardStates, [nowUs, host, numberAt(key, 1), term, vote, commit])
      }
    }
  }

  #entry(nowUs: number, host: number, group: number, index: number, value: Uint8Array | undefined): void {
    if (value === undefined) {
      this.#add(this.entries, [nowUs, host, group, index, 0, 0, 0, 0])
      return
    }
    const { head } = decodeStoredEntry(value)
    const digest = Number(head.digest & 0xffff_ffffn)
    const holdsRecords = group !== 0 && head.kind === 'event'
    const { baseOffset, recordCount } = holdsRecords
      ? decodeRecordsAppended(head.header)
      : { baseOffset: 0, recordCount: 0 }
    const end = baseOffset + recordCount
    this.#add(this.entries, [nowUs, host, group, index, head.term, digest, baseOffset, end])
    this.#holds(nowUs, host, group, index, digest)
  }

  #holds(nowUs: number, host: number, group: number, index: number, digest: number): void {
    const place = `${group}:${index}`
    if (this.#committed.has(place)) return
    const byDigest = this.#holders.get(place) ?? new Map<number, Set<number>>()
    this.#holders.set(place, byDigest)
    for (const holders of byDigest.values()) holders.delete(host)
    const holders = byDigest.get(digest) ?? new Set<number>()
    byDigest.set(digest, holders.add(host))
    this.#commitIf(nowUs, group, index, holders.size)
  }

  /** Who votes in some group is known now: what a majority has there counts. */
  votersKnown(nowUs: number): void {
    for (const [place, byDigest] of this.#holders) {
      const [group = 0, index = 0] = place.split(':').map(Number)
      for (const holders of byDigest.values()) this.#commitIf(nowUs, group, index, holders.size)
    }
  }

  #commitIf(nowUs: number, group: number, index: number, holders: number): void {
    const voters = this.#votersIn(group)
    if (voters === undefined || holders * 2 <= voters) return
    const place = `${group}:${index}`
    this.#committed.add(place)
    this.#holders.delete(place)
    this.#add(this.commits, [nowUs, group, index])
  }

  #add<Row>(rows: Row[], row: Row): void {
    if (rows.length < MOST_ROWS) rows.push(row)
    else this.full++
  }
}

function numberAt(key: string, at: number): number {
  let value = 0
  for (let i = at; i < at + 8; i++) value = value * 256 + key.charCodeAt(i)
  return value
}
