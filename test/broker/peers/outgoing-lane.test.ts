import { describe, expect, it } from 'vitest'
import { EnvelopeEncoder } from '../../../src/broker/peers/envelope-encoder.ts'
import { OutgoingLane } from '../../../src/broker/peers/outgoing-lane.ts'
import {
  decodeEnvelope,
  inOnePiece,
  type EncodedEnvelope,
  type Envelope,
  type GroupMessage,
} from '../../../src/broker/peers/peer-codec.ts'
import { type Lane } from '../../../src/broker/peers/subscribe.ts'
import { payloadCrc32 } from '../../../src/log/index.ts'
import { asGroupId } from '../../../src/log/types.ts'
import { asDigest, asLogIndex, asTerm, type Entry } from '../../../src/raft/types.ts'
import { TestSink } from '../support/test-sink.ts'
import { FROM, TO } from './messages.ts'

const MIB = 1024 * 1024

function laneOf(lane: Lane) {
  const undelivered: number[] = []
  return {
    lane: new OutgoingLane(TO, lane, new EnvelopeEncoder(), (groupId) => undelivered.push(groupId)),
    undelivered,
  }
}

/** What has left on a stream. */
const sentOn = (sink: TestSink<EncodedEnvelope>): Envelope[] =>
  sink.sent.map((encoded) => decodeEnvelope(inOnePiece(encoded), FROM, TO))
const groupsOn = (sink: TestSink<EncodedEnvelope>): number[][] =>
  sentOn(sink)
    .slice(1)
    .map(({ messages }) => messages.map(({ groupId }) => groupId))

const beat = (groupId: number): GroupMessage => ({
  groupId: asGroupId(groupId),
  message: { type: 'timeoutNow', from: FROM, to: TO, term: asTerm(1) },
})
const notice = (groupId: number, term = 1) => ({
  groupId: asGroupId(groupId),
  term: asTerm(term),
  leader: FROM,
})

const zeros = Buffer.alloc(MIB)
const zerosCrc32 = payloadCrc32([zeros])
function append(groupId: number, mebibytes: number): GroupMessage {
  const previous = { index: asLogIndex(0), term: asTerm(0), digest: asDigest(0n) }
  const fields = { term: asTerm(1), kind: 'event', digest: asDigest(1n), header: Buffer.alloc(0) } as const
  const payload = { payload: [zeros], payloadBytes: MIB, payloadCrc32: zerosCrc32 }
  const entries: Entry[] = Array.from({ length: mebibytes }, (_, at) => ({
    ...fields,
    ...payload,
    index: asLogIndex(at + 1),
  }))
  const message = {
    type: 'append',
    from: FROM,
    to: TO,
    term: asTerm(1),
    previous,
    entries,
    commit: asLogIndex(0),
  } as const
  return { groupId: asGroupId(groupId), message }
}

