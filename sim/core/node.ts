import {
  asLogIndex,
  AssertionError,
  type Bootstrap,
  type ChangeResult,
  type ConfigurationChange,
  type Configuration,
  type Digest,
  type Draft,
  type Entry,
  joiningBootstrap,
  type Input,
  type NodeId,
  type Output,
  type Persist,
  type ProposeResult,
  type RaftConfig,
  type RaftCore,
  type Role,
  type Snapshot,
} from '../../src/raft/index.ts'
import type { Checkers } from './checkers.ts'
import { decodeState, encodeState, SimulatedDisk } from './disk.ts'
import type { FaultCounts, FaultPlan } from './faults.ts'
import type { SimulatedNetwork } from './network.ts'
import type { RandomStream } from './random.ts'
import type { Schedule } from './schedule.ts'
import { WayGiving } from './way-giving.ts'

export type CreateCore = (
  config: RaftConfig,
  bootstrap: Bootstrap,
  random: (bound: number) => number,
) => RaftCore

/** What the nodes of one simulated cluster share. */
export interface World {
  readonly schedule: Schedule
  readonly network: SimulatedNetwork
  readonly checkers: Checkers
  readonly counts: FaultCounts
  /** What the group starts with; everybody else joins. */
  readonly configuration: Configuration
  readonly createCore: CreateCore
  readonly diskRandom: RandomStream
  readonly nodeRandom: RandomStream
  /** How fast clocks run: a node's tick takes one of these, for a life of its process. */
  readonly tickMs: readonly number[]
  /** Whether drivers step the ticks that they slept through before they trust a lease. */
  readonly countsSleep: boolean
  plan: FaultPlan
  /** Takes part in the digest of the run. */
  trace(value: number): void
}

/** The smallest driver that keeps the core's contract: sends, writes, folds, and comes back after a crash. */
export class SimulatedNode {
  readonly id: NodeId
  readonly #world: World
  #disk: SimulatedDisk
  #config: RaftConfig
  #core: RaftCore | undefined
  /** Events of an earlier life are void. */
  #life = 0
  #role: Role = 'follower'
  #foldedTo = 0
  #handedOut = 0
  #state: Digest
  #stalledUntilMs = 0
  #pausedUntilMs = 0
  #proposed = new Map<number, number>()
  #reads = new Map<number, number>()
  #nextRead = 1
  #sleptTicks = 0
  #wayGiving: WayGiving

  constructor(world: World, config: RaftConfig) {
    this.id = config.id
    this.#world = world
    this.#config = config
    this.#wayGiving = new WayGiving(config)
    const takesPart = world.configuration.voters.includes(config.id)
    this.#disk = this.#newDisk(takesPart ? world.configuration : joiningBootstrap().configuration)
    this.#state = this.disk.lowEnd.digest
  }

