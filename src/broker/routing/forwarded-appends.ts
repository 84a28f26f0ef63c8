import type { Clock, Connection, RpcError, Sink } from '../../env/index.ts'
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

/**
 * Appends that this node passes on to one other, on one long-lived stream, so that those for a partition keep their
 * order. What a turn brings shares a message.
 */
export class ForwardedAppends {
  readonly #connection: Connection
  readonly #clock: Clock
  #sink: Sink<AppendStreamRequest> | undefined
  #waiting = new Map<number, { readonly done: Done; readonly bytes: number }>()
  #queue: CorrelatedAppend[] = []
  #flushing = false
  #inFlightBytes = 0
  #nextCorrelationId = 1

  constructor(connection: Connection, clock: Clock) {
    this.#connection = connection
    this.#clock = clock
  }

  append(append: AppendRequest, done: Done): void {
    const bytes = append.records.byteLength
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
    this.#waiting.set(correlationId, { done, bytes })
    this.#queue.push({ correlationId, append })
    if (this.#flushing) return
    this.#flushing = true
    this.#clock.defer(() => this.#flush())
  }

  #flush(): void {
    this.#flushing = false
    const appends = this.#queue
    this.#queue = []
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
    const lost = error === undefined ? undefined : fromRpcError(error)
    for (const [correlationId, { done }] of waiting) {
      const certain = unsent.has(correlationId) || lost?.effect === 'none'
      const text = `the connection to ${this.#connection.address} was lost: ${lost?.message ?? 'it ended the stream'}`
      done(new FlotillaError(certain ? 'NO_LEADER' : 'UNKNOWN_OUTCOME', text))
    }
  }
}
