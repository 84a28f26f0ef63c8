import { nextConfiguration } from '../../src/raft/configuration-change.ts'
import {
  asLogIndex,
  asNodeId,
  emptyBootstrap,
  joiningBootstrap,
  type ChangeTransition,
  type Configuration,
  type ConfigurationChange,
  type MemberChange,
  type Message,
  type NodeId,
  type Output,
  type RaftConfig,
  type Snapshot,
} from '../../src/raft/index.ts'
import { quorumIndex, voteResult } from '../../src/raft/quorum.ts'
import { configurationOf, Group, logOf } from './group.ts'
import {
  sayConfiguration,
  sayEntries,
  sayFollower,
  sayInForce,
  sayMessage,
  sayStatus,
} from './scenario-text.ts'

/** name=value options of a command that set the cores' configuration. */
const SETTINGS: Readonly<Record<string, keyof RaftConfig>> = {
  inflight: 'maxInflightMessages',
  append: 'maxAppendBytes',
  chunk: 'maxSnapshotChunkBytes',
  drift: 'leaseClockDriftPercent',
  life: 'life',
  priority: 'leaderPriority',
  stalled: 'stalledDiskTicks',
}

/** A command's words: `b c` are names, `to=b,c` is an option. */
class Words {
  readonly plain: string[]
  readonly options = new Map<string, string>()

  constructor(text: string) {
    const words = text.split(/\s+/).filter((word) => word !== '')
    this.plain = words.filter((word) => !word.includes('='))
    for (const word of words) {
      const [name, value] = word.split('=')
      if (name !== undefined && value !== undefined) this.options.set(name, value)
    }
  }

  get first(): string {
    const first = this.plain[0]
    if (first === undefined) throw new Error('a command needs a node here')
    return first
  }

  number(at: number, otherwise: number): number {
    return this.plain[at] === undefined ? otherwise : Number(this.plain[at])
  }

  list(name: string): string[] {
    return (this.options.get(name) ?? '').split(',').filter((each) => each !== '')
  }

  settings(): Partial<RaftConfig> {
    const found = Object.entries(SETTINGS).filter(([name]) => this.options.has(name))
    return Object.fromEntries(found.map(([name, key]) => [key, Number(this.options.get(name))]))
  }
}

/** The nodes of one scenario, and what they did since the last command. */
class Stage extends Group {
  readonly lines: string[] = []

  constructor() {
    super([])
  }

  override take(id: string): Output | undefined {
    const output = super.take(id)
    if (output === undefined) return undefined
    const { leadership, committed, configuration, restore, reads, droppedReads, fetches, snapshotsWanted } =
      output
    if (leadership !== undefined) {
      const { role, term, leader } = leadership
      const under = role === 'leader' || leader === undefined ? '' : ` of ${leader}`
      this.say(`${id} is now ${role}${under} in term ${term}`)
    }
    if (configuration !== undefined) this.say(`${id} counts ${sayInForce(configuration)}`)
    if (restore !== undefined) this.say(`${id} replaces its state by the snapshot at ${restore.index}`)
    if (committed.length > 0) this.say(`${id} folds ${sayEntries(committed)}`)
    for (const { context, index } of reads) this.say(`${id} may serve read ${context} at ${index}`)
    for (const context of droppedReads) this.say(`${id} drops read ${context}`)
    for (const { to, from } of fetches)
      this.say(`${id} asks its storage for entries from ${from} on, for ${to}`)
    for (const to of snapshotsWanted) this.say(`${id} wants the snapshot at its low end, for ${to}`)
    return output
  }

  say(line: string): void {
    this.lines.push(line)
  }

  /** Delivers what matches, in the order in which it was sent, each with what came of it. */
  move(messages: readonly Message[]): void {
    for (const message of messages) {
      this.say(`${message.from} -> ${message.to}: ${sayMessage(message)}`)
      const before = this.status(message.to).refusedMessages
      this.step(message.to, { type: 'message', message })
      if (this.status(message.to).refusedMessages > before)
        this.say(`${message.to} refuses that: another life`)
      while (this.take(message.to) !== undefined);
    }
  }

  /** Disks write and messages arrive, among these nodes, until nothing is left to do. */
  run(ids: readonly string[], cutOff: readonly string[]): void {
    for (let round = 0; round < 200; round += 1) {
      for (const id of ids) this.persist(id)
      this.wire = this.wire.filter(({ from, to }) => !cutOff.includes(from) && !cutOff.includes(to))
      const due = this.wire.filter(({ to }) => ids.includes(to))
      const isIdle = ids.every((id) => !this.core(id).hasOutput() && this.writes.get(id)!.length === 0)
      if (due.length === 0 && isIdle) return
      this.wire = this.wire.filter((message) => !due.includes(message))
      this.move(due)
    }
    throw new Error('the group does not come to rest')
  }

