import type { Disk } from './disk.ts'
import type { Network } from './network.ts'

/**
 * The only door to the outside. Everything in src/raft, src/log, src/broker and src/client that needs time,
 * randomness, disk or network takes it from here, so that a simulator can put itself in their place.
 */
export interface Env {
  readonly clock: Clock
  readonly random: Random
  readonly disk: Disk
  readonly network: Network
  readonly logger: Logger
}

export interface Clock {
  /** Monotonic milliseconds from an arbitrary start; never goes back. */
  nowMs(): number
  /** Milliseconds since 1970 by the wall clock; may jump either way. */
  wallMs(): number
  /** Calls `callback` once after `delayMs`; the returned function cancels it and may be called at any time. */
  setTimer(delayMs: number, callback: () => void): Cancel
  /** Calls `callback` soon, after the I/O that is already waiting: where a turn of the node's loop begins. */
  defer(callback: () => void): void
}

export type Cancel = () => void

export interface Random {
  /** A whole number from 0 to `bound` - 1; `bound` is 1 to 2^32. */
  below(bound: number): number
  /** Random bytes, for identities. */
  bytes(count: number): Uint8Array
}

/** The part of pino that the code uses. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  child(fields: object): Logger
}
