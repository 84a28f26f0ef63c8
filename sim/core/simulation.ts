import {
  asNodeId,
  defaultRaftConfig,
  Raft,
  lifeOf,
  membersOf,
  type Configuration,
  type ConfigurationChange,
  type Draft,
  type MemberChange,
  type Message,
  type NodeId,
  type RaftConfig,
} from '../../src/raft/index.ts'
import { Checkers, type Violation } from './checkers.ts'
import {
  drawFaultPlan,
  drawStroke,
  healthyPlan,
  noFaults,
  type FaultCounts,
  type FaultPlan,
  type Stroke,
} from './faults.ts'
import { SimulatedNetwork } from './network.ts'
import { SimulatedNode, type CreateCore, type World } from './node.ts'
import { RandomStream } from './random.ts'
import { Schedule } from './schedule.ts'
import { drawDead } from './survivors.ts'
import { runTrials } from './trials.ts'

/** A healed cluster that gets on and on and doesn't agree after so many times `healMs` never will. */
const MOST_HEALS = 10

export interface CoreSimulationOptions {
  /** Default: 3, sometimes 1, 4 or 5, by the seed. */
  readonly nodes?: number
  /** How long faults strike, in virtual milliseconds. Default 3,000. */
  readonly chaosMs?: number
  /** How long a healed cluster may take to agree, or to get on without agreeing yet. Default 5,000. */
  readonly healMs?: number
  /** Default: drawn from the seed. */
  readonly plan?: FaultPlan
  /** How fast clocks run. Default 9 to 11 ms a tick, which is within what leases allow for. */
  readonly tickMs?: readonly number[]
  /** Default true: drivers keep the rule for lease reads after a sleep. */
  readonly countsSleep?: boolean
  /** Default: drawn from the seed. */
  readonly leases?: boolean
  /** What runs as a core; tests put broken ones here. */
  readonly createCore?: CreateCore
}

export interface CoreSimulationResult {
  readonly violations: readonly Violation[]
  /** Depends on everything that happened: two runs of one seed must have the same. */
  readonly digest: number
  readonly counts: FaultCounts
  readonly committed: number
  readonly acknowledged: number
  readonly events: number
  readonly virtualMs: number
}

/** Runs one cluster of cores through chaos and then through health. The same seed and options give the same run. */
export function runCoreSimulation(seed: number, options: CoreSimulationOptions = {}): CoreSimulationResult {
  return new CoreSimulation(seed, options).run()
}

/** 11 ms a tick are 22 percent more than 9. */
const TICK_MS = [9, 10, 11]
const CLOCK_DRIFT_PERCENT = 25
/** Nodes that aren't there from the beginning. */
const JOINERS = 2

/** Small limits, so that each is met within a few entries. */
function drawConfig(random: RandomStream, id: NodeId): RaftConfig {
  return {
    ...defaultRaftConfig(id),
    maxAppendBytes: random.pick([1, 200, 2000]),
    maxInflightMessages: random.between(1, 8),
    maxInflightBytes: random.pick([300, 5000]),
    maxUncommittedBytes: random.pick([500, 20_000]),
    windowBytes: random.pick([1, 2000, 100_000]),
    stalledDiskTicks: random.between(15, 40),
    maxSnapshotChunkBytes: random.pick([1, 3, 100]),
    maxSnapshotBytesPerTick: random.pick([1, 10, 1000]),
    leaseClockDriftPercent: random.chance(500) ? CLOCK_DRIFT_PERCENT : undefined,
  }
}

class CoreSimulation {
  readonly #schedule = new Schedule()
  readonly #counts = noFaults()
  readonly #nodes: SimulatedNode[]
  readonly #checkers: Checkers
  readonly #network: SimulatedNetwork
  readonly #world: World
  readonly #faultRandom: RandomStream
  readonly #workRandom: RandomStream
  readonly #endRandom: RandomStream
  readonly #chaosMs: number
  readonly #healMs: number
  #healed = false
  /** Down for good when the others are healed. */
  #dead: ReadonlySet<SimulatedNode> = new Set()
  #nextLife = 1
  #digest = 0
  #events = 0

