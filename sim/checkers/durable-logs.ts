import { crc32 } from 'node:zlib'
import {
  decodeConfiguration,
  type Configuration,
  type Digest,
  type NodeId,
  type SnapshotMark,
} from '../../src/raft/index.ts'
import { decodeRecordsAppended } from '../../src/broker/partition/event.ts'
import { clusterIdKey, keyKind } from '../../src/log/keys.ts'
import { decodeGroup, decodeHardState, decodeState, decodeStoredEntry } from '../../src/log/records.ts'
import { bytesOf, type StoredOperation } from '../env/disk/store.ts'
import type { Report } from './violation.ts'

const clusterIdKeyText = Buffer.from(clusterIdKey).toString('latin1')

interface DurableEntry {
  readonly term: number
  readonly digest: Digest
  /** Offsets that it holds, first and after the last; equal where it holds no records. */
  readonly from: number
  readonly to: number
  readonly configuration: Configuration | undefined
}

interface DurableLog {
  /** By index. */
  readonly entries: (DurableEntry | undefined)[]
  /** The one at the low end. */
  configuration: Configuration | undefined
  term: number
  votedFor: string | undefined
  /** Under which the replica began. */
  readonly life: number
}

/**
 * Looks at what reaches stable storage on every node, as it does. It sees a broken promise when it is made, long before a
 * crash would show it.
 */
export class DurableLogs {
  readonly #report: Report
  /** By group and node. */
  readonly #logs = new Map<number, Map<string, DurableLog>>()
  /** Logs that are gone: a disk was lost, or the group has moved away. What they held and voted was true when it was told. */
  readonly #gone = new Map<number, (readonly [nodeId: string, log: DurableLog])[]>()
  /** By group: every configuration that was ever written down. */
  readonly #configurations = new Map<number, Map<string, Configuration>>()
  readonly #newest = new Map<number, { readonly index: number; readonly configuration: Configuration }>()
  readonly #knowCluster = new Set<string>()
  /** By group: the newest configuration that a leader has said to propose, written down or not. */
  readonly #proposed = new Map<number, Configuration>()
  /** By group, index and term: what it is. */
  readonly #known = new Map<string, Digest>()
  /** By group and index: the checksum of the state that was stored there. */
  readonly #states = new Map<string, number>()
  /** By group and index: what was committed there. */
  readonly #committed = new Map<string, Digest>()

  /** Under which life of its disk a node takes part in a group, as its disk says. */
  readonly #lifeOf: (nodeId: string, groupId: number) => number

