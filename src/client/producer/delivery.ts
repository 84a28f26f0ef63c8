import { crc32 } from 'node:zlib'
import type { Cancel, Env } from '../../env/index.ts'
import { FlotillaError } from '../../wire/index.ts'
import type { Connections } from '../connections.ts'
import { candidatesOf, partitionOf, type Layout } from '../layout.ts'
import type { LayoutWatch } from '../layout-watch.ts'
import { AppendLink } from './append-link.ts'
import {
  type Batch,
  type BatchOutcome,
  PartitionSender,
  type SenderOptions,
  type Settlement,
} from './partition-sender.ts'
import type { PendingRecord } from './pending-record.ts'
import type { PreparedRecord } from './record.ts'

interface Lane {
  readonly topic: string
  readonly partition: number
  readonly sender: PartitionSender<PendingRecord>
  /** What has no answer yet, oldest first. */
  readonly out: Map<Batch<PendingRecord>, Sent>
  timer: Timer | undefined
  route: Route | undefined
}

interface Timer {
  readonly wakeMs: number
  readonly cancel: Cancel
}

/** Where a lane's batches go, as long as the layout and the attempt are these. */
interface Route {
  readonly layout: Layout
  readonly attempt: number
  readonly link: AppendLink
}

interface Sent {
  readonly address: string
  readonly sentMs: number
}

/**
 * A node that is silent for so long may hang, with its connection open. Then another node is asked who leads; if it is
 * no longer the silent one, what went there is sent anew. (Otherwise only the connection's keepalive would tell.)
 */
const SILENCE_MS = 1000

export interface DeliveryEvents {
  /** No more can be sent by this producer. */
  readonly onFatal: (error: FlotillaError) => void
  readonly onBatchSent: (topic: string, partition: number) => void
  /** This node leaves appends to the topic without an answer; who leads should be asked elsewhere. */
  readonly onSilence: (topic: string, address: string) => void
}

export type DeliveryOptions = Omit<SenderOptions, 'place'> & { readonly producerId: string }

/**
 * Moves batches: asks each partition's sender what to send, hands it to the stream of the node to try, and brings
 * back the answers. Records added in one turn leave together.
 */
export class Delivery {
  readonly #env: Pick<Env, 'clock'>
  readonly #connections: Connections
  readonly #watch: LayoutWatch
  readonly #options: DeliveryOptions
  readonly #events: DeliveryEvents
  readonly #lanes = new Set<Lane>()
  /** The same by topic and partition: a text of both as a key would be made and hashed for each record. */
  readonly #lanesOfTopics = new Map<string, Map<number, Lane>>()
  readonly #links = new Map<string, AppendLink>()
  /** Lanes to look at in the next turn. */
  readonly #due = new Set<Lane>()
  /** Lanes that found the stream to their node full. */
  readonly #held = new Set<Lane>()
  #turnIsSet = false
  #stopped = false

  constructor(
    env: Pick<Env, 'clock'>,
    connections: Connections,
    watch: LayoutWatch,
    options: DeliveryOptions,
    events: DeliveryEvents,
  ) {
    this.#env = env
    this.#connections = connections
    this.#watch = watch
    this.#options = options
    this.#events = events
  }

  /** True: that closed a batch. */
  add(record: PendingRecord, prepared: PreparedRecord, partition: number, nowMs: number): boolean {
    const lane = this.#laneOf(prepared.topic, partition)
    const joins = lane.sender.isGathering
    const closed = lane.sender.add(prepared, prepared, record, nowMs, prepared.deadlineMs)
    // One that joins others changes nothing about when they leave.
    if (closed || !joins) this.#dueNextTurn(lane)
    return closed
  }

  flush(): void {
    for (const lane of this.#lanes) {
      if (lane.sender.isIdle) continue
      lane.sender.flush()
      this.#dueNextTurn(lane)
    }
  }

