import type { Cancel, Clock, Connection, RpcError, Sink } from '../../env/index.ts'
import { FlotillaError, fromErrorMessage, fromRpcError, logMethods } from '../../wire/index.ts'
import type {
  AppendRequest,
  AppendResponse,
  AppendStreamRequest,
  AppendStreamResponse,
  CorrelatedAppend,
} from '../../wire/messages.ts'
import { FORWARDED } from './connections.ts'

type Done = (outcome: AppendResponse | FlotillaError) => void

/** Bytes passed on without an answer yet, per node; more is refused. */
const MAX_IN_FLIGHT_BYTES = 32 * 1024 * 1024
/** What an append costs in memory beyond its records: an estimate, so that tiny ones are bounded too. */
const APPEND_OVERHEAD_BYTES = 256
/** Deadlines are looked at so often: an answer may be late by as much, and a timer for each append would cost more. */
const EXPIRE_MS = 100

interface Waiting {
  readonly done: Done
  readonly bytes: number
  readonly deadlineMs: number
}

/**
 * Appends that this node passes on to one other, on one long-lived stream, so that those for a partition keep their
 * order. What a turn brings shares a message.
 */
export class ForwardedAppends {
  readonly #connection: Connection
  readonly #clock: Clock
  #sink: Sink<AppendStreamRequest> | undefined
  #waiting = new Map<number, Waiting>()
  #cancelExpiry: Cancel | undefined
  #queue: CorrelatedAppend[] = []
  #flushing = false
  #inFlightBytes = 0
  #nextCorrelationId = 1

  constructor(connection: Connection, clock: Clock) {
    this.#connection = connection
    this.#clock = clock
  }

  /** Calls `done` once: with the other node's answer, or when the stream is lost or `deadlineMs` (Clock.nowMs) has passed. */
  append(append: AppendRequest, deadlineMs: number, done: Done): void {
    const bytes = append.records.byteLength + APPEND_OVERHEAD_BYTES
    if (this.#inFlightBytes > 0 && this.#inFlightBytes + bytes > MAX_IN_FLIGHT_BYTES) {
      done(
        new FlotillaError(
          'THROTTLED',
          `${this.#inFlightBytes} bytes are on their way to ${this.#connection.address} already`,
          {
            retryDelayMs: 100,
          },
        ),
      )
      return
    }
    const correlationId = this.#nextCorrelationId++
    this.#inFlightBytes += bytes
    this.#waiting.set(correlationId, { done, bytes, deadlineMs })
    this.#cancelExpiry ??= this.#clock.setTimer(EXPIRE_MS, () => this.#expire())
    this.#queue.push({ correlationId, append })
    if (this.#flushing) return
    this.#flushing = true
    this.#clock.defer(() => this.#flush())
  }

  #flush(): void {
    this.#flushing = false
    const appends = this.#queue
    this.#queue = []
    // A stream that was lost since has answered them.
    if (appends.length === 0) return
    this.#sink ??= this.#open()
    // What may wait is bounded by the bytes in flight, so the stream's own bound needs no heeding.
    this.#sink.send({ appends })
  }

  #open(): Sink<AppendStreamRequest> {
    const sink: Sink<AppendStreamRequest> = this.#connection.duplex(
      logMethods.appendStream,
      {
        onMessage: (response: AppendStreamResponse) => this.#answered(response),
        onEnd: () => undefined,
        onClose: (error) => {
          if (this.#sink === sink) this.#lost(error)
        },
      },
      { metadata: { [FORWARDED]: '1' } },
    )
    return sink
  }

  /** A node that hangs answers nothing, and its connection may stand for a while yet. */
  #expire(): void {
    this.#cancelExpiry = undefined
    const nowMs = this.#clock.nowMs()
    const text = `node ${this.#connection.address} did not answer before the deadline; the append may yet be committed`
    for (const [correlationId, { done, bytes, deadlineMs }] of this.#waiting) {
      if (deadlineMs > nowMs) continue
      this.#waiting.delete(correlationId)
      this.#inFlightBytes -= bytes
      done(new FlotillaError('UNKNOWN_OUTCOME', text))
    }
    if (this.#waiting.size > 0) this.#cancelExpiry ??= this.#clock.setTimer(EXPIRE_MS, () => this.#expire())
  }

  #answered({ results }: AppendStreamResponse): void {
    for (const result of results) {
      const waiting = this.#waiting.get(result.correlationId)
      if (waiting === undefined) continue
      this.#waiting.delete(result.correlationId)
      this.#inFlightBytes -= waiting.bytes
      waiting.done('appended' in result ? result.appended : fromErrorMessage(result.error))
    }
  }

  #lost(error: RpcError | undefined): void {
    this.#sink = undefined
    const waiting = this.#waiting
    const unsent = new Set(this.#queue.map(({ correlationId }) => correlationId))
    this.#waiting = new Map()
    this.#queue = []
    this.#inFlightBytes = 0
    this.#cancelExpiry?.()
    this.#cancelExpiry = undefined
    const lost = error === undefined ? undefined : fromRpcError(error)
    for (const [correlationId, { done }] of waiting) {
      // Only what the transport knows of the whole stream: an error that says "no effect" speaks of one message of many.
      const certain = unsent.has(correlationId) || error?.neverSent === true
      const text = `the connection to ${this.#connection.address} was lost: ${lost?.message ?? 'it ended the stream'}`
      done(new FlotillaError(certain ? 'NO_LEADER' : 'UNKNOWN_OUTCOME', text))
    }
  }
}
