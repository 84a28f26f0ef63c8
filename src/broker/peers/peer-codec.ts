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
import { ProtoReader, ProtoWriter } from '../../wire/index.ts'
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

const NO_BYTES = new Uint8Array(0)

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

/** Roughly: what matters is the payload. */
export function roughBytes({ message }: GroupMessage): number {
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
    case 'snapshotReply':
    case 'timeoutNow':
      return 64
  }
}

/** Field by field from the last to the first, as ProtoWriter wants it; payloads are copied once, into their place. */
function writeGroupMessage(writer: ProtoWriter, { groupId, message }: GroupMessage): void {
  const fields = fieldsOf(message)
  const number = TYPE_NUMBERS.get(message.type)
  assert(number !== undefined, 'peer-codec.type', message.type)
  const mark = writer.written
  const { entries = [] } = fields
  for (let at = entries.length - 1; at >= 0; at--) writeEntry(writer, entries[at]!)
  const integer = (field: number, value: number | undefined): void => {
    if (value !== undefined) writer.presentIntegerField(field, value)
  }
  integer(17, fields.totalBytes)
  integer(16, fields.offset)
  integer(15, message.life)
  if (fields.configuration !== undefined) writer.bytesField(14, fields.configuration)
  if (fields.state !== undefined) writer.bytesField(13, fields.state)
  integer(11, fields.readRound)
  integer(10, fields.hintTerm)
  integer(9, fields.hintIndex)
  if (fields.flag !== undefined) writer.presentIntegerField(8, fields.flag ? 1 : 0)
  integer(7, fields.commit)
  if (fields.digest !== undefined) writer.presentFixed64Field(6, fields.digest)
  integer(5, fields.logTerm)
  integer(4, fields.index)
  writer.presentIntegerField(3, message.term)
  writer.presentIntegerField(2, number)
  writer.presentIntegerField(1, groupId)
  writer.delimit(1, mark)
}

function writeEntry(writer: ProtoWriter, entry: Entry): void {
  const mark = writer.written
  for (let at = entry.payload.length - 1; at >= 0; at--) {
    const chunk = entry.payload[at]!
    if (chunk.length >= LEAST_BYTES_REFERRED_TO) writer.reference(chunk)
    else writer.raw(chunk)
  }
  const payloadBytes = writer.written - mark
  assert(payloadBytes === entry.payloadBytes, 'peer-codec.payload-written', `${payloadBytes}`)
  writer.raw(encodeEntryHead(entry))
  writer.delimit(12, mark)
}

/** An envelope as it leaves: its bytes, or several pieces of them where payloads in it are large. */
export type EncodedEnvelope = Uint8Array | readonly Uint8Array[]

export function inOnePiece(encoded: EncodedEnvelope): Uint8Array {
  return encoded instanceof Uint8Array ? encoded : Buffer.concat(encoded)
}

export function encodeEnvelope(envelope: Envelope): Uint8Array {
  return inOnePiece(encodeEnvelopeInPieces(envelope))
}

/** Large payloads are not copied: they are pieces of their own, and must not change until they have left. */
export function encodeEnvelopeInPieces(envelope: Envelope): EncodedEnvelope {
  const { messages, leaders, quiet, nodeId, standing } = envelope
  let capacity = 24 * (leaders.length + quiet.length) + 32
  for (const message of messages) capacity += roughBytes(message) - bytesReferredTo(message)
  const writer = new ProtoWriter(capacity)
  if (standing !== undefined) writer.presentIntegerField(5, STANDINGS.indexOf(standing))
  if (nodeId !== undefined) writer.stringField(3, nodeId)
  for (let at = quiet.length - 1; at >= 0; at--) {
    const { groupId, term, index } = quiet[at]!
    const mark = writer.written
    writer.presentIntegerField(3, index)
    writer.presentIntegerField(2, term)
    writer.presentIntegerField(1, groupId)
    writer.delimit(4, mark)
  }
  for (let at = leaders.length - 1; at >= 0; at--) {
    const { groupId, term, leader } = leaders[at]!
    const mark = writer.written
    writer.stringField(3, leader)
    writer.presentIntegerField(2, term)
    writer.presentIntegerField(1, groupId)
    writer.delimit(2, mark)
  }
  for (let at = messages.length - 1; at >= 0; at--) writeGroupMessage(writer, messages[at]!)
  const pieces = writer.finishInPieces()
  return pieces.length === 1 ? pieces[0]! : pieces
}

