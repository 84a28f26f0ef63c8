import type { SimNode } from '../cluster/node.ts'
import type { World } from '../cluster/world.ts'
import { RandomStream } from '../core/random.ts'

/** Small things that a healthy cluster takes in its stride, when all in it has gone quiet. */
const kinds = ['killed', 'cut-off', 'paused', 'killed-while-another-is-paused', 'half-open'] as const

/** Two in a row: what the first leaves behind meets the second. */
const AFTERSHOCKS = 2
/** A node that is cut off stays so, unless something else ends it. */
const NEVER_US = 3_600_000_000

export interface Aftershock {
  /** In words, for whoever has to understand a failure. */
  readonly what: string
  /** Whoever is not expected to answer for a while. */
  readonly lost: SimNode
  /** Ends what still goes on. */
  readonly over: () => void
}

/** Strikes nodes of a cluster that has been healed, all of which are up. */
export class Aftershocks {
  readonly #world: World
  readonly #random: RandomStream
  readonly #clients: readonly string[]
  readonly count = AFTERSHOCKS

  constructor(world: World, clients: readonly string[]) {
    this.#world = world
    this.#clients = clients
    this.#random = new RandomStream(world.plan.seed, 'aftershocks')
  }

  strike(nodes: readonly SimNode[]): Aftershock {
    const { timeline, fabric, plan } = this.#world
    const lost = this.#random.pick(nodes)
    const others = nodes.filter((node) => node !== lost)
    const kind = this.#random.pick(kinds)
    const what = `${lost.id} ${kind}`
    this.#world.note(`aftershock: ${what}`)
    // About as long as others wait for it, or much longer.
    const { electionTimeoutMs } = plan.shape
    const longest = kind === 'paused' ? this.#random.pick([3, 10]) : 3
    const pauseMs = this.#random.between(electionTimeoutMs, longest * electionTimeoutMs)
    const untilUs = timeline.nowUs + pauseMs * 1000
    switch (kind) {
      case 'killed':
        lost.kill()
        return { what, lost, over: () => lost.start() }
      case 'killed-while-another-is-paused': {
        const paused = this.#random.pick(others)
        paused.life?.pauseUntil(untilUs)
        // It has stood still for a moment, or is only about to.
        timeline.after(this.#random.below(electionTimeoutMs) * 1000, () => lost.kill())
        return { what: `${what}, ${paused.id}`, lost, over: () => lost.start() }
      }
      case 'paused':
        lost.life?.pauseUntil(untilUs)
        return { what, lost, over: () => undefined }
      case 'cut-off': {
        // Clients may still reach it, or nobody does.
        const ids = others.map(({ id }) => id)
        const hosts = this.#random.chance(500) ? ids : [...ids, ...this.#clients]
        for (const host of hosts) {
          fabric.block(host, lost.id, timeline.nowUs + NEVER_US)
          fabric.block(lost.id, host, timeline.nowUs + NEVER_US)
        }
        return { what, lost, over: () => fabric.healAll() }
      }
      case 'half-open': {
        const ids = nodes.map(({ id }) => id)
        for (const wire of fabric.wires) {
          const isOfLost = wire.client.host === lost.id && ids.includes(wire.server.host)
          if (isOfLost && this.#random.chance(500)) wire.isBlackHole = true
        }
        return { what, lost, over: () => undefined }
      }
    }
  }
}
