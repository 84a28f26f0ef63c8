import fc from 'fast-check'
import type { GroupMessage, LeaderNotice, QuietNotice } from '../../../src/broker/peers/peer-codec.ts'
import { payloadCrc32 } from '../../../src/log/index.ts'
import { asGroupId } from '../../../src/log/types.ts'
import {
  asDigest,
  asLogIndex,
  asNodeId,
  asTerm,
  type Configuration,
  type Entry,
  type Message,
} from '../../../src/raft/types.ts'

export const FROM = asNodeId('n1')
export const TO = asNodeId('n2')

const number = fc.oneof(fc.nat({ max: 300 }), fc.maxSafeNat())
const index = number.map(asLogIndex)
const term = number.map(asTerm)
const digest = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(asDigest)
const bytes = fc.uint8Array({ maxLength: 60 })
const mark = fc.record({ index, term, digest })
const nodeIds = fc.uniqueArray(fc.constantFrom('n1', 'n2', 'n3', 'n4').map(asNodeId), { minLength: 1 })
const configuration: fc.Arbitrary<Configuration> = nodeIds.map((voters) => ({
  voters: [...voters].sort(),
  votersOutgoing: [],
  learners: [],
}))

const chunk = fc.uint8Array({ minLength: 1, maxLength: 60 })
/** Not copied into the message that it leaves in. */
const largeChunk = fc
  .record({ length: fc.integer({ min: 16_000, max: 20_000 }), value: fc.nat(255) })
  .map(({ length, value }) => new Uint8Array(length).fill(value))

export const entry: fc.Arbitrary<Entry> = fc
  .record({
    index,
    term,
    kind: fc.constantFrom('noop', 'event', 'configuration'),
    digest,
    header: bytes,
    payload: fc.array(fc.oneof({ arbitrary: chunk, weight: 9 }, { arbitrary: largeChunk, weight: 1 }), {
      maxLength: 3,
    }),
  })
  .map((fields) => ({
    ...fields,
    payloadBytes: fields.payload.reduce((sum, { length }) => sum + length, 0),
    payloadCrc32: payloadCrc32(fields.payload),
  }))

const addressed = { from: fc.constant(FROM), to: fc.constant(TO), term }
const typed = <T extends Message['type']>(type: T) => ({ ...addressed, type: fc.constant(type) })
const positive = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })

/** One arbitrary for every type of message: a type without one doesn't compile. */
export const messageOfType: { readonly [T in Message['type']]: fc.Arbitrary<Message> } = {
  preVote: fc.record({ ...typed('preVote'), lastIndex: index, lastTerm: term, transfer: fc.boolean() }),
  vote: fc.record({ ...typed('vote'), lastIndex: index, lastTerm: term, transfer: fc.boolean() }),
  preVoteReply: fc.record({ ...typed('preVoteReply'), granted: fc.boolean() }),
  voteReply: fc.record({ ...typed('voteReply'), granted: fc.boolean() }),
  append: fc.record({
    ...typed('append'),
    previous: mark,
    entries: fc.array(entry, { maxLength: 4 }),
    commit: index,
  }),
  appendReply: fc.record({
    ...typed('appendReply'),
    accepted: fc.boolean(),
    index,
    hintIndex: index,
    hintTerm: term,
  }),
  heartbeat: fc.record({ ...typed('heartbeat'), commit: index, readRound: number }),
  heartbeatReply: fc.record({ ...typed('heartbeatReply'), readRound: number }),
  snapshot: fc.record({
    ...typed('snapshot'),
    snapshot: fc.record({ index, term, digest, configuration, state: bytes }),
  }),
  snapshotReply: fc.record({ ...typed('snapshotReply'), index, received: number }),
  timeoutNow: fc.record(typed('timeoutNow')),
}

/** Fields that are left out where they are 0. */
const withOptional = (message: Message): fc.Arbitrary<Message> => {
  const life = fc.record({ life: positive }, { requiredKeys: [] })
  const chunk = fc.record({ offset: positive, totalBytes: positive }, { requiredKeys: [] })
  return message.type === 'snapshot'
    ? fc.tuple(life, chunk).map(([of, part]) => ({ ...message, ...of, ...part }))
    : life.map((of) => ({ ...message, ...of }))
}

export const groupMessage: fc.Arbitrary<GroupMessage> = fc.record({
  groupId: number.map(asGroupId),
  message: fc.oneof(...Object.values(messageOfType)).chain(withOptional),
})

export const leaderNotice: fc.Arbitrary<LeaderNotice> = fc.record({
  groupId: number.map(asGroupId),
  term,
  leader: fc.constantFrom('n1', 'n2', 'n3').map(asNodeId),
})

export const quietNotice: fc.Arbitrary<QuietNotice> = fc.record({
  groupId: number.map(asGroupId),
  term,
  index: number.map(asLogIndex),
})

/** A message as plain data, whatever arrays its bytes and chunks lie in. */
export function flat(message: Message): unknown {
  const hex = (each: Uint8Array): string => Buffer.from(each).toString('hex')
  if (message.type === 'append') {
    const entries = message.entries.map((each) => ({
      ...each,
      header: hex(each.header),
      payload: hex(Buffer.concat(each.payload)),
    }))
    return { ...message, entries }
  }
  if (message.type === 'snapshot') {
    return { ...message, snapshot: { ...message.snapshot, state: hex(message.snapshot.state) } }
  }
  return message
}