/** Below this, a copy costs less than one more piece to write to the connection. */
const LEAST_BYTES_REFERRED_TO = 16 * 1024

function bytesReferredTo({ message }: GroupMessage): number {
  if (message.type !== 'append') return 0
  let bytes = 0
  for (const { payload, payloadBytes } of message.entries) {
    if (payloadBytes < LEAST_BYTES_REFERRED_TO) continue
    for (const chunk of payload) if (chunk.length >= LEAST_BYTES_REFERRED_TO) bytes += chunk.length
  }
  return bytes
}

/** A message ends where its length said. */
function assertEnd(reader: ProtoReader, end: number): void {
  assert(reader.pos === end, 'peer-codec.message-length', `${reader.pos} in place of ${end}`)
}

/** An entry may keep alive so many times its own bytes … */
const MOST_TIMES_PINNED = 4
/** … or so many, whichever is more. */
const LEAST_BYTES_PINNED = 64 * 1024

/**
 * The entry between `from` and `end`; header and payload are views. Entries stay in memory for as long as their log's window
 * holds them, and a view keeps alive all that came with it: a small entry among others, which would hold megabytes, is copied.
 */
function decodeEntry(bytes: Uint8Array, from: number, end: number): Entry {
  const pinned = bytes.buffer.byteLength
  const isFair = pinned <= Math.max((end - from) * MOST_TIMES_PINNED, LEAST_BYTES_PINNED)
  return isFair ? entryIn(bytes, from, end) : entryIn(Buffer.from(bytes.subarray(from, end)), 0, end - from)
}

function entryIn(bytes: Uint8Array, from: number, end: number): Entry {
  const { head, length } = decodeEntryHead(bytes, from)
  const { index, term, kind, digest, header, payloadBytes } = head
  const left = end - from - length
  assert(left === payloadBytes, 'peer-codec.payload-length', `${left} of ${payloadBytes}`)
  const payload = payloadBytes === 0 ? [] : [bytes.subarray(end - payloadBytes, end)]
  const checksum = payloadCrc32(payload)
  assert(checksum === head.payloadCrc32, 'peer-codec.payload-checksum', `entry ${index}`)
  return { index, term, kind, digest, header, payload, payloadBytes, payloadCrc32: checksum }
}

