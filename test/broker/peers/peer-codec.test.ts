import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  MESSAGE_TYPES,
  decodeEnvelope,
  encodeEnvelope,
  encodeEnvelopeInPieces,
  type GroupMessage,
  type LeaderNotice,
  type Standing,
} from '../../../src/broker/peers/peer-codec.ts'
import { subscribeMethod, type SubscribeRequest } from '../../../src/broker/peers/subscribe.ts'
import { encodeEntryHead } from '../../../src/log/index.ts'
import { asGroupId } from '../../../src/log/types.ts'
import { encodeConfiguration } from '../../../src/raft/index.ts'
import { asDigest, asLogIndex, asNodeId, asTerm, type Entry, type Message } from '../../../src/raft/types.ts'
import { reflectionCodec } from '../../../src/wire/index.ts'
import { MalformedMessageError } from '../../../src/wire/protobuf.ts'
import { FROM, TO, entry, flat, groupMessage, leaderNotice, messageOfType, quietNotice } from './messages.ts'

const encoded = (messages: readonly GroupMessage[], leaders: readonly LeaderNotice[] = []): Uint8Array =>
  encodeEnvelope({ nodeId: undefined, messages, leaders, quiet: [] })
const messagesOf = (bytes: Uint8Array): unknown =>
  decodeEnvelope(bytes, FROM, TO).messages.map(({ groupId, message }) => ({
    groupId,
    message: flat(message),
  }))

/** The same as the reflection codec has it. */
interface Reflected {
  readonly messages: readonly Record<string, unknown>[]
  readonly leaders: readonly Record<string, unknown>[]
  readonly quiet: readonly object[]
  readonly nodeId: string
  readonly standing?: string
}
const reflection = reflectionCodec<Reflected>('flotilla.peer.v1.SubscribeResponse', 'response')

const NAMES: Record<Message['type'], string> = {
  preVote: 'PRE_VOTE',
  preVoteReply: 'PRE_VOTE_REPLY',
  vote: 'VOTE',
  voteReply: 'VOTE_REPLY',
  append: 'APPEND',
  appendReply: 'APPEND_REPLY',
  heartbeat: 'HEARTBEAT',
  heartbeatReply: 'HEARTBEAT_REPLY',
  snapshot: 'SNAPSHOT',
  timeoutNow: 'TIMEOUT_NOW',
  snapshotReply: 'SNAPSHOT_REPLY',
}

function fieldsOf(message: Message): Record<string, unknown> {
  switch (message.type) {
    case 'preVote':
    case 'vote':
      return { index: message.lastIndex, logTerm: message.lastTerm, flag: message.transfer }
    case 'preVoteReply':
    case 'voteReply':
      return { flag: message.granted }
    case 'append':
      return {
        index: message.previous.index,
        logTerm: message.previous.term,
        digest: message.previous.digest.toString(),
        commit: message.commit,
        entries: message.entries.map((each) => Buffer.concat([encodeEntryHead(each), ...each.payload])),
      }
    case 'appendReply':
      return {
        flag: message.accepted,
        index: message.index,
        hintIndex: message.hintIndex,
        hintTerm: message.hintTerm,
      }
    case 'heartbeat':
      return { commit: message.commit, readRound: message.readRound }
    case 'heartbeatReply':
      return { readRound: message.readRound }
    case 'snapshot': {
      const { index, term, digest, configuration, state } = message.snapshot
      return {
        index,
        logTerm: term,
        digest: digest.toString(),
        state: Buffer.from(state),
        configuration: Buffer.from(encodeConfiguration(configuration)),
        offset: message.offset ?? 0,
        totalBytes: message.totalBytes ?? 0,
      }
    }
    case 'snapshotReply':
      return { index: message.index, offset: message.received }
    case 'timeoutNow':
      return {}
  }
}

const ABSENT = {
  index: 0,
  logTerm: 0,
  digest: '0',
  commit: 0,
  flag: false,
  hintIndex: 0,
  hintTerm: 0,
  readRound: 0,
  entries: [],
  state: Buffer.alloc(0),
  configuration: Buffer.alloc(0),
  offset: 0,
  totalBytes: 0,
}

