import { asNodeId, type Message } from '../../src/raft/types.ts'
import { decodeEnvelope, type Envelope } from '../../src/broker/peers/peer-codec.ts'
import {
  clusterMethods,
  decodeRecordSet,
  groupMethods,
  logMethods,
  topicMethods,
  type AppendRequest,
  type CorrelatedResult,
} from '../../src/wire/index.ts'
import { askedByMember, toldToMember } from './group-frames.ts'
import type { MessageKind } from './picture.ts'

/** What one message on a connection says, for people. */
export interface Said {
  readonly kind: MessageKind
  readonly text: string
  readonly groups: readonly number[]
}

/** The id of the group of a topic's partition, where it is known. */
export type GroupOf = (topic: string, partition: number) => number | undefined

const MOST_PARTS = 6
const MOST_LETTERS = 40

const kindOf: Record<Message['type'], MessageKind> = {
  preVote: 'election',
  preVoteReply: 'election',
  vote: 'election',
  voteReply: 'election',
  timeoutNow: 'election',
  append: 'replication',
  appendReply: 'replication',
  heartbeat: 'heartbeat',
  heartbeatReply: 'heartbeat',
  snapshot: 'snapshot',
  snapshotReply: 'snapshot',
}
/** A message that carries several things is shown as the weightiest of them. */
const weight: readonly MessageKind[] = ['election', 'snapshot', 'replication', 'heartbeat']

function messageText(message: Message): string {
  switch (message.type) {
    case 'preVote':
    case 'vote':
      return `asks for ${message.type === 'vote' ? 'a vote' : 'a pre-vote'}, its log ends at ${message.lastIndex} of term ${message.lastTerm}`
    case 'preVoteReply':
    case 'voteReply':
      return `${message.granted ? 'gives' : 'refuses'} ${message.type === 'voteReply' ? 'its vote' : 'a pre-vote'}`
    case 'append': {
      const { previous, entries, commit } = message
      const last = entries.at(-1)?.index
      const what =
        last === undefined
          ? 'nothing'
          : last === entries[0]!.index
            ? `${last}`
            : `${entries[0]!.index}–${last}`
      return `append ${what} after ${previous.index} of term ${previous.term}, commit ${commit}`
    }
    case 'appendReply':
      return message.accepted
        ? `has durably up to ${message.index}`
        : `refuses ${message.index}, try ${message.hintIndex} of term ${message.hintTerm}`
    case 'heartbeat':
      return `heartbeat, commit ${message.commit}`
    case 'heartbeatReply':
      return 'heartbeat answered'
    case 'snapshot':
      return `snapshot up to ${message.snapshot.index}`
    case 'snapshotReply':
      return `snapshot received up to byte ${message.received}`
    case 'timeoutNow':
      return 'stand for election now'
  }
}

/** One envelope between two nodes. */
export function saidByPeer(bytes: Uint8Array, from: string, to: string): Said {
  let envelope: Envelope
  try {
    envelope = decodeEnvelope(bytes, asNodeId(from), asNodeId(to))
  } catch (error) {
    return { kind: 'connection', text: `what nobody can read: ${String(error)}`, groups: [] }
  }
  const { messages, leaders, quiet } = envelope
  const parts = messages.map(
    ({ groupId, message }) => `§${groupId}§ term ${message.term}: ${messageText(message)}`,
  )
  for (const { groupId, term, leader } of leaders) parts.push(`§${groupId}§ term ${term}: ${leader} leads`)
  for (const { groupId, term, index } of quiet) parts.push(`§${groupId}§ term ${term}: quiet at ${index}`)
  const kinds = new Set(messages.map(({ message }) => kindOf[message.type]))
  const groups = new Set([...messages, ...leaders, ...quiet].map(({ groupId }) => groupId as number))
  return {
    kind: weight.find((kind) => kinds.has(kind)) ?? 'heartbeat',
    text: parts.length === 0 ? 'a sign of life' : someOf(parts),
    groups: [...groups],
  }
}

function someOf(parts: readonly string[]): string {
  if (parts.length <= MOST_PARTS) return parts.join('\n')
  return `${parts.slice(0, MOST_PARTS).join('\n')}\nand ${parts.length - MOST_PARTS} more`
}

/** One append of a client: what it is, and the groups that it is for. */
export interface AskedAppend {
  readonly correlationId: number
  readonly text: string
  readonly groups: readonly number[]
}

export function appendsIn(bytes: Uint8Array, groupOf: GroupOf): AskedAppend[] {
  return logMethods.appendStream.request
    .decode(bytes)
    .appends.map(({ correlationId, append }) => ({ correlationId, ...appendAsked(append, groupOf) }))
}

