import type { FlotillaError } from '../wire/errors.ts'
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

/** Told once what became of a record: its acknowledgement, or the error that `send` would have rejected with. */
export type DeliveryReport = (
  error: FlotillaError | undefined,
  acknowledgement: Acknowledgement | undefined,
) => void

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
   * it leaves at once. So the more a cluster is behind, the more records share a batch. Default 20 ms.
   */
  readonly lingerMs?: number
  /** `send` waits while so many bytes have no acknowledgement yet. Default 32 MiB. */
  readonly maxInFlightBytes?: number
  /** Batches under way to a partition at once, 1 to 5. Default 5. */
  readonly maxInFlightBatches?: number
  /**
   * From `send` (more exactly, from the first record of that turn of the event loop) to acknowledgement, retries included; then it
   * fails, as UNKNOWN_OUTCOME where it may have been appended. Default 120,000 ms.
   */
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
  /**
   * As enqueue, with a callback in place of a promise for each record, which costs a client of many small records less
   * CPU. Undefined: there was room; else wait for the promise before the next one. `report` is never called before this
   * returns; what it throws is an uncaught exception of the process, and stops no other record.
   */
  produce(record: ProducerRecord, report: DeliveryReport): Promise<void> | undefined
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

export interface PartitionName {
  readonly topic: string
  readonly partition: number
}

/** A place in a partition: the offset after the last record that is done. */
export interface GroupOffset extends PartitionName {
  readonly offset: number
}

export interface ConsumeOptions {
  /** The group; its first member makes it. 1 to 249 of a-z, A-Z, 0-9, ".", "_" and "-". */
  readonly group: string
  /** Whole topics, shared with the other members. At least one, unless `partitions` are named. */
  readonly topics?: readonly string[]
  /** These partitions and no others, never shared. Fails with PARTITION_CLAIMED where another member has named one of them. */
  readonly partitions?: readonly PartitionName[]
  /** A static member: it comes back within its lease without a rebalance, and fences an elder one of the same id. Default: the node chooses an id. */
  readonly memberId?: string
  /** Where a partition begins that the group has committed nothing for. Default 'beginning'. */
  readonly from?: 'beginning' | 'end'
  /** What happens where the committed offset is no longer kept. Default 'fail': OFFSET_OUT_OF_RANGE with the range. */
  readonly whenOutOfRange?: 'earliest' | 'latest' | 'fail'
  /**
   * 'auto': what the loop has come past is committed every commitIntervalMs, when a partition is revoked, and at the end;
   * 'manual': only `commit()` does; 'before': committed before it is handed out, so that nothing is handled twice and what
   * was in hand at a crash is handled never. Default 'auto'.
   */
  readonly commit?: 'auto' | 'manual' | 'before'
  /** Default 1,000 ms. */
  readonly commitIntervalMs?: number
  /** How the group shares partitions; the same for all of its members. Default 'balanced', which is sticky. */
  readonly assignment?: GroupAssignment
  /** With 'balanced': twice the weight, twice the partitions. 1 to 1,000. Default 1. */
  readonly weight?: number
  /** A member that is silent for so long loses its place. 1,000 to 1,800,000 ms. Default 10,000 ms. */
  readonly sessionTimeoutMs?: number
  /** How long this member may take to finish what it has in hand of a partition that is to move. Default 30,000 ms. */
  readonly revokeTimeoutMs?: number
  /**
   * The client keeps the lease while the handler runs, for so long; then it emits 'stuck', stops keeping it, and the member
   * loses its place. Default 300,000 ms.
   */
  readonly maxHandlingMs?: number
  /** Bytes of records that wait in memory, over all partitions. Default 16 MiB. */
  readonly maxWaitingBytes?: number
  /** Records that wait in memory, over all partitions. Default 100,000. */
  readonly maxWaitingRecords?: number
  /** How records are gathered into batches. */
  readonly fetch?: {
    /** Default 1. */
    readonly minBytes?: number
    /** A single record may exceed it. Default 10,000,000. */
    readonly maxBytes?: number
    /** A batch waits for minBytes no longer than this. Default 1,000 ms. */
    readonly maxWaitMs?: number
    /** Default 10,000. */
    readonly maxRecords?: number
  }
  readonly signal?: AbortSignal
}