const reflectedOf = ({ groupId, message }: GroupMessage): Record<string, unknown> => ({
  ...ABSENT,
  groupId,
  type: `MESSAGE_TYPE_${NAMES[message.type]}`,
  term: message.term,
  life: message.life ?? 0,
  ...fieldsOf(message),
})

const standing = fc.constantFrom<Standing | undefined>(undefined, 'fresh', 'founding', 'established')
const nameOf = (has: Standing | undefined): string => `STANDING_${(has ?? 'unspecified').toUpperCase()}`

describe('a message from a peer that is refused', () => {
  const carrying = (header: Uint8Array) => {
    const head = { header, payload: [Buffer.from('payload')], payloadBytes: 7, payloadCrc32: 0 }
    return { ...head, index: asLogIndex(1), term: asTerm(1), kind: 'event' as const }
  }

  it('has an entry in which a single byte is wrong', () => {
    fc.assert(
      fc.property(entry, fc.nat(), fc.integer({ min: 1, max: 255 }), (each, at, change) => {
        const head = encodeEntryHead(each)
        const entryBytes = Buffer.concat([head, ...each.payload])
        const previous = { index: asLogIndex(0), term: asTerm(0), digest: each.digest }
        const message = {
          type: 'append',
          from: FROM,
          to: TO,
          term: asTerm(1),
          previous,
          commit: asLogIndex(0),
        } as const
        const bytes = Buffer.from(
          encoded([{ groupId: asGroupId(1), message: { ...message, entries: [each] } }]),
        )
        // The entry comes last.
        const start = bytes.length - entryBytes.length
        const place = start + (at % entryBytes.length)
        bytes[place] = bytes[place]! ^ change
        expect(() => decodeEnvelope(bytes, FROM, TO)).toThrow()
      }),
    )
  })

  it('says a checksum that its payload does not have', () => {
    const previous = { index: asLogIndex(0), term: asTerm(0), digest: 0n }
    const entries = [{ ...carrying(new Uint8Array(0)), digest: 0n }]
    const message = {
      type: 'append',
      from: FROM,
      to: TO,
      term: asTerm(1),
      previous,
      entries,
      commit: asLogIndex(0),
    }
    const bytes = encoded([{ groupId: asGroupId(1), message: message as Message }])
    expect(() => decodeEnvelope(bytes, FROM, TO)).toThrow('peer-codec.payload-checksum')
  })

  it('is of a type that this version does not know', () => {
    for (const type of ['MESSAGE_TYPE_UNSPECIFIED', 12]) {
      const bytes = reflection.encode({
        messages: [{ groupId: 1, type, term: 1 }],
        leaders: [],
        quiet: [],
        nodeId: '',
      })
      expect(() => decodeEnvelope(bytes, FROM, TO)).toThrow('peer-codec.known-type')
    }
  })

  it('has a number below zero or beyond 2^53', () => {
    for (const term of ['-1', '9007199254740992']) {
      const bytes = reflection.encode({
        messages: [{ groupId: 1, type: 1, term }],
        leaders: [],
        quiet: [],
        nodeId: '',
      })
      expect(() => decodeEnvelope(bytes, FROM, TO)).toThrow(MalformedMessageError)
    }
  })

  it('ends within a field', () => {
    const bytes = encoded([
      { groupId: asGroupId(300), message: { type: 'timeoutNow', from: FROM, to: TO, term: asTerm(300) } },
    ])
    for (let length = 1; length < bytes.length; length++) {
      expect(() => decodeEnvelope(bytes.subarray(0, length), FROM, TO)).toThrow()
    }
  })

  it('has a message whose fields go on beyond its length', () => {
    const message = { type: 'timeoutNow', from: FROM, to: TO, term: asTerm(300) } as const
    const [bytes, more] = [
      encoded([{ groupId: asGroupId(300), message }]),
      encoded([{ groupId: asGroupId(1), message }]),
    ]
    const joined = Buffer.concat([bytes, more])
    joined[1] = joined[1]! - 1
    expect(() => decodeEnvelope(joined, FROM, TO)).toThrow('peer-codec.message-length')
  })

  it('is a snapshot without a configuration', () => {
    const bytes = reflection.encode({
      messages: [{ groupId: 1, type: 9, term: 1 }],
      leaders: [],
      quiet: [],
      nodeId: '',
    })
    expect(() => decodeEnvelope(bytes, FROM, TO)).toThrow('peer-codec.snapshot-configuration')
  })
})