export function resultsIn(bytes: Uint8Array): readonly CorrelatedResult[] {
  return logMethods.appendStream.response.decode(bytes).results
}

function appendAsked(append: AppendRequest, groupOf: GroupOf): { text: string; groups: number[] } {
  const { topic, partition, producer, records } = append
  const group = partition === undefined ? undefined : groupOf(topic, partition)
  const who =
    producer === undefined
      ? ''
      : ` as ${producer.producerId.slice(0, 12)} epoch ${producer.epoch} number ${producer.sequence}`
  return {
    text: `append to ${topic}${partition === undefined ? '' : `/${partition}`}${who}: ${recordsText(records)}`,
    groups: group === undefined ? [] : [group],
  }
}

function recordsText(records: Uint8Array): string {
  const all = decodeRecordSet(records)
  const first = all.slice(0, 3).map(({ key, value }) => `${clear(key)}=${clear(value)}`)
  return first.join(', ') + (all.length > 3 ? ` and ${all.length - 3} more` : '')
}

/** Text as it is, up to the first space: the simulator's own values begin with their name; bytes as their number. */
function clear(bytes: Uint8Array | undefined): string {
  if (bytes === undefined) return ''
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  if (/\p{Cc}|\ufffd/u.test(text)) return `${bytes.byteLength} bytes`
  const word = text.split(' ', 1)[0]!
  return word.length > MOST_LETTERS ? `${word.slice(0, MOST_LETTERS)}…` : word
}

/** What a client's request asks for. */
export function asked(path: string, bytes: Uint8Array, groupOf: GroupOf): { text: string; groups: number[] } {
  const of = (topic: string, partition: number): number[] => {
    const group = groupOf(topic, partition)
    return group === undefined ? [] : [group]
  }
  switch (path) {
    case logMethods.append.path:
      return appendAsked(logMethods.append.request.decode(bytes), groupOf)
    case logMethods.read.path: {
      const { topic, partition, start, untilEnd, consistency } = logMethods.read.request.decode(bytes)
      const from = start.type === 'offset' ? `offset ${start.offset}` : start.type
      const how = `${untilEnd ? ', up to its end' : ''}, ${consistency}`
      return { text: `read ${topic}/${partition} from ${from}${how}`, groups: of(topic, partition) }
    }
    case logMethods.listOffsets.path: {
      const { topic, partition } = logMethods.listOffsets.request.decode(bytes)
      return { text: `ask for the end of ${topic}/${partition}`, groups: of(topic, partition) }
    }
    case clusterMethods.transferLeadership.path: {
      const { topic, partition } = clusterMethods.transferLeadership.request.decode(bytes)
      return { text: `move the leadership of ${topic}/${partition}`, groups: of(topic, partition) }
    }
    case topicMethods.createTopic.path:
      return { text: `create topic ${topicMethods.createTopic.request.decode(bytes).name}`, groups: [0] }
    case topicMethods.deleteTopic.path:
      return { text: `delete topic ${topicMethods.deleteTopic.request.decode(bytes).name}`, groups: [0] }
    case groupMethods.consume.path:
      return { text: askedByMember(bytes), groups: [] }
    default:
      return { text: path.slice(path.lastIndexOf('/') + 1), groups: [] }
  }
}

/** What a node answers to a client. */
export function answered(path: string, bytes: Uint8Array): string {
  switch (path) {
    case logMethods.append.path: {
      const { partition, baseOffset, recordCount, duplicate } = logMethods.append.response.decode(bytes)
      return appendedText(partition, baseOffset, recordCount, duplicate)
    }
    case logMethods.appendStream.path:
      return someOf(resultsIn(bytes).map(resultText))
    case logMethods.read.path: {
      const { batches, nextOffset, highWatermark } = logMethods.read.response.decode(bytes)
      const records = batches.reduce((sum, { recordCount }) => sum + recordCount, 0)
      return `${records} records, next is offset ${nextOffset}, high watermark ${highWatermark}`
    }
    case groupMethods.consume.path:
      return toldToMember(bytes)
    default:
      return `${path.slice(path.lastIndexOf('/') + 1)} answered`
  }
}

export function resultText(result: CorrelatedResult): string {
  if ('error' in result) return `${result.error.reason}: ${result.error.message}`
  const { partition, baseOffset, recordCount, duplicate } = result.appended
  return appendedText(partition, baseOffset, recordCount, duplicate)
}

function appendedText(partition: number, baseOffset: number, count: number, duplicate: boolean): string {
  const last = baseOffset + count - 1
  const where = count > 1 ? `${partition}/${baseOffset}–${last}` : `${partition}/${baseOffset}`
  return `acknowledged at ${where}${duplicate ? ', it was there already' : ''}`
}