/** A partition that the member was given. */
export interface GivenPartition extends PartitionName {
  /** Rises whenever the partition changes hands. */
  readonly epoch: number
  readonly startOffset: number
  /** undefined: the group had committed nothing. */
  readonly committedOffset: number | undefined
}

export interface GroupConsumerEvents {
  /** These are the member's now, in addition to those that it has. */
  readonly assigned: (partitions: readonly GivenPartition[]) => void
  /**
   * These are to be given back. The consumer hands out no more of them; it commits (unless 'manual') and gives them back when
   * the loop has come past what it holds and what the listeners return is settled.
   */
  readonly revoked: (partitions: readonly PartitionName[]) => void | Promise<void>
  /** These are gone already: what wasn't committed is handled by another member, too. */
  readonly lost: (partitions: readonly PartitionName[], error: Error) => void
  /** The handler has had a batch for longer than maxHandlingMs, so the lease is kept no longer. */
  readonly stuck: (partitions: readonly PartitionName[], forMs: number) => void
}

export interface PartitionLag extends PartitionName {
  /** Records between what this member has handled and the high watermark that it last heard of. */
  readonly records: number
}

/**
 * A member of a consumer group. Iterated once, by record or by batch; leaving the loop commits (unless 'manual'), leaves the
 * group and ends it. What the loop is left with counts as not handled, as a `break` looks like a throw. A lost node is
 * replaced by another within the lease, without a rebalance. Where the lease has ended all partitions are lost, and it joins
 * anew. Fails with FlotillaError: MEMBER_FENCED where a younger member has its id, OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC,
 * PARTITION_CLAIMED, or what a listener throws.
 */
export interface GroupConsumer extends AsyncIterable<ConsumedRecord>, AsyncDisposable {
  /** Known once it has joined. */
  readonly memberId: string | undefined
  batches(): AsyncIterable<ConsumedBatch>
  /**
   * Commits these places, or everything that was handed out, with what is in hand; resolves when that is on stable storage
   * on a majority. Rejects with the first error: STALE_GROUP_EPOCH, PARTITION_NOT_OWNED, OFFSET_OUT_OF_RANGE,
   * COMMIT_BACKWARDS, or UNKNOWN_OUTCOME after the client's timeoutMs.
   */
  commit(offsets?: readonly GroupOffset[]): Promise<void>
  /**
   * Hands out nothing of these until they are resumed; they stay the member's own. What waits of them already stays in
   * memory, up to maxWaitingBytes each, and others are sent all the same. Those that it doesn't own are left out.
   */
  pause(partitions: readonly PartitionName[]): void
  resume(partitions: readonly PartitionName[]): void
  /** Other topics or partitions from now on; resolves when the node is told. What it refuses makes the consumer fail. */
  subscribe(to: {
    readonly topics?: readonly string[]
    readonly partitions?: readonly PartitionName[]
  }): Promise<void>
  /** What the member owns. */
  assignment(): readonly GivenPartition[]
  lag(): readonly PartitionLag[]
  /**
   * Resolves when it owns partitions, and all that was there in each when the member got it has been handed out. Rejects when
   * the consumer ends before.
   */
  caughtUp(): Promise<void>
  /** The returned function takes the listener away. */
  on<Name extends keyof GroupConsumerEvents>(name: Name, listener: GroupConsumerEvents[Name]): () => void
  /**
   * Commits what the loop has come past (unless 'manual'), leaves the group (a static member keeps its place for its lease),
   * and ends. Rejects where that commit failed. Idempotent.
   */
  close(): Promise<void>
}

export type GroupAssignment = 'balanced' | 'range' | 'round-robin'

export interface GroupSummary {
  readonly name: string
  readonly memberCount: number
  /** Those of which the group has or had partitions. */
  readonly topics: readonly string[]
  readonly assignment: GroupAssignment
}

export interface GroupMemberDescription {
  readonly memberId: string
  /** It named itself, so it may come back within its lease. */
  readonly isStatic: boolean
  readonly topics: readonly string[]
  /** What it named for itself. */
  readonly partitions: readonly PartitionName[]
  readonly weight: number
  readonly sessionTimeoutMs: number
  /** HOST:PORT from which it came. */
  readonly clientAddress: string
}

