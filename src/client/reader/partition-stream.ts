import type { Cancel, Env, FlowControl, RpcError } from '../../env/index.ts'
import {
  FlotillaError,
  fromRpcError,
  logMethods,
  type ReadConsistency,
  type ReadRequest,
  type ReadResponse,
} from '../../wire/index.ts'
import { backoffDelayMs } from '../backoff.ts'
import type { Connections } from '../connections.ts'
import { candidatesOf } from '../layout.ts'
import type { LayoutWatch } from '../layout-watch.ts'
import type { ConsumedBatch } from '../types.ts'
import { byteLengthOf, decodeBatches, type RawBatch, type ReadGoal, ReadPosition } from './read-position.ts'

const MAX_MESSAGE_BYTES = 1024 * 1024
const MIN_MESSAGE_BYTES = 64 * 1024

export interface StreamOptions extends ReadGoal {
  readonly maxRecords: number | undefined
  readonly nodeId: string | undefined
  readonly consistency: ReadConsistency
  /** Linearizable was our own choice: where no leader is there, committed does. */
  readonly mayRelax: boolean
  readonly maxBufferedBytes: number
  /** Without a sign of any node for so long, reading fails. */
  readonly patienceMs: number
}

export interface StreamParts {
  readonly env: Pick<Env, 'clock' | 'random'>
  readonly connections: Connections
  readonly watch: LayoutWatch
}

export type StreamState =
  | { readonly type: 'reading' }
  | { readonly type: 'ended' }
  | { readonly type: 'failed'; readonly error: FlotillaError }

/** Reads one partition from one replica after the other, into a buffer of bounded bytes. */
export class PartitionStream {
  state: StreamState = { type: 'reading' }
  readonly #parts: StreamParts
  readonly #options: StreamOptions
  /** Something is in the buffer, or the state has changed. */
  readonly #onChange: () => void
  readonly #position: ReadPosition
  readonly #buffer: RawBatch[] = []
  #bufferedBytes = 0
  #paused = false
  #call: (FlowControl & { cancel(): void }) | undefined
  #cancelRetry: Cancel | undefined
  #consistency: ReadConsistency
  #failures = 0
  /** What an earlier stream still tells counts no more. */
  #streamNumber = 0
  #lastContactMs: number

  constructor(parts: StreamParts, options: StreamOptions, onChange: () => void) {
    this.#parts = parts
    this.#options = options
    this.#onChange = onChange
    this.#position = new ReadPosition(options)
    this.#consistency = options.consistency
    this.#lastContactMs = parts.env.clock.nowMs()
    this.#open()
  }

  get partition(): number {
    return this.#options.partition
  }
  get hasBatch(): boolean {
    return this.#buffer.length > 0
  }
  /** The next offset for whoever takes the batches: behind those that were taken. */
  get nextOffset(): number | undefined {
    return this.#buffer[0]?.from ?? this.#position.nextOffset
  }

