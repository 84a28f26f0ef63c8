import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_BATCHES_PER_ENTRY, decodeRecordsAppended } from '../../../src/broker/partition/event.ts'
import type { GroupCommand, GroupOutcome } from '../../../src/broker/groups/types.ts'
import { PartitionMachine, type PartitionLimits } from '../../../src/broker/partition/machine.ts'
import { asLogIndex, asTerm } from '../../../src/raft/types.ts'
import { FlotillaError } from '../../../src/wire/errors.ts'
import { encodeRecordSet } from '../../../src/wire/index.ts'
import type { AppendResponse, ProducerIdentity } from '../../../src/wire/messages.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { ScriptedLog, Waiter } from '../support/scripted-log.ts'

const NOTHING = new Uint8Array(0)
const MIB = 1024 * 1024
const lost = (): FlotillaError => new FlotillaError('UNKNOWN_OUTCOME', 'the leader changed')
const from = (sequence: number, epoch = 1): ProducerIdentity => ({ producerId: 'p', epoch, sequence })

class Partition {
  readonly clock = new ManualClock()
  readonly log = new ScriptedLog()
  readonly machine: PartitionMachine

  constructor(limits: Partial<PartitionLimits> = {}, isLeading = true) {
    const all = { maxEntryBytes: MIB, maxPendingBytes: 8 * MIB, ...limits }
    this.machine = new PartitionMachine(3, this.clock, all, NOTHING, NOTHING)
    if (isLeading) this.lead()
  }
  lead(): void {
    this.machine.lead(this.log.term)
  }
  append(
    producer?: ProducerIdentity,
    value = 'v',
    recordCount = 1,
    deadlineMs?: number,
  ): Waiter<AppendResponse> {
    const records = encodeRecordSet(
      Array.from({ length: recordCount }, () => ({
        key: undefined,
        value: Buffer.from(value),
        headers: [],
        timestampMs: undefined,
      })),
    )
    const waiter = new Waiter<AppendResponse>(deadlineMs)
    this.machine.submit({ records, recordCount, producer, reply: waiter })
    return waiter
  }
  decide(): void {
    this.machine.decide(this.log.propose)
  }
  commit(count?: number): void {
    this.log.commit(this.machine, count)
  }
}

describe('what the leader of a partition refuses', () => {
  it('a batch beyond the bytes that may wait, at once and with a delay; a first one always gets in', () => {
    const partition = new Partition({ maxPendingBytes: 600 })
    const first = partition.append(undefined, 'x'.repeat(1000))
    const second = partition.append()
    expect(first.isWaiting).toBe(true)
    expect(second.failure).toBe('THROTTLED/none')
    expect((second.outcomes[0] as FlotillaError).retryDelayMs).toBeGreaterThan(0)
    partition.decide()
    expect(partition.machine.pendingBytes).toBe(0)
    expect(partition.append().isWaiting).toBe(true)
  })

  it('more and more tiny batches, though their bytes are few', () => {
    const partition = new Partition({ maxPendingBytes: 100_000 })
    const waiters = Array.from({ length: 1000 }, () => partition.append(undefined, ''))
    expect(waiters.some(({ failure }) => failure === 'THROTTLED/none')).toBe(true)
  })

  it('a batch out of order, while the others of the turn go in', () => {
    const partition = new Partition()
    const [a, gap, b] = [partition.append(from(0)), partition.append(from(2)), partition.append(from(1))]
    partition.decide()
    expect(gap.failure).toBe('OUT_OF_ORDER_SEQUENCE/none')
    partition.commit()
    expect([a.result.baseOffset, b.result.baseOffset]).toEqual([0, 1])
  })

  it('all of a turn that the core does not take, and then drops its view until it leads again', () => {
    for (const [refusal, answer] of [
      ['not-leader', 'NOT_LEADER/none'],
      ['transferring', 'NOT_LEADER/none'],
      ['too-many-uncommitted-bytes', 'THROTTLED/none'],
    ] as const) {
      const partition = new Partition()
      partition.log.refusal = refusal
      const waiters = [partition.append(from(0)), partition.append()]
      partition.decide()
      expect(waiters.map(({ failure }) => failure)).toEqual([answer, answer])
      partition.append()
      expect(() => partition.decide()).toThrow('partition.decide-only-when-leading')
      partition.log.refusal = undefined
      partition.lead()
      const retry = partition.append(from(0))
      partition.decide()
      partition.commit()
      expect(retry.result).toMatchObject({ duplicate: false, baseOffset: 1 })
    }
  })

  it('what has not been decided when its deadline passes: nothing was appended', () => {
    const partition = new Partition()
    const [hasty, patient] = [
      partition.append(undefined, 'a', 1, 10),
      partition.append(undefined, 'b', 1, 11),
    ]
    partition.machine.expire(10)
    expect(hasty.failure).toBe('NO_QUORUM/none')
    partition.decide()
    partition.commit()
    expect(patient.result.baseOffset).toBe(0)
    expect(hasty.outcomes).toHaveLength(1)
    expect(partition.machine.pendingBytes).toBe(0)
  })

  it('to decide while it does not lead', () => {
    const partition = new Partition({}, false)
    partition.append()
    expect(() => partition.decide()).toThrow('partition.decide-only-when-leading')
  })
})