describe('a message to a peer', () => {
  it('has a number for every type', () => {
    expect(new Set(MESSAGE_TYPES.slice(1))).toEqual(new Set(Object.keys(messageOfType)))
  })

  for (const [type, arbitrary] of Object.entries(messageOfType)) {
    it(`of type ${type} arrives as it was sent, and is what reflection makes of it`, () => {
      fc.assert(
        fc.property(arbitrary, fc.maxSafeNat().map(asGroupId), (message, groupId) => {
          const bytes = encoded([{ groupId, message }])
          expect(messagesOf(bytes)).toEqual([{ groupId, message: flat(message) }])
          expect(reflection.decode(bytes)).toEqual({
            nodeId: '',
            standing: 'STANDING_UNSPECIFIED',
            leaders: [],
            quiet: [],
            messages: [reflectedOf({ groupId, message })],
          })
        }),
        { numRuns: 50 },
      )
    })
  }

  it('from another codec of the same proto means the same', () => {
    const some = <T>(arbitrary: fc.Arbitrary<T>) => fc.array(arbitrary, { maxLength: 4 })
    fc.assert(
      fc.property(
        some(groupMessage),
        some(leaderNotice),
        some(quietNotice),
        standing,
        (messages, leaders, quiet, has) => {
          const reflected = {
            standing: nameOf(has),
            messages: messages.map(reflectedOf),
            leaders: leaders.map(({ leader, ...rest }) => ({ ...rest, leaderNodeId: leader })),
            quiet,
            nodeId: 'n9',
          }
          const bytes = reflection.encode(reflected)
          const decoded = decodeEnvelope(bytes, FROM, TO)
          expect(decoded.nodeId).toBe('n9')
          expect(decoded.standing).toBe(has)
          expect(decoded.leaders).toEqual(leaders)
          expect(decoded.quiet).toEqual(quiet)
          expect(messagesOf(bytes)).toEqual(
            messages.map(({ groupId, message }) => ({ groupId, message: flat(message) })),
          )
          const own = encodeEnvelope({ nodeId: asNodeId('n9'), messages, leaders, quiet, standing: has })
          expect(reflection.decode(own)).toEqual(reflected)
        },
      ),
    )
  })

  it('shares its envelope with others, in their order', () => {
    fc.assert(
      fc.property(
        fc.array(groupMessage, { maxLength: 6 }),
        fc.array(leaderNotice, { maxLength: 4 }),
        fc.array(quietNotice, { maxLength: 4 }),
        (messages, leaders, quiet) => {
          const decoded = decodeEnvelope(encodeEnvelope({ nodeId: FROM, messages, leaders, quiet }), FROM, TO)
          expect(decoded.quiet).toEqual(quiet)
          expect(decoded.nodeId).toBe(FROM)
          expect(decoded.leaders).toEqual(leaders)
          expect(decoded.messages.map(({ message }) => flat(message))).toEqual(
            messages.map(({ message }) => flat(message)),
          )
        },
      ),
    )
  })
})

describe('an envelope with large payloads', () => {
  it('leaves in pieces, the payloads among them as they are', () => {
    const payload = [
      new Uint8Array(20_000).fill(1),
      new Uint8Array(10).fill(2),
      new Uint8Array(30_000).fill(3),
    ]
    const mark = { index: asLogIndex(0), term: asTerm(0), digest: asDigest(0n) }
    const entry: Entry = {
      index: asLogIndex(1),
      term: asTerm(1),
      kind: 'event',
      digest: asDigest(0n),
      header: Uint8Array.of(1),
      payload,
      payloadBytes: 50_010,
      payloadCrc32: crc32(Buffer.concat(payload)),
    }
    const append = {
      type: 'append',
      from: FROM,
      to: TO,
      term: asTerm(1),
      previous: mark,
      entries: [entry],
    } as const
    const message: Message = { ...append, commit: asLogIndex(0) }
    const messages = [{ groupId: asGroupId(1), message }]
    const pieces = encodeEnvelopeInPieces({ nodeId: FROM, messages, leaders: [], quiet: [] })
    if (pieces instanceof Uint8Array) throw new Error('it is in one piece')
    expect(pieces.filter((piece) => payload.some((chunk) => chunk === piece))).toEqual([
      payload[0],
      payload[2],
    ])
    const [decoded] = decodeEnvelope(Buffer.concat(pieces), FROM, TO).messages
    expect(flat(decoded!.message)).toEqual(flat(message))
  })
})

