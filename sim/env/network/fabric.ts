import type { Network } from '../../../src/env/index.ts'
import type { RandomStream } from '../../core/random.ts'
import type { SimClock } from '../clock.ts'
import type { SimLogger } from '../logger.ts'
import type { Life } from '../life.ts'
import type { Timeline } from '../timeline.ts'
import { SimConnection } from './connection.ts'
import type { Frame } from './frame.ts'
import { listenSim, type SimListener } from './listener.ts'
import { Wire } from './wire.ts'

export interface LinkSpeed {
  /** One way, from and to. */
  readonly latencyUs: readonly [number, number]
  readonly bytesPerMs: number
}

export interface FabricEvents {
  /** Bytes reach a process: for the trace. */
  onArrival(from: string, to: string, frame: Frame): void
  onSent?(wire: number, from: string, to: string, frame: Frame): void
  /** A frame that will never arrive. */
  onDropped?(frame: Frame): void
  /** An end of a connection has heard that it is gone, or gave it up. */
  onWireLost?(wire: number): void
  onBlocked?(from: string, to: string, untilUs: number): void
  onHealed?(): void
}

interface Slowness {
  untilUs: number
  latencyUs: number
  bytesPerMs: number
}

/** The network: machines, what runs on them, and the ways between them. */
export class Fabric {
  readonly timeline: Timeline
  readonly random: RandomStream
  readonly events: FabricEvents
  readonly #speed: LinkSpeed
  readonly #listeners = new Map<string, SimListener>()
  /** Machines without power: nothing answers there, not even a refusal. */
  readonly #dark = new Set<string>()
  /** "from>to" lets nothing through until then. */
  readonly #blockedUntilUs = new Map<string, number>()
  readonly #slow = new Map<string, Slowness>()
  readonly wires = new Set<Wire>()
  #nextWire = 1

  constructor(timeline: Timeline, random: RandomStream, speed: LinkSpeed, events: FabricEvents) {
    this.timeline = timeline
    this.random = random
    this.#speed = speed
    this.events = events
  }

  /** The network as one process sees it. */
  networkOf(life: Life, clock: SimClock, logger: SimLogger): Network {
    const connect: Network['connect'] = (address, options = {}) =>
      new SimConnection(this, life, clock, address, options)
    // How bytes are framed makes no difference here: a connection is ordered, breaks, and pushes back all the same.
    return {
      listen: (options) => listenSim(this, life, clock, logger, options),
      connect,
      connectFramed: connect,
    }
  }

  // -- who is there --------------------------------------------------------------------------------------------

  listenerAt(address: string): SimListener | undefined {
    const listener = this.#listeners.get(address)
    return listener?.isOpen === true ? listener : undefined
  }

  register(address: string, listener: SimListener): void {
    this.#listeners.set(address, listener)
  }

  setDark(host: string, dark: boolean): void {
    if (dark) this.#dark.add(host)
    else this.#dark.delete(host)
  }

  isDark(host: string): boolean {
    return this.#dark.has(host)
  }

  openWire(client: Life, listener: SimListener): Wire {
    const wire = new Wire(this, this.#nextWire++, client, listener)
    this.wires.add(wire)
    return wire
  }

  /** A process ended: `dark` with its machine, otherwise the machine closes its connections for it. */
  processEnded(life: Life, dark: boolean): void {
    for (const wire of [...this.wires]) {
      if (wire.client !== life && wire.server !== life) continue
      if (dark) wire.powerLost(life)
      else wire.processEnded(life)
    }
  }

  // -- ways ----------------------------------------------------------------------------------------------------

  isBlocked(from: string, to: string): boolean {
    return (this.#blockedUntilUs.get(`${from}>${to}`) ?? 0) > this.timeline.nowUs
  }

  block(from: string, to: string, untilUs: number): void {
    const way = `${from}>${to}`
    this.#blockedUntilUs.set(way, Math.max(untilUs, this.#blockedUntilUs.get(way) ?? 0))
    this.events.onBlocked?.(from, to, untilUs)
  }

  slowDown(from: string, to: string, slowness: Slowness): void {
    this.#slow.set(`${from}>${to}`, slowness)
  }

  healAll(): void {
    this.#blockedUntilUs.clear()
    this.events.onHealed?.()
    this.#slow.clear()
  }

  /** How long a packet takes. */
  latencyUs(from: string, to: string): number {
    const [fastest, slowest] = this.#speed.latencyUs
    const usual = from === to ? 20 + this.random.below(30) : this.random.between(fastest, slowest)
    return usual + (this.#slowness(from, to)?.latencyUs ?? 0)
  }

  /** How long the bytes themselves take, from `beginUs` on. A way that was slow is fast again for what is left of them. */
  transmissionUs(from: string, to: string, bytes: number, beginUs: number): number {
    if (from === to) return 0
    const slowness = this.#slowness(from, to)
    const slowUs = slowness === undefined ? 0 : Math.max(0, slowness.untilUs - beginUs)
    const slowBytes = slowness === undefined ? 0 : Math.floor((slowUs * slowness.bytesPerMs) / 1000)
    if (slowness !== undefined && bytes <= slowBytes) return Math.ceil((bytes * 1000) / slowness.bytesPerMs)
    return slowUs + Math.ceil(((bytes - slowBytes) * 1000) / this.#speed.bytesPerMs)
  }

  #slowness(from: string, to: string): Slowness | undefined {
    if (this.#slow.size === 0) return undefined
    const slowness = this.#slow.get(`${from}>${to}`)
    return slowness !== undefined && slowness.untilUs > this.timeline.nowUs ? slowness : undefined
  }
}

export function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':'))
}
