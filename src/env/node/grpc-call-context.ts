import type { EventEmitter } from 'node:events'
import type { ServerDuplexStream, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js'
import type { Clock } from '../env.ts'
import type { CallContext } from '../network.ts'

type Call =
  ServerUnaryCall<Buffer, Buffer> | ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>

/** What a handler may ask about its call; made only when asked, since most calls are never asked. */
export class GrpcCallContext implements CallContext {
  readonly deadlineMs: number | undefined
  readonly #call: Call
  #abort: AbortController | undefined
  #cancelled = false
  #answered = false

  constructor(call: Call, clock: Clock) {
    this.#call = call
    const deadline = Number(call.getDeadline())
    // grpc-js counts in wall-clock milliseconds.
    this.deadlineMs = Number.isFinite(deadline) ? clock.nowMs() + (deadline - Date.now()) : undefined
    const events: EventEmitter = call
    events.on('cancelled', () => {
      this.#cancelled = true
      if (!this.#answered) this.#abort?.abort()
    })
  }

  get peer(): string {
    return this.#call.getPeer()
  }

  get metadata(): ReadonlyMap<string, string> {
    const entries = Object.entries(this.#call.metadata.getMap())
    return new Map(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'))
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#cancelled && !this.#answered) this.#abort.abort()
    }
    return this.#abort.signal
  }

  /** From now on `cancelled`, which grpc-js also says at the end of a call that went well, means nothing. */
  answered(): void {
    if (!this.#cancelled) this.#answered = true
  }
}