describe('an entry from a peer', () => {
  const sized = (bytes: number) => {
    const payload = new Uint8Array(bytes).fill(7)
    return { payload: [payload], payloadBytes: bytes, payloadCrc32: crc32(payload) }
  }
  const received = (sizes: readonly number[]): readonly Entry[] => {
    const entries = sizes.map((bytes, at) => ({
      index: asLogIndex(at + 1),
      term: asTerm(1),
      kind: 'event' as const,
      digest: asDigest(0n),
      header: Uint8Array.of(1),
      ...sized(bytes),
    }))
    const previous = { index: asLogIndex(0), term: asTerm(0), digest: asDigest(0n) }
    const append = { type: 'append', from: FROM, to: TO, term: asTerm(1), previous, entries } as const
    const message: Message = { ...append, commit: asLogIndex(0) }
    const [decoded] = decodeEnvelope(encoded([{ groupId: asGroupId(1), message }]), FROM, TO).messages
    return decoded?.message.type === 'append' ? decoded.message.entries : []
  }
  const pinned = ({ payload, header }: Entry): number =>
    Math.max(payload[0]?.buffer.byteLength ?? 0, header.buffer.byteLength)

  it('is a view of what came, where it is most of that', () => {
    const [only] = received([1_000_000])
    expect(pinned(only!)).toBeGreaterThan(1_000_000)
    expect(pinned(only!)).toBeLessThan(1_100_000)
  })

  it('does not keep megabytes alive that came with it', () => {
    const entries = received([100, 5000, 3_000_000])
    expect(entries.map(({ payloadBytes }) => payloadBytes)).toEqual([100, 5000, 3_000_000])
    expect(pinned(entries[0]!)).toBeLessThanOrEqual(64 * 1024)
    expect(pinned(entries[1]!)).toBeLessThanOrEqual(64 * 1024)
    expect(entries[1]!.payload[0]!.every((byte) => byte === 7)).toBe(true)
  })
})

describe('the request by which a node dials', () => {
  const reflected = reflectionCodec<
    Omit<SubscribeRequest, 'lane' | 'standing' | 'life'> & { lane: string; standing: string; life?: number }
  >('flotilla.peer.v1.SubscribeRequest', 'request')
  const request: fc.Arbitrary<SubscribeRequest> = fc.record({
    nodeId: fc.string().map(asNodeId),
    address: fc.string(),
    clusterName: fc.string(),
    clusterId: fc.string(),
    lane: fc.constantFrom('control', 'bulk'),
    protocolVersion: fc.nat({ max: 2 ** 31 - 1 }),
    memberIds: fc.array(fc.string(), { maxLength: 4 }),
    standing,
    life: fc.option(fc.maxSafeNat(), { nil: undefined }),
  })

  it('is the same in both codecs, both ways', () => {
    fc.assert(
      fc.property(request, (each) => {
        const bytes = subscribeMethod.request.encode(each)
        const lane = each.lane === 'control' ? 'LANE_CONTROL' : 'LANE_BULK'
        expect(subscribeMethod.request.decode(bytes)).toEqual(each)
        const { life, ...rest } = each
        const own = life === undefined ? {} : { life }
        const other = { ...rest, ...own, lane, standing: nameOf(each.standing) }
        expect(reflected.decode(bytes)).toEqual(other)
        expect(subscribeMethod.request.decode(reflected.encode(other))).toEqual(each)
      }),
    )
  })
})
