import type { Digest } from '../../src/raft/index.ts'
import { decodeRecordsAppended } from '../../src/broker/partition/event.ts'
import { keyKind } from '../../src/log/keys.ts'
import { decodeGroup, decodeHardState, decodeStoredEntry } from '../../src/log/records.ts'
import { bytesOf, type StoredOperation } from '../env/disk/store.ts'
import type { Report } from './violation.ts'

interface DurableEntry {
  readonly term: number
  readonly digest: Digest
  /** Offsets that it holds, first and after the last; equal where it holds no records. */
  readonly from: number
  readonly to: number
}

interface DurableLog {
  /** By index. */
  readonly entries: (DurableEntry | undefined)[]
  term: number
  votedFor: string | undefined
}

/**
 * Looks at what reaches stable storage on every node, as it does. It sees a broken promise when it is made, long before a
 * crash would show it.
 */
export class DurableLogs {
  readonly #report: Report
  /** By node and group. */
  readonly #logs = new Map<string, DurableLog>()
  /** By group, index and term: what it is. */
  readonly #known = new Map<string, Digest>()
  /** By group and index: what was committed there. */
  readonly #committed = new Map<string, Digest>()

  constructor(report: Report) {
    this.#report = report
  }

  onDurable(nodeId: string, operations: readonly StoredOperation[]): void {
    for (const operation of operations) this.#operation(nodeId, operation)
  }

  #operation(nodeId: string, { key, value }: StoredOperation): void {
    const kind = key.charCodeAt(0)
    if (kind === keyKind.entry) {
      const log = this.#logOf(nodeId, numberAt(key, 1))
      const index = numberAt(key, 9)
      if (value === undefined) remove(log.entries, index)
      else this.#entry(nodeId, numberAt(key, 1), index, value, log)
    } else if (kind === keyKind.hardState && value !== undefined) {
      this.#hardState(nodeId, numberAt(key, 1), decodeHardState(value, bytesOf(key)))
    } else if (kind === keyKind.group) {
      const groupId = numberAt(key, 1)
      if (value === undefined) this.#logs.delete(`${nodeId}/${groupId}`)
      else this.#lowEnd(nodeId, groupId, decodeGroup(value, bytesOf(key)))
    }
  }

  #entry(nodeId: string, groupId: number, index: number, value: Uint8Array, log: DurableLog): void {
    const { head } = decodeStoredEntry(value)
    const name = `${groupId}:${index}:${head.term}`
    const known = this.#known.get(name)
    if (known === undefined) this.#known.set(name, head.digest)
    else if (known !== head.digest) {
      this.#report(
        'log-matching',
        `${nodeId}: group ${groupId}, entry ${index} of term ${head.term} has two histories`,
      )
    }
    let from = 0
    let to = 0
    // The metadata group has events of another form.
    if (groupId !== 0 && head.kind === 'event') {
      const { baseOffset, recordCount } = decodeRecordsAppended(head.header)
      from = baseOffset
      to = baseOffset + recordCount
    }
    log.entries[index] = { term: head.term, digest: head.digest, from, to }
  }

  /** A snapshot is what others committed; entries up to it count no more, though they may lie around for a while. */
  #lowEnd(
    nodeId: string,
    groupId: number,
    { index, digest }: { readonly index: number; readonly digest: Digest },
  ): void {
    const { entries } = this.#logOf(nodeId, groupId)
    for (let at = index; at > 0 && entries[at] !== undefined; at--) entries[at] = undefined
    while (entries.length > 0 && entries.at(-1) === undefined) entries.pop()
    this.#committedIs(nodeId, groupId, index, digest)
  }

  #hardState(
    nodeId: string,
    groupId: number,
    {
      term,
      votedFor,
      commit,
    }: { readonly term: number; readonly votedFor: string | undefined; readonly commit: number },
  ): void {
    const log = this.#logOf(nodeId, groupId)
    if (term < log.term) {
      this.#report('vote-twice', `${nodeId}: group ${groupId} went from term ${log.term} back to ${term}`)
    }
    if (term === log.term && log.votedFor !== undefined && votedFor !== log.votedFor) {
      this.#report(
        'vote-twice',
        `${nodeId}: group ${groupId}, term ${term}: ${log.votedFor}, then ${votedFor}`,
      )
    }
    log.term = term
    log.votedFor = votedFor
    this.#committedAt(nodeId, groupId, commit, log)
  }

  #committedAt(nodeId: string, groupId: number, index: number, log: DurableLog): void {
    const digest = log.entries[index]?.digest
    if (digest !== undefined) this.#committedIs(nodeId, groupId, index, digest)
  }

  #committedIs(nodeId: string, groupId: number, index: number, digest: Digest): void {
    const name = `${groupId}:${index}`
    const known = this.#committed.get(name)
    if (known === undefined) this.#committed.set(name, digest)
    else if (known !== digest) {
      this.#report(
        'committed-changed',
        `${nodeId}: group ${groupId} committed another entry ${index} than before`,
      )
    }
  }

  /** An append was acknowledged: a majority of `replicas` must hold the same entry with this offset durably. */
  acknowledged(groupId: number, offset: number, replicas: readonly string[]): void {
    const holders = new Map<Digest, number>()
    for (const nodeId of replicas) {
      const entry = this.#entryWith(this.#logOf(nodeId, groupId), offset)
      if (entry !== undefined) holders.set(entry.digest, (holders.get(entry.digest) ?? 0) + 1)
    }
    const most = Math.max(0, ...holders.values())
    if (most * 2 > replicas.length) return
    this.#report(
      'acknowledged-not-durable',
      `group ${groupId}: offset ${offset} was acknowledged and lies on ${most} of ${replicas.length} disks`,
    )
  }

  /** A node leads: a majority must have voted for it durably, or have gone on to a later term since. */
  elected(groupId: number, term: number, leader: string, voters: readonly string[]): void {
    const granted = voters.filter((nodeId) => {
      const log = this.#logOf(nodeId, groupId)
      return log.term > term || (log.term === term && log.votedFor === leader)
    })
    if (granted.length * 2 > voters.length) return
    this.#report(
      'leader-without-votes',
      `${leader} leads group ${groupId} in term ${term} with ${granted.length} of ${voters.length} votes on disks`,
    )
  }

  /** From the newest on: acknowledgements are mostly of what came last. */
  #entryWith({ entries }: DurableLog, offset: number): DurableEntry | undefined {
    for (let index = entries.length - 1; index > 0; index--) {
      const entry = entries[index]
      if (entry === undefined) return undefined
      if (entry.from <= offset && offset < entry.to) return entry
    }
    return undefined
  }

  #logOf(nodeId: string, groupId: number): DurableLog {
    const name = `${nodeId}/${groupId}`
    let log = this.#logs.get(name)
    if (log === undefined) {
      this.#logs.set(name, (log = { entries: [], term: 0, votedFor: undefined }))
    }
    return log
  }
}

function remove(entries: (DurableEntry | undefined)[], index: number): void {
  entries[index] = undefined
  while (entries.length > 0 && entries.at(-1) === undefined) entries.pop()
}

function numberAt(key: string, at: number): number {
  let value = 0
  for (let i = at; i < at + 8; i++) value = value * 256 + key.charCodeAt(i)
  return value
}