  termsOf(id: string): string {
    const { lowEnd } = this.status(id)
    const terms = this.terms(id).join(' ')
    return lowEnd.index === 0 ? terms : `(${lowEnd.index} before) ${terms}`.trim()
  }
}

/** Runs commands; see test/raft/scenarios/README.md. */
export class Scenario {
  readonly #stage = new Stage()
  #configuration: Configuration = configurationOf()
  #settings: Partial<RaftConfig> = {}
  readonly #snapshots = new Map<string, Snapshot>()

  /** The output of one command, in lines. */
  command(text: string): string[] {
    const [name = '', ...rest] = text.trim().split(/\s+/)
    if (name === 'quietly') {
      this.command(rest.join(' '))
      return []
    }
    this.#stage.lines.length = 0
    this.#perform(name, new Words(rest.join(' ')))
    return [...this.#stage.lines]
  }

  #perform(name: string, words: Words): void {
    const commands: Readonly<Record<string, (words: Words) => void>> = {
      group: (each) => this.#group(each),
      join: (each) =>
        this.#stage.start(each.first, joiningBootstrap(), { ...this.#settings, ...each.settings() }),
      start: (each) => this.#start(each),
      tick: (each) => this.#stage.tick(each.first, each.number(1, 1)),
      campaign: (each) => this.#stage.step(each.first, { type: 'campaign' }),
      forget: (each) => this.#stage.step(each.first, { type: 'forgetLeader' }),
      propose: (each) => this.#propose(each),
      change: (each) => this.#change(each),
      transfer: (each) => this.#stage.step(each.first, { type: 'transfer', to: asNodeId(each.plain[1]!) }),
      read: (each) => this.#read(each),
      unreachable: (each) =>
        this.#stage.step(each.first, { type: 'unreachable', to: asNodeId(each.plain[1]!) }),
      write: (each) => this.#stage.persist(each.first, each.number(1, Infinity)),
      deliver: (each) => this.#stage.move(this.#pick(each)),
      drop: (each) => this.#drop(each),
      run: (each) =>
        this.#stage.run(each.plain.length === 0 ? this.#stage.ids : each.plain, each.list('without')),
      compact: (each) => this.#compact(each),
      snapshot: (each) => this.#snapshot(each),
      state: (each) => this.#state(each),
      followers: (each) => this.#followers(each),
      wire: () => this.#wire(),
      writes: (each) => this.#writes(each),
      members: (each) => this.#members(each),
      next: (each) => this.#next(each),
      commits: (each) => this.#commits(each),
      election: (each) => this.#election(each),
    }
    const command = commands[name]
    if (command === undefined) throw new Error(`unknown command ${name}`)
    command(words)
    for (const id of this.#stage.ids) while (this.#stage.take(id) !== undefined);
  }

  #group(words: Words): void {
    this.#stage.wire = []
    this.#settings = words.settings()
    const learners = words.list('learners').map(asNodeId)
    this.#configuration = { ...configurationOf(...words.plain), learners }
    for (const id of [...words.plain, ...learners]) {
      this.#stage.start(id, emptyBootstrap(this.#configuration), this.#settings)
    }
  }

  #start(words: Words): void {
    const terms = words.list('log').map(Number)
    const term = Number(words.options.get('term') ?? terms.at(-1) ?? 0)
    const commit = Number(words.options.get('committed') ?? 0)
    const bootstrap = logOf(this.#configuration, terms, term, commit)
    this.#stage.wire = this.#stage.wire.filter(({ from, to }) => from !== words.first && to !== words.first)
    this.#stage.start(words.first, bootstrap, { ...this.#settings, ...words.settings() })
  }

