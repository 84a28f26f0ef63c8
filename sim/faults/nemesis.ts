import { RandomStream } from '../core/random.ts'
import type { SimNode } from '../cluster/node.ts'
import type { World } from '../cluster/world.ts'
import type { Wire } from '../env/network/wire.ts'
import { victimOf } from './damage.ts'
import type { Fault, WorldFault } from './kinds.ts'

type NetworkFault = Extract<
  WorldFault,
  | 'partition'
  | 'one-way'
  | 'isolate-leader'
  | 'clog'
  | 'swizzle'
  | 'slow-link'
  | 'client-cut'
  | 'reset'
  | 'half-open'
>

const networkFaults: ReadonlySet<WorldFault> = new Set([
  'partition',
  'one-way',
  'clog',
  'swizzle',
  'slow-link',
  'client-cut',
  'reset',
  'half-open',
])

/** Counted when a write fails, or a read brings something else. */
const countedWhenMet: readonly WorldFault[] = ['io-error', 'disk-full', 'read-flip']

/** Where an error strikes: what a failed sync leaves behind is a matter of its own. */
const errorsAt = ['any', 'sync'] as const

/** Carries out the faults of a plan. What strikes is counted; what finds nothing to strike is not. */
export class Nemesis {
  readonly #world: World
  readonly #random: RandomStream
  /** Groups of the topic's partitions, and the metadata group. */
  readonly #groups: readonly number[]
  readonly #clients: readonly string[]
  #stopped = false

  constructor(world: World, groups: readonly number[], clients: readonly string[]) {
    this.#world = world
    this.#random = new RandomStream(world.plan.seed, 'nemesis')
    this.#groups = groups
    this.#clients = clients
  }

  start(): void {
    for (const fault of this.#world.plan.faults) {
      this.#after(fault.atMs, () => {
        if (this.#stopped) return
        const host = this.#victim(fault)
        if (this.#strike(fault)) this.#struck(fault, host)
      })
    }
  }

