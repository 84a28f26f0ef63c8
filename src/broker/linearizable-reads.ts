import type { LogIndex } from '../raft/types.ts'
import { FlotillaError } from '../wire/errors.ts'

export interface LinearizableRead {
  /** On Clock.nowMs. */
  readonly deadlineMs: number
  /** Called exactly once. */
  readonly done: (error: FlotillaError | undefined) => void
}

/** Reads that wait: first until a majority confirms the leader, then until all that was committed by then is folded. */
export class LinearizableReads {
  readonly #unconfirmed = new Map<number, LinearizableRead>()
  #confirmed: { readonly index: LogIndex; readonly read: LinearizableRead }[] = []
  #nextContext = 1

  get isEmpty(): boolean {
    return this.#unconfirmed.size === 0 && this.#confirmed.length === 0
  }

  /** The context under which the core shall be asked. */
  add(read: LinearizableRead): number {
    const context = this.#nextContext++
    this.#unconfirmed.set(context, read)
    return context
  }

  /** The leader is confirmed: the read may be served once `index` is folded. */
  confirmed(context: number, index: LogIndex, foldedIndex: LogIndex): void {
    const read = this.#unconfirmed.get(context)
    if (read === undefined) return
    this.#unconfirmed.delete(context)
    if (index <= foldedIndex) read.done(undefined)
    else this.#confirmed.push({ index, read })
  }

  dropped(context: number): void {
    const read = this.#unconfirmed.get(context)
    this.#unconfirmed.delete(context)
    read?.done(new FlotillaError('NOT_LEADER', 'this node could not confirm that it leads the partition'))
  }

  folded(foldedIndex: LogIndex): void {
    if (this.#confirmed.length === 0) return
    const ready = this.#confirmed.filter(({ index }) => index <= foldedIndex)
    this.#confirmed = this.#confirmed.filter(({ index }) => index > foldedIndex)
    for (const { read } of ready) read.done(undefined)
  }

  expire(nowMs: number): void {
    for (const [context, read] of this.#unconfirmed) {
      if (read.deadlineMs > nowMs) continue
      this.#unconfirmed.delete(context)
      const text = 'no majority of the replicas confirmed the leader before the deadline'
      read.done(new FlotillaError('NO_QUORUM', text))
    }
    // Confirmed, but a disk that hangs keeps what is committed from being folded.
    const expired = this.#confirmed.filter(({ read }) => read.deadlineMs <= nowMs)
    if (expired.length === 0) return
    this.#confirmed = this.#confirmed.filter(({ read }) => read.deadlineMs > nowMs)
    for (const { read } of expired) {
      read.done(new FlotillaError('REPLICA_UNAVAILABLE', 'this replica did not catch up before the deadline'))
    }
  }

  failAll(error: () => FlotillaError): void {
    const waiting = [...this.#unconfirmed.values(), ...this.#confirmed.map(({ read }) => read)]
    this.#unconfirmed.clear()
    this.#confirmed = []
    for (const read of waiting) read.done(error())
  }
}
