import type { TopicMessage } from '../../src/client/index.ts'
import type { Frame } from '../env/network/index.ts'
import type { StoredOperation } from '../env/disk/store.ts'

/** How a process came to its end. */
export type Ending = 'killed' | 'power lost' | 'stopped' | 'gave up'

/** Somebody who watches a run. It draws nothing and changes nothing: a run is the same with and without it. */
export interface Observer {
  /** A frame leaves for the other end of a connection. */
  sent(wire: number, from: string, to: string, frame: Frame): void
  /** It reached the process there. */
  arrived(frame: Frame): void
  /** It never will. */
  dropped(frame: Frame): void
  /** A connection is gone, as far as one of its ends knows: what waits on it gets no answer. */
  lost(wire: number): void
  /** From now on nothing gets through in this direction. */
  blocked(from: string, to: string, untilUs: number): void
  /** All ways are open again. */
  healed(): void
  /** A topic that the run is about is there. */
  created(topic: TopicMessage): void
  began(host: string): void
  ended(host: string, how: Ending): void
  /** The process stands still. */
  paused(host: string, untilUs: number): void
  role(host: string, groupId: number, role: string, term: number): void
  /** On stable storage from now on. */
  durable(host: string, operations: readonly StoredOperation[]): void
  /** A fault of the plan struck; `host` is the machine that it strikes, where it strikes one. */
  struck(kind: string, forMs: number, host: string | undefined): void
  /** A process asks for something outside of Flotilla; what is returned is called when it hears of it. */
  asked(host: string, what: string): () => void
  /** A line of the run's notes. */
  noted(text: string): void
}