  #propose(words: Words): void {
    for (let left = words.number(1, 1); left > 0; left -= 1) {
      const header = Uint8Array.of(left)
      const result = this.#stage
        .core(words.first)
        .propose({ header, payload: [], payloadBytes: 10, payloadCrc32: 0 })
      this.#stage.say(result.ok ? `entry ${result.index}/${result.term}` : `refused: ${result.reason}`)
      if (words.options.get('each') === 'sent') this.#stage.takeAll()
    }
  }

  #change(words: Words): void {
    const result = this.#stage.core(words.first).changeConfiguration(changeOf(words.plain.slice(1)))
    if (result.ok)
      this.#stage.say(`entry ${result.index}/${result.term}: ${sayConfiguration(result.configuration)}`)
    else this.#stage.say(`refused, ${result.reason}: ${result.detail}`)
  }

  #read(words: Words): void {
    const mode = words.plain[2] === 'lease' ? 'lease' : 'quorum'
    this.#stage.step(words.first, { type: 'read', context: words.number(1, 1), mode })
  }

  #pick(words: Words): Message[] {
    this.#stage.takeAll()
    const fits = (list: string[], value: string): boolean => list.length === 0 || list.includes(value)
    const picked = this.#stage.wire.filter(
      ({ from, to, type }) =>
        fits(words.list('from'), from) && fits(words.list('to'), to) && fits(words.list('type'), type),
    )
    this.#stage.wire = this.#stage.wire.filter((message) => !picked.includes(message))
    return picked
  }

  #drop(words: Words): void {
    for (const message of this.#pick(words)) {
      this.#stage.say(`lost: ${message.from} -> ${message.to}: ${sayMessage(message)}`)
    }
  }

  #compact(words: Words): void {
    const index = asLogIndex(words.number(1, 0))
    const core = this.#stage.core(words.first)
    const [entry] = core.entriesInMemory(index, index, 1)!
    const lowEnd = {
      index,
      term: entry!.term,
      digest: entry!.digest,
      configuration: core.configurationAt(index)!,
    }
    const state = Uint8Array.from({ length: Number(words.options.get('state') ?? 4) }, () => 1)
    this.#snapshots.set(words.first, { ...lowEnd, state })
    this.#stage.step(words.first, { type: 'compacted', lowEnd })
  }

  #snapshot(words: Words): void {
    const snapshot = this.#snapshots.get(words.first)!
    this.#stage.step(words.first, { type: 'snapshotLoaded', to: asNodeId(words.plain[1]!), snapshot })
  }

  #state(words: Words): void {
    for (const id of words.plain.length === 0 ? this.#stage.ids : words.plain) {
      this.#stage.say(sayStatus(this.#stage.status(id), this.#stage.termsOf(id)))
    }
  }

  #followers(words: Words): void {
    for (const follower of this.#stage.status(words.first).followers) this.#stage.say(sayFollower(follower))
  }

  #wire(): void {
    this.#stage.takeAll()
    for (const message of this.#stage.wire) {
      this.#stage.say(`${message.from} -> ${message.to}: ${sayMessage(message)}`)
    }
  }

  #writes(words: Words): void {
    this.#stage.takeAll()
    for (const { entries, hardState, snapshot } of this.#stage.writes.get(words.first)!) {
      const vote =
        hardState === undefined ? '' : `, term ${hardState.term}, vote ${hardState.votedFor ?? 'none'}`
      const base = snapshot === undefined ? '' : `, snapshot at ${snapshot.index}`
      this.#stage.say(`under way: ${entries.length === 0 ? 'no entries' : sayEntries(entries)}${vote}${base}`)
    }
  }

  // Quorums and configurations alone, without nodes.

  #members(words: Words): void {
    const learners = words.list('learners').map(asNodeId)
    const votersOutgoing = words.list('outgoing').map(asNodeId)
    this.#configuration = { voters: words.plain.map(asNodeId), votersOutgoing, learners }
  }

  #next(words: Words): void {
    const next = nextConfiguration(this.#configuration, changeOf(words.plain))
    if (next.ok) this.#configuration = next.configuration
    this.#stage.say(
      next.ok ? sayConfiguration(next.configuration) : `refused, ${next.reason}: ${next.detail}`,
    )
  }

  #commits(words: Words): void {
    const indexOf = (id: NodeId): number => Number(words.options.get(id) ?? 0)
    this.#stage.say(`committed ${quorumIndex(this.#configuration, indexOf)}`)
  }

  #election(words: Words): void {
    const votes = new Map([...words.options].map(([id, vote]) => [asNodeId(id), vote === 'yes']))
    this.#stage.say(voteResult(this.#configuration, votes))
  }
}

const CHANGES: Readonly<Record<string, MemberChange['type']>> = {
  voter: 'addVoter',
  learner: 'addLearner',
  remove: 'remove',
}

/** `voter:d learner:e@3 remove:a explicit`: what a change consists of; nothing ends a joint phase. */
function changeOf(words: readonly string[]): ConfigurationChange {
  const transitions: Readonly<Record<string, ChangeTransition>> = {
    joint: 'joint',
    explicit: 'jointExplicit',
  }
  const changes: MemberChange[] = []
  let transition: ChangeTransition = 'auto'
  for (const word of words) {
    const [kind = '', member = ''] = word.split(':')
    const [id = '', life = '0'] = member.split('@')
    const type = CHANGES[kind]
    if (type === 'remove') changes.push({ type, id: asNodeId(id) })
    else if (type !== undefined) changes.push({ type, id: asNodeId(id), life: Number(life) })
    else if (transitions[kind] !== undefined) transition = transitions[kind]
    else throw new Error(`${word} is no change`)
  }
  return { changes, transition }
}

/** Plays a scenario's commands and writes their output in place of what was there; everything else stays as it is. */
export function play(text: string): string {
  const scenario = new Scenario()
  const lines: string[] = []
  for (const line of text.split('\n')) {
    if (line.startsWith('  ')) continue
    lines.push(line)
    if (line.startsWith('> ')) lines.push(...scenario.command(line.slice(2)).map((said) => `  ${said}`))
  }
  return lines.join('\n')
}
