import { FlotillaError } from '../../wire/errors.ts'
import type { ProducerIdentity } from '../../wire/messages.ts'

/** Where a batch of a producer went. */
export interface RememberedBatch {
  readonly sequence: number
  readonly baseOffset: number
  readonly recordCount: number
  readonly appendTimeMs: number
}

export interface ProducerState {
  readonly epoch: number
  /** The newest, oldest first, at most REMEMBERED_BATCHES; never empty. */
  readonly recent: readonly RememberedBatch[]
}

/** As many as a producer may have under way: a retry is then always answered with its offsets. */
export const REMEMBERED_BATCHES = 5

export type SequenceCheck =
  | { readonly type: 'next' }
  | { readonly type: 'duplicate'; readonly batch: RememberedBatch }
  | { readonly type: 'refused'; readonly error: FlotillaError }

/**
 * Who has appended to a partition and how far. Part of the folded state, so it survives failover, restart and
 * snapshot; it changes only by folding committed events and is therefore the same on every replica. Beyond `limit`
 * the producer that appended least recently is forgotten.
 */
export class ProducerTable {
  // Insertion order is the order of the last append: the first is the least recent.
  readonly #producers = new Map<string, ProducerState>()
  readonly limit: number

  constructor(limit: number) {
    this.limit = limit
  }

  get size(): number {
    return this.#producers.size
  }

  /** Decides on a batch. A first batch must have sequence 0, each further one the next; what was appended is a duplicate. */
  check(producer: ProducerIdentity): SequenceCheck {
    const { producerId, epoch, sequence } = producer
    const known = this.#producers.get(producerId)
    if (known === undefined || epoch > known.epoch) return this.#checkFirst(producer, known)
    if (epoch < known.epoch) {
      return refused(
        'PRODUCER_FENCED',
        `producer "${producerId}" has epoch ${epoch}, but epoch ${known.epoch} has taken over`,
      )
    }
    const newest = known.recent.at(-1)
    if (newest === undefined || sequence === newest.sequence + 1) return { type: 'next' }
    if (sequence > newest.sequence) {
      return refused(
        'OUT_OF_ORDER_SEQUENCE',
        `producer "${producerId}" sent sequence ${sequence}, but ${newest.sequence + 1} comes next`,
      )
    }
    const batch = known.recent.find((remembered) => remembered.sequence === sequence)
    if (batch !== undefined) return { type: 'duplicate', batch }
    return refused(
      'SEQUENCE_TOO_OLD',
      `producer "${producerId}" sent sequence ${sequence}, which was appended long before ${newest.sequence}`,
    )
  }

  #checkFirst(producer: ProducerIdentity, known: ProducerState | undefined): SequenceCheck {
    const { producerId, epoch, sequence } = producer
    if (sequence === 0) return { type: 'next' }
    if (known !== undefined) {
      return refused(
        'OUT_OF_ORDER_SEQUENCE',
        `producer "${producerId}" began epoch ${epoch} with sequence ${sequence}, but 0 comes first`,
      )
    }
    // An unknown producer with a later sequence was either forgotten or its first batches are still on their way.
    return refused(
      'UNKNOWN_PRODUCER',
      `producer "${producerId}" sent sequence ${sequence}, but the partition knows nothing of it and expects 0; ` +
        `it remembers the last ${this.limit} producers`,
    )
  }

  /** Folds a batch that `check` found to be next. */
  record(producer: ProducerIdentity, batch: RememberedBatch): void {
    const known = this.#producers.get(producer.producerId)
    const earlier = known !== undefined && known.epoch === producer.epoch ? known.recent : []
    const recent = [...earlier, batch].slice(-REMEMBERED_BATCHES)
    this.#producers.delete(producer.producerId)
    this.#producers.set(producer.producerId, { epoch: producer.epoch, recent })
    if (this.#producers.size > this.limit) {
      for (const leastRecent of this.#producers.keys()) {
        this.#producers.delete(leastRecent)
        break
      }
    }
  }

  /** From the least to the most recent. */
  entries(): IterableIterator<[string, ProducerState]> {
    return this.#producers.entries()
  }

  restore(producerId: string, state: ProducerState): void {
    this.#producers.set(producerId, state)
  }

  clone(): ProducerTable {
    const copy = new ProducerTable(this.limit)
    // The states themselves are never changed in place.
    for (const [producerId, state] of this.#producers) copy.#producers.set(producerId, state)
    return copy
  }
}

function refused(
  reason: 'PRODUCER_FENCED' | 'OUT_OF_ORDER_SEQUENCE' | 'UNKNOWN_PRODUCER' | 'SEQUENCE_TOO_OLD',
  message: string,
): SequenceCheck {
  return { type: 'refused', error: new FlotillaError(reason, message) }
}
