import type { Cancel, Clock, Sink } from '../../env/index.ts'
import type { IndexPoint, LogStorage, Offset } from '../../log/types.ts'
import { asLogIndex, type Entry, type LogIndex } from '../../raft/types.ts'
import { FlotillaError, sliceRecordSet, toRpcError } from '../../wire/index.ts'
import type { ReadRequest, ReadResponse, RecordBatch } from '../../wire/messages.ts'
import { isBrokenInvariant } from '../assert.ts'
import type { HostedPartition } from '../hosted-partition.ts'
import { decodeRecordSpan, type RecordSpan } from '../partition/event.ts'

/** Says where it stands when there was nothing to send for so long, and at most as long again. */
const HEARTBEAT_MS = 5000
const DEFAULT_MESSAGE_BYTES = 1024 * 1024
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024
/** To find a place behind a signpost: as much as may lie between two of them. */
const LOCATE_BYTES = 512 * 1024

/**
 * One Read: sends committed records of this node's replica, in order, from a place on. Nothing is read ahead of what
 * the receiver takes, and what lies in memory is sent from there.
 */
export class ReadSession {
  readonly #partition: HostedPartition
  readonly #storage: LogStorage
  readonly #clock: Clock
  readonly #request: ReadRequest
  readonly #sink: Sink<ReadResponse>
  readonly #onClosed: () => void
  readonly #maxBytes: number
  #nextOffset = 0
  #nextIndex: LogIndex = asLogIndex(0)
  #endOffset = Number.POSITIVE_INFINITY
  #left: number
  #pumping = false
  #blocked = false
  #closed = false
  #sentSinceHeartbeat = false
  #cancelHeartbeat: Cancel | undefined
  readonly #cleanups: Cancel[] = []

  constructor(
    partition: HostedPartition,
    storage: LogStorage,
    clock: Clock,
    request: ReadRequest,
    sink: Sink<ReadResponse>,
    onClosed: () => void,
  ) {
    this.#onClosed = onClosed
    this.#partition = partition
    this.#storage = storage
    this.#clock = clock
    this.#request = request
    this.#sink = sink
    this.#maxBytes = Math.min(request.maxMessageBytes ?? DEFAULT_MESSAGE_BYTES, MAX_MESSAGE_BYTES)
    this.#left = request.maxRecords ?? Number.POSITIVE_INFINITY
  }

  /** Rejects with FlotillaError where the read can't begin; it is closed then. */
  async start(): Promise<void> {
    this.#cleanups.push(this.#partition.onStop((error) => this.#fail(error)))
    if (this.#closed) return
    try {
      await this.#findStart()
    } catch (error) {
      this.close()
      throw unreadable(error)
    }
    if (this.#closed) return
    this.#cleanups.push(this.#partition.machine.onAdvance(() => this.#pump()))
    this.#sink.onDrain(() => {
      this.#blocked = false
      this.#pump()
    })
    this.#send([])
    this.#armHeartbeat()
    this.#pump()
  }

