import type { RpcError, Sink } from '../../env/index.ts'
import type { GroupId } from '../../log/types.ts'
import type { NodeId } from '../../raft/types.ts'
import { encodeEnvelope, type GroupMessage, type Lane, type LeaderNotice } from './peer-codec.ts'

/** Messages that wait for a slow peer are dropped beyond this; Raft sends again. */
const MAX_QUEUED_BYTES = 64 * 1024 * 1024
/** One envelope holds at most so much, and at least one message. */
const MAX_ENVELOPE_BYTES = 4 * 1024 * 1024

/** One direction of one lane to a peer: what waits, and the stream that it leaves on. */
export class OutgoingLane {
  readonly nodeId: NodeId
  readonly lane: Lane
  readonly #onUndelivered: (groupId: GroupId) => void
  #sink: Sink<Uint8Array> | undefined
  #blocked = false
  #queue: GroupMessage[] = []
  #queuedBytes = 0

  constructor(nodeId: NodeId, lane: Lane, onUndelivered: (groupId: GroupId) => void) {
    this.nodeId = nodeId
    this.lane = lane
    this.#onUndelivered = onUndelivered
  }

  /** The peer has dialled in; an older stream of it is ended. Returns what takes this stream away again. */
  attach(sink: Sink<Uint8Array>, self: NodeId): () => void {
    this.#sink?.end()
    this.#sink = sink
    this.#blocked = false
    sink.onDrain(() => {
      if (this.#sink !== sink) return
      this.#blocked = false
      this.flush()
    })
    sink.send(encodeEnvelope({ nodeId: self, messages: [], leaders: [] }))
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
    this.#queuedBytes += sizeOf(message)
  }

  flush(): void {
    while (this.#queue.length > 0 && this.#sink !== undefined && !this.#blocked) {
      const messages = this.#takeEnvelope()
      if (!this.#sink.send(encodeEnvelope({ nodeId: undefined, messages, leaders: [] }))) this.#blocked = true
    }
  }

  sendLeaders(leaders: readonly LeaderNotice[]): void {
    if (leaders.length > 0) this.#sink?.send(encodeEnvelope({ nodeId: undefined, messages: [], leaders }))
  }

  close(error?: RpcError): void {
    if (error === undefined) this.#sink?.end()
    else this.#sink?.fail(error)
    this.#sink = undefined
    this.#queue = []
    this.#queuedBytes = 0
  }

  #takeEnvelope(): GroupMessage[] {
    let bytes = 0
    let count = 0
    for (const message of this.#queue) {
      const size = sizeOf(message)
      if (count > 0 && bytes + size > MAX_ENVELOPE_BYTES) break
      bytes += size
      count += 1
    }
    this.#queuedBytes -= bytes
    return this.#queue.splice(0, count)
  }

  #dropAll(): void {
    const dropped = this.#queue
    this.#queue = []
    this.#queuedBytes = 0
    if (this.lane === 'control') return
    for (const groupId of new Set(dropped.map((message) => message.groupId))) this.#onUndelivered(groupId)
  }
}

/** Roughly: what matters is the payload. */
function sizeOf({ message }: GroupMessage): number {
  switch (message.type) {
    case 'append': {
      let bytes = 64
      for (const entry of message.entries) bytes += 96 + entry.header.byteLength + entry.payloadBytes
      return bytes
    }
    case 'snapshot':
      return 64 + message.snapshot.state.byteLength
    case 'preVote':
    case 'preVoteReply':
    case 'vote':
    case 'voteReply':
    case 'appendReply':
    case 'heartbeat':
    case 'heartbeatReply':
    case 'timeoutNow':
      return 64
  }
}
