import type { Clock, FlowControl, Receiver, Sink } from '../../env/index.ts'
import { FlotillaError, toErrorMessage } from '../../wire/index.ts'
import type {
  AppendResponse,
  AppendStreamRequest,
  AppendStreamResponse,
  CorrelatedAppend,
  CorrelatedResult,
} from '../../wire/messages.ts'
import type { AppendRouter } from '../routing/append-router.ts'

/** Roughly what an append under way holds in memory beside its records. */
const OVERHEAD_BYTES = 256

/**
 * One client's AppendStream. The results of a turn share a message. A client with too much under way isn't refused:
 * its stream is read no further until enough is answered, which it feels as back-pressure.
 */
export class AppendStreamSession implements Receiver<AppendStreamRequest> {
  readonly #router: AppendRouter
  readonly #clock: Clock
  readonly #sink: Sink<AppendStreamResponse>
  readonly #flow: FlowControl
  readonly #maxInflightBytes: number
  readonly #appendTimeoutMs: number
  readonly #forwarded: boolean
  readonly #onClosed: (session: AppendStreamSession) => void
  #results: CorrelatedResult[] = []
  #flushing = false
  #inFlight = 0
  #inFlightBytes = 0
  #paused = false
  #draining = false
  #ended = false
  #stopped = false
  #closed = false

  constructor(parts: {
    readonly router: AppendRouter
    readonly clock: Clock
    readonly sink: Sink<AppendStreamResponse>
    readonly flow: FlowControl
    readonly maxInflightBytes: number
    readonly appendTimeoutMs: number
    readonly forwarded: boolean
    readonly onClosed: (session: AppendStreamSession) => void
  }) {
    this.#router = parts.router
    this.#clock = parts.clock
    this.#sink = parts.sink
    this.#flow = parts.flow
    this.#maxInflightBytes = parts.maxInflightBytes
    this.#appendTimeoutMs = parts.appendTimeoutMs
    this.#forwarded = parts.forwarded
    this.#onClosed = parts.onClosed
    this.#sink.onDrain(() => {
      this.#draining = false
      this.#updateFlow()
    })
  }

  onMessage({ appends }: AppendStreamRequest): void {
    const deadlineMs = this.#clock.nowMs() + this.#appendTimeoutMs
    for (const append of appends) this.#append(append, deadlineMs)
    this.#updateFlow()
  }

  /** The node stops: takes no more, and ends when all that was taken is answered. */
  stop(): void {
    this.#stopped = true
    this.#flow.pause()
    this.onEnd()
  }

  onEnd(): void {
    this.#ended = true
    this.#endIfDone()
  }

  onClose(): void {
    this.#closed = true
    this.#onClosed(this)
  }

  #append({ correlationId, append }: CorrelatedAppend, deadlineMs: number): void {
    // What a batch costs beside its records counts, too, or tiny ones had no bound.
    const bytes = append.records.byteLength + OVERHEAD_BYTES
    this.#inFlight += 1
    this.#inFlightBytes += bytes
    this.#router.append(append, { forwarded: this.#forwarded, deadlineMs }, (outcome) => {
      this.#inFlight -= 1
      this.#inFlightBytes -= bytes
      this.#answer(correlationId, outcome)
    })
  }

  #answer(correlationId: number, outcome: AppendResponse | FlotillaError): void {
    this.#results.push(
      outcome instanceof FlotillaError
        ? { correlationId, error: toErrorMessage(outcome) }
        : { correlationId, appended: outcome },
    )
    if (this.#flushing) return
    this.#flushing = true
    this.#clock.defer(() => this.#flush())
  }

  #flush(): void {
    this.#flushing = false
    if (this.#closed) return
    const results = this.#results
    this.#results = []
    if (!this.#sink.send({ results })) this.#draining = true
    this.#updateFlow()
    this.#endIfDone()
  }

  #updateFlow(): void {
    if (this.#stopped) return
    if (!this.#paused && (this.#inFlightBytes >= this.#maxInflightBytes || this.#draining)) {
      this.#paused = true
      this.#flow.pause()
    } else if (this.#paused && !this.#draining && this.#inFlightBytes <= this.#maxInflightBytes / 2) {
      this.#paused = false
      this.#flow.resume()
    }
  }

  #endIfDone(): void {
    if (this.#ended && !this.#closed && this.#inFlight === 0 && this.#results.length === 0) this.#sink.end()
  }
}