  async #findStart(): Promise<void> {
    const { machine } = this.#partition
    if (this.#request.endOffset !== undefined) this.#endOffset = this.#request.endOffset
    if (this.#request.untilEnd) this.#endOffset = Math.min(this.#endOffset, machine.highWatermark)
    const offset = await this.#startOffset()
    this.#checkRange(offset)
    this.#nextOffset = offset
    this.#nextIndex = await this.#indexOf(offset)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#cancelHeartbeat?.()
    for (const cleanup of this.#cleanups) cleanup()
    this.#onClosed()
  }

  // -- finding the start ---------------------------------------------------------------------------------------

  async #startOffset(): Promise<number> {
    const { start } = this.#request
    switch (start.type) {
      case 'offset':
        return start.offset
      case 'beginning':
        return this.#partition.machine.lowOffset
      case 'end':
        return this.#partition.machine.highWatermark
      case 'time':
        return offsetForTime(this.#partition, this.#storage, start.timeMs)
    }
  }

  #checkRange(offset: number): void {
    const { lowOffset, highWatermark } = this.#partition.machine
    if (offset >= lowOffset && offset <= highWatermark) return
    throw new FlotillaError(
      'OFFSET_OUT_OF_RANGE',
      `offset ${offset} of partition ${this.#request.partition} of "${this.#request.topic}" is out of range; ` +
        `it holds ${lowOffset} to ${highWatermark} (the end)`,
      { offsetRange: { lowOffset, highWatermark } },
    )
  }

  /** The index of the entry that holds `offset`; behind the end that of the entry to come. */
  async #indexOf(offset: number): Promise<LogIndex> {
    const { machine, replica } = this.#partition
    if (offset === machine.highWatermark) return asLogIndex(replica.foldedIndex + 1)
    const from =
      machine.signposts.findByOffset(offset as Offset) ??
      (await this.#storage.findByOffset(replica.groupId, offset as Offset))
    const found = await findEntry(
      this.#partition,
      from,
      (event) => event.baseOffset + event.recordCount > offset,
    )
    return found?.index ?? asLogIndex(replica.foldedIndex + 1)
  }

  // -- sending -------------------------------------------------------------------------------------------------

  /** Sends while there is something and the receiver takes it. From memory this is synchronous. */
  #pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    for (;;) {
      if (this.#closed || this.#blocked || this.#finished()) break
      const { replica } = this.#partition
      const to = replica.foldedIndex
      if (this.#nextIndex > to) break
      const entries = replica.entriesInMemory(this.#nextIndex, to, this.#maxBytes)
      if (entries === undefined) {
        this.#pumpFromStorage(to)
        return
      }
      this.#sendEntries(entries)
    }
    this.#pumping = false
  }

  #pumpFromStorage(to: LogIndex): void {
    this.#partition.replica
      .readEntries(this.#nextIndex, to, this.#maxBytes)
      .then((entries) => {
        this.#pumping = false
        if (this.#closed) return
        if (entries.length === 0) throw missing(this.#nextIndex)
        this.#sendEntries(entries)
        this.#pump()
      })
      .catch((error: unknown) => {
        this.#pumping = false
        this.#fail(unreadable(error))
      })
  }

  #finished(): boolean {
    if (this.#left > 0 && this.#nextOffset < this.#endOffset) return false
    this.#sink.end()
    this.close()
    return true
  }

  #sendEntries(entries: readonly Entry[]): void {
    const batches: RecordBatch[] = []
    for (const entry of entries) {
      this.#nextIndex = asLogIndex(entry.index + 1)
      const batch = entry.kind === 'event' ? this.#cut(entry) : undefined
      if (batch === undefined) continue
      batches.push(batch)
      this.#nextOffset = batch.baseOffset + batch.recordCount
      this.#left -= batch.recordCount
      if (this.#left <= 0 || this.#nextOffset >= this.#endOffset) break
    }
    if (batches.length > 0) this.#send(batches)
  }

  /** The entry's records from the next offset on, as far as they are asked for. */
  #cut(entry: Entry): RecordBatch | undefined {
    const { baseOffset, recordCount, appendTimeMs } = decodeRecordSpan(entry.header)
    const first = Math.max(baseOffset, this.#nextOffset)
    const end = Math.min(baseOffset + recordCount, this.#endOffset, first + this.#left)
    if (first >= end) return undefined
    if (first === baseOffset && end === baseOffset + recordCount) {
      return { baseOffset, recordCount, appendTimeMs, records: entry.payload }
    }
    const [only] = entry.payload
    const whole = entry.payload.length === 1 && only !== undefined ? only : Buffer.concat(entry.payload)
    const records = sliceRecordSet(whole, first - baseOffset, end - first)
    return { baseOffset: first, recordCount: end - first, appendTimeMs, records: [records] }
  }

  #send(batches: readonly RecordBatch[]): void {
    const { lowOffset, highWatermark } = this.#partition.machine
    this.#sentSinceHeartbeat = true
    this.#blocked = !this.#sink.send({ batches, nextOffset: this.#nextOffset, highWatermark, lowOffset })
  }

  /** One timer for as long as the session lasts: none is set and cancelled for each message. */
  #armHeartbeat(): void {
    this.#sentSinceHeartbeat = false
    this.#cancelHeartbeat = this.#clock.setTimer(HEARTBEAT_MS, () => {
      if (!this.#blocked && !this.#sentSinceHeartbeat) this.#send([])
      this.#armHeartbeat()
    })
  }

  #fail(error: FlotillaError): void {
    if (this.#closed) return
    this.#sink.fail(toRpcError(error))
    this.close()
  }
}

/** Storage gives at least one entry, or says why not: going on without would be going round in circles. */
function missing(index: LogIndex): FlotillaError {
  return new FlotillaError('REPLICA_UNAVAILABLE', `this replica has folded entry ${index} but can't find it`)
}

/** Another replica may well have what this one's disk doesn't give. A broken assertion is no matter of the disk. */
function unreadable(error: unknown): FlotillaError {
  if (error instanceof FlotillaError) return error
  if (isBrokenInvariant(error))
    return new FlotillaError('INTERNAL', `an invariant broke: ${error.message}`, { cause: error })
  return new FlotillaError('REPLICA_UNAVAILABLE', `this replica can't read its log: ${String(error)}`, {
    cause: error,
  })
}

type EventTest = (event: RecordSpan) => boolean

/** The first committed event from the signpost on that fits. Reads no further than to the next signpost or so. */
async function findEntry(
  { replica }: HostedPartition,
  from: IndexPoint | undefined,
  fits: EventTest,
): Promise<{ readonly index: LogIndex; readonly baseOffset: number } | undefined> {
  let index = from?.index ?? asLogIndex(replica.lowIndex + 1)
  while (index <= replica.foldedIndex) {
    const to = replica.foldedIndex
    const entries =
      replica.entriesInMemory(index, to, LOCATE_BYTES) ?? (await replica.readEntries(index, to, LOCATE_BYTES))
    for (const entry of entries) {
      if (entry.kind !== 'event') continue
      const event = decodeRecordSpan(entry.header)
      if (fits(event)) return { index: entry.index, baseOffset: event.baseOffset }
    }
    if (entries.length === 0) throw missing(index)
    index = asLogIndex(index + entries.length)
  }
  return undefined
}

/** The first offset appended at or after `timeMs`; the high watermark where there is none. Rejects with FlotillaError. */
export async function offsetForTime(
  partition: HostedPartition,
  storage: LogStorage,
  timeMs: number,
): Promise<number> {
  const { machine, replica } = partition
  try {
    const from = machine.signposts.findByTime(timeMs) ?? (await storage.findByTime(replica.groupId, timeMs))
    const found = await findEntry(partition, from, (event) => event.appendTimeMs >= timeMs)
    return found?.baseOffset ?? machine.highWatermark
  } catch (error) {
    throw unreadable(error)
  }
}