  /** Fails all that is under way, and closes the streams. */
  stop(error: FlotillaError): void {
    if (this.#stopped) return
    this.#stopped = true
    for (const lane of this.#lanes) {
      lane.timer?.cancel()
      this.#settle(lane, lane.sender.stop(error))
    }
    for (const link of this.#links.values()) link.close()
  }

  #laneOf(topic: string, partition: number): Lane {
    let lanes = this.#lanesOfTopics.get(topic)
    if (lanes === undefined) this.#lanesOfTopics.set(topic, (lanes = new Map()))
    let lane = lanes.get(partition)
    if (lane === undefined) {
      const place = `partition ${partition} of topic ${topic}`
      const sender = new PartitionSender<PendingRecord>({ ...this.#options, place })
      lane = { topic, partition, sender, out: new Map(), timer: undefined, route: undefined }
      lanes.set(partition, lane)
      this.#lanes.add(lane)
    }
    return lane
  }

  #dueNextTurn(lane: Lane): void {
    this.#due.add(lane)
    if (this.#turnIsSet) return
    this.#turnIsSet = true
    this.#env.clock.defer(() => this.#turn())
  }

  #turn(): void {
    this.#turnIsSet = false
    if (this.#stopped) return
    const lanes = [...this.#due]
    this.#due.clear()
    const links = new Set<AppendLink>()
    for (const lane of lanes) this.#pump(lane, links)
    for (const link of links) link.flush()
    for (const lane of lanes) this.#setTimer(lane)
  }

  #pump(lane: Lane, links: Set<AppendLink>): void {
    const { sender } = lane
    const nowMs = this.#env.clock.nowMs()
    this.#settle(lane, sender.expire(nowMs))
    // What was given up is waited for no longer.
    for (const batch of lane.out.keys()) if (!batch.out) lane.out.delete(batch)
    this.#leaveSilentNode(lane, nowMs)
    const link = this.#linkFor(lane)
    for (;;) {
      if (!link.hasRoom) {
        this.#held.add(lane)
        return
      }
      const batch = sender.nextToSend(nowMs)
      if (batch === undefined) return
      links.add(link)
      this.#events.onBatchSent(lane.topic, lane.partition)
      this.#send(link, lane, batch, nowMs)
    }
  }

  #send(link: AppendLink, lane: Lane, batch: Batch<PendingRecord>, sentMs: number): void {
    const { topic, partition } = lane
    const { sequence, epoch, records } = batch
    const append = {
      topic,
      partition,
      routingKey: undefined,
      records,
      producer: { producerId: this.#options.producerId, epoch, sequence },
      recordsCrc32: crc32(records),
    }
    const sent = { address: link.address, sentMs }
    lane.out.set(batch, sent)
    link.append(append, (outcome) => {
      if (this.#stopped) return
      // A failure of a try that was given up says nothing about the one after it; a success does.
      if ('error' in outcome && lane.out.get(batch) !== sent) return
      this.#answered(lane, batch, outcome)
    })
  }

  #answered(lane: Lane, batch: Batch<PendingRecord>, outcome: BatchOutcome): void {
    lane.out.delete(batch)
    if ('error' in outcome && outcome.error.leader !== undefined) {
      this.#watch.learnLeader(lane.topic, lane.partition, outcome.error.leader)
    }
    this.#settle(lane, lane.sender.answered(batch, outcome, this.#env.clock.nowMs()))
    this.#dueNextTurn(lane)
  }

  #leaveSilentNode(lane: Lane, nowMs: number): void {
    const oldest = lane.out.values().next().value
    if (oldest === undefined || nowMs < oldest.sentMs + SILENCE_MS) return
    const silent = [...lane.out].filter(([, { sentMs }]) => nowMs >= sentMs + SILENCE_MS)
    const { layout } = this.#watch
    const leaderNodeId = partitionOf(layout, lane.topic, lane.partition)?.leaderNodeId
    const leader = leaderNodeId === undefined ? undefined : layout.addresses.get(leaderNodeId)
    for (const [batch, { address }] of silent) {
      if (leader === undefined || leader === address) this.#events.onSilence(lane.topic, address)
      else this.#answered(lane, batch, { error: silentError(address) })
    }
  }

  #linkFor(lane: Lane): AppendLink {
    const { topic, partition, route } = lane
    const { layout } = this.#watch
    const attempt = lane.sender.nodeAttempt
    if (route?.layout === layout && route.attempt === attempt) return route.link
    const candidates = candidatesOf(layout, topic, partition)
    if (candidates.length === 0) return this.#linkTo(this.#watch.addresses(), attempt)
    const link = this.#linkTo(candidates, attempt)
    lane.route = { layout, attempt, link }
    return link
  }

  #linkTo(addresses: readonly string[], attempt: number): AppendLink {
    const address = addresses[attempt % addresses.length]!
    let link = this.#links.get(address)
    if (link === undefined) {
      link = new AppendLink(this.#connections, address, () => this.#goOn())
      this.#links.set(address, link)
    }
    return link
  }

  /** A stream may have room again. */
  #goOn(): void {
    for (const lane of this.#held) this.#dueNextTurn(lane)
    this.#held.clear()
  }

  /** Most timers are overtaken by an answer, so one that comes too early stays: it finds nothing to do and is set anew. */
  #setTimer(lane: Lane): void {
    if (this.#stopped || this.#due.has(lane)) return
    const nowMs = this.#env.clock.nowMs()
    const silenceMs = lane.out.size === 0 ? Infinity : nowMs + SILENCE_MS
    const wakeMs = Math.min(lane.sender.wakeMs() ?? Infinity, silenceMs)
    if (lane.timer !== undefined && lane.timer.wakeMs <= wakeMs && wakeMs !== Infinity) return
    lane.timer?.cancel()
    lane.timer = undefined
    if (wakeMs === Infinity) return
    const cancel = this.#env.clock.setTimer(Math.max(0, wakeMs - nowMs), () => {
      lane.timer = undefined
      this.#dueNextTurn(lane)
    })
    lane.timer = { wakeMs, cancel }
  }

  #settle(lane: Lane, settlements: readonly Settlement<PendingRecord>[]): void {
    for (const { batch, outcome } of settlements) {
      if ('error' in outcome) {
        for (const record of batch.tickets) record.fail(outcome.error)
        continue
      }
      const { baseOffset, appendTimeMs, partition } = outcome.appended
      const appendTime = new Date(appendTimeMs)
      batch.tickets.forEach((record, index) =>
        record.acknowledge({ topic: lane.topic, partition, offset: baseOffset + index, appendTime }),
      )
    }
    const { fatal } = lane.sender
    if (fatal !== undefined && !this.#stopped) this.#events.onFatal(fatal)
  }
}

const silentError = (address: string): FlotillaError =>
  new FlotillaError('UNKNOWN_OUTCOME', `${address} gave no answer and leads no longer`)
