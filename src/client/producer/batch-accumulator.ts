import { RecordSetBuilder, type RecordSize, type WireRecord } from '../../wire/index.ts'

export interface BatchLimits {
  readonly maxBatchBytes: number
  readonly maxBatchRecords: number
}

/** Records that go to a partition together, and what is waiting for each. */
export interface ClosedBatch<Ticket> {
  readonly records: Uint8Array
  /** One per record, in order. */
  readonly tickets: readonly Ticket[]
  /** Until when its first record has to be acknowledged. */
  readonly deadlineMs: number
}

interface OpenBatch<Ticket> {
  readonly builder: RecordSetBuilder
  readonly tickets: Ticket[]
  readonly deadlineMs: number
  readonly openedMs: number
}

/** Gathers the records of one partition into batches, bounded by bytes and count. Pure. */
export class BatchAccumulator<Ticket> {
  readonly #limits: BatchLimits
  readonly #closed: ClosedBatch<Ticket>[] = []
  #open: OpenBatch<Ticket> | undefined
  /** Of the batch before: the next one will need as much, and growing step by step copies all of it once more. */
  #lastBytes = 1024

  constructor(limits: BatchLimits) {
    this.#limits = limits
  }

  get isEmpty(): boolean {
    return this.#closed.length === 0 && this.#open === undefined
  }
  get hasClosed(): boolean {
    return this.#closed.length > 0
  }
  /** When the open batch was begun. */
  get openedMs(): number | undefined {
    return this.#open?.openedMs
  }
  /** The earliest deadline of what waits here. */
  get deadlineMs(): number | undefined {
    return this.#closed[0]?.deadlineMs ?? this.#open?.deadlineMs
  }

  /** Encodes the record into the open batch. True: that closed a batch. */
  add(record: WireRecord, size: RecordSize, ticket: Ticket, nowMs: number, deadlineMs: number): boolean {
    let closed = false
    if (this.#open !== undefined && !this.#fits(this.#open, size)) {
      this.close()
      closed = true
    }
    this.#open ??= {
      builder: new RecordSetBuilder(Math.max(this.#lastBytes, size.framedBytes)),
      tickets: [],
      deadlineMs,
      openedMs: nowMs,
    }
    this.#open.builder.append(record, size)
    this.#open.tickets.push(ticket)
    if (!this.#isFull(this.#open)) return closed
    this.close()
    return true
  }

  /** Closes the open batch, so that it waits for nothing more. */
  close(): void {
    if (this.#open === undefined) return
    const { builder, tickets, deadlineMs } = this.#open
    this.#lastBytes = builder.byteLength
    this.#closed.push({ records: builder.finish(), tickets, deadlineMs })
    this.#open = undefined
  }

  /** Takes the oldest closed batch. */
  take(): ClosedBatch<Ticket> | undefined {
    return this.#closed.shift()
  }

  #fits({ builder }: OpenBatch<Ticket>, size: RecordSize): boolean {
    return builder.byteLength + size.framedBytes <= this.#limits.maxBatchBytes
  }

  #isFull({ builder }: OpenBatch<Ticket>): boolean {
    return (
      builder.byteLength >= this.#limits.maxBatchBytes || builder.recordCount >= this.#limits.maxBatchRecords
    )
  }
}
