import type { GroupConsumerEvents } from '../types.ts'

type EventName = keyof GroupConsumerEvents
/** Events that nobody waits for. */
export type SyncEvent = Exclude<EventName, 'revoked'>

/** Who wants to be told of what. */
export class Listeners {
  readonly #byName: { readonly [Name in EventName]: Set<GroupConsumerEvents[Name]> } = {
    assigned: new Set(),
    revoked: new Set(),
    lost: new Set(),
    stuck: new Set(),
  }

  add<Name extends EventName>(name: Name, listener: GroupConsumerEvents[Name]): () => void {
    const listeners: Set<GroupConsumerEvents[Name]> = this.#byName[name]
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }

  /** Throws what a listener throws. */
  tell<Name extends SyncEvent>(name: Name, ...args: Parameters<GroupConsumerEvents[Name]>): void {
    for (const listener of [...this.#byName[name]]) {
      // Which listener takes which arguments is lost on the way through the mapped type.
      ;(listener as (...args: Parameters<GroupConsumerEvents[Name]>) => void)(...args)
    }
  }

  /** Resolves when all listeners are done; rejects with the first failure. */
  async tellRevoked(partitions: Parameters<GroupConsumerEvents['revoked']>[0]): Promise<void> {
    await Promise.all([...this.#byName.revoked].map(async (listener) => listener(partitions)))
  }
}
