import { topicMethods, type TopicMessage } from '../wire/index.ts'
import { abortable } from './abort.ts'
import type { Caller } from './caller.ts'
import type { LayoutWatch } from './layout-watch.ts'

/** Tells what is known of a topic, and asks the cluster where the layout that is being followed doesn't have it yet. */
export class TopicSource {
  readonly #watch: LayoutWatch
  readonly #caller: Caller
  readonly #asking = new Map<string, Promise<TopicMessage>>()

  constructor(watch: LayoutWatch, caller: Caller) {
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
