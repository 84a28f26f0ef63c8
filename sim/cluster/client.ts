import { connectWith, type Client, type ClientEnv } from '../../src/client/index.ts'
import { RandomStream } from '../core/random.ts'
import { HostClock, SimClock } from '../env/clock.ts'
import { Life } from '../env/life.ts'
import { SimLogger } from '../env/logger.ts'
import { SimRandom } from '../env/random.ts'
import type { World } from './world.ts'

/** One process of a user on a machine of its own, with the production client in it. */
export class SimClient {
  readonly name: string
  readonly life: Life
  readonly env: ClientEnv
  readonly client: Client
  readonly #onKill = new Map<string, () => void>()

  constructor(world: World, name: string, host: string) {
    this.name = name
    this.life = new Life(world.timeline, name, host)
    const { seed } = world.plan
    const clock = new SimClock(
      this.life,
      new HostClock(world.timeline),
      new RandomStream(seed, `clock ${name}`),
    )
    const logger = new SimLogger(({ level, message }) => world.note(`${name} ${level} ${message}`))
    this.env = {
      clock,
      random: new SimRandom(new RandomStream(seed, `random ${name}`)),
      network: world.fabric.networkOf(this.life, clock, logger),
    }
    this.client = connectWith(this.env, {
      bootstrap: world.nodes.map(({ address }) => address),
      timeoutMs: 15_000,
    })
  }

  /** Calls `listener` if the process is killed before `name` is settled. */
  onKill(listener: () => void, name: string): void {
    this.#onKill.set(name, listener)
  }

  settled(name: string): void {
    this.#onKill.delete(name)
  }

  /** The process is killed. */
  kill(world: World): void {
    if (!this.life.isAlive) return
    for (const listener of this.#onKill.values()) listener()
    this.#onKill.clear()
    world.note(`${this.name} is killed`)
    this.life.end()
    world.fabric.processEnded(this.life, false)
  }
}
