import { FlotillaError, validateTopicName, type ReadStart, type TopicMessage } from '../../wire/index.ts'
import { AbortError, onAbort, throwIfAborted } from '../abort.ts'
import type { TopicSource } from '../topic-source.ts'
import type { ConsumedBatch, ConsumedRecord, ReadFrom, Reader, ReaderOptions } from '../types.ts'
import { PartitionStream, type StreamParts } from './partition-stream.ts'

const DEFAULT_MAX_BUFFERED_BYTES = 4 * 1024 * 1024

export interface ReaderParts extends StreamParts {
  readonly topics: TopicSource
  readonly timeoutMs: number
  readonly onClosed: () => void
}

/** Throws INVALID_ARGUMENT or INVALID_NAME on options out of their range. */
export class FlotillaReader implements Reader {
  readonly #parts: ReaderParts
  readonly #options: ReaderOptions
  readonly #start: ReadStart
  readonly #position = new Map<number, number>()
  readonly #ended = new AbortController()
  readonly #unlink: () => void
  #streams: PartitionStream[] = []
  /** The stream to look at first, so that none starves. */
  #turn = 0
  #taken = 0
  #wake: (() => void) | undefined
  #begun = false

  constructor(parts: ReaderParts, options: ReaderOptions) {
    validateTopicName(options.topic)
    checkOptions(options)
    this.#parts = parts
    this.#options = options
    this.#start = startOf(options.from ?? 'beginning')
    this.#unlink = onAbort(options.signal, (error) => this.#finish(error))
  }

  async *[Symbol.asyncIterator](): AsyncIterator<ConsumedRecord> {
    for await (const batch of this.#deliver()) {
      for (const record of batch.records) {
        this.#position.set(record.partition, record.offset + 1)
        yield record
      }
    }
  }

  async *batches(): AsyncGenerator<ConsumedBatch> {
    for await (const batch of this.#deliver()) {
      this.#position.set(batch.partition, batch.baseOffset + batch.records.length)
      yield batch
    }
  }

  position(): ReadonlyMap<number, number> {
    const position = new Map(this.#position)
    for (const { partition, nextOffset } of this.#streams) {
      if (!position.has(partition) && nextOffset !== undefined) position.set(partition, nextOffset)
    }
    return position
  }

  close(): Promise<void> {
    this.#finish(undefined)
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async *#deliver(): AsyncGenerator<ConsumedBatch> {
    if (this.#begun) {
      throw new FlotillaError('INVALID_ARGUMENT', 'a reader is iterated once; make another one to read again')
    }
    this.#begun = true
    try {
      await this.#open()
      for (;;) {
        const batch = this.#next()
        if (batch === 'nothing yet') await new Promise<void>((resolve) => (this.#wake = resolve))
        else if (batch === 'ended') return
        else yield batch
      }
    } finally {
      this.#finish(undefined)
    }
  }

  async #open(): Promise<void> {
    const { env, topics, timeoutMs } = this.#parts
    throwIfAborted(this.#options.signal)
    if (this.#ended.signal.aborted) return
    const nowMs = env.clock.nowMs()
    let topic: TopicMessage
    try {
      topic = await topics.resolve(this.#options.topic, nowMs, nowMs + timeoutMs, this.#ended.signal)
    } catch (error) {
      throwIfAborted(this.#options.signal)
      if (error instanceof AbortError) return
      throw error
    }
    const partitions = partitionsOf(topic, this.#options)
    this.#streams = partitions.map((partition) => this.#stream(partition, partitions.length === 1))
  }

  #stream(partition: number, alone: boolean): PartitionStream {
    const { topic, untilEnd = false, nodeId, consistency, maxRecords } = this.#options
    const linearizable = untilEnd && nodeId === undefined
    const options = {
      topic,
      partition,
      start: this.#start,
      untilEnd,
      maxRecords: alone ? maxRecords : undefined,
      nodeId,
      consistency: consistency ?? (linearizable ? 'linearizable' : 'committed'),
      mayRelax: consistency === undefined,
      maxBufferedBytes: this.#options.maxBufferedBytes ?? DEFAULT_MAX_BUFFERED_BYTES,
      patienceMs: this.#parts.timeoutMs,
    } as const
    return new PartitionStream(this.#parts, options, () => this.#awake())
  }

  #next(): ConsumedBatch | 'nothing yet' | 'ended' {
    const { signal, maxRecords = Infinity } = this.#options
    throwIfAborted(signal)
    if (this.#ended.signal.aborted || this.#taken >= maxRecords) return 'ended'
    for (let step = 0; step < this.#streams.length; step++) {
      const index = (this.#turn + step) % this.#streams.length
      const batch = this.#streams[index]!.take()
      if (batch === undefined) continue
      this.#turn = index + 1
      return this.#limited(batch, maxRecords)
    }
    let reading = false
    for (const { state } of this.#streams) {
      if (state.type === 'failed') throw state.error
      if (state.type === 'reading') reading = true
    }
    return reading ? 'nothing yet' : 'ended'
  }

  #limited(batch: ConsumedBatch, maxRecords: number): ConsumedBatch {
    const room = maxRecords - this.#taken
    this.#taken += Math.min(room, batch.records.length)
    return batch.records.length <= room ? batch : { ...batch, records: batch.records.slice(0, room) }
  }

  #awake(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }

  #finish(error: AbortError | undefined): void {
    if (this.#ended.signal.aborted) return
    this.#ended.abort(error)
    this.#unlink()
    for (const stream of this.#streams) stream.cancel()
    this.#awake()
    this.#parts.onClosed()
  }
}

function startOf(from: ReadFrom): ReadStart {
  if (from === 'beginning' || from === 'end') return { type: from }
  return 'offset' in from
    ? { type: 'offset', offset: from.offset }
    : { type: 'time', timeMs: from.time.getTime() }
}

function partitionsOf(topic: TopicMessage, { partitions, nodeId }: ReaderOptions): readonly number[] {
  const all = topic.partitions.map(({ partition }) => partition)
  const wanted = partitions ?? all
  for (const partition of wanted) {
    const found = topic.partitions.find((candidate) => candidate.partition === partition)
    if (found === undefined) {
      const message = `topic ${topic.name} has no partition ${partition}; it has ${all.length}, counted from 0`
      throw new FlotillaError('UNKNOWN_PARTITION', message)
    }
    if (nodeId !== undefined && !found.replicaNodeIds.includes(nodeId)) {
      const message = `node ${nodeId} has no replica of partition ${partition} of topic ${topic.name}; ${found.replicaNodeIds.join(', ')} have`
      throw new FlotillaError('UNKNOWN_NODE', message)
    }
  }
  return wanted
}

function checkOptions({ from, maxRecords, maxBufferedBytes }: ReaderOptions): void {
  const refuse = (what: string): never => {
    throw new FlotillaError('INVALID_ARGUMENT', what)
  }
  if (
    typeof from === 'object' &&
    'offset' in from &&
    !(Number.isSafeInteger(from.offset) && from.offset >= 0)
  ) {
    refuse(`the offset ${from.offset} to read from is no whole number from 0 on`)
  }
  if (typeof from === 'object' && 'time' in from && Number.isNaN(from.time.getTime())) {
    refuse('the time to read from is no valid date')
  }
  if (maxRecords !== undefined && !(maxRecords >= 0))
    refuse(`maxRecords is ${maxRecords}; it has to be 0 or more`)
  if (maxBufferedBytes !== undefined && !(maxBufferedBytes >= 1)) {
    refuse(`maxBufferedBytes is ${maxBufferedBytes}; it has to be 1 or more`)
  }
}
