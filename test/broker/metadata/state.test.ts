import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MetadataCommand } from '../../../src/broker/metadata/decide.ts'
import {
  METADATA_HEADER,
  decodeEvent,
  encodeEvent,
  type MetadataEvent,
} from '../../../src/broker/metadata/events.ts'
import { MetadataState } from '../../../src/broker/metadata/state.ts'
import { Cluster, createTopic, deleteTopic, node } from './cluster.ts'

const hexOf = (state: MetadataState): string => Buffer.from(state.encode()).toString('hex')
const name = fc.constantFrom('a', 'b', 'c')
const command: fc.Arbitrary<MetadataCommand> = fc.oneof(
  fc
    .record({
      name,
      partitionCount: fc.integer({ min: 1, max: 4 }),
      requestId: fc.constantFrom('', 'r1', 'r2'),
    })
    .map(({ name: topic, ...fields }) => createTopic(topic, { ...fields, replicationFactor: 1 })),
  fc
    .record({ name, requestId: fc.constantFrom('', 'd1') })
    .map((each) => deleteTopic(each.name, each.requestId)),
  fc
    .constantFrom('n1', 'n2', 'n4')
    .map((id) => ({ type: 'registerNode' as const, node: node(id, `${id}-rack`) })),
)

/** What was decided one after the other. */
function historyOf(commands: readonly MetadataCommand[]): MetadataEvent[] {
  const cluster = new Cluster([])
  const seed: MetadataCommand[] = ['n1', 'n2', 'n3'].map((id) => ({ type: 'registerNode', node: node(id) }))
  const events: MetadataEvent[] = [{ type: 'clusterCreated', clusterId: 'c1', timeMs: 0 }]
  for (const each of [...seed, ...commands]) {
    const decision = cluster.do(each)
    if (decision.type === 'event') events.push(decision.event)
  }
  return events
}

function folded(events: readonly MetadataEvent[], state = new MetadataState()): MetadataState {
  for (const event of events) state.fold(event)
  return state
}

describe('the folded state of a cluster', () => {
  it('stops at a topic that is there already, and at the end of one that is not', () => {
    const cluster = new Cluster()
    const decision = cluster.do(createTopic('t'))
    expect(() => decision.type === 'event' && cluster.state.fold(decision.event)).toThrow(
      'metadata.topic-new',
    )
    expect(() => cluster.state.fold({ type: 'topicDeleted', name: 'u', requestId: '' })).toThrow(
      'metadata.deleted-topic-known',
    )
  })

  it('stops at a group id out of turn', () => {
    const cluster = new Cluster()
    const decision = cluster.decide(createTopic('t'))
    cluster.do(createTopic('before'))
    expect(() => decision.type === 'event' && cluster.state.fold(decision.event)).toThrow(
      'metadata.group-ids-dense',
    )
  })

  it('refuses a state of another version', () => {
    expect(() => MetadataState.decode(Buffer.from('{"version":2}'))).toThrow('metadata.state-version')
  })

  it('remembers the newest 1,000 requests', () => {
    const { state } = new Cluster()
    for (let count = 0; count < 1001; count++) {
      const topic = {
        name: 't',
        topicId: 'x',
        partitioner: 'PARTITIONER_MODULO',
        replicationFactor: 1,
        createTimeMs: 0,
        partitions: [],
      } as const
      state.fold({ type: 'topicCreated', topic, requestId: `c${count}` })
      state.fold({ type: 'topicDeleted', name: 't', requestId: '' })
    }
    expect([state.requests.size, state.requests.has('c0'), state.requests.has('c1')]).toEqual([
      1000,
      false,
      true,
    ])
  })

  it('is the same on each replica, also on one that was restarted in between', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 30 }), fc.nat({ max: 30 }), (commands, at) => {
        const events = historyOf(commands)
        const restarted = MetadataState.decode(folded(events.slice(0, at)).encode())
        expect(hexOf(folded(events.slice(at), restarted))).toBe(hexOf(folded(events)))
      }),
    )
  })

  it('never has a group both in a topic and among the deleted ones', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 30 }), (commands) => {
        const { topics, deletedGroupIds, nextGroupId } = folded(historyOf(commands))
        const used = [...topics.values()].flatMap(({ partitions }) =>
          partitions.map(({ groupId }) => groupId),
        )
        const deleted = Array.from({ length: nextGroupId }, (_, id) => id).filter((id) =>
          deletedGroupIds.has(id),
        )
        expect(deletedGroupIds.rangeCount).toBeLessThanOrEqual(topics.size + 1)
        const all = [...used, ...deleted].sort((a, b) => a - b)
        expect(all).toEqual(Array.from({ length: nextGroupId - 1 }, (_, place) => place + 1))
      }),
    )
  })
})

describe('an event of the metadata group', () => {
  it('is refused where its version or its kind is not known', () => {
    const payload = [encodeEvent({ type: 'topicDeleted', name: 't', requestId: '' })]
    expect(() => decodeEvent(Uint8Array.of(2), payload)).toThrow('metadata.event-version')
    expect(() => decodeEvent(METADATA_HEADER, [Buffer.from('{"type":"other"}')])).toThrow(
      'metadata.event-known',
    )
  })

  it('is after decoding what was encoded', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 10 }), (commands) => {
        for (const event of historyOf(commands)) {
          expect(decodeEvent(METADATA_HEADER, [encodeEvent(event)])).toEqual(event)
        }
      }),
    )
  })
})
