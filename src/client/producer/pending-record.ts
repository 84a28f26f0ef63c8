import type { AbortError } from '../abort.ts'
import type { Acknowledgement } from '../types.ts'
import type { FlotillaError } from '../../wire/index.ts'
import type { PreparedRecord } from './record.ts'

/** The records sent between two flushes; `onSettled` hears when none of them is left. */
export class FlushGroup {
  #pending = 0
  #onSettled: (() => void) | undefined

  add(): void {
    this.#pending++
  }
  settle(): void {
    this.#pending--
    if (this.#pending === 0) this.#onSettled?.()
  }
  settled(): Promise<void> {
    return this.#pending === 0 ? Promise.resolve() : new Promise((resolve) => (this.#onSettled = resolve))
  }
}

/** A record between `send` and its acknowledgement. */
export class PendingRecord {
  readonly topic: string
  readonly partition: number | undefined
  readonly prepared: PreparedRecord
  readonly deadlineMs: number
  readonly acknowledged: Promise<Acknowledgement>
  readonly #group: FlushGroup
  readonly #release: (bytes: number) => void
  #resolve!: (acknowledgement: Acknowledgement) => void
  #reject!: (error: FlotillaError | AbortError) => void
  #inside = false
  #settled = false

  constructor(
    topic: string,
    partition: number | undefined,
    prepared: PreparedRecord,
    deadlineMs: number,
    group: FlushGroup,
    release: (bytes: number) => void,
  ) {
    this.topic = topic
    this.partition = partition
    this.prepared = prepared
    this.deadlineMs = deadlineMs
    this.#group = group
    this.#release = release
    group.add()
    this.acknowledged = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  get isSettled(): boolean {
    return this.#settled
  }

  /** It counts among the bytes in flight from here on. */
  enterRoom(): void {
    this.#inside = true
    // Given up while it waited: the room is free again.
    if (this.#settled) this.#release(this.prepared.size.framedBytes)
  }

  acknowledge(acknowledgement: Acknowledgement): void {
    if (!this.#settle()) return
    this.#resolve(acknowledgement)
  }

  fail(error: FlotillaError | AbortError): void {
    if (!this.#settle()) return
    this.#reject(error)
  }

  #settle(): boolean {
    if (this.#settled) return false
    this.#settled = true
    this.#group.settle()
    if (this.#inside) this.#release(this.prepared.size.framedBytes)
    return true
  }
}
