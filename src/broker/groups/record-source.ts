import type { Clock } from '../../env/index.ts'
import { asGroupId, type GroupId } from '../../log/types.ts'
import { FlotillaError, fromRpcError, logMethods } from '../../wire/index.ts'
import type { ReadRequest, ReadResponse } from '../../wire/messages.ts'
import type { HostedPartition } from '../hosted-partition.ts'
import type { Node } from '../node.ts'
import { ReadSession } from '../reading/read-session.ts'
import { FORWARDED } from '../routing/connections.ts'

const FIRST_RETRY_MS = 50
const LONGEST_RETRY_MS = 500
const LEADER_WAIT_MS = 1000
/** Bytes of records that are read at once; a single entry may exceed it. */
const MIN_MESSAGE_BYTES = 64 * 1024
const MAX_MESSAGE_BYTES = 1024 * 1024
/** A follower that lacks more of what the leader had is catching up, and would hold the member up. */
const MAX_LAG_RECORDS = 10_000
/** A follower has the end that its leader has told by then, or the leader is read. */
const CATCH_UP_MS = 200
/** The leader says by then where its end is, or isn't asked again before the replica has stood still for as long once more. */
const ASK_LEADER_MS = 2000

export interface SourceListener {
  /** False: give no more until `resume`. */
  onRead(response: ReadResponse): boolean
  /** What is to be read next is no longer kept. The source is closed. */
  onOutOfRange(error: FlotillaError): void
}

interface Flow {
  resume(): void
  close(): void
}

export interface SourcePlace {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Of the partition, as its leader has told. */
  readonly highWatermark: number
  /** Bytes of records that the listener likes to get at once. */
  readonly maxBytes: number
}

/**
 * Committed records of a partition from an offset on, for as long as it is open: from this node's own replica where that is up
 * to date, for what is committed is the same on each; else from the leader's node, and from the next one when that is lost. A
 * replica that is left behind later, while its leader goes on, is given up for the leader.
 */
export class RecordSource {
  readonly #node: Node
  readonly #clock: Clock
  readonly #place: SourcePlace
  readonly #listener: SourceListener
  readonly #aborted = new AbortController()
  #nextOffset: number
  #flow: Flow | undefined
  #retryMs = FIRST_RETRY_MS
  /** Which opening the callbacks of a flow belong to. */
  #opening = 0
  /** This node's replica was read as a follower and failed: it can't say whether the leader's does, too. */
  #needsLeader = false
  /** This node's replica, where it is read and doesn't lead. */
  #follower: HostedPartition | undefined
  /** Where that ended when it last said so. */
  #endSeen = -1
  #isAskingLeader = false

  constructor(node: Node, clock: Clock, place: SourcePlace, listener: SourceListener) {
    this.#node = node
    this.#clock = clock
    this.#place = place
    this.#nextOffset = place.offset
    this.#listener = listener
    void this.#open()
  }

  resume(): void {
    this.#flow?.resume()
  }