describe('when leadership is lost', () => {
  it('what was proposed is unknown, what was not has surely had no effect; each is told once', () => {
    const partition = new Partition()
    const [a, b] = [partition.append(from(0)), partition.append()]
    partition.decide()
    const waiting = partition.append()
    partition.machine.follow(lost)
    expect([a.failure, b.failure]).toEqual(['UNKNOWN_OUTCOME/unknown', 'UNKNOWN_OUTCOME/unknown'])
    expect(waiting.failure).toBe('NOT_LEADER/none')
    partition.machine.follow(lost)
    partition.commit()
    partition.machine.expire(Infinity)
    expect([a, b, waiting].map(({ outcomes }) => outcomes.length)).toEqual([1, 1, 1])
    expect(partition.machine.highWatermark).toBe(2)
    expect(partition.machine.pendingBytes).toBe(0)
  })

  it('a deadline that passes while the entry is on its way makes its outcome unknown', () => {
    const partition = new Partition()
    const waiter = partition.append(undefined, 'a', 1, 10)
    partition.decide()
    partition.machine.expire(10)
    partition.commit()
    expect(waiter.failure).toBe('UNKNOWN_OUTCOME/unknown')
    expect(waiter.outcomes).toHaveLength(1)
  })

  it('a new reign begins from what is committed, not from what was decided before', () => {
    const partition = new Partition()
    partition.append(from(0))
    partition.decide()
    partition.machine.follow(lost)
    partition.log.entries.pop()
    partition.lead()
    const retry = partition.append(from(0))
    partition.decide()
    partition.commit()
    expect(retry.result).toMatchObject({ baseOffset: 0, duplicate: false })
  })
})

describe('a retry of a batch', () => {
  it('that is committed is answered at once, with the place of the first try', () => {
    const partition = new Partition()
    partition.append(undefined, 'v', 4)
    const first = partition.append(from(0), 'v', 2)
    partition.decide()
    partition.commit()
    const retry = partition.append(from(0), 'v', 2)
    partition.decide()
    expect(retry.result).toEqual({ ...first.result, duplicate: true })
    expect(partition.log.entries).toHaveLength(1)
  })

  it('that is not committed yet waits for it', () => {
    const partition = new Partition()
    partition.append(from(0))
    partition.decide()
    const retry = partition.append(from(0))
    partition.decide()
    expect(retry.isWaiting).toBe(true)
    partition.commit()
    expect(retry.result).toMatchObject({ baseOffset: 0, duplicate: true })
  })

  it('that is not committed yet is unknown when leadership is lost', () => {
    const partition = new Partition()
    partition.append(from(0))
    partition.decide()
    const retry = partition.append(from(0))
    partition.decide()
    partition.machine.follow(lost)
    expect(retry.failure).toBe('UNKNOWN_OUTCOME/unknown')
  })

  it('in the turn of its first try shares its fate', () => {
    const partition = new Partition()
    const [first, retry] = [partition.append(from(0)), partition.append(from(0))]
    partition.decide()
    expect(retry.isWaiting).toBe(true)
    partition.commit()
    expect([first.result.duplicate, retry.result.duplicate]).toEqual([false, true])
    expect(partition.machine.highWatermark).toBe(1)
  })

  it('that is no longer remembered counts as appended only once what came after is committed', () => {
    const partition = new Partition()
    for (let sequence = 0; sequence <= 5; sequence++) partition.append(from(sequence))
    partition.decide()
    const lostRetry = partition.append(from(0))
    partition.decide()
    expect(lostRetry.isWaiting).toBe(true)
    partition.machine.follow(lost)
    expect(lostRetry.failure).toBe('UNKNOWN_OUTCOME/unknown')

    partition.commit()
    partition.lead()
    const retry = partition.append(from(0))
    partition.decide()
    expect(retry.failure).toBe('SEQUENCE_TOO_OLD/done')
  })
})

