import { nodeClock, nodeLogger, nodeNetwork } from '../../../src/env/node/index.ts'
import { RpcError, StatusCode, type Connection, type Sink } from '../../../src/env/index.ts'
import {
  FlotillaError,
  decodeRecordSet,
  errorOf,
  fromRpcError,
  groupMethods,
  type AssignedPartition,
  type ConsumeCommitted,
  type ConsumeRequest,
  type ConsumeResponse,
  type ConsumeStart,
  type TopicPartition,
} from '../../../src/wire/index.ts'
import { until } from '../../support/until.ts'

const clock = nodeClock()
const network = nodeNetwork(clock, nodeLogger({ level: 'silent' }))

export interface Handled {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly value: string
}

/** A member of a group as a bare stub would be one: what it is told is kept, and it does only what it is told to. */
export class GroupMember {
  readonly messages: ConsumeResponse[] = []
  readonly handled: Handled[] = []
  readonly owned = new Map<string, AssignedPartition>()
  /** The next offset of each partition that it had, by what it was sent. */
  readonly position = new Map<string, number>()
  readonly revoked: TopicPartition[] = []
  readonly lost: { readonly partition: TopicPartition; readonly error: FlotillaError }[] = []
  memberId = ''
  incarnation = 0
  ended: FlotillaError | 'ok' | undefined
  /** Gives back what is revoked, having committed it. */
  releases = true
  readonly #connection: Connection
  readonly #sink: Sink<ConsumeRequest>
  readonly #waiting = new Map<number, (committed: ConsumeCommitted) => void>()
  #beat: ReturnType<typeof setInterval> | undefined
  #correlationId = 0

  constructor(address: string, start: ConsumeStart | undefined) {
    this.#connection = network.connect(address)
    this.#sink = this.#connection.duplex(groupMethods.consume, {
      onMessage: (message) => this.#onMessage(message),
      onEnd: () => undefined,
      onClose: (error) => {
        clearInterval(this.#beat)
        this.ended = error === undefined ? 'ok' : fromRpcError(error)
      },
    })
    if (start !== undefined)
      this.send({ start: { credit: { records: 100_000, bytes: 100_000_000 }, ...start } })
    this.#beat = setInterval(() => this.send({ heartbeat: {} }), 200)
  }

  get connection(): Connection {
    return this.#connection
  }

  send(request: ConsumeRequest): void {
    this.#sink.send(request)
  }

  /** Says nothing more, though its stream stands. */
  fallSilent(): void {
    clearInterval(this.#beat)
  }

  async untilOwns(count: number): Promise<void> {
    await until(`${this.memberId} owns ${count} partitions`, () => this.owned.size === count)
  }

  async untilEnded(): Promise<FlotillaError | 'ok'> {
    return until(`the stream of ${this.memberId} ends`, () => this.ended)
  }

  /** Commits the place that it has in each partition, or those named. */
  commit(
    offsets?: readonly { topic: string; partition: number; offset: number; epoch: number }[],
  ): Promise<ConsumeCommitted> {
    const positions =
      offsets ??
      [...this.owned].map(([key, { topic, partition, epoch, startOffset }]) => ({
        topic,
        partition,
        epoch,
        offset: this.position.get(key) ?? startOffset,
      }))
    const correlationId = ++this.#correlationId
    this.send({ commit: { correlationId, positions } })
    return new Promise((resolve) => this.#waiting.set(correlationId, resolve))
  }

  /** Ends in order: it leaves the group where it hasn't named itself. */
  async end(): Promise<void> {
    this.#sink.end()
    await this.untilEnded()
    this.close()
  }

  /** Gives the stream up, and not the place. */
  async cut(): Promise<void> {
    this.#sink.fail(new RpcError(StatusCode.cancelled, 'the member goes on elsewhere'))
    await this.untilEnded()
  }

  /** Goes as a killed process does. */
  close(): void {
    clearInterval(this.#beat)
    this.#connection.close()
  }

  #onMessage(message: ConsumeResponse): void {
    this.messages.push(message)
    const { joined, assigned, records, committed, revoked, lost } = message
    if (joined !== undefined) {
      this.memberId = joined.memberId
      this.incarnation = joined.incarnation
    }
    for (const partition of assigned?.partitions ?? []) {
      this.owned.set(keyOf(partition), partition)
      this.position.set(keyOf(partition), partition.startOffset)
    }
    if (records !== undefined) {
      for (const { baseOffset, records: sets } of records.batches) {
        decodeRecordSet(Buffer.concat(sets)).forEach(({ value }, nth) =>
          this.handled.push({
            topic: records.topic,
            partition: records.partition,
            offset: baseOffset + nth,
            value: Buffer.from(value ?? []).toString(),
          }),
        )
      }
      this.position.set(keyOf(records), records.nextOffset)
    }
    if (committed !== undefined) this.#waiting.get(committed.correlationId)?.(committed)
    if (revoked !== undefined) {
      this.revoked.push(...revoked.partitions)
      if (this.releases) void this.#giveBack(revoked.partitions)
    }
    for (const partition of lost?.partitions ?? []) {
      this.owned.delete(keyOf(partition))
      const error = lost?.error ?? undefined
      if (error !== undefined) this.lost.push({ partition, error: errorOf(error) })
    }
  }

  async #giveBack(partitions: readonly TopicPartition[]): Promise<void> {
    const positions = partitions.flatMap((each) => {
      const owned = this.owned.get(keyOf(each))
      const offset = this.position.get(keyOf(each))
      return owned === undefined || offset === undefined ? [] : [{ ...each, epoch: owned.epoch, offset }]
    })
    await this.commit(positions)
    for (const each of partitions) this.owned.delete(keyOf(each))
    this.send({ release: { partitions } })
  }
}

export function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`
}

/** The error of each position, or what is committed. */
export function resultsOf({ results }: ConsumeCommitted): (string | number)[] {
  return results.map(({ error, committedOffset }) =>
    error === undefined || error === null ? (committedOffset ?? -1) : errorOf(error).reason,
  )
}
