import type { Cancel } from '../../env/index.ts'
import { FlotillaError, type ConsumeRequest } from '../../wire/index.ts'
import { AbortError, onAbort, throwIfAborted } from '../abort.ts'
import { backoffDelayMs } from '../backoff.ts'
import type { StreamParts } from '../reader/partition-stream.ts'
import { decodeBatches } from '../reader/read-position.ts'
import type {
  ConsumedBatch,
  ConsumedRecord,
  ConsumeOptions,
  GivenPartition,
  GroupConsumer,
  GroupConsumerEvents,
  GroupOffset,
  PartitionLag,
  PartitionName,
} from '../types.ts'
import { meansGone } from './commits.ts'
import { ConsumeLink } from './consume-link.ts'
import type { Effect } from './effect.ts'
import type { Beating, JointBeats } from './joint-beats.ts'
import { Listeners, type SyncEvent } from './listeners.ts'
import type { HeldPartition } from './held-partition.ts'
import type { Taken } from './holdings.ts'
import { GroupMember } from './member.ts'
import { memberOptionsOf, subscriptionOf, type MemberOptions } from './options.ts'

export interface ConsumerParts extends StreamParts {
  readonly timeoutMs: number
  readonly beats: JointBeats
  readonly onClosed: () => void
}

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** Throws INVALID_ARGUMENT or INVALID_NAME on options out of their range. */
export class FlotillaGroupConsumer implements GroupConsumer {
  readonly #parts: ConsumerParts
  readonly #options: MemberOptions
  readonly #signal: AbortSignal | undefined
  readonly #member: GroupMember
  readonly #listeners = new Listeners()
  readonly #unlink: () => void
  readonly #untilCaughtUp = new Set<Waiter>()
  /** Settled when the member is over. */
  readonly #over: Promise<void>
  #setOver: () => void = () => {}
  #link: ConsumeLink | undefined
  #beating: { readonly address: string; readonly beating: Beating; readonly leave: Cancel } | undefined
  #nodeNumber: number
  #cancelTimer: Cancel | undefined
  #timerMs = Infinity
  #wake: (() => void) | undefined
  #isDraining = false
  #hasBegun = false
  #failure: Error | undefined
  #closing: Promise<void> | undefined