  #newDisk(configuration: Configuration): SimulatedDisk {
    return new SimulatedDisk(configuration, (entries, term) => {
      this.#world.checkers.dropped(this.id, entries, term)
    })
  }

  get disk(): SimulatedDisk {
    return this.#disk
  }

  get life(): number {
    return this.#config.life
  }

  get core(): RaftCore | undefined {
    return this.#core
  }

  get foldedTo(): number {
    return this.#foldedTo
  }

  get isUp(): boolean {
    return this.#core !== undefined
  }

  leads(): boolean {
    return this.#core !== undefined && this.#role === 'leader'
  }

  start(): void {
    const { createCore, nodeRandom, schedule, tickMs } = this.#world
    this.#life += 1
    this.#role = 'follower'
    const bootstrap = this.disk.bootstrap(nodeRandom.below(8))
    this.#foldedTo = this.disk.applied
    this.#handedOut = this.disk.applied
    this.#state = this.disk.digestAt(this.disk.applied)!
    this.#stalledUntilMs = 0
    this.#pausedUntilMs = 0
    this.#sleptTicks = 0
    this.#wayGiving = new WayGiving(this.#config)
    this.#guard(() => {
      this.#core = createCore(this.#config, bootstrap, (bound) => nodeRandom.below(bound))
    })
    const life = this.#life
    // Clocks differ a little from node to node and from life to life.
    const everyMs = nodeRandom.pick(tickMs)
    const tick = (): void => {
      if (this.#life !== life) return
      if (this.#isPaused()) this.#sleptTicks += 1
      else this.step({ type: 'tick' })
      schedule.after(everyMs, tick)
    }
    schedule.after(nodeRandom.below(everyMs) + 1, tick)
  }

  crash(): void {
    const { counts, nodeRandom } = this.#world
    const keeps = nodeRandom.chance(500)
    const lost = this.disk.crash(keeps)
    counts.crash += 1
    counts.writeLost += lost
    if (keeps) counts.writeKeptUnconfirmed += 1
    this.#core = undefined
    this.#life += 1
    this.#proposed.clear()
    this.#reads.clear()
  }

  /** The disk is gone with all that it promised; the node comes back as a stranger. */
  wipe(life: number): void {
    this.crash()
    this.#world.counts.diskWiped += 1
    this.#world.checkers.buried({ id: this.id, life: this.life, disk: this.disk })
    this.#disk = this.#newDisk(joiningBootstrap().configuration)
    this.#config = { ...this.#config, life }
  }

  pause(forMs: number): void {
    this.#pausedUntilMs = this.#world.schedule.nowMs + forMs
  }

  stallDisk(forMs: number): void {
    this.#stalledUntilMs = this.#world.schedule.nowMs + forMs
  }

  #isPaused(): boolean {
    return this.#pausedUntilMs > this.#world.schedule.nowMs
  }

  /** An assertion of the core is a finding, and the end of this node. */
  #guard(act: () => void): void {
    try {
      act()
    } catch (error) {
      if (!(error instanceof AssertionError)) throw error
      this.#world.checkers.report('assertion', `${this.id}: ${error.message}`)
      this.#core = undefined
      this.#life += 1
    }
  }

  step(input: Input): void {
    if (this.#core === undefined) return
    if (this.#isPaused()) {
      // What is sent to a stopped process gets lost sooner or later; what its own disk answers waits for it.
      if (input.type === 'message') this.#world.counts.messageLost += 1
      else this.#afterPause(input)
      return
    }
    this.#wayGiving.takes(input)
    this.#guard(() => {
      this.#core?.step(input)
      this.#drain()
    })
    if (input.type === 'tick') this.#checkWayGiving()
  }

  #checkWayGiving(): void {
    const wrong = this.#core && this.#wayGiving.look(this.#core)
    if (wrong !== undefined) this.#world.checkers.report('gives-way', wrong)
  }

  #afterPause(input: Input): void {
    const { schedule } = this.#world
    const life = this.#life
    schedule.after(this.#pausedUntilMs - schedule.nowMs, () => {
      if (this.#life === life) this.step(input)
    })
  }

  propose(drafts: readonly Draft[]): ProposeResult | undefined {
    const core = this.#core
    if (core === undefined || this.#isPaused()) return undefined
    let last: ProposeResult | undefined
    this.#guard(() => {
      for (const draft of drafts) {
        last = core.propose(draft)
        if (last.ok) this.#proposed.set(last.index, last.term)
        else this.#world.counts.proposalRefused += 1
      }
      this.#drain()
    })
    return last
  }

  read(mode: 'quorum' | 'lease'): void {
    if (this.#isPaused()) return
    const { checkers, counts, countsSleep } = this.#world
    const context = this.#nextRead
    this.#nextRead += 1
    this.#reads.set(context, checkers.committedIndex)
    if (mode === 'lease') {
      counts.leaseRead += 1
      for (; countsSleep && this.#sleptTicks > 0; this.#sleptTicks -= 1) this.step({ type: 'tick' })
    }
    this.step({ type: 'read', context, mode })
  }

  change(change: ConfigurationChange): ChangeResult | undefined {
    const core = this.#core
    const { counts } = this.#world
    if (core === undefined || this.#isPaused()) return undefined
    let result: ChangeResult | undefined
    this.#guard(() => {
      result = core.changeConfiguration(change)
      if (result.ok) counts.configurationChanged += 1
      else counts.configurationRefused += 1
      if (result.ok && result.configuration.votersOutgoing.length > 0) counts.jointPhase += 1
      if (result.ok && !result.configuration.voters.includes(this.id)) counts.removedLeader += 1
      this.#drain()
    })
    return result
  }

  #drain(): void {
    const core = this.#core
    if (core === undefined) return
    for (let output = core.take(); output !== undefined; output = core.take()) this.#act(core, output)
    if (this.#role === 'leader') {
      this.#world.checkers.leaderLog(this.id, core)
      this.#world.checkers.leaderConfiguration(this.id, core)
      this.#world.checkers.leaderCommit(this.id, core, this.disk)
    }
    this.#world.trace(core.digest())
  }

  #act(core: RaftCore, output: Output): void {
    const { checkers, network, counts, schedule } = this.#world
    if (output.leadership !== undefined) {
      checkers.leadership(this.id, output.leadership, core, this.disk)
      this.#role = output.leadership.role
      this.#proposed.clear()
      if (output.leadership.role === 'leader') counts.leaderChange += 1
    }
    for (const message of output.messages) {
      checkers.sent(message, this.disk)
      if (message.type === 'snapshot') {
        if ((message.offset ?? 0) === 0) counts.snapshotSent += 1
        else counts.snapshotChunk += 1
      }
      network.send(message)
    }
    if (output.restore !== undefined) this.#restore(output.restore, core)
    checkers.committed(this.id, output.committed, this.#handedOut, core)
    this.#fold(output.committed)
    if (output.persist !== undefined) this.#write(output.persist)
    for (const { to, from, maxBytes } of output.fetches) {
      counts.fetch += 1
      this.#later(1, 10, () => {
        const entries = this.disk.read(from, maxBytes)
        if (entries.length === 0) counts.fetchEmpty += 1
        this.step({ type: 'fetched', to, from, entries })
      })
    }
    for (const to of output.snapshotsWanted) this.#sendSnapshot(to)
    for (const { context, index } of output.reads) {
      counts.readServed += 1
      checkers.readServed(this.id, index, this.#reads.get(context) ?? 0)
      this.#reads.delete(context)
    }
    for (const context of output.droppedReads) {
      counts.readDropped += 1
      this.#reads.delete(context)
    }
    this.#world.trace(schedule.nowMs)
  }

  #later(fastestMs: number, slowestMs: number, act: () => void): void {
    const { schedule, nodeRandom } = this.#world
    const life = this.#life
    schedule.after(nodeRandom.between(fastestMs, slowestMs), () => {
      if (this.#life === life) act()
    })
  }

  #sendSnapshot(to: NodeId): void {
    this.#later(1, 20, () => {
      if (this.#world.nodeRandom.chance(100)) {
        this.#world.counts.snapshotLost += 1
        this.step({ type: 'unreachable', to })
      } else {
        this.step({ type: 'snapshotLoaded', to, snapshot: this.disk.lowEnd })
      }
    })
  }

  #restore(snapshot: Snapshot, core: RaftCore): void {
    const { checkers, counts } = this.#world
    counts.snapshotInstalled += 1
    if (decodeState(snapshot.state) !== snapshot.digest) {
      checkers.report(
        'state-machine-safety',
        `${this.id}: the snapshot at ${snapshot.index} has another state`,
      )
    }
    checkers.mark(this.id, snapshot, core.status().term)
    this.#foldedTo = snapshot.index
    this.#handedOut = snapshot.index
    this.#state = snapshot.digest
  }

  #fold(entries: readonly Entry[]): void {
    const newest = entries.at(-1)
    if (newest === undefined) return
    this.#handedOut = newest.index
    for (const entry of entries) {
      if (this.#proposed.get(entry.index) === entry.term) this.#world.checkers.acknowledged(entry)
      this.#proposed.delete(entry.index)
    }
    this.#later(0, 5, () => {
      // A snapshot may have come in between.
      if (newest.index <= this.#foldedTo) return
      this.#foldedTo = newest.index
      this.#state = newest.digest
      this.step({ type: 'applied', index: newest.index })
    })
  }

  #write(persist: Persist): void {
    for (const entry of persist.entries) this.#world.checkers.entryWritten(this.id, entry)
    this.#wayGiving.writeBegan(persist.token)
    this.disk.enqueue({ persist, applied: asLogIndex(this.#foldedTo) })
    this.#startDisk()
  }

  /** Drops the log below a place that is folded. */
  compact(): void {
    const core = this.#core
    if (core === undefined || this.#isPaused()) return
    const { applied } = core.status()
    const index = Math.min(applied, this.disk.lastIndex) - this.#world.nodeRandom.below(6)
    const entry = this.disk.entryAt(index)
    if (entry === undefined || index <= this.disk.lowEnd.index) return
    const configuration = core.configurationAt(entry.index)
    if (configuration === undefined) return
    this.#world.counts.compaction += 1
    const mark = { index: entry.index, term: entry.term, digest: entry.digest }
    this.disk.enqueue({ applied, lowEnd: { ...mark, configuration, state: encodeState(entry.digest) } })
    this.#startDisk()
  }

  #startDisk(): void {
    const { schedule, plan, diskRandom } = this.#world
    if (!this.disk.begin()) return
    const life = this.#life
    const takesMs = diskRandom.between(plan.disk.fastestMs, plan.disk.slowestMs)
    const finish = (): void => {
      if (this.#life !== life) return
      const waitMs = this.#stalledUntilMs - schedule.nowMs
      if (waitMs > 0) {
        schedule.after(waitMs, finish)
        return
      }
      this.#finishWrites()
    }
    schedule.after(takesMs, finish)
  }

  #finishWrites(): void {
    const written = this.disk.finish()
    // "And all before it": sometimes each write is confirmed, sometimes only the last one.
    const tokens = written.flatMap(({ persist }) => (persist === undefined ? [] : [persist.token]))
    const confirmed = this.#world.diskRandom.chance(500) ? tokens : tokens.slice(-1)
    for (const token of confirmed) this.step({ type: 'persisted', token })
    for (const { lowEnd } of written) {
      if (lowEnd === undefined || lowEnd.index !== this.disk.lowEnd.index) continue
      const { state: _state, ...mark } = lowEnd
      this.step({ type: 'compacted', lowEnd: mark })
    }
    if (this.#core !== undefined) this.#startDisk()
  }

  /** The state machine, for comparison. */
  get state(): Digest {
    return this.#state
  }
}
