import { describe, expect, it } from 'vitest'
import { RecordSource } from '../../../src/broker/groups/record-source.ts'
import { HostedPartition } from '../../../src/broker/hosted-partition.ts'
import type { Node } from '../../../src/broker/node.ts'
import { asNodeId, asTerm } from '../../../src/raft/types.ts'
import { FlotillaError } from '../../../src/wire/errors.ts'
import { decodeRecordSet } from '../../../src/wire/index.ts'
import type { ReadRequest } from '../../../src/wire/messages.ts'
import { ManualClock, settle } from '../../support/manual-clock.ts'
import { partitionMachine, submit } from '../support/appends.ts'
import { FakeStorage } from '../support/fake-storage.ts'
import { ReplicaBench } from '../support/replica-bench.ts'

/** Node n1 with a replica of a partition, which n2 leads; what is read from n2 is only noted. */
class Follower {
  readonly clock = new ManualClock()
  readonly machine = partitionMachine(this.clock)
  readonly bench = new ReplicaBench(this.machine, ['n1', 'n2'])
  readonly hosted = new HostedPartition('t', this.bench.replica, this.machine)
  readonly readFromLeader: ReadRequest[] = []
  readonly values: number[] = []
  readonly outOfRange: FlotillaError[] = []
  /** Where n2 says that the partition ends; undefined: it doesn't answer. */
  leaderEnd: number | undefined
  asked = 0

  /** Has so many records, and n2's word that they are committed. */
  constructor(count: number) {
    this.bench.lead()
    submit(
      this.machine,
      Array.from({ length: count }, (_, value) => `${value}`),
    )
    this.bench.replica.commandsQueued()
    this.bench.settle()
    this.bench.acknowledge()
    this.depose()
  }

  depose(): void {
    const { term, commit } = this.bench.replica.status()
    const next = asTerm(term + 1)
    this.bench.receive({ type: 'heartbeat', from: asNodeId('n2'), term: next, commit, readRound: 0 })
    this.bench.settle()
    expect(this.bench.replica.isLeader).toBe(false)
  }

  /** Nothing comes for so long that the read says where it stands. */
  async wait(): Promise<void> {
    this.clock.advance(5000)
    await settle()
  }

  open(offset: number, highWatermark: number = this.machine.highWatermark): RecordSource {
    const node = {
      nodeId: asNodeId('n1'),
      storage: new FakeStorage(),
      view: { partition: () => ({ place: { groupId: 7 } }) },
      hosted: () => this.hosted,
      leaders: { waitFor: async () => asNodeId('n2'), get: () => ({ leader: asNodeId('n2') }) },
      addressOf: () => 'n2:1',
      connections: {
        to: () => ({
          unary: async () => {
            this.asked += 1
            if (this.leaderEnd === undefined) throw new FlotillaError('UNREACHABLE', 'n2 is gone')
            return { lowOffset: 0, highWatermark: this.leaderEnd }
          },
          serverStream: (_method: unknown, request: ReadRequest) => {
            this.readFromLeader.push(request)
            return { pause: () => undefined, resume: () => undefined, cancel: () => undefined }
          },
        }),
      },
    }
    const place = { topic: 't', partition: 0, offset, highWatermark, maxBytes: 1024 * 1024 }
    return new RecordSource(node as unknown as Node, this.clock, place, {
      onRead: ({ batches }) => {
        for (const { records } of batches)
          this.values.push(
            ...decodeRecordSet(Buffer.concat(records)).map(({ value }) => Number(String(value))),
          )
        return true
      },
      onOutOfRange: (error) => void this.outOfRange.push(error),
    })
  }
}

describe('the records of a member', () => {
  it("come from its node's own replica, which holds what the leader has committed", async () => {
    const follower = new Follower(10)
    using source = closing(follower.open(4))
    await settle()
    expect(source).toBeDefined()
    expect(follower.values).toEqual([4, 5, 6, 7, 8, 9])
    expect(follower.readFromLeader).toEqual([])
  })

  it('come from the leader where the replica lacks much of what the leader had', async () => {
    const follower = new Follower(10)
    using _source = closing(follower.open(4, 1_000_000))
    await settle()
    expect(follower.values).toEqual([])
    expect(follower.readFromLeader).toMatchObject([{ start: { type: 'offset', offset: 4 } }])
  })

  it('come from the leader where the replica has not even their beginning, a moment later', async () => {
    const follower = new Follower(10)
    using _source = closing(follower.open(12, 15))
    await settle()
    expect(follower.readFromLeader).toEqual([])
    follower.clock.advance(200)
    await settle()
    expect(follower.readFromLeader).toMatchObject([{ start: { type: 'offset', offset: 12 } }])
  })

  it('go on from the leader when the replica goes', async () => {
    const follower = new Follower(10)
    using _source = closing(follower.open(0))
    await settle()
    follower.hosted.stop(() => new FlotillaError('REPLICA_UNAVAILABLE', 'moved away'))
    await settle()
    expect(follower.readFromLeader).toMatchObject([{ start: { type: 'offset', offset: 10 } }])
  })

  it('go on from the leader when the replica stands still and the leader has gone on', async () => {
    const follower = new Follower(10)
    using _source = closing(follower.open(0))
    await settle()
    follower.leaderEnd = 12
    for (let waits = 0; waits < 3 && follower.readFromLeader.length === 0; waits++) await follower.wait()
    expect(follower.readFromLeader).toMatchObject([{ start: { type: 'offset', offset: 10 } }])
    expect(follower.values).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  it('stay with a replica that stands still where the leader has no more, or does not say', async () => {
    const follower = new Follower(10)
    using _source = closing(follower.open(0))
    await settle()
    while (follower.asked === 0) await follower.wait()
    follower.leaderEnd = 10
    while (follower.asked === 1) await follower.wait()
    expect(follower.readFromLeader).toEqual([])
  })

  it('stay, without a question, with a replica that was told that this is all', async () => {
    const follower = new Follower(10)
    using _source = closing(follower.open(0))
    await settle()
    const { term, last } = follower.bench.replica.status()
    follower.bench.replica.leaderIsQuiet(asNodeId('n2'), {
      groupId: follower.bench.replica.groupId,
      term,
      index: last.index,
    })
    for (let waits = 0; waits < 4; waits++) await follower.wait()
    expect(follower.asked).toBe(0)
    expect(follower.readFromLeader).toEqual([])
  })
})

const closing = (source: RecordSource): Disposable => ({ [Symbol.dispose]: () => source.close() })
