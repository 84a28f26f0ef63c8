import type { PartitionMessage, TopicMessage, DescribeClusterResponse } from '../wire/messages.ts'

/** Bytes as they are, or text that is encoded as UTF-8. */
export type Bytes = Uint8Array | string

export interface ClientOptions {
  /** HOST:PORT of any nodes of the cluster, as a list or separated by commas. Default: FLOTILLA_BOOTSTRAP, else 127.0.0.1:7101. */
  readonly bootstrap?: string | readonly string[]
  /** The total time for a call that isn't given one of its own, retries included. Default 30,000 ms. */
  readonly timeoutMs?: number
}

export interface CallSettings {
  /** The total time for this call, retries included. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/** One event to append. */
export interface ProducerRecord {
  readonly topic: string
  /** At most 64 KiB. Records of the same key keep their order. */
  readonly key?: Bytes
  readonly value?: Bytes
  /** Together at most 64 KiB. */
  readonly headers?:
    readonly { readonly name: string; readonly value: Bytes }[] | Readonly<Record<string, Bytes>>
  /** When the event happened. Default: when it is appended. */
  readonly timestamp?: Date
  /** Chooses the partition in place of the key. */
  readonly routingKey?: Bytes
  /** Names the partition outright. */
  readonly partition?: number
}

/** The promise kept: the record is on stable storage on a majority of its replicas. */
export interface Acknowledgement {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly appendTime: Date
}

export interface ProducerOptions {
  /** Names the producer across restarts; a later epoch fences an earlier one. Default: a random id. */
  readonly producerId?: string
  /** Default 0. */
  readonly epoch?: number
  /** A batch is closed at so many encoded bytes. Default 1 MiB, at most 4 MiB. */
  readonly maxBatchBytes?: number
  /** A batch is closed at so many records. Default 10,000. */
  readonly maxBatchRecords?: number
  /**
   * The longest that a record waits for others while another batch of its partition is under way. Nothing under way:
   * it leaves at once. Default 5 ms.
   */
  readonly lingerMs?: number
  /** `send` waits while so many bytes have no acknowledgement yet. Default 32 MiB. */
  readonly maxInFlightBytes?: number
  /** Batches under way to a partition at once, 1 to 5. Default 5. */
  readonly maxInFlightBatches?: number
  /** From `send` to acknowledgement, retries included; then it fails, as UNKNOWN_OUTCOME where it may have been appended. Default 120,000 ms. */
  readonly deliveryTimeoutMs?: number
}

export interface Producer extends AsyncDisposable {
  readonly producerId: string
  /**
   * Appends a record; resolves when it is acknowledged. Records sent one after the other to a partition keep their
   * order, also through retries. Rejects with FlotillaError, or AbortError where `signal` was aborted before it left.
   */
  send(record: ProducerRecord, options?: { readonly signal?: AbortSignal }): Promise<Acknowledgement>
  /**
   * Takes a record when there is room, then lets the caller go on: `room` resolves at once or when bytes in flight
   * allow, `acknowledged` as for send. Failing `acknowledged` without a listener raises no unhandled rejection.
   */
  enqueue(record: ProducerRecord): {
    readonly room: Promise<void>
    readonly acknowledged: Promise<Acknowledgement>
  }
  /** Resolves when all that was sent so far is acknowledged or has failed. */
  flush(): Promise<void>
  /** Flushes, then ends. Idempotent. */
  close(): Promise<void>
}

export type ReadFrom =
  | 'beginning'
  | 'end'
  | { readonly offset: number }
  /** The first record appended at or after this time. */
  | { readonly time: Date }

export interface ReaderOptions {
  readonly topic: string
  /** Default: all of the topic's; records of several partitions come interleaved, each partition in order. */
  readonly partitions?: readonly number[]
  /** Default 'beginning'. */
  readonly from?: ReadFrom
  /** Ends each partition at the high watermark that it had when the reader started. Default false: it goes on. */
  readonly untilEnd?: boolean
  /** Ends after so many records. */
  readonly maxRecords?: number
  /** Reads from this node's replicas alone (its id). Default: any replica, the leader first. */
  readonly nodeId?: string
  /** 'linearizable' (default with untilEnd where a leader is there): the end is what the leader confirms with a majority. */
  readonly consistency?: 'committed' | 'linearizable'
  /** Bytes of records that wait in memory at most, per partition; more is not fetched. Default 4 MiB. */
  readonly maxBufferedBytes?: number
  readonly signal?: AbortSignal
}

export interface ConsumedRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** When it happened, as the producer said, or when it was appended. */
  readonly timestamp: Date
  readonly appendTime: Date
  readonly key: Uint8Array | undefined
  readonly value: Uint8Array | undefined
  readonly headers: readonly { readonly name: string; readonly value: Uint8Array }[]
}

/** Records of one partition that came together. */
export interface ConsumedBatch {
  readonly topic: string
  readonly partition: number
  readonly baseOffset: number
  readonly records: readonly ConsumedRecord[]
  /** The offset after the last committed record that the node knew when it sent the batch. */
  readonly highWatermark: number
}

/** Leaving the loop cancels what is under way. A lost node is replaced by another without a gap or a repeat. */
export interface Reader extends AsyncIterable<ConsumedRecord>, AsyncDisposable {
  batches(): AsyncIterable<ConsumedBatch>
  /** The next offset per partition. */
  position(): ReadonlyMap<number, number>
  close(): Promise<void>
}

export interface CreateTopicOptions extends CallSettings {
  /** 1 to 1024. Default 3. */
  readonly partitions?: number
  /** Default 3, or 1 where there are fewer than 3 nodes. */
  readonly replicationFactor?: number
  /** Default 'hash-range'. */
  readonly partitioner?: 'hash-range' | 'modulo'
  /** Allows an even replication factor. */
  readonly force?: boolean
  readonly validateOnly?: boolean
}

export interface Client extends AsyncDisposable {
  readonly topics: {
    create(name: string, options?: CreateTopicOptions): Promise<TopicMessage>
    describe(name: string, settings?: CallSettings): Promise<TopicMessage>
    /** All pages, by name. */
    list(settings?: CallSettings): Promise<TopicMessage[]>
    delete(name: string, settings?: CallSettings): Promise<void>
  }
  readonly cluster: {
    describe(settings?: CallSettings): Promise<DescribeClusterResponse>
    transferLeadership(
      topic: string,
      partition: number,
      options?: CallSettings & { readonly to?: string },
    ): Promise<{ readonly leaderNodeId: string; readonly term: number }>
    locate(
      topic: string,
      key: Bytes,
      settings?: CallSettings,
    ): Promise<{ readonly partition: PartitionMessage; readonly keyHash: number }>
    listOffsets(
      topic: string,
      partition: number,
      options?: CallSettings & { readonly time?: Date; readonly consistency?: 'committed' | 'linearizable' },
    ): Promise<{
      readonly lowOffset: number
      readonly highWatermark: number
      readonly offsetForTime: number | undefined
    }>
  }
  producer(options?: ProducerOptions): Producer
  reader(options: ReaderOptions): Reader
  close(): Promise<void>
}