  constructor(seed: number, options: CoreSimulationOptions) {
    const setup = new RandomStream(seed, 'setup')
    this.#faultRandom = new RandomStream(seed, 'faults')
    this.#workRandom = new RandomStream(seed, 'work')
    this.#endRandom = new RandomStream(seed, 'end')
    this.#chaosMs = options.chaosMs ?? 3000
    this.#healMs = options.healMs ?? 5000
    const size = options.nodes ?? setup.pick([3, 3, 3, 3, 5, 5, 4, 1])
    const voters = Array.from({ length: size }, (_, at) => asNodeId(`n${at + 1}`))
    const plan = options.plan ?? drawFaultPlan(this.#faultRandom)
    this.#checkers = new Checkers(
      () => this.#nodes,
      () => this.#schedule.nowMs,
    )
    const networkRandom = new RandomStream(seed, 'network')
    this.#network = new SimulatedNetwork(
      this.#schedule,
      networkRandom,
      plan.network,
      this.#counts,
      (message) => this.#deliver(message),
      ({ from, to }) => this.#nodes.find(({ id }) => id === from)?.step({ type: 'unreachable', to }),
    )
    this.#world = {
      schedule: this.#schedule,
      network: this.#network,
      checkers: this.#checkers,
      counts: this.#counts,
      configuration: { voters, votersOutgoing: [], learners: [] },
      createCore: options.createCore ?? ((config, bootstrap, random) => new Raft(config, bootstrap, random)),
      tickMs: options.tickMs ?? TICK_MS,
      countsSleep: options.countsSleep ?? true,
      diskRandom: new RandomStream(seed, 'disk'),
      nodeRandom: new RandomStream(seed, 'node'),
      plan,
      trace: (value) => this.#trace(value),
    }
    const drawn = drawConfig(setup, voters[0]!)
    const lease = options.leases === undefined ? drawn.leaseClockDriftPercent : CLOCK_DRIFT_PERCENT
    const config = { ...drawn, leaseClockDriftPercent: options.leases === false ? undefined : lease }
    const joiners = Array.from({ length: JOINERS }, (_, at) => asNodeId(`n${size + at + 1}`))
    this.#nodes = [...voters, ...joiners].map((id) => {
      return new SimulatedNode(this.#world, { ...config, id, leaderPriority: setup.pick([3, 3, 3, 2]) })
    })
  }

  #trace(value: number): void {
    this.#digest = Math.imul(this.#digest ^ value, 0x9e3779b1)
    this.#digest ^= this.#digest >>> 15
  }

  #deliver(message: Message): void {
    this.#nodes.find(({ id }) => id === message.to)?.step({ type: 'message', message })
  }

  run(): CoreSimulationResult {
    for (const node of this.#nodes) node.start()
    this.#schedule.after(this.#world.plan.strokeEveryMs, () => this.#nemesis())
    this.#schedule.after(1, () => this.#work())
    this.#runUntil(this.#chaosMs, () => false)
    this.#heal()
    this.#awaitAgreement()
    if (this.#checkers.violations.length === 0) {
      const members = this.#members()
      this.#checkers.finish((id) => members.some((node) => node.id === id))
      if (this.#checkers.violations.length === 0) this.#runTrials()
    }
    return {
      violations: this.#checkers.violations,
      digest: this.#digest >>> 0,
      counts: this.#counts,
      committed: this.#checkers.committedIndex,
      acknowledged: this.#checkers.acknowledgedCount,
      events: this.#events,
      virtualMs: this.#schedule.nowMs,
    }
  }

  /** Stops at the first violation: what comes after it is noise. */
  #runUntil(untilMs: number, done: () => boolean): void {
    while (this.#checkers.violations.length === 0 && !done() && this.#schedule.runNext(untilMs)) {
      this.#events += 1
    }
  }

  #heal(): void {
    this.#healed = true
    this.#world.plan = healthyPlan
    this.#network.heal()
    this.#network.follow(healthyPlan.network)
    this.#dead = drawDead(this.#nodes, this.#endRandom)
    for (const node of this.#nodes) {
      node.pause(0)
      node.stallDisk(0)
      if (!this.#dead.has(node)) this.#start(node)
      else if (node.isUp) node.crash()
    }
  }

  #start(node: SimulatedNode): void {
    if (!node.isUp && !this.#dead.has(node)) node.start()
  }

  #runTrials(): void {
    const { schedule } = this.#world
    runTrials({
      nodes: this.#nodes,
      network: this.#network,
      checkers: this.#checkers,
      random: this.#endRandom,
      run: (forMs, done) => this.#runUntil(schedule.nowMs + forMs, done),
      after: (delayMs, act) => schedule.after(delayMs, act),
      propose: (node) => node.propose([this.#draft()]),
    })
  }

  /** What lives must elect, commit a new entry, and bring everybody up to it. */
  #awaitAgreement(): void {
    let target = Infinity
    const propose = (): void => {
      if (target !== Infinity) {
        const isThere = this.#nodes.some(({ core }) => (core?.status().last.index ?? 0) >= target)
        if (isThere) return
      }
      for (const node of this.#nodes) {
        if (!node.leads() || !this.#isSettled(node)) continue
        const result = node.propose([this.#draft()])
        if (result?.ok === true) target = result.index
      }
      this.#schedule.after(200, propose)
    }
    this.#schedule.after(500, propose)
    const agree = (): boolean =>
      this.#members().every(({ foldedTo, disk }) => foldedTo >= target && disk.lastIndex >= target)
    const startMs = this.#schedule.nowMs
    // A plan may have drawn links and windows over which a few hundred entries take longer: slow isn't stuck.
    let reached = -1
    for (let now = this.#reached(); now > reached; now = this.#reached()) {
      reached = now
      this.#runUntil(this.#schedule.nowMs + this.#healMs, agree)
      if (this.#checkers.violations.length > 0 || agree()) return
      if (this.#schedule.nowMs - startMs >= MOST_HEALS * this.#healMs) break
    }
    const states = this.#nodes.map(({ id, life, core, foldedTo }) => {
      const status = core?.status()
      return `${id}@${life} ${status?.role} of ${show(status?.configuration)} term ${status?.term} last ${status?.last.index} folded ${foldedTo}`
    })
    const tookMs = Math.round(this.#schedule.nowMs - startMs)
    this.#checkers.report('progress', `no agreement on ${target} in ${tookMs} ms: ${states.join('; ')}`)
  }

  /** Grows while anybody gets on. */
  #reached(): number {
    return this.#nodes.reduce((sum, { foldedTo, disk }) => sum + foldedTo + disk.lastIndex, 0)
  }

  /** Whoever takes part in the end, by the configuration of the leader of the highest term. */
  #members(): readonly SimulatedNode[] {
    const leaders = this.#nodes.filter((node) => node.leads())
    const newest = leaders.sort((left, right) => right.core!.status().term - left.core!.status().term)[0]
    const living = this.#nodes.filter((node) => !this.#dead.has(node))
    if (newest === undefined) return living
    const members = membersOf(newest.core!.status().configuration)
    return living.filter(({ id }) => members.includes(id))
  }

  /** At the end nothing is left half done: no joint phase, and no member whose disk is gone. Begins what is missing. */
  #isSettled(leader: SimulatedNode): boolean {
    const { configuration, configurationCommitted } = leader.core!.status()
    const repair = configuration.votersOutgoing.length > 0 ? { changes: [] } : this.#repair(configuration)
    if (repair !== undefined) leader.change(repair)
    return repair === undefined && configurationCommitted
  }

  /** A member whose disk is gone starts anew, as a learner under its new life. */
  #repair(configuration: Configuration): ConfigurationChange | undefined {
    const gone = this.#nodes.find(({ id, life }) => {
      return membersOf(configuration).includes(id) && life !== lifeOf(configuration, id)
    })
    return gone && { changes: [{ type: 'addLearner', id: gone.id, life: gone.life }] }
  }

  /** Some members come, go, rise or fall. */
  #drawChange(configuration: Configuration): ConfigurationChange {
    const random = this.#faultRandom
    if (configuration.votersOutgoing.length > 0) return { changes: [] }
    const changes = Array.from({ length: random.pick([1, 1, 1, 2, 3]) }, (): MemberChange => {
      const { id, life } = random.pick(this.#nodes)
      const type = random.pick(['addVoter', 'addVoter', 'addLearner', 'remove'] as const)
      return type === 'remove' ? { type, id } : { type, id, life }
    })
    return { changes, transition: random.pick(['auto', 'auto', 'joint', 'jointExplicit']) }
  }

  #changeConfiguration(leader: SimulatedNode): void {
    const { configuration } = leader.core!.status()
    const repair = configuration.votersOutgoing.length > 0 ? undefined : this.#repair(configuration)
    const result = leader.change(repair ?? this.#drawChange(configuration))
    if (repair !== undefined && result?.ok === true) this.#counts.lifeRenewed += 1
  }

  /**
   * A disk may go where the others can do without it, and only while no change is half done anywhere: a group that loses
   * the disks of half of its voters can do nothing any more, which is right, but no test of anything.
   */
  #mayWipe(node: SimulatedNode): boolean {
    const leader = this.#nodes.find((each) => each.leads())
    if (leader?.core === undefined || !node.isUp) return false
    const { configuration } = leader.core.status()
    const isQuiet = this.#nodes.every(({ disk, core }) => {
      const newest = Math.max(disk.configurationIndex, core?.status().configurationIndex ?? 0)
      return newest <= this.#checkers.committedIndex
    })
    return (
      isQuiet &&
      configuration.votersOutgoing.length === 0 &&
      configuration.voters.length >= 3 &&
      this.#repair(configuration) === undefined
    )
  }

  #wipe(node: SimulatedNode): void {
    if (!this.#mayWipe(node)) return
    node.wipe(this.#nextLife)
    this.#nextLife += 1
    this.#schedule.after(this.#faultRandom.between(1, 300), () => this.#start(node))
  }

  #draft(): Draft {
    const bytes = this.#workRandom.below(200)
    const header = new Uint8Array(this.#workRandom.below(24))
    for (let at = 0; at < header.length; at += 1) header[at] = this.#workRandom.below(256)
    return { header, payload: [], payloadBytes: bytes, payloadCrc32: this.#workRandom.next() }
  }

  /** Clients: they try whoever says that it leads, be it true or not. */
  #work(): void {
    if (this.#healed) return
    const random = this.#workRandom
    for (const node of this.#nodes) {
      if (!node.leads()) continue
      const drafts = Array.from({ length: random.below(5) }, () => this.#draft())
      if (drafts.length > 0) node.propose(drafts)
      if (random.chance(300)) node.read(random.chance(500) ? 'lease' : 'quorum')
    }
    this.#schedule.after(random.between(1, 25), () => this.#work())
  }

  #nemesis(): void {
    if (this.#healed) return
    const { plan } = this.#world
    this.#strike(drawStroke(this.#faultRandom, plan))
    this.#schedule.after(this.#faultRandom.between(1, plan.strokeEveryMs * 2), () => this.#nemesis())
  }

  #strike(stroke: Stroke): void {
    const random = this.#faultRandom
    const counts = this.#counts
    const node = random.pick(this.#nodes)
    const leader = this.#nodes.find((candidate) => candidate.leads())
    switch (stroke) {
      case 'crash':
        this.#crash(node)
        return
      case 'crash-leader':
        if (leader !== undefined) this.#crash(leader)
        return
      case 'crash-all':
        for (const each of this.#nodes) this.#crash(each)
        return
      case 'partition': {
        const left = this.#nodes.filter(() => random.chance(500))
        this.#separate(left)
        return
      }
      case 'isolate-leader':
        if (leader !== undefined) this.#separate([leader])
        return
      case 'one-way': {
        const other = random.pick(this.#nodes)
        if (other === node) return
        counts.oneWayCut += 1
        this.#network.cut(node.id, other.id)
        return
      }
      case 'heal':
        this.#network.heal()
        return
      case 'stall-disk':
        counts.diskStalled += 1
        node.stallDisk(random.between(20, 600))
        return
      case 'fail-disk':
        if (!node.isUp) return
        counts.diskFailed += 1
        node.step({ type: 'storageFailed' })
        this.#schedule.after(random.between(10, 300), () => this.#crash(node))
        return
      case 'pause':
        counts.nodePaused += 1
        node.pause(random.between(20, 400))
        return
      case 'freeze-leader':
        // When it goes on it doesn't know that time has passed, and nobody can tell it: the case for read rounds.
        if (leader === undefined) return
        counts.nodePaused += 1
        leader.pause(random.between(150, 600))
        this.#separate([leader])
        return
      case 'compact':
        node.compact()
        return
      case 'transfer':
        counts.transfer += 1
        leader?.step({ type: 'transfer', to: random.chance(300) ? undefined : node.id })
        return
      case 'campaign':
        node.step({ type: 'campaign' })
        return
      case 'change':
        if (leader !== undefined) this.#changeConfiguration(leader)
        return
      case 'wipe':
        this.#wipe(node)
        return
      case 'nothing':
    }
  }

  #separate(left: readonly SimulatedNode[]): void {
    this.#counts.partition += 1
    for (const from of this.#nodes) {
      for (const to of this.#nodes) {
        if (left.includes(from) !== left.includes(to)) this.#network.cut(from.id, to.id)
      }
    }
  }

  #crash(node: SimulatedNode): void {
    if (!node.isUp) return
    node.crash()
    this.#schedule.after(this.#faultRandom.between(1, 400), () => {
      if (node.isUp || this.#dead.has(node)) return
      this.#counts.restart += 1
      node.start()
    })
  }
}

function show(configuration: Configuration | undefined): string {
  if (configuration === undefined) return 'nothing'
  const { voters, votersOutgoing, learners } = configuration
  return `${voters.join(',')}&${votersOutgoing.join(',')}+${learners.join(',')}`
}
