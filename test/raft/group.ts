import {
  asDigest,
  asLogIndex,
  asNodeId,
  asTerm,
  chain,
  defaultRaftConfig,
  emptyBootstrap,
  Raft,
  type Bootstrap,
  type ChangeResult,
  type ChangeTransition,
  type Configuration,
  type ConfigurationInForce,
  type Digest,
  type Draft,
  type Entry,
  type Input,
  type MemberChange,
  type Message,
  type NodeId,
  type Output,
  type Persist,
  type RaftConfig,
  type Snapshot,
  type Status,
} from '../../src/raft/index.ts'

export interface GroupOptions {
  readonly config?: Partial<RaftConfig>
  readonly bootstraps?: Readonly<Record<string, Bootstrap>>
  /** Who has the shortest election timeout first; default: in the order of the names. */
  readonly random?: (id: string, bound: number) => number
}

type Which = (message: Message) => boolean

export const everything: Which = () => true
export const to =
  (...ids: string[]): Which =>
  (message) =>
    ids.includes(message.to)
export const from =
  (...ids: string[]): Which =>
  (message) =>
    ids.includes(message.from)
export const ofType =
  (...types: Message['type'][]): Which =>
  (message) =>
    types.includes(message.type)

export function configurationOf(...ids: string[]): Configuration {
  return { voters: ids.map(asNodeId), votersOutgoing: [], learners: [] }
}

export function draft(bytes = 10): Draft {
  return { header: Uint8Array.from([1, 2, 3]), payload: [], payloadBytes: bytes, payloadCrc32: 7 }
}

/** A log with an entry for each of these terms, as storage would give it. */
export function logOf(
  configuration: Configuration,
  terms: readonly number[],
  term: number,
  commit = 0,
): Bootstrap {
  const empty = emptyBootstrap(configuration)
  const tail: Entry[] = []
  let digest: Digest = asDigest(0n)
  for (const [at, entryTerm] of terms.entries()) {
    const fields = { ...draft(), index: asLogIndex(at + 1), term: asTerm(entryTerm), kind: 'event' as const }
    digest = chain(digest, fields)
    tail.push({ ...fields, digest })
  }
  const termRuns = tail
    .filter((entry, at) => tail[at - 1]?.term !== entry.term)
    .map((entry) => ({ firstIndex: entry.index, term: entry.term }))
  return {
    ...empty,
    hardState: { term: asTerm(term), votedFor: undefined, commit: asLogIndex(commit) },
    last: tail.at(-1) ?? empty.last,
    termRuns,
    tail,
  }
}

/** Cores, the messages between them, and their disks, all moved by hand: nothing happens that a test doesn't say. */
export class Group {
  readonly ids: string[]
  readonly configuration: Configuration
  /** Under way, oldest first. */
  wire: Message[] = []
  readonly writes = new Map<string, Persist[]>()
  readonly folded = new Map<string, Entry[]>()
  readonly reads: { readonly id: string; readonly context: number; readonly index: number }[] = []
  readonly droppedReads: number[] = []
  readonly fetches: {
    readonly id: string
    readonly to: NodeId
    readonly from: number
    readonly maxBytes: number
  }[] = []
  readonly snapshotsWanted: NodeId[] = []
  readonly restored: Snapshot[] = []
  /** What each node said of configurations that came into force. */
  readonly configurations = new Map<string, ConfigurationInForce[]>()
  readonly #cores = new Map<string, Raft>()
  readonly #options: GroupOptions

  constructor(ids: readonly string[], options: GroupOptions = {}) {
    this.ids = [...ids]
    this.#options = options
    this.configuration = configurationOf(...ids)
    for (const id of ids) this.start(id, options.bootstraps?.[id] ?? emptyBootstrap(this.configuration))
  }

