import type { Acknowledgement, DeliveryReport } from '../types.ts'
import type { FlotillaError } from '../../wire/index.ts'

/** The records sent between two flushes; `onSettled` hears when none of them is left. */
export class FlushGroup {
  readonly settling: Settling
  #pending = 0
  #onSettled: (() => void) | undefined

  constructor(settling: Settling) {
    this.settling = settling
  }

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

/** What all records of a producer need when they are settled. */
export interface Settling {
  /** So many bytes have left the room. */
  release(bytes: number): void
  /** A report threw. */
  reportFailed(thrown: unknown): void
}

/**
 * A record between `send` and its acknowledgement. All else about it is elsewhere, so that it can go before this does: tens of
 * thousands may be under way, and the garbage collector copies each that it finds alive.
 */
export class PendingRecord {
  readonly #framedBytes: number
  readonly #group: FlushGroup
  readonly #report: DeliveryReport
  #inside = false
  #settled = false

  constructor(framedBytes: number, group: FlushGroup, report: DeliveryReport) {
    this.#framedBytes = framedBytes
    this.#group = group
    this.#report = report
    group.add()
  }

  get isSettled(): boolean {
    return this.#settled
  }

  /** It counts among the bytes in flight from here on. */
  enterRoom(): void {
    this.#inside = true
    // Given up while it waited: the room is free again.
    if (this.#settled) this.#group.settling.release(this.#framedBytes)
  }

  acknowledge(acknowledgement: Acknowledgement): void {
    if (this.abandon()) this.#tell(undefined, acknowledgement)
  }

  fail(error: FlotillaError): void {
    if (this.abandon()) this.#tell(error, undefined)
  }

  /** Settles it without a report. False: it was settled before. */
  abandon(): boolean {
    if (this.#settled) return false
    this.#settled = true
    this.#group.settle()
    if (this.#inside) this.#group.settling.release(this.#framedBytes)
    return true
  }

  #tell(error: FlotillaError | undefined, acknowledgement: Acknowledgement | undefined): void {
    try {
      this.#report(error, acknowledgement)
    } catch (thrown) {
      this.#group.settling.reportFailed(thrown)
    }
  }
}
