import type { Cancel, Env, FlowControl } from '../env/index.ts'
import {
  clusterMethods,
  fromRpcError,
  FlotillaError,
  type LeaderHint,
  type TopicMessage,
  type WatchLayoutResponse,
} from '../wire/index.ts'
import { onAbort, throwIfAborted } from './abort.ts'
import { backoffDelayMs } from './backoff.ts'
import type { Connections } from './connections.ts'
import { EMPTY_LAYOUT, withHint, withTopic, withWatched, type Layout } from './layout.ts'

/**
 * A node that has not answered within this may be without power, and nobody says so: the next one is asked. Each further
 * attempt waits that much longer, for nodes that are only slow.
 */
const PATIENCE_MS = 3000
const LONGEST_PATIENCE_MS = 20_000

/**
 * Keeps the layout up to date: follows WatchLayout on one node, goes to the next when that is lost, and takes what
 * calls learn meanwhile. Starts when first asked.
 */
export class LayoutWatch {
  layout: Layout = EMPTY_LAYOUT
  readonly #env: Pick<Env, 'clock' | 'random'>
  readonly #connections: Connections
  readonly #bootstrap: readonly string[]
  readonly #listeners = new Set<() => void>()
  #call: (FlowControl & { cancel(): void }) | undefined
  #cancelRetry: Cancel | undefined
  #cancelPatience: Cancel | undefined
  #begun = false
  #known = false
  #closed = false
  #attempt = 0
  #lastError: FlotillaError | undefined

  constructor(env: Pick<Env, 'clock' | 'random'>, connections: Connections, bootstrap: readonly string[]) {
    this.#env = env
    this.#connections = connections
    this.#bootstrap = bootstrap
  }

  /** The nodes that any call may go to. */
  addresses(): string[] {
    return [...new Set([...this.layout.addresses.values(), ...this.#bootstrap])]
  }

  /** Calls `listener` after every change; the returned function ends that. */
  onChange(listener: () => void): Cancel {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  learnTopic(topic: TopicMessage): void {
    this.#become(withTopic(this.layout, topic))
  }

  learnLeader(topic: string, partition: number, hint: LeaderHint): void {
    this.#become(withHint(this.layout, topic, partition, hint))
  }

  /** Resolves with the first snapshot; rejects with the last failure at the deadline, or with AbortError. */
  ready(deadlineMs: number, signal?: AbortSignal): Promise<void> {
    throwIfAborted(signal)
    this.#begin()
    if (this.#known) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        unlisten()
        cancelTimer()
        unlink()
      }
      const unlisten = this.onChange(() => {
        stop()
        resolve()
      })
      const cancelTimer = this.#env.clock.setTimer(deadlineMs - this.#env.clock.nowMs(), () => {
        stop()
        reject(this.#lastError ?? this.#silence())
      })
      const unlink = onAbort(signal, (error) => {
        stop()
        reject(error)
      })
    })
  }

  close(): void {
    this.#closed = true
    this.#cancelRetry?.()
    this.#cancelPatience?.()
    this.#call?.cancel()
    this.#listeners.clear()
  }

  #silence(): FlotillaError {
    const message = `none of ${this.addresses().join(', ')} answered in time; correct --bootstrap, or start the nodes`
    return new FlotillaError('UNREACHABLE', message)
  }

  #begin(): void {
    if (this.#begun) return
    this.#begun = true
    this.#follow()
  }

  #follow(): void {
    if (this.#closed) return
    const addresses = this.addresses()
    const address = addresses[this.#attempt % addresses.length]!
    let gaveUp = false
    const call = this.#connections.to(address).serverStream(
      clusterMethods.watchLayout,
      {},
      {
        onMessage: (message) => {
          this.#cancelPatience?.()
          this.#take(message)
        },
        onEnd: () => {},
        onClose: (error) => {
          this.#cancelPatience?.()
          if (error !== undefined && !gaveUp) this.#lastError = fromRpcError(error)
          this.#followNext()
        },
      },
    )
    this.#call = call
    const patienceMs = Math.min(LONGEST_PATIENCE_MS, PATIENCE_MS * (this.#attempt + 1))
    this.#cancelPatience = this.#env.clock.setTimer(patienceMs, () => {
      gaveUp = true
      call.cancel()
    })
  }

  #take(message: WatchLayoutResponse): void {
    this.#known = true
    this.#attempt = 0
    this.#become(withWatched(this.layout, message))
  }

  #followNext(): void {
    if (this.#closed) return
    this.#attempt++
    const delayMs = backoffDelayMs(this.#attempt, this.#env.random)
    this.#cancelRetry = this.#env.clock.setTimer(delayMs, () => this.#follow())
  }

  #become(layout: Layout): void {
    this.layout = layout
    for (const listener of this.#listeners) listener()
  }
}