/**
 * 'active': owned, and all is committed or commits go on; 'stalled': owned and behind, but nothing was committed for long;
 * 'unowned': nobody owns it, and records wait; 'idle': nobody owns it, and nothing waits; 'revoking': on its way to another
 * member; 'unreachable': its leader didn't answer, so the figures are missing.
 */
export type GroupPartitionState = 'active' | 'stalled' | 'unowned' | 'idle' | 'revoking' | 'unreachable'

export interface GroupPartitionDescription extends PartitionName {
  readonly state: GroupPartitionState
  /** undefined: nobody. */
  readonly owner: string | undefined
  /** undefined: the group has committed nothing. */
  readonly committedOffset: number | undefined
  readonly lowOffset: number
  readonly highWatermark: number
  /** Records between what is committed and the high watermark. */
  readonly lag: number
  readonly commitTime: Date | undefined
}

export interface GroupDescription {
  readonly name: string
  readonly assignment: GroupAssignment
  /** The node that leads the group. */
  readonly coordinatorNodeId: string | undefined
  readonly members: readonly GroupMemberDescription[]
  readonly partitions: readonly GroupPartitionDescription[]
}

export interface ResetGroupOptions extends CallSettings {
  readonly topic: string
  /** The first record appended at or after a time; an offset has to be within the range of each partition. */
  readonly to: ReadFrom
  /** Default: all of the topic's. */
  readonly partitions?: readonly number[]
  /** Tells what would be set, and sets nothing. */
  readonly dryRun?: boolean
  /** Also while the group has members: they lose the partitions and get them again at the new place. */
  readonly force?: boolean
}

export interface GroupResetOffset extends PartitionName {
  /** undefined: nothing was committed. */
  readonly fromOffset: number | undefined
  readonly toOffset: number
}

/** What a partition's leader knows of a group. */
export interface FetchedGroupOffset extends PartitionName {
  /** undefined: the group has committed nothing. */
  readonly committedOffset: number | undefined
  readonly lowOffset: number
  readonly highWatermark: number
  readonly commitTime: Date | undefined
  /** Its leader didn't answer; the rest says nothing then. */
  readonly error: FlotillaError | undefined
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
    /**
     * Says on which nodes the replicas of a partition shall be, the preferred leader first; they move while it serves.
     * It is done when `topics.describe` shows no target for the partition. Naming where they are now calls a move off.
     */
    moveReplicas(
      topic: string,
      partition: number,
      nodeIds: readonly string[],
      settings?: CallSettings,
    ): Promise<void>
    /** Has every replica of a node move away, and tells how many partitions still have one there. */
    drainNode(nodeId: string, settings?: CallSettings): Promise<{ readonly remaining: number }>
    /** Takes a node that holds no replicas out of the cluster. Rejects with NODE_IN_USE where it does. */
    removeNode(nodeId: string, settings?: CallSettings): Promise<void>
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
  readonly groups: {
    /** All pages, by name. */
    list(settings?: CallSettings): Promise<GroupSummary[]>
    /** Rejects with UNKNOWN_GROUP. */
    describe(
      name: string,
      /** A partition that is behind counts as stalled when nothing was committed for so long. Default 60,000 ms. */
      options?: CallSettings & { readonly stalledAfterMs?: number },
    ): Promise<GroupDescription>
    /** Forgets a group and its offsets. Rejects with GROUP_HAS_MEMBERS where it has. */
    delete(name: string, settings?: CallSettings): Promise<void>
    /** Sets what is committed, back or forth. Rejects with GROUP_HAS_MEMBERS where it has, unless forced. */
    reset(name: string, options: ResetGroupOptions): Promise<GroupResetOffset[]>
    /** Of these partitions, or of all that the group has read or is assigned. */
    fetchOffsets(
      name: string,
      options?: CallSettings & { readonly partitions?: readonly PartitionName[] },
    ): Promise<FetchedGroupOffset[]>
  }
  producer(options?: ProducerOptions): Producer
  reader(options: ReaderOptions): Reader
  /** A member of a consumer group; it joins when it is first iterated. */
  consume(options: ConsumeOptions): GroupConsumer
  close(): Promise<void>
}