  take(): ConsumedBatch | undefined {
    const raw = this.#buffer.shift()
    if (raw === undefined) return undefined
    this.#bufferedBytes -= byteLengthOf(raw)
    if (this.#paused && this.#bufferedBytes <= this.#options.maxBufferedBytes / 2) {
      this.#paused = false
      this.#call?.resume()
    }
    return decodeBatches(this.#options.topic, this.#options.partition, [raw])
  }

  cancel(): void {
    if (this.state.type === 'reading') this.state = { type: 'ended' }
    this.#buffer.length = 0
    this.#cancelRetry?.()
    this.#call?.cancel()
  }

  #open(): void {
    const address = this.#address()
    if (address === undefined) return this.#lost(unknownNode(this.#options))
    const number = ++this.#streamNumber
    const isCurrent = (): boolean => this.state.type === 'reading' && this.#streamNumber === number
    this.#call = this.#parts.connections.to(address).serverStream(logMethods.read, this.#request(), {
      onMessage: (message) => {
        if (isCurrent()) this.#receive(message)
      },
      onEnd: () => {},
      onClose: (error) => {
        if (isCurrent()) this.#closed(error)
      },
    })
    if (this.#paused) this.#call.pause()
  }

  /** The leader first, then the others in turn. */
  #address(): string | undefined {
    const { topic, partition, nodeId } = this.#options
    const { layout } = this.#parts.watch
    if (nodeId !== undefined) return layout.addresses.get(nodeId)
    const candidates = candidatesOf(layout, topic, partition)
    const addresses = candidates.length > 0 ? candidates : this.#parts.watch.addresses()
    return addresses[this.#failures % addresses.length]
  }

  #request(): ReadRequest {
    const { topic, partition, untilEnd, maxRecords, maxBufferedBytes } = this.#options
    const { start, endOffset } = this.#position
    return {
      topic,
      partition,
      start,
      maxRecords: this.#failures === 0 && this.#position.nextOffset === undefined ? maxRecords : undefined,
      endOffset,
      untilEnd: untilEnd && endOffset === undefined,
      maxMessageBytes: Math.max(
        MIN_MESSAGE_BYTES,
        Math.min(MAX_MESSAGE_BYTES, Math.floor(maxBufferedBytes / 4)),
      ),
      consistency: this.#consistency,
    }
  }

  #receive(message: ReadResponse): void {
    this.#failures = 0
    this.#lastContactMs = this.#parts.env.clock.nowMs()
    try {
      for (const raw of this.#position.take(message)) {
        this.#buffer.push(raw)
        this.#bufferedBytes += byteLengthOf(raw)
      }
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error
      return this.#end({ type: 'failed', error })
    }
    if (this.#position.isAtEnd) return this.#end({ type: 'ended' })
    if (this.#bufferedBytes >= this.#options.maxBufferedBytes && !this.#paused) {
      this.#paused = true
      this.#call?.pause()
    }
    this.#onChange()
  }

  #closed(error: RpcError | undefined): void {
    if (error !== undefined) return this.#lost(fromRpcError(error))
    if (this.#position.isAtEnd) return this.#end({ type: 'ended' })
    const ended = `the node ended the stream of partition ${this.#options.partition} before its end`
    this.#lost(new FlotillaError('UNKNOWN_OUTCOME', ended))
  }

  #lost(error: FlotillaError): void {
    const { clock, random } = this.#parts.env
    const { patienceMs, mayRelax, topic, partition } = this.#options
    this.#call = undefined
    this.#streamNumber++
    if (error.leader !== undefined) this.#parts.watch.learnLeader(topic, partition, error.leader)
    if (mayRelax && (error.reason === 'NO_LEADER' || error.reason === 'NO_QUORUM'))
      this.#consistency = 'committed'
    const patient = clock.nowMs() - this.#lastContactMs < patienceMs
    if (!patient || !(error.retryable || this.#isBehind(error))) return this.#end({ type: 'failed', error })
    this.#failures++
    const delayMs = backoffDelayMs(this.#failures, random, error.retryDelayMs)
    this.#cancelRetry = clock.setTimer(delayMs, () => this.#open())
  }

  /**
   * A follower may not know yet of what another node has sent us already. What nobody ever told us of, only the leader
   * can call out of range: that is the first one asked.
   */
  #isBehind({ reason, offsetRange }: FlotillaError): boolean {
    const { nextOffset } = this.#position
    if (reason !== 'OFFSET_OUT_OF_RANGE' || offsetRange === undefined || nextOffset === undefined)
      return false
    const wasTold = nextOffset > (this.#options.start.type === 'offset' ? this.#options.start.offset : -1)
    return nextOffset > offsetRange.highWatermark && (wasTold || this.#failures > 0)
  }

  #end(state: StreamState): void {
    this.state = state
    this.#call?.cancel()
    this.#call = undefined
    this.#onChange()
  }
}

function unknownNode({ nodeId, topic, partition }: StreamOptions): FlotillaError {
  return new FlotillaError(
    'UNKNOWN_NODE',
    `no address of node ${nodeId} is known, to read ${topic}/${partition} from`,
  )
}
