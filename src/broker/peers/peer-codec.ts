import protobuf from 'protobufjs/minimal.js'
import { decodeEntryHead, encodeEntryHead, payloadCrc32 } from '../../log/index.ts'
import { asGroupId, type GroupId } from '../../log/types.ts'
import { decodeConfiguration, encodeConfiguration } from '../../raft/index.ts'
import {
  asDigest,
  asLogIndex,
  asNodeId,
  asTerm,
  type Entry,
  type LogIndex,
  type Message,
  type NodeId,
  type Term,
} from '../../raft/types.ts'
import { assert } from '../assert.ts'

/** What one node tells another in one message: proto/flotilla/peer/v1, SubscribeResponse. */
export interface Envelope {
  /** In the first message: who sends. */
  readonly nodeId: NodeId | undefined
  readonly messages: readonly GroupMessage[]
  readonly leaders: readonly LeaderNotice[]
  readonly quiet: readonly QuietNotice[]
  /** In the first message, and where it changes. */
  readonly standing?: Standing | undefined
}

/**
 * What a node has of the metadata group: nothing, as its disk is empty; a place in it, in a cluster that has no id yet;
 * a place in a cluster that it knows.
 */
export type Standing = 'fresh' | 'founding' | 'established'

export const STANDINGS = [undefined, 'fresh', 'founding', 'established'] as const

/** The sender leads the group in `term`, and all that its log holds, up to `index`, is committed. */
export interface QuietNotice {
  readonly groupId: GroupId
  readonly term: Term
  readonly index: LogIndex
}

export interface GroupMessage {
  readonly groupId: GroupId
  readonly message: Message
}

export interface LeaderNotice {
  readonly groupId: GroupId
  readonly term: Term
  readonly leader: NodeId
}

export const MESSAGE_TYPES = [
  undefined,
  'preVote',
  'preVoteReply',
  'vote',
  'voteReply',
  'append',
  'appendReply',
  'heartbeat',
  'heartbeatReply',
  'snapshot',
  'timeoutNow',
  'snapshotReply',
] as const satisfies readonly (Message['type'] | undefined)[]

const TYPE_NUMBERS = new Map(MESSAGE_TYPES.map((type, number) => [type, number]))
const TAG_MESSAGES = 0x0a
const TAG_ENTRIES = 0x62

interface Fields {
  index?: number
  logTerm?: number
  digest?: bigint
  commit?: number
  flag?: boolean
  hintIndex?: number
  hintTerm?: number
  readRound?: number
  entries?: readonly Entry[]
  state?: Uint8Array
  configuration?: Uint8Array
  offset?: number | undefined
  totalBytes?: number | undefined
}

function fieldsOf(message: Message): Fields {
  switch (message.type) {
    case 'preVote':
    case 'vote':
      return { index: message.lastIndex, logTerm: message.lastTerm, flag: message.transfer }
    case 'preVoteReply':
    case 'voteReply':
      return { flag: message.granted }
    case 'append': {
      const { index, term, digest } = message.previous
      return { index, logTerm: term, digest, commit: message.commit, entries: message.entries }
    }
    case 'appendReply':
      return {
        index: message.index,
        flag: message.accepted,
        hintIndex: message.hintIndex,
        hintTerm: message.hintTerm,
      }
    case 'heartbeat':
      return { commit: message.commit, readRound: message.readRound }
    case 'heartbeatReply':
      return { readRound: message.readRound }
    case 'snapshot': {
      const { snapshot, offset, totalBytes } = message
      const { index, term, digest, state } = snapshot
      const configuration = encodeConfiguration(snapshot.configuration)
      return { index, logTerm: term, digest, state, configuration, offset, totalBytes }
    }
    case 'snapshotReply':
      return { index: message.index, offset: message.received }
    case 'timeoutNow':
      return {}
  }
}

function varint(value: number): Uint8Array {
  return protobuf.Writer.create().uint32(value).finish()
}

/** Gathers chunks and copies them together once, at the end: payloads are large and lie elsewhere. */
class Chunks {
  readonly #chunks: Uint8Array[] = []
  length = 0

  add(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
    this.length += chunk.byteLength
  }

