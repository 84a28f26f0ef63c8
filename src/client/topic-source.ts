import type { Env } from '../env/index.ts'
import { topicMethods, type TopicMessage } from '../wire/index.ts'
import { abortable } from './abort.ts'
import type { Caller } from './caller.ts'
import type { Connections } from './connections.ts'
import type { LayoutWatch } from './layout-watch.ts'

const REFRESH_TIMEOUT_MS = 1000

/** Tells what is known of a topic, and asks the cluster where the layout that is being followed doesn't have it yet. */
export class TopicSource {
  readonly #watch: LayoutWatch
  readonly #caller: Caller
  readonly #env: Pick<Env, 'clock' | 'random'>
  readonly #connections: Connections
  readonly #refreshing = new Set<string>()
  readonly #asking = new Map<string, Promise<TopicMessage>>()

  constructor(
    env: Pick<Env, 'clock' | 'random'>,
    connections: Connections,
    watch: LayoutWatch,
    caller: Caller,
  ) {
    this.#env = env
    this.#connections = connections
    this.#watch = watch
    this.#caller = caller
  }

  known(name: string): TopicMessage | undefined {
    return this.#watch.layout.topics.get(name)
  }

  /** Rejects with UNKNOWN_TOPIC, with the last failure at the deadline, or with AbortError. */
  async resolve(
    name: string,
    nowMs: number,
    deadlineMs: number,
    signal?: AbortSignal,
  ): Promise<TopicMessage> {
    await this.#watch.ready(deadlineMs, signal)
    const known = this.known(name)
    if (known !== undefined) return known
    let asking = this.#asking.get(name)
    if (asking === undefined) {
      asking = this.#ask(name, Math.max(1, deadlineMs - nowMs)).finally(() => this.#asking.delete(name))
      this.#asking.set(name, asking)
    }
    return abortable(asking, signal)
  }

  /** Asks any node but `silentAddress` who leads the topic's partitions; one question at a time, no answer is fine. */
  refresh(name: string, silentAddress: string): void {
    const addresses = this.#watch.addresses().filter((address) => address !== silentAddress)
    if (addresses.length === 0 || this.#refreshing.has(name)) return
    const address = addresses[this.#env.random.below(addresses.length)]!
    const deadlineMs = this.#env.clock.nowMs() + REFRESH_TIMEOUT_MS
    this.#refreshing.add(name)
    this.#connections
      .to(address)
      .unary(topicMethods.getTopic, { name }, { deadlineMs })
      .then(
        ({ topic }) => this.#watch.learnTopic(topic),
        // It will be asked again while the silence lasts.
        () => undefined,
      )
      .finally(() => this.#refreshing.delete(name))
  }

  async #ask(name: string, timeoutMs: number): Promise<TopicMessage> {
    const { topic } = await this.#caller.call(
      topicMethods.getTopic,
      { name },
      { idempotent: true },
      { timeoutMs },
    )
    this.#watch.learnTopic(topic)
    return topic
  }
}
