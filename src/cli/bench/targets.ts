/** The two ways in which records are appended: with the client's batching, and one request each. */
import { crc32 } from 'node:zlib'
import type { Client, Producer } from '../../client/types.ts'
import type { Connection, Network, Sink } from '../../env/index.ts'
import { RpcError, StatusCode } from '../../env/index.ts'
import {
  FlotillaError,
  RecordSetBuilder,
  fromErrorMessage,
  fromRpcError,
  logMethods,
  sizeOfRecord,
  type AppendStreamRequest,
  type AppendStreamResponse,
} from '../../wire/index.ts'
import type { LoadTarget } from './load.ts'
import type { Payloads } from './payloads.ts'

export interface AppendTarget extends LoadTarget {
  close(): Promise<void>
}

export type ValueOf = (number: number, intendedMs: number) => Uint8Array

/** The producer's limit on bytes without an acknowledgement, which a load stays below. */
export const maxInFlightBytes = 32 * 1024 * 1024
export const answerPatienceMs = 30_000

/** Records of one size that the producer takes without making anyone wait. */
export function inFlightBound(sizeBytes: number): number {
  const framingBytes = 16
  return Math.max(1, Math.floor(maxInFlightBytes / (sizeBytes + framingBytes)))
}

/** Values as they are, the cheapest. */
export function plainValues(payloads: Payloads): ValueOf {
  return (number) => payloads.value(number)
}

/** Values that tell when they were meant to leave. */
export function timedValues(payloads: Payloads): ValueOf {
  return (number, intendedMs) => payloads.stamped(number, intendedMs)
}

/** The client's producer. Partitions in turn, as keys would spread the records. */
export class BatchedTarget implements AppendTarget {
  readonly #producer: Producer
  readonly #topic: string
  readonly #partitions: number
  readonly #valueOf: ValueOf

  constructor(client: Client, topic: string, partitions: number, valueOf: ValueOf) {
    this.#producer = client.producer({ maxInFlightBytes, deliveryTimeoutMs: answerPatienceMs })
    this.#topic = topic
    this.#partitions = partitions
    this.#valueOf = valueOf
  }

  append(number: number, intendedMs: number, settled: (error: unknown) => void): void {
    // The load keeps fewer bytes in flight than the producer has room for, so there is no need to wait for room.
    const record = {
      topic: this.#topic,
      partition: number % this.#partitions,
      value: this.#valueOf(number, intendedMs),
    }
    void this.#producer.produce(record, settled)
  }

  close(): Promise<void> {
    return this.#producer.close()
  }
}

/** A message of AppendStream for each record, straight to the leader of its partition; no retries. */
export class SingleTarget implements AppendTarget {
  readonly #lanes: readonly SingleLane[]
  readonly #streams: readonly SingleStream[]
  readonly #topic: string
  readonly #valueOf: ValueOf

  /** `leaders`: the address of the leader of each partition. */
  constructor(network: Network, topic: string, leaders: readonly string[], valueOf: ValueOf) {
    const streams = new Map(
      [...new Set(leaders)].map((address) => [address, new SingleStream(network.connect(address))]),
    )
    this.#streams = [...streams.values()]
    this.#lanes = leaders.map((address, partition) => ({ partition, stream: streams.get(address)! }))
    this.#topic = topic
    this.#valueOf = valueOf
  }

  append(number: number, intendedMs: number, settled: (error: unknown) => void): void {
    const { partition, stream } = this.#lanes[number % this.#lanes.length]!
    const value = this.#valueOf(number, intendedMs)
    const record = { key: undefined, value, headers: [], timestampMs: undefined }
    const size = sizeOfRecord(record)
    const builder = new RecordSetBuilder(size.framedBytes)
    builder.append(record, size)
    const records = builder.finish()
    const append = {
      topic: this.#topic,
      partition,
      routingKey: undefined,
      records,
      producer: undefined,
      recordsCrc32: crc32(records),
    }
    stream.send({ appends: [{ correlationId: number, append }] }, number, settled)
  }

  close(): Promise<void> {
    for (const stream of this.#streams) stream.close()
    return Promise.resolve()
  }
}

interface SingleLane {
  readonly partition: number
  readonly stream: SingleStream
}

class SingleStream {
  readonly #connection: Connection
  readonly #waiting = new Map<number, (error: unknown) => void>()
  /** For the stream to have room; the load's limit bounds it. */
  #held: AppendStreamRequest[] = []
  #full = false
  #sink: Sink<AppendStreamRequest> | undefined

  constructor(connection: Connection) {
    this.#connection = connection
  }

  send(request: AppendStreamRequest, correlationId: number, settled: (error: unknown) => void): void {
    this.#waiting.set(correlationId, settled)
    if (this.#full) this.#held.push(request)
    else this.#pass(request)
  }

  close(): void {
    this.#sink?.fail(new RpcError(StatusCode.cancelled, 'the benchmark is over'))
    this.#connection.close()
  }

  #pass(request: AppendStreamRequest): void {
    this.#sink ??= this.#open()
    this.#full = !this.#sink.send(request)
  }

  #open(): Sink<AppendStreamRequest> {
    const sink = this.#connection.duplex(logMethods.appendStream, {
      onMessage: (message) => this.#answer(message),
      onEnd: () => {},
      onClose: (error) => this.#lose(error),
    })
    sink.onDrain(() => this.#goOn())
    return sink
  }

  #goOn(): void {
    this.#full = false
    const held = this.#held
    let next = 0
    while (next < held.length && !this.#full) this.#pass(held[next++]!)
    this.#held = held.slice(next)
  }

  #answer({ results }: AppendStreamResponse): void {
    for (const result of results) {
      const settled = this.#waiting.get(result.correlationId)
      this.#waiting.delete(result.correlationId)
      settled?.('appended' in result ? undefined : fromErrorMessage(result.error))
    }
  }

  #lose(error: RpcError | undefined): void {
    const lost =
      error === undefined
        ? new FlotillaError('UNREACHABLE', 'the node ended the stream')
        : fromRpcError(error)
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    this.#held = []
    this.#full = false
    this.#sink = undefined
    for (const settled of waiting) settled(lost)
  }
}
