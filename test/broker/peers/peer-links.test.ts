import { describe, expect, it } from 'vitest'
import { encodeEnvelope, type EncodedEnvelope, type Envelope } from '../../../src/broker/peers/peer-codec.ts'
import { PeerLinks } from '../../../src/broker/peers/peer-links.ts'
import { PROTOCOL_VERSION, type SubscribeRequest } from '../../../src/broker/peers/subscribe.ts'
import { RpcError, StatusCode } from '../../../src/env/index.ts'
import type { ServerStreamHandler } from '../../../src/env/network.ts'
import { asGroupId } from '../../../src/log/types.ts'
import { asNodeId, asTerm } from '../../../src/raft/types.ts'
import { FlotillaError } from '../../../src/wire/errors.ts'
import { fromRpcError, toRpcError } from '../../../src/wire/index.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { FakeNetwork } from '../support/fake-network.ts'
import { quietLogger } from '../support/quiet-logger.ts'
import { TestSink } from '../support/test-sink.ts'

const [n1, n2, n3] = ['n1', 'n2', 'n3'].map(asNodeId)

/** Node n1, which dials n2; the test answers for n2. */
class Bench {
  readonly clock = new ManualClock()
  readonly network = new FakeNetwork()
  readonly heard: string[] = []
  readonly links = new PeerLinks(
    {
      network: this.network,
      clock: this.clock,
      random: { below: () => 0, bytes: (count) => new Uint8Array(count) },
      logger: quietLogger,
    },
    {
      nodeId: n1!,
      address: 'n1:1',
      clusterName: 'c',
      memberIds: ['n1', 'n2'],
      clusterId: () => '',
      standing: () => 'fresh',
      life: () => undefined,
      newestLife: () => 0,
      isRemoved: () => false,
    },
    [{ nodeId: n2!, address: 'n2:1' }],
    {
      onMessages: (from, messages) =>
        this.heard.push(...messages.map(({ message }) => `${message.type} of ${from}`)),
      onLeaders: (notices) => this.heard.push(...notices.map(({ leader }) => `leader ${leader}`)),
      onQuiet: (from) => this.heard.push(`quiet ${from}`),
      onUndelivered: (to) => this.heard.push(`undelivered ${to}`),
      onReachable: (node, reachable) => this.heard.push(`${node} ${reachable ? 'reachable' : 'lost'}`),
      onStanding: (node, standing) => this.heard.push(`${node} ${standing}`),
      onStranger: ({ address }) => this.heard.push(`stranger at ${address}`),
      onRefused: ({ reason }) => this.heard.push(`refused ${reason}`),
      leaderNotices: () => [],
    },
  )

  constructor() {
    this.links.start()
  }
  /** The newest stream of control messages: that lane is dialled first, and only it is lost here. */
  get control() {
    return this.network.dialled.filter((_, at) => at % 2 === 0).at(-1)!
  }
  tell(envelope: Partial<Envelope>): void {
    this.control.receiver.onMessage(
      encodeEnvelope({ nodeId: undefined, messages: [], leaders: [], quiet: [], ...envelope }),
    )
  }
}

const vote = {
  groupId: asGroupId(1),
  message: { type: 'voteReply', from: n2!, to: n1!, term: asTerm(1), granted: true },
} as const