  #struck({ kind, forMs }: Fault, host: string | undefined): void {
    this.#world.observer?.struck(kind, forMs, host)
    this.#world.note(`fault ${kind} for ${forMs} ms`)
    if (!countedWhenMet.includes(kind)) this.#world.struck(kind)
  }

  /** No more faults begin; what is broken is not mended by this. */
  stop(): void {
    this.#stopped = true
  }

  /** True: it struck. */
  #strike(fault: Fault): boolean {
    switch (fault.kind) {
      case 'partition':
      case 'one-way':
      case 'isolate-leader':
      case 'clog':
      case 'swizzle':
      case 'slow-link':
      case 'client-cut':
      case 'reset':
      case 'half-open':
        return this.#strikeNetwork(fault.kind, fault)
      case 'disk-stall':
      case 'disk-slow':
      case 'io-error':
      case 'disk-full':
        return this.#strikeDisk(fault, this.#node(fault.target))
      case 'read-flip':
      case 'lost-record':
      case 'bit-rot':
        return this.#damage(fault)
      case 'clock-step':
      case 'clock-drift':
        return this.#strikeClock(fault, this.#node(fault.target))
      case 'pause':
        return this.#pause(this.#node(fault.target), fault.forMs)
      case 'pause-leader':
        return this.#pause(this.#leader(fault.target), fault.forMs)
      case 'crash':
        return this.#kill(this.#node(fault.target), fault.forMs)
      case 'crash-leader':
        return this.#kill(this.#leader(fault.target), fault.forMs)
      case 'crash-writing':
        return this.#killWhileWriting(this.#node(fault.target), fault.forMs)
      case 'crash-loop':
        return this.#killAgainAndAgain(this.#node(fault.target), fault.forMs, 3 + (fault.amount % 4))
      case 'power-loss':
      case 'power-loss-leader': {
        const node = fault.kind === 'power-loss' ? this.#node(fault.target) : this.#leader(fault.target)
        // In the middle of a turn, half of the time: of what it writes any part may be there.
        if (fault.amount % 2 === 0) return this.#cutPower(node, fault.forMs)
        return this.#whileWriting(node, () => this.#cutPower(node, fault.forMs))
      }
      case 'power-loss-all': {
        const downMs = (): number => fault.forMs + this.#random.below(500)
        return this.#world.nodes.filter((node) => this.#cutPower(node, downMs())).length > 0
      }
      case 'restart':
        return this.#restart(this.#node(fault.target), fault.forMs)
      case 'wipe':
        return this.#wipe(fault.forMs)
    }
  }

  // -- network -------------------------------------------------------------------------------------------------

  #strikeNetwork(kind: NetworkFault, fault: Fault): boolean {
    const { fabric, timeline } = this.#world
    const untilUs = timeline.nowUs + fault.forMs * 1000
    const hosts = this.#hosts()
    const from = this.#node(fault.target).id
    const to = this.#other(from, fault.other)
    switch (kind) {
      case 'partition':
        return this.#separate(
          hosts.filter((_, at) => ((fault.amount >> at) & 1) === 1),
          untilUs,
        )
      case 'isolate-leader': {
        const leader = this.#leader(fault.target)
        return leader !== undefined && this.#separate([leader.id], untilUs)
      }
      case 'one-way':
        for (const host of hosts) if (host !== from) fabric.block(from, host, untilUs)
        return true
      case 'clog':
        fabric.block(from, to, untilUs)
        return true
      case 'swizzle':
        for (const host of hosts.filter(() => this.#random.chance(500))) this.#swizzle(host, fault.forMs)
        return true
      case 'slow-link': {
        const slowness = {
          untilUs,
          latencyUs: 1000 * (20 + (fault.amount % 300)),
          bytesPerMs: 20 + (fault.amount % 500),
        }
        fabric.slowDown(from, to, slowness)
        fabric.slowDown(to, from, slowness)
        return true
      }
      case 'client-cut': {
        const client = this.#clients[fault.target % Math.max(1, this.#clients.length)]
        return client !== undefined && this.#cutOff(client, fault.amount, untilUs)
      }
      case 'reset':
      case 'half-open': {
        const wire = this.#wire(fault)
        if (wire === undefined) return false
        if (kind === 'half-open') wire.isBlackHole = true
        else if (fault.other % 2 === 0) wire.reset('connection reset')
        else return this.#resetWithAnswer(wire, fault)
        return true
      }
    }
  }

  /** Between two nodes, or of a client: of these there are many, which would drown the others. */
  #wire({ target, amount }: Fault): Wire | undefined {
    const wires = [...this.#world.fabric.wires].filter((wire) => !wire.isBlackHole)
    const isBetweenNodes = ({ client }: Wire): boolean =>
      this.#world.nodes.some(({ id }) => id === client.host)
    const wanted = wires.filter((wire) => isBetweenNodes(wire) === (target % 2 === 0))
    const choice = wanted.length > 0 ? wanted : wires
    return choice[amount % Math.max(1, choice.length)]
  }

  /** With the next answer on it, or the next that a node tells another: the sender takes it for sent. Counted then. */
  #resetWithAnswer(wire: Wire, fault: Fault): false {
    wire.resetWithNextMessage(() => {
      if (this.#stopped) return false
      this.#struck(fault, undefined)
      return true
    })
    return false
  }

  /** A client reaches nobody; or it hears nothing, while all that it sends arrives; or it only hears. */
  #cutOff(client: string, amount: number, untilUs: number): boolean {
    const { fabric, nodes } = this.#world
    for (const { id } of nodes) {
      if (amount % 3 !== 1) fabric.block(client, id, untilUs)
      if (amount % 3 !== 2) fabric.block(id, client, untilUs)
    }
    return true
  }

  #separate(side: readonly string[], untilUs: number): boolean {
    const others = this.#hosts().filter((host) => !side.includes(host))
    if (side.length === 0 || others.length === 0) return false
    for (const one of side) {
      for (const other of others) {
        this.#world.fabric.block(one, other, untilUs)
        this.#world.fabric.block(other, one, untilUs)
      }
    }
    return true
  }

  #swizzle(host: string, forMs: number): void {
    const beginMs = this.#random.below(forMs)
    const endMs = forMs + this.#random.below(forMs)
    this.#after(beginMs, () => {
      if (!this.#stopped) this.#separate([host], this.#world.timeline.nowUs + (endMs - beginMs) * 1000)
    })
  }

  // -- disk and clocks -----------------------------------------------------------------------------------------

  #strikeDisk({ kind, forMs, amount }: Fault, { drive }: SimNode): boolean {
    const untilUs = this.#world.timeline.nowUs + forMs * 1000
    if (kind === 'disk-stall') drive.stallUntil(untilUs)
    else if (kind === 'disk-slow') drive.slowUntil(untilUs, 5 + (amount % 100))
    else if (kind === 'io-error') drive.armError(this.#random.pick(errorsAt))
    else drive.fullUntil(untilUs)
    return true
  }

  /** Of one node only: see damage.ts. */
  #damage({ kind, forMs, amount }: Fault): boolean {
    const victim = victimOf(this.#world.plan)
    if (victim === undefined) return false
    const node = this.#world.nodes[victim]!
    if (node.isOutside) return false
    if (kind === 'read-flip') {
      node.drive.armFlips(1 + (amount % 3))
      return true
    }
    if (kind === 'bit-rot') return node.drive.rot()
    if (!node.isUp) return false
    node.kill()
    this.#after(forMs, () => node.start())
    return node.loseRecord()
  }

  #strikeClock({ kind, forMs, amount }: Fault, { clock }: SimNode): boolean {
    if (kind === 'clock-step') {
      clock.step((amount % 2 === 0 ? 1 : -1) * (amount % 600_000))
      return true
    }
    clock.drift((amount % 2 === 0 ? 1 : -1) * (amount % 200_000))
    this.#after(forMs, () => clock.drift(0))
    return true
  }

  // -- processes -----------------------------------------------------------------------------------------------

  #pause(node: SimNode | undefined, forMs: number): boolean {
    if (node?.life === undefined) return false
    node.life.pauseUntil(this.#world.timeline.nowUs + forMs * 1000)
    this.#world.observer?.paused(node.id, this.#world.timeline.nowUs + forMs * 1000)
    return true
  }

  #kill(node: SimNode | undefined, downMs: number): boolean {
    if (node?.isUp !== true) return false
    node.kill()
    this.#after(downMs, () => node.start())
    return true
  }

  #cutPower(node: SimNode | undefined, downMs: number): boolean {
    if (node?.isUp !== true) return false
    node.losePower()
    this.#after(downMs, () => node.start())
    return true
  }

  #killWhileWriting(node: SimNode, downMs: number): boolean {
    return this.#whileWriting(node, () => this.#kill(node, downMs))
  }

  #whileWriting(node: SimNode | undefined, strike: () => void): boolean {
    if (node?.isUp !== true) return false
    let tries = 0
    const look = (): void => {
      if (this.#stopped || ++tries > 2000 || !node.isUp) return
      if (node.drive.isWriting) strike()
      else this.#world.timeline.after(100 + this.#random.below(900), look)
    }
    look()
    return true
  }

  #killAgainAndAgain(node: SimNode, lifeMs: number, times: number): boolean {
    if (!this.#kill(node, 1)) return false
    const again = (left: number): void => {
      if (left === 0) return
      this.#after(1 + this.#random.below(2 * lifeMs), () => {
        if (this.#stopped) return
        this.#kill(node, 1)
        again(left - 1)
      })
    }
    again(times)
    return true
  }

  #restart(node: SimNode, downMs: number): boolean {
    if (node.server === undefined) return false
    node.stop(() => this.#after(downMs, () => node.start()))
    return true
  }

  /**
   * Of a majority one disk may be lost, so it is the same one in all of a run; and only when no other node could still take
   * the cluster for one that is only beginning (ARCHITECTURE.md, "Founding, or coming back?").
   */
  #wipe(downMs: number): boolean {
    const { nodes, plan, durableLogs } = this.#world
    const victim = victimOf(plan)
    if (victim === undefined) return false
    const node = nodes[victim]!
    const others = nodes.filter((each) => each !== node && !each.isOutside)
    if (node.isOutside) return false
    if (!others.every(({ id }) => durableLogs.knowsCluster(id))) return false
    node.loseDisk()
    this.#after(downMs, () => node.start())
    return true
  }

  // -- whom ----------------------------------------------------------------------------------------------------

  /** The machine that a fault is about, for pictures; faults of the network show on the ways that they block. */
  #victim({ kind, target }: Fault): string | undefined {
    if (kind.endsWith('-leader')) return this.#leader(target)?.id
    if (kind === 'power-loss-all' || networkFaults.has(kind)) return undefined
    return this.#node(target).id
  }

  #node(target: number): SimNode {
    const nodes = this.#world.nodes.filter(({ isOutside }) => !isOutside)
    return nodes[target % nodes.length]!
  }

  #leader(target: number): SimNode | undefined {
    const id = this.#world.leaders.get(this.#groups[target % this.#groups.length]!)
    return id === undefined ? undefined : this.#world.node(id)
  }

  #hosts(): string[] {
    return [...this.#world.nodes.map(({ id }) => id), ...this.#clients]
  }

  #other(host: string, target: number): string {
    const others = this.#hosts().filter((each) => each !== host)
    return others[target % others.length]!
  }

  #after(delayMs: number, run: () => void): void {
    this.#world.timeline.after(delayMs * 1000, run)
  }
}