function decodeGroupMessage(reader: ProtoReader, end: number, from: NodeId, to: NodeId): GroupMessage {
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
  let state: Uint8Array = NO_BYTES
  let configuration: Uint8Array | undefined
  let entryEnd: number
  const entries: Entry[] = []
  while (reader.pos < end) {
    const tag = reader.uint32()
    switch (tag >>> 3) {
      case 1:
        groupId = reader.uint64()
        break
      case 2:
        number = reader.int32()
        break
      case 3:
        term = reader.uint64()
        break
      case 4:
        index = reader.uint64()
        break
      case 5:
        logTerm = reader.uint64()
        break
      case 6:
        digest = reader.fixed64()
        break
      case 7:
        commit = reader.uint64()
        break
      case 8:
        flag = reader.bool()
        break
      case 9:
        hintIndex = reader.uint64()
        break
      case 10:
        hintTerm = reader.uint64()
        break
      case 11:
        readRound = reader.uint64()
        break
      case 12:
        entryEnd = reader.lengthDelimitedEnd()
        entries.push(decodeEntry(reader.bytes, reader.pos, entryEnd))
        reader.pos = entryEnd
        break
      case 13:
        state = reader.view()
        break
      case 14:
        configuration = reader.view()
        break
      case 15:
        life = reader.uint64()
        break
      case 16:
        offset = reader.uint64()
        break
      case 17:
        totalBytes = reader.uint64()
        break
      default:
        reader.skip(tag)
    }
  }
  assertEnd(reader, end)
  const mark = { index: asLogIndex(index), term: asTerm(logTerm), digest: asDigest(digest) }
  return { groupId: asGroupId(groupId), message: messageOf(asTerm(term), life === 0 ? undefined : life) }

  // Written out: to spread what they share takes as long as to read them.
  function messageOf(term: Term, life: number | undefined): Message {
    const type = MESSAGE_TYPES[number]
    assert(type !== undefined, 'peer-codec.known-type', `${number}`)
    switch (type) {
      case 'preVote':
      case 'vote':
        return { type, from, to, term, life, lastIndex: mark.index, lastTerm: mark.term, transfer: flag }
      case 'preVoteReply':
      case 'voteReply':
        return { type, from, to, term, life, granted: flag }
      case 'append':
        return { type, from, to, term, life, previous: mark, entries, commit: asLogIndex(commit) }
      case 'appendReply':
        return {
          type,
          from,
          to,
          term,
          life,
          accepted: flag,
          index: mark.index,
          hintIndex: asLogIndex(hintIndex),
          hintTerm: asTerm(hintTerm),
        }
      case 'heartbeat':
        return { type, from, to, term, life, commit: asLogIndex(commit), readRound }
      case 'heartbeatReply':
        return { type, from, to, term, life, readRound }
      case 'snapshot': {
        assert(configuration !== undefined, 'peer-codec.snapshot-configuration')
        const snapshot = { ...mark, state, configuration: decodeConfiguration(configuration) }
        const part = { offset: offset || undefined, totalBytes: totalBytes || undefined }
        return { type, from, to, term, life, snapshot, ...part }
      }
      case 'snapshotReply':
        return { type, from, to, term, life, index: mark.index, received: offset }
      case 'timeoutNow':
        return { type, from, to, term, life }
    }
  }
}

/** Throws on bytes that aren't an envelope and on an entry whose checksum doesn't hold. */
export function decodeEnvelope(bytes: Uint8Array, from: NodeId, to: NodeId): Envelope {
  const reader = new ProtoReader(bytes)
  const messages: GroupMessage[] = []
  const leaders: LeaderNotice[] = []
  const quiet: QuietNotice[] = []
  let nodeId: NodeId | undefined
  let standing: Standing | undefined
  while (reader.more) {
    const tag = reader.uint32()
    switch (tag >>> 3) {
      case 1:
        messages.push(decodeGroupMessage(reader, reader.lengthDelimitedEnd(), from, to))
        break
      case 2:
        leaders.push(decodeLeaderNotice(reader, reader.lengthDelimitedEnd()))
        break
      case 3:
        nodeId = asNodeId(reader.string())
        break
      case 4:
        quiet.push(decodeQuietNotice(reader, reader.lengthDelimitedEnd()))
        break
      case 5:
        standing = STANDINGS[reader.int32()]
        break
      default:
        reader.skip(tag)
    }
  }
  return { nodeId, messages, leaders, quiet, standing }
}

function decodeLeaderNotice(reader: ProtoReader, end: number): LeaderNotice {
  const { groupId, term, text } = decodeNotice(reader, end)
  return { groupId, term, leader: asNodeId(text) }
}

function decodeQuietNotice(reader: ProtoReader, end: number): QuietNotice {
  const { groupId, term, number } = decodeNotice(reader, end)
  return { groupId, term, index: asLogIndex(number) }
}

/** Both notices have a group, a term, and as field 3 a text or a number. */
function decodeNotice(
  reader: ProtoReader,
  end: number,
): { readonly groupId: GroupId; readonly term: Term; readonly text: string; readonly number: number } {
  let groupId = 0
  let term = 0
  let text = ''
  let number = 0
  while (reader.pos < end) {
    const tag = reader.uint32()
    if (tag === 8) groupId = reader.uint64()
    else if (tag === 16) term = reader.uint64()
    else if (tag === 24) number = reader.uint64()
    else if (tag === 26) text = reader.string()
    else reader.skip(tag)
  }
  assertEnd(reader, end)
  return { groupId: asGroupId(groupId), term: asTerm(term), text, number }
}