describe('what comes on a stream from a peer', () => {
  it('counts for nothing where another node answers at its address: no vote passes for another’s', () => {
    const bench = new Bench()
    bench.tell({ nodeId: n3!, messages: [vote] })
    bench.tell({ messages: [vote] })
    bench.tell({ leaders: [{ groupId: asGroupId(1), term: asTerm(1), leader: n3! }] })
    expect(bench.heard.filter((each) => !each.startsWith('refused'))).toEqual([])
    expect(bench.heard[0]).toBe('refused CLUSTER_MISMATCH')
    expect(bench.control.cancelled).toBeGreaterThan(0)
    expect(bench.links.isReachable(n2!)).toBe(false)
  })

  it('counts for nothing before it has said who it is', () => {
    const bench = new Bench()
    bench.tell({ messages: [vote] })
    expect(bench.heard).toEqual([])
    expect(bench.control.cancelled).toBe(1)
  })

  it('ends the stream where it is malformed', () => {
    const bench = new Bench()
    bench.tell({ nodeId: n2! })
    bench.control.receiver.onMessage(Buffer.from([0x0a, 0x7f]))
    expect(bench.heard).toEqual(['n2 reachable'])
    expect(bench.control.cancelled).toBe(1)
  })

  it('is passed on once the peer has said who it is', () => {
    const bench = new Bench()
    bench.tell({ nodeId: n2! })
    bench.tell({ messages: [vote] })
    expect(bench.heard).toEqual(['n2 reachable', 'voteReply of n2'])
  })
})

describe('a peer whose machine lost its power', () => {
  it('is missed as soon on the lane of entries as on that of control messages (seed 892)', () => {
    const { keepalivesMs } = new Bench().network
    expect(keepalivesMs).toHaveLength(2)
    for (const keepaliveMs of keepalivesMs) expect(keepaliveMs).toBeLessThanOrEqual(2000)
  })
})

describe('a node that dials in and is not known', () => {
  const dial = (request: Partial<SubscribeRequest>): { heard: readonly string[]; refusals: unknown[] } => {
    const bench = new Bench()
    const sink = new TestSink<EncodedEnvelope>()
    const handler = bench.links.handler() as unknown as ServerStreamHandler<SubscribeRequest, EncodedEnvelope>
    const asked: SubscribeRequest = {
      ...{ nodeId: n3!, address: 'n3:1', clusterName: 'c', clusterId: '', lane: 'control' },
      ...{ protocolVersion: PROTOCOL_VERSION, memberIds: [], standing: 'established', life: 0 },
      ...request,
    }
    const signal = new AbortController().signal
    handler.handle(asked, sink, { peer: 'n3:1', metadata: new Map(), deadlineMs: undefined, signal })
    return { heard: bench.heard, refusals: sink.failures.map((error) => fromRpcError(error).reason) }
  }

  it('is refused, and remembered where it belongs to the cluster: it may take this node in', () => {
    expect(dial({})).toEqual({ heard: ['stranger at n3:1'], refusals: ['UNKNOWN_NODE'] })
  })

  it('is nobody to ask where it has no place itself, or belongs to another cluster', () => {
    expect(dial({ standing: 'fresh' })).toEqual({ heard: [], refusals: ['UNKNOWN_NODE'] })
    expect(dial({ clusterName: 'other' })).toEqual({ heard: [], refusals: ['CLUSTER_MISMATCH'] })
  })
})

describe('a stream that is lost', () => {
  it('makes the peer unreachable and is dialled again, and who answers has to say so again', () => {
    const bench = new Bench()
    bench.tell({ nodeId: n2! })
    bench.control.receiver.onClose(new RpcError(StatusCode.unavailable, 'reset'))
    expect(bench.links.isReachable(n2!)).toBe(false)
    bench.clock.advance(2000)
    expect(bench.network.dialled).toHaveLength(3)
    bench.tell({ messages: [vote] })
    expect(bench.heard).toEqual(['n2 reachable', 'n2 lost'])
  })

  it('says why where the peer refuses this node, and is not dialled after the links are closed', () => {
    const bench = new Bench()
    const refusal = new FlotillaError('DUPLICATE_NODE_ID', 'n1 is at another address')
    bench.control.receiver.onClose(toRpcError(refusal))
    expect(bench.heard).toEqual(['refused DUPLICATE_NODE_ID'])
    bench.links.close()
    bench.clock.advance(5000)
    expect(bench.network.dialled).toHaveLength(2)
  })
})