describe('a turn', () => {
  it('puts all commands into one entry whose payload is their bytes, end to end', () => {
    const partition = new Partition()
    const waiters = [
      partition.append(from(0), 'a', 2),
      partition.append(undefined, 'bb', 3),
      partition.append(from(1), 'c'),
    ]
    partition.decide()
    const [entry, ...others] = partition.log.entries
    expect(others).toEqual([])
    const event = decodeRecordsAppended(entry!.header)
    expect(event).toMatchObject({ baseOffset: 0, recordCount: 6 })
    expect(event.batches.map(({ recordCount }) => recordCount)).toEqual([2, 3, 1])
    expect(event.batches.map(({ byteLength }) => byteLength)).toEqual(
      entry!.payload.map(({ length }) => length),
    )
    expect(entry!.payloadCrc32).toBe(crc32(Buffer.concat(entry!.payload)))
    expect(waiters.every(({ isWaiting }) => isWaiting)).toBe(true)
    partition.commit()
    expect(waiters.map(({ result }) => result.baseOffset)).toEqual([0, 2, 5])
    expect(waiters.every(({ result }) => result.partition === 3)).toBe(true)
  })

  it('stops at the bytes or the batches that an entry may have, and goes on in the next', () => {
    const byBytes = new Partition({ maxEntryBytes: 1000 })
    for (let count = 0; count < 5; count++) byBytes.append(undefined, 'x'.repeat(400))
    byBytes.decide()
    expect(byBytes.log.entries[0]!.payload).toHaveLength(2)
    byBytes.decide()
    byBytes.decide()
    expect(byBytes.machine.hasCommands()).toBe(false)

    const byCount = new Partition()
    for (let count = 0; count <= MAX_BATCHES_PER_ENTRY; count++) byCount.append(undefined, '')
    byCount.decide()
    expect(byCount.log.entries[0]!.payload).toHaveLength(MAX_BATCHES_PER_ENTRY)
    expect(byCount.machine.hasCommands()).toBe(true)
  })

  it('takes a batch that is larger than an entry on its own', () => {
    const partition = new Partition({ maxEntryBytes: 100 })
    const waiter = partition.append(undefined, 'x'.repeat(500))
    partition.decide()
    partition.commit()
    expect(waiter.result.recordCount).toBe(1)
  })

  it('never dates an entry before the one in front of it, when the wall clock steps back', () => {
    const partition = new Partition()
    const first = partition.append()
    partition.decide()
    partition.clock.wallOffsetMs -= 3_600_000
    const second = partition.append()
    partition.decide()
    partition.commit()
    expect(second.result.appendTimeMs).toBe(first.result.appendTimeMs)
  })
})

describe('what a partition folds', () => {
  it('goes on from its stored state, and from a snapshot', () => {
    const partition = new Partition()
    partition.append(from(0), 'v', 5)
    partition.decide()
    partition.commit()
    const state = partition.machine.encode()
    const restarted = new PartitionMachine(
      3,
      partition.clock,
      { maxEntryBytes: 1, maxPendingBytes: 1 },
      state,
      NOTHING,
    )
    expect([restarted.lowOffset, restarted.highWatermark]).toEqual([0, 5])

    const follower = new Partition({}, false).machine
    follower.restore({
      index: asLogIndex(1),
      term: asTerm(1),
      digest: partition.log.entries[0]!.digest,
      configuration: { voters: [], votersOutgoing: [], learners: [] },
      state,
    })
    expect([follower.lowOffset, follower.highWatermark]).toEqual([5, 5])
    expect(Buffer.from(follower.encode())).toEqual(Buffer.from(state))
  })

  it('wakes who waits for the high watermark, until he cancels', () => {
    const partition = new Partition()
    const seen: number[] = []
    const cancel = partition.machine.onAdvance(() => seen.push(partition.machine.highWatermark))
    const appendTwo = (): void => {
      partition.append(undefined, 'v', 2)
      partition.decide()
    }
    appendTwo()
    expect(seen).toEqual([])
    partition.commit()
    appendTwo()
    partition.commit()
    expect(seen).toEqual([2, 4])
    cancel()
    appendTwo()
    partition.commit()
    expect(seen).toEqual([2, 4])
  })

  it('whatever is sent, lost and retried: each caller hears once, and each batch is in the log once', () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ do: fc.constant('append' as const), back: fc.nat({ max: 3 }) }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('decide' as const), isRefused: fc.boolean() }) },
      {
        weight: 2,
        arbitrary: fc.record({ do: fc.constant('commit' as const), count: fc.integer({ min: 1, max: 3 }) }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('lose' as const), keeps: fc.nat({ max: 3 }) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('expire' as const) }) },
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const partition = new Partition()
        const { machine, log } = partition
        const sent: { readonly sequence: number; readonly waiter: Waiter<AppendResponse> }[] = []
        let next = 0
        const relead = (): void => {
          // As the replica does: only once everything in the log is folded.
          log.commit(machine)
          machine.lead(log.term)
        }
        for (const each of steps) {
          switch (each.do) {
            case 'append': {
              const sequence = Math.max(0, next - each.back)
              next = Math.max(next, sequence + 1)
              sent.push({ sequence, waiter: partition.append(from(sequence)) })
              break
            }
            case 'decide':
              if (!machine.hasCommands()) break
              log.refusal = each.isRefused ? 'transferring' : undefined
              partition.decide()
              if (each.isRefused) relead()
              break
            case 'commit':
              partition.commit(each.count)
              break
            case 'lose':
              // Another leader may have kept some of what was on its way.
              machine.follow(lost)
              log.entries.splice(log.committed + each.keeps)
              log.term = asTerm(log.term + 1)
              relead()
              break
            case 'expire':
              machine.expire(Infinity)
              break
          }
        }
        machine.follow(lost)
        log.commit(machine)
        const sequences = log.entries.flatMap(({ header }) =>
          decodeRecordsAppended(header).batches.map(({ producer }) => producer!.sequence),
        )
        expect(sequences).toEqual(sequences.map((_, place) => place))
        for (const { sequence, waiter } of sent) {
          expect(waiter.outcomes).toHaveLength(1)
          const [outcome] = waiter.outcomes
          if (outcome instanceof FlotillaError) {
            if (outcome.effect === 'done') expect(sequences).toContain(sequence)
          } else expect(sequences[outcome!.baseOffset]).toBe(sequence)
        }
      }),
    )
  })
})

