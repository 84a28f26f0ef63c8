import type { RpcError, Sink } from '../../env/index.ts'
import type { GroupId } from '../../log/types.ts'
import type { NodeId } from '../../raft/types.ts'
import type { EnvelopeEncoder } from './envelope-encoder.ts'
import {
  encodeEnvelope,
  roughBytes,
  type EncodedEnvelope,
  type Envelope,
  type GroupMessage,
  type LeaderNotice,
  type QuietNotice,
  type Standing,
} from './peer-codec.ts'
import type { Lane } from './subscribe.ts'

/** Messages that wait for a slow peer are dropped beyond this; Raft sends again. */
const MAX_QUEUED_BYTES = 64 * 1024 * 1024
/** One envelope holds at most so much, and at least one message. */
const MAX_ENVELOPE_BYTES = 4 * 1024 * 1024

const NOTHING: Envelope = { nodeId: undefined, messages: [], leaders: [], quiet: [] }
const BEAT = encodeEnvelope(NOTHING)

/** One direction of one lane to a peer: what waits, and the stream that it leaves on. */
export class OutgoingLane {
  readonly nodeId: NodeId
  readonly lane: Lane
  readonly #onUndelivered: (groupId: GroupId) => void
  readonly #encoder: EnvelopeEncoder
  #sink: Sink<EncodedEnvelope> | undefined
  #blocked = false
  #queue: GroupMessage[] = []
  #queuedBytes = 0
  #sentSinceBeat = false
  /** Notices that wait for a slow peer: the newest of a group is all that counts. */
  readonly #leaders = new Map<GroupId, LeaderNotice>()
  readonly #quiet = new Map<GroupId, QuietNotice>()

  constructor(
    nodeId: NodeId,
    lane: Lane,
    encoder: EnvelopeEncoder,
    onUndelivered: (groupId: GroupId) => void,
  ) {
    this.nodeId = nodeId
    this.lane = lane
    this.#encoder = encoder
    this.#onUndelivered = onUndelivered
  }

  /** The peer has dialled in; an older stream of it is ended. Returns what takes this stream away again. */
  attach(sink: Sink<EncodedEnvelope>, self: NodeId, standing?: Standing): () => void {
    this.#sink?.end()
    this.#sink = sink
    this.#blocked = false
    sink.onDrain(() => {
      if (this.#sink !== sink) return
      this.#blocked = false
      this.flush()
    })
    this.#send(sink, encodeEnvelope({ ...NOTHING, nodeId: self, standing }))
    // What waited for an older stream.
    this.flush()
    return () => {
      if (this.#sink !== sink) return
      this.#sink = undefined
      this.#dropAll()
    }
  }

  queue(message: GroupMessage): void {
    if (this.#sink === undefined || this.#queuedBytes > MAX_QUEUED_BYTES) {
      // Only a lost append or snapshot changes what the core does next.
      if (this.lane === 'bulk') this.#onUndelivered(message.groupId)
      return
    }
    this.#queue.push(message)
    this.#queuedBytes += roughBytes(message)
  }

  flush(): void {
    while (this.#queue.length > 0 && this.#sink !== undefined && !this.#blocked) {
      this.#send(this.#sink, this.#encoder.encode(this.#takeEnvelope()))
    }
    this.#sendNotices()
  }

  #sendNotices(): void {
    if (this.#leaders.size === 0 && this.#quiet.size === 0) return
    if (this.#sink === undefined || this.#blocked) return
    const notices = { leaders: [...this.#leaders.values()], quiet: [...this.#quiet.values()] }
    this.#leaders.clear()
    this.#quiet.clear()
    this.#send(this.#sink, encodeEnvelope({ ...NOTHING, ...notices }))
  }

  sendLeaders(leaders: readonly LeaderNotice[]): void {
    // A peer that isn't there is told all of them when it dials in.
    if (this.#sink === undefined) return
    for (const notice of leaders) this.#leaders.set(notice.groupId, notice)
    this.#sendNotices()
  }

  sendQuiet(quiet: readonly QuietNotice[]): void {
    if (this.#sink === undefined) return
    for (const notice of quiet) this.#quiet.set(notice.groupId, notice)
    this.#sendNotices()
  }

  /** Where it waits for a slow peer it is lost: the next stream begins with it. */
  sendStanding(standing: Standing): void {
    if (this.#sink !== undefined && !this.#blocked)
      this.#send(this.#sink, encodeEnvelope({ ...NOTHING, standing }))
  }

  /** Tells the peer that this node is alive, unless something else has just told it. */
  beat(): void {
    if (!this.#sentSinceBeat && !this.#blocked && this.#sink !== undefined) this.#send(this.#sink, BEAT)
    this.#sentSinceBeat = false
  }

  #send(sink: Sink<EncodedEnvelope>, envelope: EncodedEnvelope): void {
    this.#sentSinceBeat = true
    if (!sink.send(envelope)) this.#blocked = true
  }

  close(error?: RpcError): void {
    if (error === undefined) this.#sink?.end()
    else this.#sink?.fail(error)
    this.#sink = undefined
    this.#clear()
  }

  #clear(): void {
    this.#queue = []
    this.#queuedBytes = 0
    this.#leaders.clear()
    this.#quiet.clear()
  }

  #takeEnvelope(): GroupMessage[] {
    let bytes = 0
    let count = 0
    for (const message of this.#queue) {
      const size = roughBytes(message)
      if (count > 0 && bytes + size > MAX_ENVELOPE_BYTES) break
      bytes += size
      count += 1
    }
    this.#queuedBytes -= bytes
    return this.#queue.splice(0, count)
  }

  #dropAll(): void {
    const dropped = this.#queue
    this.#clear()
    if (this.lane === 'control') return
    for (const groupId of new Set(dropped.map((message) => message.groupId))) this.#onUndelivered(groupId)
  }
}