  /** Also: starts again, from what this bootstrap says is on disk. */
  start(id: string, bootstrap: Bootstrap, ownConfig: Partial<RaftConfig> = {}): void {
    if (!this.ids.includes(id)) this.ids.push(id)
    this.configurations.set(id, [])
    const random = this.#options.random ?? ((name: string, bound: number) => this.ids.indexOf(name) % bound)
    const config = { ...defaultRaftConfig(asNodeId(id)), ...this.#options.config, ...ownConfig }
    this.#cores.set(id, new Raft(config, bootstrap, (bound) => random(id, bound)))
    this.writes.set(id, [])
    this.folded.set(id, [])
  }

  core(id: string): Raft {
    return this.#cores.get(id)!
  }

  status(id: string): Status {
    return this.core(id).status()
  }

  /** name:role@term for each. */
  roles(): string {
    return this.ids.map((id) => `${id}:${this.status(id).role}@${this.status(id).term}`).join(' ')
  }

  /** The terms of the entries in memory. */
  terms(id: string): number[] {
    const { lowEnd, last } = this.status(id)
    const entries = this.core(id).entriesInMemory(asLogIndex(lowEnd.index + 1), last.index, Infinity)
    return (entries ?? []).map(({ term }) => term)
  }

  step(id: string, input: Input): void {
    this.core(id).step(input)
  }

  tick(id: string, ticks = 1): void {
    for (let tick = 0; tick < ticks; tick += 1) this.step(id, { type: 'tick' })
  }

  propose(id: string, count = 1, bytes = 10): void {
    for (let proposed = 0; proposed < count; proposed += 1) this.core(id).propose(draft(bytes))
  }

  change(id: string, changes: readonly MemberChange[], transition?: ChangeTransition): ChangeResult {
    return this.core(id).changeConfiguration({ changes, ...(transition === undefined ? {} : { transition }) })
  }

  /** Who takes part, as this node knows it: voters, "&" voters of the other half, "+" learners. */
  members(id: string): string {
    const { voters, votersOutgoing, learners } = this.status(id).configuration
    const half = votersOutgoing.length === 0 ? '' : ` & ${votersOutgoing.join(' ')}`
    return voters.join(' ') + half + (learners.length === 0 ? '' : ` + ${learners.join(' ')}`)
  }

  /** What the core says now; messages go on the wire, writes to the disk's queue. */
  take(id: string): Output | undefined {
    const output = this.core(id).take()
    if (output === undefined) return undefined
    this.wire.push(...output.messages)
    if (output.persist !== undefined) this.writes.get(id)!.push(output.persist)
    if (output.restore !== undefined) {
      this.restored.push(output.restore)
      this.folded.set(id, [])
    }
    this.folded.get(id)!.push(...output.committed)
    for (const { context, index } of output.reads) this.reads.push({ id, context, index })
    this.droppedReads.push(...output.droppedReads)
    for (const fetch of output.fetches) this.fetches.push({ id, ...fetch })
    this.snapshotsWanted.push(...output.snapshotsWanted)
    if (output.configuration !== undefined) this.configurations.get(id)!.push(output.configuration)
    const newest = output.committed.at(-1)
    if (newest !== undefined) this.step(id, { type: 'applied', index: newest.index })
    return output
  }

  takeAll(): void {
    for (const id of this.ids) while (this.take(id) !== undefined);
  }

  /** The disk has done all that it was asked to, or so many writes of it. */
  persist(id: string, count = Infinity): void {
    while (this.take(id) !== undefined);
    for (const { token } of this.writes.get(id)!.splice(0, count)) this.step(id, { type: 'persisted', token })
  }

  /** Delivers what is on the wire now; the rest stays. */
  deliver(which: Which = everything): Message[] {
    const delivered = this.drop(which)
    for (const message of delivered) this.step(message.to, { type: 'message', message })
    return delivered
  }

  drop(which: Which = everything): Message[] {
    this.takeAll()
    const dropped = this.wire.filter(which)
    this.wire = this.wire.filter((message) => !which(message))
    return dropped
  }

  /** Until nothing is left to say: all disks work, and all messages arrive except those to and from `cutOff`. */
  settle(cutOff: readonly string[] = []): void {
    for (let round = 0; round < 1000; round += 1) {
      for (const id of this.ids) this.persist(id)
      this.drop((message) => cutOff.includes(message.to) || cutOff.includes(message.from))
      const moved = this.deliver((message) => !cutOff.includes(message.to) && !cutOff.includes(message.from))
      if (moved.length === 0 && this.ids.every((id) => !this.core(id).hasOutput())) {
        if (this.ids.every((id) => this.writes.get(id)!.length === 0)) return
      }
    }
    throw new Error('the group does not come to rest')
  }

  /** These no longer believe in a leader, as after an election timeout. */
  forget(...ids: string[]): void {
    for (const id of ids) this.step(id, { type: 'forgetLeader' })
  }

  elect(id: string, cutOff: readonly string[] = []): void {
    this.step(id, { type: 'campaign' })
    this.settle(cutOff)
  }
}

/** What is on this node's disk, when all of it is written. */
export function stored(group: Group, id: string, configuration = group.configuration): Bootstrap {
  const { last, term, commit } = group.status(id)
  const tail = group.core(id).entriesInMemory(asLogIndex(1), last.index, Infinity)!
  const termRuns = tail
    .filter((entry, at) => tail[at - 1]?.term !== entry.term)
    .map((entry) => ({ firstIndex: entry.index, term: entry.term }))
  return {
    ...emptyBootstrap(configuration),
    hardState: { term, votedFor: undefined, commit },
    last,
    termRuns,
    tail,
    configuration: group.status(id).configuration,
  }
}