describe('a consumer group in a partition', () => {
  const ask = (partition: Partition, command: GroupCommand): Waiter<GroupOutcome> => {
    const waiter = new Waiter<GroupOutcome>()
    partition.machine.submitForGroup({ command, reply: waiter })
    return waiter
  }
  const take = { type: 'take', group: 'g', epoch: 1, owner: 'm', sinceEpoch: 1, reset: undefined } as const
  const commitOf = (offset: number) => ({ type: 'commit', group: 'g', epoch: 1, owner: 'm', offset }) as const
  const records = encodeRecordSet([
    { key: undefined, value: Buffer.from('v'), headers: [], timestampMs: undefined },
  ])

  function owned(): Partition {
    const partition = new Partition()
    for (let at = 0; at < 5; at++) partition.append()
    ask(partition, take)
    partition.decide()
    partition.commit()
    return partition
  }

  it('is refused a commit of records that are proposed and not committed yet', () => {
    const partition = owned()
    partition.append()
    const tooFar = ask(partition, commitOf(6))
    partition.decide()
    expect(tooFar.failure).toBe('OFFSET_OUT_OF_RANGE/none')
  })

  it('is answered when the commit is committed, and told that nobody knows when the leader changes before', () => {
    const partition = owned()
    const kept = ask(partition, commitOf(3))
    partition.decide()
    expect(kept.isWaiting).toBe(true)
    partition.commit()
    expect(kept.outcomes).toMatchObject([{ position: { committedOffset: 3 }, highWatermark: 5 }])
    const doubtful = ask(partition, commitOf(4))
    partition.decide()
    partition.machine.follow(lost)
    expect(doubtful.failure).toBe('UNKNOWN_OUTCOME/unknown')
    expect(partition.machine.groupOutcome('g').position?.committedOffset).toBe(3)
  })

  it('shares an entry with the appends of its turn, and with its own records goes in with them or not at all', () => {
    const partition = owned()
    const append = (offset: number): Waiter<AppendResponse> => {
      const reply = new Waiter<AppendResponse>()
      partition.machine.submit({
        records,
        recordCount: 1,
        producer: undefined,
        commit: commitOf(offset),
        reply,
      })
      return reply
    }
    const tooFar = append(6)
    const first = append(5)
    const again = append(5)
    const behind = append(4)
    partition.decide()
    expect(tooFar.failure).toBe('OFFSET_OUT_OF_RANGE/none')
    expect([first.isWaiting, again.isWaiting, behind.isWaiting]).toEqual([true, true, true])
    partition.commit()
    expect(first.outcomes).toMatchObject([{ baseOffset: 5, recordCount: 1 }])
    expect([again.failure, behind.failure]).toEqual(['COMMIT_BACKWARDS/none', 'COMMIT_BACKWARDS/none'])
    expect(partition.machine.groupOutcome('g')).toMatchObject({
      position: { committedOffset: 5 },
      highWatermark: 6,
    })
  })

  it('keeps its place through a restart from the stored state', () => {
    const partition = owned()
    ask(partition, commitOf(3))
    partition.decide()
    partition.commit()
    const limits = { maxEntryBytes: MIB, maxPendingBytes: MIB }
    const restarted = new PartitionMachine(3, partition.clock, limits, partition.machine.encode(), NOTHING)
    expect(restarted.groupOutcome('g').position).toEqual(partition.machine.groupOutcome('g').position)
  })
})
