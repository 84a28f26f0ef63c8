import { type FlowControl, RpcError, type Sink, StatusCode } from '../../env/index.ts'
import {
  fromErrorMessage,
  fromRpcError,
  logMethods,
  type AppendRequest,
  type AppendStreamRequest,
  type AppendStreamResponse,
  type CorrelatedAppend,
} from '../../wire/index.ts'
import type { Connections } from '../connections.ts'
import type { BatchOutcome } from './partition-sender.ts'

/** Appends to several partitions share a message of about so many bytes. */
const MESSAGE_BYTES = 1024 * 1024

type OnOutcome = (outcome: BatchOutcome) => void

/** One AppendStream to one node, shared by all partitions of a producer; opened anew after a loss, when next used. */
export class AppendLink {
  readonly address: string
  readonly #connections: Connections
  /** Called after outcomes were told, and when a full stream takes more again. */
  readonly #onProgress: () => void
  readonly #waiting = new Map<number, OnOutcome>()
  #stream: (Sink<AppendStreamRequest> & FlowControl) | undefined
  #gathered: CorrelatedAppend[] = []
  #gatheredBytes = 0
  #nextCorrelationId = 1
  #full = false

  constructor(connections: Connections, address: string, onProgress: () => void) {
    this.#connections = connections
    this.address = address
    this.#onProgress = onProgress
  }

  /** False while the stream holds as much as it may. */
  get hasRoom(): boolean {
    return !this.#full
  }

  /** Adds an append to the message that `flush` sends. Exactly one outcome follows. */
  append(append: AppendRequest, onOutcome: OnOutcome): void {
    const correlationId = this.#nextCorrelationId++
    this.#waiting.set(correlationId, onOutcome)
    this.#gathered.push({ correlationId, append })
    this.#gatheredBytes += append.records.length
    if (this.#gatheredBytes >= MESSAGE_BYTES) this.flush()
  }

  flush(): void {
    if (this.#gathered.length === 0) return
    const appends = this.#gathered
    this.#gathered = []
    this.#gatheredBytes = 0
    this.#stream ??= this.#open()
    if (!this.#stream.send({ appends })) this.#full = true
  }

  close(): void {
    this.#stream?.fail(new RpcError(StatusCode.cancelled, 'the producer is closed'))
  }

  #open(): Sink<AppendStreamRequest> & FlowControl {
    const stream = this.#connections.to(this.address).duplex(logMethods.appendStream, {
      onMessage: (message) => this.#answer(message),
      onEnd: () => {},
      onClose: (error) => this.#lose(error),
    })
    stream.onDrain(() => {
      this.#full = false
      this.#onProgress()
    })
    return stream
  }

  #answer({ results }: AppendStreamResponse): void {
    for (const result of results) {
      const onOutcome = this.#waiting.get(result.correlationId)
      // Told twice, or for something that was never asked: the first answer holds.
      if (onOutcome === undefined) continue
      this.#waiting.delete(result.correlationId)
      onOutcome('appended' in result ? result : { error: fromErrorMessage(result.error) })
    }
    this.#onProgress()
  }

  #lose(error: RpcError | undefined): void {
    const ended = new RpcError(
      StatusCode.unavailable,
      `${this.address} ended the stream before all was answered`,
    )
    const outcome = { error: fromRpcError(error ?? ended) }
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    this.#gathered = []
    this.#gatheredBytes = 0
    this.#stream = undefined
    this.#full = false
    for (const onOutcome of waiting) onOutcome(outcome)
    this.#onProgress()
  }
}