describe('a lane to a peer that takes nothing', () => {
  it('tells which groups lost entries where nobody has dialled in, and keeps nothing', () => {
    const { lane, undelivered } = laneOf('bulk')
    lane.queue(append(1, 1))
    lane.queue(append(2, 1))
    expect(undelivered).toEqual([1, 2])
    const sink = new TestSink<EncodedEnvelope>()
    lane.attach(sink, FROM)
    lane.flush()
    expect(groupsOn(sink)).toEqual([])
  })

  it('lets lost control messages be: others follow', () => {
    const { lane, undelivered } = laneOf('control')
    lane.queue(beat(1))
    expect(undelivered).toEqual([])
  })

  it('sends nothing more once the stream is full, until it drains', () => {
    const { lane } = laneOf('control')
    const sink = new TestSink<EncodedEnvelope>()
    sink.room = 2
    lane.attach(sink, FROM)
    for (const groupId of [1, 2, 3]) {
      lane.queue(beat(groupId))
      lane.flush()
    }
    expect(groupsOn(sink)).toEqual([[1]])
    sink.drain()
    expect(groupsOn(sink)).toEqual([[1], [2, 3]])
  })

  it('waits from the first message on, where even that fills the stream', () => {
    const { lane } = laneOf('control')
    const sink = new TestSink<EncodedEnvelope>()
    sink.room = 1
    lane.attach(sink, FROM)
    lane.queue(beat(1))
    lane.flush()
    lane.sendLeaders([notice(1)])
    expect(sink.sent).toHaveLength(1)
    sink.drain()
    expect(groupsOn(sink).flat()).toEqual([1])
    expect(sentOn(sink).flatMap(({ leaders }) => leaders)).toEqual([notice(1)])
  })

  it('keeps of many notices about a group the newest', () => {
    const { lane } = laneOf('control')
    const sink = new TestSink<EncodedEnvelope>()
    sink.room = 1
    lane.attach(sink, FROM)
    for (let term = 1; term <= 1000; term++) lane.sendLeaders([notice(term % 2, term)])
    sink.drain()
    expect(sink.sent).toHaveLength(2)
    expect(sentOn(sink)[1]!.leaders).toEqual([notice(1, 999), notice(0, 1000)])
  })

  it('holds 64 MiB and one message, and tells who lost what comes after', () => {
    const { lane, undelivered } = laneOf('bulk')
    const sink = new TestSink<EncodedEnvelope>()
    sink.room = 1
    lane.attach(sink, FROM)
    for (let groupId = 1; groupId <= 20; groupId++) lane.queue(append(groupId, 4))
    expect(undelivered).toEqual([17, 18, 19, 20])
    sink.drain()
    expect(groupsOn(sink).flat()).toHaveLength(16)
    lane.queue(append(21, 1))
    lane.flush()
    expect(undelivered).toHaveLength(4)
    expect(groupsOn(sink).at(-1)).toEqual([21])
  })
})

describe('a lane whose stream is lost', () => {
  it('tells each group once that lost something that waited', () => {
    const { lane, undelivered } = laneOf('bulk')
    const sink = new TestSink<EncodedEnvelope>()
    sink.room = 1
    const detach = lane.attach(sink, FROM)
    for (const groupId of [1, 2, 1]) lane.queue(append(groupId, 1))
    detach()
    detach()
    expect(undelivered).toEqual([1, 2])
    const next = new TestSink<EncodedEnvelope>()
    lane.attach(next, FROM)
    lane.flush()
    expect(groupsOn(next)).toEqual([])
  })

  it('goes on with what waits on the stream that takes its place, and ends the older one', () => {
    const { lane, undelivered } = laneOf('bulk')
    const [old, next] = [new TestSink<EncodedEnvelope>(), new TestSink<EncodedEnvelope>()]
    old.room = 1
    const detachOld = lane.attach(old, FROM)
    lane.queue(append(1, 1))
    lane.attach(next, FROM)
    expect(old.ended).toBe(1)
    expect(groupsOn(next)).toEqual([[1]])
    detachOld()
    old.drain()
    lane.queue(append(2, 1))
    lane.flush()
    expect(groupsOn(next)).toEqual([[1], [2]])
    expect(undelivered).toEqual([])
  })

  it('sends nothing after it was closed', () => {
    const { lane } = laneOf('control')
    const sink = new TestSink<EncodedEnvelope>()
    lane.attach(sink, FROM)
    lane.close()
    lane.queue(beat(1))
    lane.sendLeaders([notice(1)])
    lane.flush()
    expect([sink.ended, sink.sent.length]).toEqual([1, 1])
  })
})

describe('a lane', () => {
  it('says first who sends', () => {
    const { lane } = laneOf('control')
    const sink = new TestSink<EncodedEnvelope>()
    lane.attach(sink, FROM)
    expect(sentOn(sink)).toMatchObject([{ nodeId: FROM, messages: [] }])
  })

  it('sends all of a turn in one message, up to 4 MiB', () => {
    const { lane } = laneOf('bulk')
    const sink = new TestSink<EncodedEnvelope>()
    lane.attach(sink, FROM)
    for (const [groupId, mebibytes] of [
      [1, 1],
      [2, 1],
      [3, 3],
      [4, 6],
      [5, 1],
    ] as const) {
      lane.queue(append(groupId, mebibytes))
    }
    lane.flush()
    expect(groupsOn(sink)).toEqual([[1, 2], [3], [4], [5]])
  })
})