  addAll(other: Chunks): void {
    for (const chunk of other.#chunks) this.add(chunk)
  }

  join(): Uint8Array {
    return Buffer.concat(this.#chunks, this.length)
  }
}

const ENTRY_TAG = Uint8Array.of(TAG_ENTRIES)
const MESSAGE_TAG = Uint8Array.of(TAG_MESSAGES)

function encodeGroupMessage({ groupId, message }: GroupMessage): Chunks {
  const fields = fieldsOf(message)
  const number = TYPE_NUMBERS.get(message.type)
  assert(number !== undefined, 'peer-codec.type', message.type)
  const writer = protobuf.Writer.create()
  writer.uint32(8).int64(groupId).uint32(16).int32(number).uint32(24).int64(message.term)
  if (fields.index !== undefined) writer.uint32(32).int64(fields.index)
  if (fields.logTerm !== undefined) writer.uint32(40).int64(fields.logTerm)
  if (fields.digest !== undefined) {
    // fixed64 is its two halves, the lower one first.
    writer
      .uint32(49)
      .fixed32(Number(fields.digest & 0xffff_ffffn))
      .fixed32(Number(fields.digest >> 32n))
  }
  if (fields.commit !== undefined) writer.uint32(56).int64(fields.commit)
  if (fields.flag !== undefined) writer.uint32(64).bool(fields.flag)
  if (fields.hintIndex !== undefined) writer.uint32(72).int64(fields.hintIndex)
  if (fields.hintTerm !== undefined) writer.uint32(80).int64(fields.hintTerm)
  if (fields.readRound !== undefined) writer.uint32(88).int64(fields.readRound)
  if (fields.state !== undefined) writer.uint32(106).bytes(fields.state)
  if (fields.configuration !== undefined) writer.uint32(114).bytes(fields.configuration)
  if (message.life !== undefined) writer.uint32(120).int64(message.life)
  if (fields.offset !== undefined) writer.uint32(128).int64(fields.offset)
  if (fields.totalBytes !== undefined) writer.uint32(136).int64(fields.totalBytes)
  const chunks = new Chunks()
  chunks.add(writer.finish())
  for (const entry of fields.entries ?? []) {
    const head = encodeEntryHead(entry)
    chunks.add(ENTRY_TAG)
    chunks.add(varint(head.byteLength + entry.payloadBytes))
    chunks.add(head)
    for (const chunk of entry.payload) chunks.add(chunk)
  }
  return chunks
}

export function encodeEnvelope(envelope: Envelope): Uint8Array {
  const chunks = new Chunks()
  for (const groupMessage of envelope.messages) {
    const encoded = encodeGroupMessage(groupMessage)
    chunks.add(MESSAGE_TAG)
    chunks.add(varint(encoded.length))
    chunks.addAll(encoded)
  }
  const writer = protobuf.Writer.create()
  for (const { groupId, term, leader } of envelope.leaders) {
    writer
      .uint32(18)
      .fork()
      .uint32(8)
      .int64(groupId)
      .uint32(16)
      .int64(term)
      .uint32(26)
      .string(leader)
      .ldelim()
  }
  for (const { groupId, term, index } of envelope.quiet) {
    writer.uint32(34).fork().uint32(8).int64(groupId).uint32(16).int64(term).uint32(24).int64(index).ldelim()
  }
  if (envelope.nodeId !== undefined) writer.uint32(26).string(envelope.nodeId)
  if (envelope.standing !== undefined) writer.uint32(40).int32(STANDINGS.indexOf(envelope.standing))
  chunks.add(writer.finish())
  return chunks.join()
}

/** The plain Reader checks the bounds of strings, the one for Buffers that `create` picks doesn't. */
export function readerOf(bytes: Uint8Array): protobuf.Reader {
  return new protobuf.Reader(bytes)
}

/** A message ends where its length said. */
function assertEnd(reader: protobuf.Reader, end: number): void {
  assert(reader.pos === end, 'peer-codec.message-length', `${reader.pos} in place of ${end}`)
}

function readInt64(reader: protobuf.Reader): number {
  const value = Number(reader.int64())
  assert(Number.isSafeInteger(value) && value >= 0, 'peer-codec.safe-integer', `${value}`)
  return value
}

function decodeEntry(bytes: Uint8Array): Entry {
  const { head, length } = decodeEntryHead(bytes)
  const payload = bytes.subarray(length)
  assert(
    payload.byteLength === head.payloadBytes,
    'peer-codec.payload-length',
    `${payload.byteLength} of ${head.payloadBytes}`,
  )
  const chunks = payload.byteLength === 0 ? [] : [payload]
  assert(payloadCrc32(chunks) === head.payloadCrc32, 'peer-codec.payload-checksum', `entry ${head.index}`)
  return { ...head, payload: chunks }
}

function decodeGroupMessage(reader: protobuf.Reader, end: number, from: NodeId, to: NodeId): GroupMessage {
  let groupId = 0
  let number = 0
  let term = 0
  let index = 0
  let logTerm = 0
  let digest = 0n
  let commit = 0
  let flag = false
  let hintIndex = 0
  let hintTerm = 0
  let readRound = 0
  let life = 0
  let offset = 0
  let totalBytes = 0
  let state: Uint8Array = new Uint8Array(0)
  let configuration: Uint8Array | undefined
  const entries: Entry[] = []
  while (reader.pos < end) {
    const tag = reader.uint32()
    switch (tag >>> 3) {
      case 1:
        groupId = readInt64(reader)
        break
      case 2:
        number = reader.int32()
        break
      case 3:
        term = readInt64(reader)
        break
      case 4:
        index = readInt64(reader)
        break
      case 5:
        logTerm = readInt64(reader)
        break
      case 6:
        digest = BigInt(reader.fixed32()) | (BigInt(reader.fixed32()) << 32n)
        break
      case 7:
        commit = readInt64(reader)
        break
      case 8:
        flag = reader.bool()
        break
      case 9:
        hintIndex = readInt64(reader)
        break
      case 10:
        hintTerm = readInt64(reader)
        break
      case 11:
        readRound = readInt64(reader)
        break
      case 12:
        entries.push(decodeEntry(reader.bytes()))
        break
      case 13:
        state = reader.bytes()
        break
      case 14:
        configuration = reader.bytes()
        break
      case 15:
        life = readInt64(reader)
        break
      case 16:
        offset = readInt64(reader)
        break
      case 17:
        totalBytes = readInt64(reader)
        break
      default:
        reader.skipType(tag & 7)
    }
  }
  assertEnd(reader, end)
  const mark = { index: asLogIndex(index), term: asTerm(logTerm), digest: asDigest(digest) }
  const addressed = { from, to, term: asTerm(term), ...(life === 0 ? {} : { life }) }
  return { groupId: asGroupId(groupId), message: messageOf() }

  function messageOf(): Message {
    const type = MESSAGE_TYPES[number]
    assert(type !== undefined, 'peer-codec.known-type', `${number}`)
    switch (type) {
      case 'preVote':
      case 'vote':
        return { ...addressed, type, lastIndex: mark.index, lastTerm: mark.term, transfer: flag }
      case 'preVoteReply':
      case 'voteReply':
        return { ...addressed, type, granted: flag }
      case 'append':
        return { ...addressed, type, previous: mark, entries, commit: asLogIndex(commit) }
      case 'appendReply':
        return {
          ...addressed,
          type,
          accepted: flag,
          index: mark.index,
          hintIndex: asLogIndex(hintIndex),
          hintTerm: asTerm(hintTerm),
        }
      case 'heartbeat':
        return { ...addressed, type, commit: asLogIndex(commit), readRound }
      case 'heartbeatReply':
        return { ...addressed, type, readRound }
      case 'snapshot':
        assert(configuration !== undefined, 'peer-codec.snapshot-configuration')
        return {
          ...addressed,
          type,
          snapshot: { ...mark, state, configuration: decodeConfiguration(configuration) },
          ...(offset === 0 ? {} : { offset }),
          ...(totalBytes === 0 ? {} : { totalBytes }),
        }
      case 'snapshotReply':
        return { ...addressed, type, index: mark.index, received: offset }
      case 'timeoutNow':
        return { ...addressed, type }
    }
  }
}

/** Throws on bytes that aren't an envelope and on an entry whose checksum doesn't hold. */
export function decodeEnvelope(bytes: Uint8Array, from: NodeId, to: NodeId): Envelope {
  const reader = readerOf(bytes)
  const messages: GroupMessage[] = []
  const leaders: LeaderNotice[] = []
  const quiet: QuietNotice[] = []
  let nodeId: NodeId | undefined
  let standing: Standing | undefined
  while (reader.pos < reader.len) {
    const tag = reader.uint32()
    switch (tag >>> 3) {
      case 1: {
        const length = reader.uint32()
        messages.push(decodeGroupMessage(reader, reader.pos + length, from, to))
        break
      }
      case 2: {
        const end = reader.uint32() + reader.pos
        leaders.push(decodeLeaderNotice(reader, end))
        break
      }
      case 3:
        nodeId = asNodeId(reader.string())
        break
      case 4: {
        const end = reader.uint32() + reader.pos
        quiet.push(decodeQuietNotice(reader, end))
        break
      }
      case 5:
        standing = STANDINGS[reader.int32()]
        break
      default:
        reader.skipType(tag & 7)
    }
  }
  return { nodeId, messages, leaders, quiet, standing }
}

function decodeLeaderNotice(reader: protobuf.Reader, end: number): LeaderNotice {
  const { groupId, term, text } = decodeNotice(reader, end)
  return { groupId, term, leader: asNodeId(text) }
}

function decodeQuietNotice(reader: protobuf.Reader, end: number): QuietNotice {
  const { groupId, term, number } = decodeNotice(reader, end)
  return { groupId, term, index: asLogIndex(number) }
}

/** Both notices have a group, a term, and as field 3 a text or a number. */
function decodeNotice(
  reader: protobuf.Reader,
  end: number,
): { readonly groupId: GroupId; readonly term: Term; readonly text: string; readonly number: number } {
  let groupId = 0
  let term = 0
  let text = ''
  let number = 0
  while (reader.pos < end) {
    const tag = reader.uint32()
    if (tag === 8) groupId = readInt64(reader)
    else if (tag === 16) term = readInt64(reader)
    else if (tag === 24) number = readInt64(reader)
    else if (tag === 26) text = reader.string()
    else reader.skipType(tag & 7)
  }
  assertEnd(reader, end)
  return { groupId: asGroupId(groupId), term: asTerm(term), text, number }
}