  constructor(report: Report, lifeOf: (nodeId: string, groupId: number) => number = () => 0) {
    this.#report = report
    this.#lifeOf = lifeOf
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
      if (value === undefined) this.#forget(nodeId, groupId)
      else this.#lowEnd(nodeId, groupId, decodeGroup(value, bytesOf(key)))
    } else if (kind === keyKind.applied && value !== undefined) {
      this.#state(nodeId, numberAt(key, 1), decodeState(value, bytesOf(key)))
    } else if (key === clusterIdKeyText && value !== undefined) {
      this.#knowCluster.add(nodeId)
    }
  }

  /** A state is what a log folds to, and nothing else: equal logs, equal states. */
  #state(
    nodeId: string,
    groupId: number,
    { index, state }: { readonly index: number; readonly state: Uint8Array },
  ): void {
    const name = `${groupId}:${index}`
    const sum = crc32(state)
    const known = this.#states.get(name)
    if (known === undefined) this.#states.set(name, sum)
    else if (known !== sum) {
      this.#report(
        'divergence',
        `${nodeId}: group ${groupId} has another state at entry ${index} than was stored elsewhere`,
      )
    }
  }

  /** The node's disk says to which cluster it belongs. */
  knowsCluster(nodeId: string): boolean {
    return this.#knowCluster.has(nodeId)
  }

  /** A node's disk is gone, with all that it held. */
  diskLost(nodeId: string): void {
    this.#knowCluster.delete(nodeId)
    for (const groupId of this.#logs.keys()) this.#forget(nodeId, groupId)
  }

  #forget(nodeId: string, groupId: number): void {
    const log = this.#logs.get(groupId)?.get(nodeId)
    if (log === undefined) return
    this.#logs.get(groupId)?.delete(nodeId)
    const gone = this.#gone.get(groupId)
    if (gone === undefined) this.#gone.set(groupId, [[nodeId, log]])
    else gone.push([nodeId, log])
  }

  /** Who votes in a group by the newest configuration that was written down anywhere. */
  votersOf(groupId: number): readonly string[] | undefined {
    return this.#newest.get(groupId)?.configuration.voters
  }

  /**
   * A leader changes the members of its group, one voter at most: that is in force as soon as it is in the leader's memory,
   * and any majority of it meets any of the one before (thesis §4.1). A joint phase asks for the majority before it anyway.
   */
  membersChange(groupId: number, changes: readonly string[]): void {
    const newest = this.#newest.get(groupId)?.configuration
    if (newest === undefined || newest.votersOutgoing.length > 0) return
    const voters = new Set<string>(newest.voters)
    let changed = 0
    for (const change of changes) {
      const [type, id = ''] = change.split(' ')
      const isVoter = voters.has(id)
      if (type === 'addVoter') voters.add(id)
      else voters.delete(id)
      if (voters.has(id) !== isVoter) changed++
    }
    if (changed !== 1) return
    this.#proposed.set(groupId, { ...newest, voters: [...voters].sort() as NodeId[] })
  }

  #configuration(groupId: number, index: number, configuration: Configuration): Configuration {
    if (index >= (this.#newest.get(groupId)?.index ?? 0)) this.#newest.set(groupId, { index, configuration })
    let known = this.#configurations.get(groupId)
    if (known === undefined) this.#configurations.set(groupId, (known = new Map()))
    known.set(nameOf(configuration), configuration)
    return configuration
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
    const configuration =
      head.kind === 'configuration'
        ? this.#configuration(groupId, index, decodeConfiguration(head.header))
        : undefined
    log.entries[index] = { term: head.term, digest: head.digest, from, to, configuration }
  }

  /** A snapshot is what others committed; entries up to it count no more, though they may lie around for a while. */
  #lowEnd(nodeId: string, groupId: number, { index, digest, configuration }: SnapshotMark): void {
    const log = this.#logOf(nodeId, groupId)
    log.configuration = this.#configuration(groupId, index, configuration)
    const { entries } = log
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
    let log = this.#logOf(nodeId, groupId)
    if (term < log.term && this.#lifeOf(nodeId, groupId) > log.life) {
      // All that there was of the replica lay in turns that the store has lost; it begins anew as another member.
      this.#forget(nodeId, groupId)
      log = this.#logOf(nodeId, groupId)
    }
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

  /**
   * An append was acknowledged: a majority must hold the same entry with this offset durably, by one of the configurations
   * that the group has had. By which of them it was committed, a client isn't told.
   */
  acknowledged(groupId: number, offset: number): void {
    const holders = new Map<Digest, Set<string>>()
    for (const [nodeId, log] of this.#everyLogOf(groupId)) {
      const entry = this.#entryWith(log, offset)
      if (entry === undefined) continue
      const nodeIds = holders.get(entry.digest)
      if (nodeIds === undefined) holders.set(entry.digest, new Set([nodeId]))
      else nodeIds.add(nodeId)
    }
    const configurations = [...(this.#configurations.get(groupId)?.values() ?? [])]
    const proposed = this.#proposed.get(groupId)
    if (proposed !== undefined) configurations.push(proposed)
    const isHeld = (each: Configuration): boolean =>
      [...holders.values()].some((nodeIds) => isMajority(each, (id) => nodeIds.has(id)))
    if (configurations.some(isHeld) || this.#leftPhases(groupId, configurations).some(isHeld)) return
    const most = [...holders.values()].map((nodeIds) => [...nodeIds].join(', ')).join(' and ')
    this.#report(
      'acknowledged-not-durable',
      `group ${groupId}: offset ${offset} was acknowledged and lies on ${most || 'no disk'}`,
    )
  }

  /**
   * What comes after the joint phases that both of their halves have written down. A configuration is in force as soon as
   * the leader has it in its log, so it may commit an entry by the new half alone before the end of the phase is on any disk:
   * whoever leads from here on needs a majority of that half, in the phase and after it.
   */
  #leftPhases(groupId: number, configurations: readonly Configuration[]): Configuration[] {
    const phases = configurations.filter((phase) => {
      if (phase.votersOutgoing.length === 0) return false
      const name = nameOf(phase)
      const holders = new Set<string>()
      for (const [nodeId, { entries, configuration }] of this.#everyLogOf(groupId)) {
        const known = [configuration, ...entries.map((entry) => entry?.configuration)]
        if (known.some((each) => each !== undefined && nameOf(each) === name)) holders.add(nodeId)
      }
      return isMajority(phase, (id) => holders.has(id))
    })
    return phases.map((phase) => ({ ...phase, votersOutgoing: [] }))
  }

  /**
   * A node leads: a majority of the voters by its own log must have voted for it durably, or have gone on to a later term
   * since.
   */
  elected(groupId: number, term: number, leader: string): void {
    const own = this.#logs.get(groupId)?.get(leader)
    const configuration = own?.entries.findLast((entry) => entry?.configuration !== undefined)?.configuration
    const inForce = configuration ?? own?.configuration
    const granted = new Set<string>()
    for (const [nodeId, log] of this.#everyLogOf(groupId)) {
      if (log.term > term || (log.term === term && log.votedFor === leader)) granted.add(nodeId)
    }
    if (inForce !== undefined && isMajority(inForce, (id) => granted.has(id))) return
    this.#report(
      'leader-without-votes',
      `${leader} leads group ${groupId} in term ${term}; on disks it has the votes of ${[...granted].join(', ') || 'nobody'} among ${inForce?.voters.join(', ') ?? 'voters that it does not know'}`,
    )
  }

  #everyLogOf(groupId: number): (readonly [nodeId: string, log: DurableLog])[] {
    return [...(this.#logs.get(groupId) ?? []), ...(this.#gone.get(groupId) ?? [])]
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
    let logs = this.#logs.get(groupId)
    if (logs === undefined) this.#logs.set(groupId, (logs = new Map()))
    let log = logs.get(nodeId)
    if (log === undefined) {
      const life = this.#lifeOf(nodeId, groupId)
      logs.set(nodeId, (log = { entries: [], configuration: undefined, term: 0, votedFor: undefined, life }))
    }
    return log
  }
}

const nameOf = ({ voters, votersOutgoing }: Configuration): string =>
  `${voters.join()}/${votersOutgoing.join()}`

/** In a joint phase of both halves. */
function isMajority({ voters, votersOutgoing }: Configuration, has: (id: string) => boolean): boolean {
  const halves = votersOutgoing.length === 0 ? [voters] : [voters, votersOutgoing]
  return halves.every((half) => half.filter(has).length * 2 > half.length)
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
