import type { Producer } from '../../client/types.ts'
import { FlotillaError } from '../../wire/errors.ts'
import type { CliContext } from '../context.ts'
import type { DemoEvent } from './events.ts'
import type { AcknowledgementGaps } from './gaps.ts'
import type { Ledger } from './ledger.ts'

/** The record header that tells which event it is: a line that is streamed again is another event. */
export const sequenceHeader = 'sequence'

/** Hands events to the producer and notes in the ledger what became of each. */
export class Traffic {
  readonly #context: Pick<CliContext, 'nowMs' | 'sleep'>
  readonly #producer: Producer
  readonly #topic: string
  readonly #ledger: Ledger
  readonly #gaps: AcknowledgementGaps
  #firstError: unknown

  constructor(
    context: Pick<CliContext, 'nowMs' | 'sleep'>,
    producer: Producer,
    topic: string,
    ledger: Ledger,
    gaps: AcknowledgementGaps,
  ) {
    this.#context = context
    this.#producer = producer
    this.#topic = topic
    this.#ledger = ledger
    this.#gaps = gaps
  }

  /** Of the first event that failed; undefined while all went well. */
  get firstError(): unknown {
    return this.#firstError
  }

  /** Resolves when the producer has room for more. */
  async send(event: DemoEvent): Promise<void> {
    const sequence = this.#ledger.send(event)
    const { room, acknowledged } = this.#producer.enqueue({
      topic: this.#topic,
      key: event.key,
      value: event.value,
      headers: [{ name: sequenceHeader, value: String(sequence) }],
      ...(event.timestamp !== undefined && { timestamp: event.timestamp }),
    })
    acknowledged.then(
      ({ partition, offset }) => {
        this.#ledger.acknowledge(sequence, partition, offset)
        this.#gaps.acknowledged(partition, this.#context.nowMs())
      },
      (error: unknown) => {
        this.#firstError ??= error
        this.#ledger.fail(sequence, !(error instanceof FlotillaError) || error.mayHaveTakenEffect)
      },
    )
    // Where it fails, `acknowledged` fails too, and is where it is noted.
    await room.catch(() => undefined)
  }

  /** As fast as there is room. */
  async sendAll(events: readonly DemoEvent[], stop: AbortSignal): Promise<void> {
    for (const event of events) {
      if (stop.aborted) break
      await this.send(event)
    }
    await this.#producer.flush()
  }

  /** So many a second, until `stop`; waits then for the last acknowledgement. */
  async sendAtRate(next: () => DemoEvent, perSecond: number, stop: AbortSignal): Promise<void> {
    const startMs = this.#context.nowMs()
    let sent = 0
    while (!stop.aborted) {
      const due = Math.floor(((this.#context.nowMs() - startMs) * perSecond) / 1000)
      // After a pause it goes on at the rate, and doesn't make up for what it missed.
      if (due - sent > perSecond) sent = due - 1
      for (; sent < due && !stop.aborted; sent++) await this.send(next())
      await this.#context.sleep(5, stop)
    }
    await this.#producer.flush()
  }
}

/** Round and round through the events, every other time those of one partition, so that it is never quiet. */
export function roundRobin(events: readonly DemoEvent[], ofPartition: readonly DemoEvent[]): () => DemoEvent {
  const lists = ofPartition.length === 0 ? [events] : [events, ofPartition]
  const places = lists.map(() => 0)
  let turn = 0
  return () => {
    const list = turn % lists.length
    turn++
    const from = lists[list] ?? events
    const place = places[list] ?? 0
    places[list] = (place + 1) % from.length
    const event = from[place]
    if (event === undefined) throw new RangeError('there are no events to go round')
    return event
  }
}
