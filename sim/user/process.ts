import { AbortError, FlotillaError } from '../../src/client/index.ts'
import { RandomStream } from '../core/random.ts'
import { SimClient } from '../cluster/client.ts'
import { stackOf } from '../cluster/node.ts'
import type { World } from '../cluster/world.ts'
import type { Process, Self } from './workload.ts'

/** A request to something outside takes so long, one way. */
const WAY_US = [200, 5000] as const
/** A process that failed is started again after so long. */
const AGAIN_MS = [20, 500] as const

/** What a run counts of its processes. */
export interface ProcessEvents<Outside> {
  readonly outside: Outside
  /** Something outside took place. */
  onActed(): void
  onKilled(): void
}

/** A process of a workload through all its lives, on a machine of its own. */
export class WorkloadProcess<Outside> {
  readonly name: string
  readonly #world: World
  readonly #process: Process<Outside>
  readonly #events: ProcessEvents<Outside>
  readonly #random: RandomStream
  #client: SimClient | undefined
  #lives = 0
  #finished = false
  /** Set: killed as soon as its next act has taken place, and down for so long then. */
  #dieAfterActMs: number | undefined

  constructor(world: World, name: string, process: Process<Outside>, events: ProcessEvents<Outside>) {
    this.#world = world
    this.name = name
    this.#process = process
    this.#events = events
    this.#random = new RandomStream(world.plan.seed, `process ${name}`)
  }

  start(): void {
    if (this.#client !== undefined || this.#finished) return
    const client = new SimClient(this.#world, `${this.name}#${++this.#lives}`, this.name)
    this.#client = client
    this.#world.note(`${client.name} starts`)
    this.#world.observer?.began(this.name)
    client.life.after(1, () => {
      // A function that throws before its first await fails like one that rejects.
      const run = async (): Promise<void> => this.#process(this.#selfOf(client))
      run().then(
        () => this.#returned(client),
        (error: unknown) => this.#failed(client, error),
      )
    })
  }

  /** Killed now, or once the next thing outside was done. */
  kill(downMs: number, afterAct: boolean): boolean {
    if (this.#client === undefined) return false
    if (afterAct) this.#dieAfterActMs = downMs
    else this.#die(downMs)
    return true
  }

  /** Faults are over: a kill that waits for its moment is off. */
  spare(): void {
    this.#dieAfterActMs = undefined
  }

  #die(downMs: number): void {
    const client = this.#client
    if (client === undefined) return
    this.#client = undefined
    this.#dieAfterActMs = undefined
    this.#world.observer?.ended(this.name, 'killed')
    client.kill(this.#world)
    this.#events.onKilled()
    this.#world.timeline.after(downMs * 1000, () => this.start())
  }

  #returned(client: SimClient): void {
    this.#world.note(`${client.name} has nothing more to do`)
    this.#finished = true
    this.#client = undefined
    this.#world.observer?.ended(this.name, 'stopped')
    client.life.end()
    this.#world.fabric.processEnded(client.life, false)
  }

  #failed(client: SimClient, error: unknown): void {
    if (!(error instanceof FlotillaError) && !(error instanceof AbortError)) {
      this.#world.report('internal-error', `${client.name} failed: ${stackOf(error)}`)
      return
    }
    this.#world.note(`${client.name} ends with ${error.message}`)
    this.#client = undefined
    this.#world.observer?.ended(this.name, 'gave up')
    client.life.end()
    this.#world.fabric.processEnded(client.life, false)
    this.#world.timeline.after(this.#random.between(...AGAIN_MS) * 1000, () => this.start())
  }

  #selfOf(client: SimClient): Self<Outside> {
    const { clock, random } = client.env
    return {
      name: client.name,
      client: client.client,
      act: (what, act) => this.#act(client, what, act),
      sleep: (ms) => new Promise((resolve) => void clock.setTimer(ms, resolve)),
      nowMs: () => clock.nowMs(),
      wallMs: () => clock.wallMs(),
      random: (bound) => random.below(bound),
      note: (text) => this.#world.note(`${client.name} ${text}`),
    }
  }

  #act<Result>(client: SimClient, what: string, act: (outside: Outside) => Result): Promise<Result> {
    const world = this.#world
    const wayUs = (): number => this.#random.between(...WAY_US)
    const hears = world.observer?.asked(this.name, what)
    return new Promise((resolve, reject) => {
      // It is under way now: it takes place whatever becomes of the process.
      world.timeline.after(wayUs(), () => {
        world.note(`${what}, for ${client.name}`)
        let answer: () => void
        try {
          const result = act(this.#events.outside)
          answer = () => resolve(result)
        } catch (error) {
          answer = () => reject(error)
        }
        this.#events.onActed()
        client.life.after(wayUs(), () => {
          hears?.()
          answer()
        })
        if (this.#client === client && this.#dieAfterActMs !== undefined) this.#die(this.#dieAfterActMs)
      })
    })
  }
}