  close(): void {
    if (this.#aborted.signal.aborted) return
    this.#aborted.abort()
    this.#flow?.close()
    this.#flow = undefined
  }

  async #open(): Promise<void> {
    const opening = ++this.#opening
    this.#follower = undefined
    try {
      const place = this.#node.view.partition(this.#place.topic, this.#place.partition).place
      const groupId = asGroupId(place.groupId)
      const hosted = this.#node.hosted(groupId)
      if (hosted !== undefined && (await this.#isUpToDate(hosted))) {
        if (!this.#aborted.signal.aborted) await this.#openHere(hosted, opening)
        return
      }
      const untilMs = this.#clock.nowMs() + LEADER_WAIT_MS
      const leader = await this.#node.leaders.waitFor(groupId, untilMs, this.#aborted.signal)
      if (this.#aborted.signal.aborted) return
      const address = leader === undefined ? undefined : this.#node.addressOf(leader)
      if (leader === this.#node.nodeId && hosted !== undefined) await this.#openHere(hosted, opening)
      else if (address === undefined) throw new FlotillaError('NO_LEADER', 'the partition has no leader')
      else this.#openThere(address, opening)
    } catch (error) {
      this.#lost(
        opening,
        error instanceof FlotillaError ? error : new FlotillaError('INTERNAL', String(error)),
      )
    }
  }

  #request(): ReadRequest {
    return {
      topic: this.#place.topic,
      partition: this.#place.partition,
      start: { type: 'offset', offset: this.#nextOffset },
      maxRecords: undefined,
      endOffset: undefined,
      untilEnd: false,
      maxMessageBytes: Math.max(MIN_MESSAGE_BYTES, Math.min(MAX_MESSAGE_BYTES, this.#place.maxBytes)),
      consistency: 'committed',
    }
  }

  /** Waits a moment for what the leader has told already. */
  async #isUpToDate({ replica, machine }: HostedPartition): Promise<boolean> {
    if (replica.isLeader) return true
    if (this.#needsLeader || machine.highWatermark + MAX_LAG_RECORDS < this.#place.highWatermark) return false
    const hasNext = (): boolean => machine.highWatermark >= this.#nextOffset
    if (!hasNext()) {
      await new Promise<void>((resolve) => {
        const stop = machine.onAdvance(() => {
          if (hasNext()) over()
        })
        const cancel = this.#clock.setTimer(CATCH_UP_MS, () => over())
        const over = (): void => {
          stop()
          cancel()
          resolve()
        }
      })
    }
    return hasNext()
  }

  async #openHere(hosted: HostedPartition, opening: number): Promise<void> {
    this.#follower = hosted.replica.isLeader ? undefined : hosted
    this.#endSeen = -1
    let resume = (): void => undefined
    const session = new ReadSession(
      hosted,
      this.#node.storage,
      this.#clock,
      this.#request(),
      {
        send: (response) => this.#read(opening, response),
        onDrain: (listener) => (resume = listener),
        end: () => undefined,
        fail: (error) => this.#lost(opening, fromRpcError(error)),
      },
      () => undefined,
    )
    this.#flow = { resume: () => resume(), close: () => session.close() }
    await session.start()
  }

  #openThere(address: string, opening: number): void {
    const stream = this.#node.connections.to(address).serverStream(
      logMethods.read,
      this.#request(),
      {
        onMessage: (response) => {
          if (!this.#read(opening, response)) stream.pause()
        },
        onEnd: () => undefined,
        onClose: (error) => {
          const text = `node ${address} ended the read`
          this.#lost(
            opening,
            error === undefined ? new FlotillaError('UNREACHABLE', text) : fromRpcError(error),
          )
        },
      },
      { metadata: { [FORWARDED]: '1' } },
    )
    this.#flow = { resume: () => stream.resume(), close: () => stream.cancel() }
  }

  #read(opening: number, response: ReadResponse): boolean {
    if (this.#aborted.signal.aborted || opening !== this.#opening) return true
    this.#retryMs = FIRST_RETRY_MS
    this.#nextOffset = response.nextOffset
    if (this.#follower !== undefined) this.#noticeStandstill(this.#follower, response, opening)
    return this.#listener.onRead(response)
  }

  /**
   * A read says where it stands when it had nothing to send for seconds. If the replica stood still all the while, and hasn't its
   * leader's word that this is all, the leader may have gone on without it.
   */
  #noticeStandstill(
    { replica }: HostedPartition,
    { batches, highWatermark }: ReadResponse,
    opening: number,
  ): void {
    const stoodStill = batches.length === 0 && highWatermark === this.#endSeen
    this.#endSeen = highWatermark
    if (!stoodStill || replica.isQuiet || this.#isAskingLeader) return
    this.#isAskingLeader = true
    void this.#endAtLeader(replica.groupId).then((leaderEnd) => {
      this.#isAskingLeader = false
      if (leaderEnd === undefined || leaderEnd <= highWatermark || this.#endSeen > highWatermark) return
      this.#lost(opening, new FlotillaError('REPLICA_UNAVAILABLE', 'this replica is left behind'))
    })
  }

  /** undefined: there is no leader but this node, or it doesn't say. */
  async #endAtLeader(groupId: GroupId): Promise<number | undefined> {
    const leader = this.#node.leaders.get(groupId)?.leader
    const address =
      leader === undefined || leader === this.#node.nodeId ? undefined : this.#node.addressOf(leader)
    if (address === undefined) return undefined
    const { topic, partition } = this.#place
    const request = { topic, partition, consistency: 'READ_CONSISTENCY_COMMITTED' } as const
    const options = {
      deadlineMs: this.#clock.nowMs() + ASK_LEADER_MS,
      signal: this.#aborted.signal,
      metadata: { [FORWARDED]: '1' },
    }
    try {
      const { highWatermark } = await this.#node.connections
        .to(address)
        .unary(logMethods.listOffsets, request, options)
      return highWatermark
    } catch {
      // One that can't be asked can't be read either.
      return undefined
    }
  }

  #lost(opening: number, error: FlotillaError): void {
    if (this.#aborted.signal.aborted || opening !== this.#opening) return
    // Late callbacks of this opening say nothing any more.
    this.#opening += 1
    this.#flow?.close()
    this.#flow = undefined
    if (this.#follower !== undefined) {
      this.#needsLeader = true
      void this.#open()
      return
    }
    // Above the end it is a replica that lags: what is committed comes to it.
    if (error.reason === 'OFFSET_OUT_OF_RANGE' && this.#nextOffset < (error.offsetRange?.lowOffset ?? 0)) {
      this.close()
      this.#listener.onOutOfRange(error)
      return
    }
    this.#clock.setTimer(this.#retryMs, () => {
      if (!this.#aborted.signal.aborted) void this.#open()
    })
    this.#retryMs = Math.min(LONGEST_RETRY_MS, this.#retryMs * 2)
  }
}