  constructor(parts: ConsumerParts, options: ConsumeOptions) {
    this.#parts = parts
    this.#options = memberOptionsOf(options)
    this.#signal = options.signal
    this.#over = new Promise((resolve) => (this.#setOver = resolve))
    const { random } = parts.env
    this.#member = new GroupMember({
      options: this.#options,
      patienceMs: Math.max(parts.timeoutMs, this.#options.sessionTimeoutMs),
      backoffMs: (attempt, askedMs) => backoffDelayMs(attempt, random, askedMs),
    })
    // Members that are started together don't all go to the same node.
    this.#nodeNumber = random.below(1024)
    this.#unlink = onAbort(options.signal, () => this.#awake())
  }

  get memberId(): string | undefined {
    return this.#member.memberId
  }

  // -- iterating -----------------------------------------------------------------------------------------------

  async *[Symbol.asyncIterator](): AsyncGenerator<ConsumedRecord> {
    const { clock } = this.#parts.env
    for await (const { taken, batch } of this.#deliver()) {
      for (const record of batch.records) {
        if (this.#closing !== undefined) break
        if (!this.#member.mayGoOnWith(taken)) {
          this.#member.putBack(taken, record.offset)
          break
        }
        this.#member.handOut(taken, record.offset + 1, clock.nowMs())
        yield record
        this.#member.comePast(taken, record.offset + 1)
      }
    }
  }

  async *batches(): AsyncGenerator<ConsumedBatch> {
    const { clock } = this.#parts.env
    for await (const { taken, batch } of this.#deliver()) {
      this.#member.handOut(taken, taken.endOffset, clock.nowMs())
      yield batch
      this.#member.comePast(taken, taken.endOffset)
    }
  }

  /** What it yields is in hand until it is asked again; where it isn't, the consumer is closed with it in hand. */
  async *#deliver(): AsyncGenerator<{ readonly taken: Taken; readonly batch: ConsumedBatch }> {
    if (this.#hasBegun) {
      throw new FlotillaError('INVALID_ARGUMENT', 'a consumer is iterated once; make another one to go on')
    }
    this.#hasBegun = true
    try {
      await this.#begin()
      for (;;) {
        throwIfAborted(this.#signal)
        if (this.#failure !== undefined) throw this.#failure
        if (this.#closing !== undefined) return
        const taken = this.#member.take(this.#nowMs())
        this.#drain()
        if (taken === undefined) {
          await new Promise<void>((resolve) => (this.#wake = resolve))
          continue
        }
        const { topic, partition } = taken.held
        const batch = decodeBatches(topic, partition, taken.raws)
        if (this.#options.commit !== 'before' || (await this.#isCommitted(taken))) yield { taken, batch }
        this.#member.done(this.#nowMs())
        this.#drain()
      }
    } finally {
      await this.close()
    }
  }

  /** Asks where the nodes are, then joins. */
  async #begin(): Promise<void> {
    throwIfAborted(this.#signal)
    if (this.#closing !== undefined) return
    const { watch, timeoutMs } = this.#parts
    await watch.ready(this.#nowMs() + timeoutMs, this.#signal)
    if (this.#closing !== undefined) return
    this.#member.begin(this.#nowMs())
    this.#drain()
  }

  /** False: the partition went before it was committed, so its new owner handles what is in hand. */
  async #isCommitted({ held, endOffset }: Taken): Promise<boolean> {
    try {
      await this.commit([{ ...held.name, offset: endOffset }])
      return true
    } catch (error) {
      if (error instanceof FlotillaError && meansGone(error)) return false
      throw error
    }
  }

  // -- what the user asks for ----------------------------------------------------------------------------------

  commit(offsets?: readonly GroupOffset[]): Promise<void> {
    return this.#committing((deadlineMs, onSettled) => this.#member.commit(offsets, deadlineMs, onSettled))
  }

  pause(partitions: readonly PartitionName[]): void {
    this.#member.pause(partitions)
    this.#drain()
  }

  resume(partitions: readonly PartitionName[]): void {
    this.#member.resume(partitions)
    this.#drain()
  }

  subscribe(to: {
    readonly topics?: readonly string[]
    readonly partitions?: readonly PartitionName[]
  }): Promise<void> {
    try {
      this.#member.subscribe(subscriptionOf(to))
      this.#drain()
      return Promise.resolve()
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)))
    }
  }

  assignment(): readonly GivenPartition[] {
    return this.#member.holdings.given
  }

  lag(): readonly PartitionLag[] {
    return this.#member.holdings.lag
  }

  caughtUp(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#member.isOver) return reject(this.#failure ?? closed())
      this.#untilCaughtUp.add({ resolve, reject })
      this.#tellCaughtUp()
    })
  }

  on<Name extends keyof GroupConsumerEvents>(name: Name, listener: GroupConsumerEvents[Name]): () => void {
    return this.#listeners.add(name, listener)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#awake()
    let failure: unknown
    if (this.#options.commit === 'auto' && !this.#member.isOver) {
      try {
        await this.#committing((deadlineMs, onSettled) => this.#member.commitHandled(deadlineMs, onSettled))
      } catch (error) {
        // What is gone was told as lost, and how the consumer failed is told by the loop.
        const isTold = error === this.#failure || (error instanceof FlotillaError && meansGone(error))
        if (!isTold) failure = error
      }
    }
    this.#member.leave(this.#nowMs())
    this.#drain()
    await this.#over
    if (failure !== undefined) throw failure
  }

  #committing(
    start: (deadlineMs: number, onSettled: (error: Error | undefined) => void) => void,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      start(this.#nowMs() + this.#parts.timeoutMs, (error) => {
        if (error === undefined) resolve()
        else reject(error)
      })
      this.#drain()
    })
  }

  // -- between the member, the network and the clock -----------------------------------------------------------

  #nowMs(): number {
    return this.#parts.env.clock.nowMs()
  }

  /** Does what the member wants done, which may lead to more. */
  #drain(): void {
    if (this.#isDraining) return
    this.#isDraining = true
    try {
      for (;;) {
        const effects = this.#member.drain(this.#nowMs())
        if (effects.length === 0) break
        for (const effect of effects) this.#perform(effect)
      }
    } finally {
      this.#isDraining = false
    }
    this.#setTimer()
    this.#tellCaughtUp()
    this.#awake()
  }

  #perform(effect: Effect): void {
    switch (effect.type) {
      case 'open':
        return this.#open()
      case 'send':
        return this.#link?.send(effect.message)
      case 'beat':
        return this.#beat(effect.message)
      case 'half-close':
        return this.#link?.halfClose()
      case 'cut':
        this.#link?.cut()
        return this.#unlinked()
      case 'assigned':
        return this.#tell('assigned', effect.partitions)
      case 'lost':
        return this.#tell('lost', effect.partitions, effect.error)
      case 'stuck':
        return this.#tell('stuck', effect.partitions, effect.forMs)
      case 'revoked':
        return this.#revoked(effect.held)
      case 'over':
        return this.#end(effect.error)
    }
  }

  #open(): void {
    const { connections, watch } = this.#parts
    const addresses = watch.addresses()
    const address = addresses[this.#nodeNumber++ % addresses.length]!
    this.#enterBeats(address)
    this.#link = new ConsumeLink(connections, address, {
      onMessage: (response) => {
        this.#member.received(response, this.#nowMs())
        this.#drain()
      },
      onClose: (error) => {
        this.#unlinked()
        this.#member.closed(error, this.#nowMs())
        this.#drain()
      },
    })
  }

  #unlinked(): void {
    this.#link = undefined
    this.#beating?.leave()
    this.#beating = undefined
  }

  #enterBeats(address: string): void {
    const member = this.#member
    const beating: Beating = {
      get heartbeat() {
        return member.heartbeat
      },
      beatsEarly: (nowMs) => member.beatsEarly(nowMs),
      answered: (nowMs) => member.beatAnswered(nowMs),
      beatAlone: () => {
        member.beatAlone()
        this.#drain()
      },
    }
    this.#beating = { address, beating, leave: this.#parts.beats.enter(address, beating) }
  }

  #beat(message: ConsumeRequest): void {
    const own = this.#beating
    if (own === undefined || !this.#parts.beats.beat(own.address, own.beating)) this.#link?.send(message)
  }

  /** A listener that throws ends the consumer: what it was to do isn't done. */
  #tell<Name extends SyncEvent>(name: Name, ...args: Parameters<GroupConsumerEvents[Name]>): void {
    try {
      this.#listeners.tell(name, ...args)
    } catch (error) {
      this.#member.fail(asError(error))
    }
  }

  #revoked(held: readonly HeldPartition[]): void {
    this.#listeners.tellRevoked(held.map(({ name }) => name)).then(
      () => {
        this.#member.letGo(held)
        this.#drain()
      },
      (error: unknown) => {
        this.#member.fail(asError(error))
        this.#drain()
      },
    )
  }

  #setTimer(): void {
    const wakeMs = this.#member.wakeMs
    // One that rings early only looks.
    if (wakeMs >= this.#timerMs) return
    this.#cancelTimer?.()
    this.#timerMs = wakeMs
    const { clock } = this.#parts.env
    this.#cancelTimer = clock.setTimer(Math.max(0, wakeMs - clock.nowMs()), () => {
      this.#timerMs = Infinity
      this.#member.tick(this.#nowMs())
      this.#drain()
    })
  }

  #tellCaughtUp(): void {
    if (this.#untilCaughtUp.size === 0 || !this.#member.holdings.isCaughtUp) return
    for (const { resolve } of this.#untilCaughtUp) resolve()
    this.#untilCaughtUp.clear()
  }

  #awake(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }

  #end(error: Error | undefined): void {
    this.#failure = error
    this.#cancelTimer?.()
    this.#timerMs = -Infinity
    this.#unlink()
    this.#unlinked()
    for (const { reject } of this.#untilCaughtUp) reject(error ?? closed())
    this.#untilCaughtUp.clear()
    this.#setOver()
    this.#parts.onClosed()
  }
}

const closed = (): AbortError => new AbortError(new Error('the consumer is closed'))

const asError = (error: unknown): Error =>
  error instanceof Error ? error : new Error(`a listener failed with ${String(error)}`, { cause: error })
