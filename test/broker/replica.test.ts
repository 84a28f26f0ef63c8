import { describe, expect, it } from 'vitest'
import { DamagedEntryError } from '../../src/log/index.ts'
import { MetadataMachine } from '../../src/broker/metadata/machine.ts'
import { MetadataState } from '../../src/broker/metadata/state.ts'
import type { MetadataResult } from '../../src/broker/metadata/decide.ts'
import { asLogIndex, asNodeId, asTerm } from '../../src/raft/types.ts'
import { READ_TICKS } from '../../src/broker/replica.ts'
import { FlotillaError } from '../../src/wire/errors.ts'
import { ManualClock, settle } from '../support/manual-clock.ts'
import { LIMITS as METADATA_LIMITS, node } from './metadata/cluster.ts'
import { partitionMachine, submit } from './support/appends.ts'
import { GROUP, ReplicaBench } from './support/replica-bench.ts'
import { Waiter } from './support/scripted-log.ts'

const gone = (): FlotillaError => new FlotillaError('SHUTTING_DOWN', 'stopping', { effect: 'unknown' })

function benchOf(...options: [voters?: readonly string[], limits?: object, raft?: object]) {
  const machine = partitionMachine()
  const bench = new ReplicaBench(machine, ...options)
  const append = (...values: string[]) => {
    const waiter = submit(machine, values)
    bench.replica.commandsQueued()
    return waiter
  }
  return { machine, bench, append, replica: bench.replica }
}

class Read {
  readonly outcomes: (FlotillaError | undefined)[] = []
  readonly deadlineMs: number
  constructor(deadlineMs = 1e9) {
    this.deadlineMs = deadlineMs
  }
  readonly done = (error: FlotillaError | undefined): void => void this.outcomes.push(error)
  get said(): string[] {
    return this.outcomes.map((error) => error?.reason ?? 'confirmed')
  }
}

describe('a leader with a damaged entry on its disk', () => {
  const damaged = () =>
    Promise.reject(new DamagedEntryError(GROUP, asLogIndex(2), 'segment 1', 'a bit flipped'))

  it('hands over to one that has the whole log, where a reader asks for it', async () => {
    const { bench, append, replica } = benchOf(['n1', 'n2', 'n3'])
    bench.lead()
    append('a')
    bench.settle()
    bench.acknowledge()
    bench.readEntries = damaged
    await expect(replica.readEntries(asLogIndex(2), asLogIndex(2), 1000)).rejects.toThrow('a bit flipped')
    bench.settle()
    expect(bench.sent.filter(({ type }) => type === 'timeoutNow')).toMatchObject([{ to: 'n2' }])
    // Not again for the same entry: where others can't read it either, leadership would go round for ever.
    expect([...replica.gaveWayFor]).toEqual([2])
    await expect(replica.readEntries(asLogIndex(2), asLogIndex(2), 1000)).rejects.toThrow('a bit flipped')
    bench.settle()
    expect(bench.sent.filter(({ type }) => type === 'timeoutNow')).toHaveLength(1)
  })

  it('goes on where nobody else has all of it, or where a read failed for another reason', async () => {
    const { bench, append, replica } = benchOf(['n1', 'n2', 'n3'])
    bench.lead()
    append('a')
    bench.settle()
    bench.readEntries = damaged
    await expect(replica.readEntries(asLogIndex(2), asLogIndex(2), 1000)).rejects.toThrow('a bit flipped')
    bench.acknowledge()
    bench.readEntries = () => Promise.reject(new Error('EIO'))
    await expect(replica.readEntries(asLogIndex(2), asLogIndex(2), 1000)).rejects.toThrow('EIO')
    bench.settle()
    expect(bench.sent.filter(({ type }) => type === 'timeoutNow')).toEqual([])
    expect(append('b').failure).toBeUndefined()
  })
})

describe('a replica that fails', () => {
  it('answers everybody, tells the node and takes nothing more when an invariant of its core breaks', () => {
    const { bench, append, replica } = benchOf()
    bench.lead()
    const waiter = append('a')
    bench.turn()
    replica.step({ type: 'persisted', token: { sequence: 99, term: asTerm(1), last: asLogIndex(1) } })
    expect(bench.failures.map(({ message }) => message)).toEqual([
      expect.stringContaining('raft.token-unknown'),
    ])
    expect(waiter.failure).toBe('INTERNAL/unknown')
    bench.sync()
    expect(replica.turn()).toEqual([])
    expect(bench.failures).toHaveLength(1)
    expect(waiter.outcomes).toHaveLength(1)
  })

  it('answers appends and reads once when it is stopped, and refuses what comes after', async () => {
    const { bench, machine, append, replica } = benchOf(['n1', 'n2', 'n3'])
    bench.lead()
    const proposed = append('a')
    bench.settle()
    const queued = append('b')
    const read = new Read()
    replica.readIndex(read)
    replica.stop(gone)
    replica.stop(gone)
    expect([proposed.failure, queued.failure]).toEqual(['SHUTTING_DOWN/unknown', 'NOT_LEADER/none'])
    expect(read.said).toEqual(['SHUTTING_DOWN'])
    expect(replica.isLeader).toBe(false)
    const late = new Read()
    replica.readIndex(late)
    expect(late.said).toEqual(['REPLICA_UNAVAILABLE'])
    await expect(replica.confirmLeadership(1e9)).rejects.toThrow('stopped')
    replica.tick(1e12)
    expect([proposed, queued].map(({ outcomes }) => outcomes.length)).toEqual([1, 1])
    expect(machine.hasCommands()).toBe(false)
  })

  it('answers what it has proposed as unknown when another leader comes up', () => {
    const { bench, append, replica } = benchOf(['n1', 'n2', 'n3'])
    bench.lead()
    const waiter = append('a')
    bench.settle()
    expect(waiter.isWaiting).toBe(true)
    const term = asTerm(replica.status().term + 1)
    const heartbeat = {
      type: 'heartbeat',
      from: asNodeId('n2'),
      term,
      commit: asLogIndex(0),
      readRound: 0,
    } as const
    bench.receive(heartbeat)
    bench.settle()
    expect(waiter.failure).toBe('UNKNOWN_OUTCOME/unknown')
    expect(replica.isLeader).toBe(false)
  })

  it('does not call an append refused whose entry may lie in the snapshot of the next leader', () => {
    const { bench, append, machine } = benchOf(['n1', 'n2', 'n3'])
    bench.lead()
    const waiter = append('a')
    bench.settle()
    const state = machine.encode()
    bench.replaceBySnapshot(50, state)
    bench.settle()
    expect(waiter.failure).toBe('UNKNOWN_OUTCOME/unknown')
    expect(bench.replica.foldedIndex).toBe(50)
    expect(bench.failures).toEqual([])
  })

  it('that led the metadata group until a snapshot of the next leader came goes on as a follower', () => {
    const changes: unknown[] = []
    const machine = new MetadataMachine(new ManualClock(), METADATA_LIMITS, new Uint8Array(0), (event) =>
      changes.push(event),
    )
    const bench = new ReplicaBench(machine, ['n1', 'n2', 'n3'])
    bench.lead()
    const waiter = new Waiter<MetadataResult>()
    machine.submit({ type: 'registerNode', node: node('n9') }, waiter)
    bench.settle()
    const later = new MetadataState()
    later.fold({ type: 'clusterCreated', clusterId: 'c1', timeMs: 0 })
    bench.replaceBySnapshot(50, later.encode())
    bench.settle()
    expect(machine.state.clusterId).toBe('c1')
    expect(changes.at(-1)).toBeUndefined()
    expect(waiter.failure).toBe('UNKNOWN_OUTCOME/unknown')
  })

  it('lets reads go whose time is over, also those that only wait for the disk', () => {
    const { bench, replica } = benchOf(['n1', 'n2', 'n3'])
    bench.lead()
    const read = new Read(100)
    replica.readIndex(read)
    bench.settle()
    replica.tick(99)
    expect(read.said).toEqual([])
    replica.tick(100)
    replica.tick(101)
    expect(read.said).toEqual(['NO_QUORUM'])
  })

  it('drops reads where it does not lead', () => {
    const { bench, replica } = benchOf(['n1', 'n2', 'n3'])
    const read = new Read()
    replica.readIndex(read)
    bench.settle()
    expect(read.said).toEqual(['NOT_LEADER'])
  })
})

describe('a replica that leads', () => {
  it('decides only when an entry of its own term is committed', () => {
    const { bench, append, replica } = benchOf()
    replica.step({ type: 'campaign' })
    bench.turn()
    bench.sync()
    bench.turn()
    const waiter = append('early')
    bench.turn()
    expect([replica.isLeader, replica.isDeciding]).toEqual([true, false])
    expect(bench.stored).toEqual([])
    bench.settle()
    expect(replica.isDeciding).toBe(true)
    expect(waiter.result.baseOffset).toBe(0)
    expect(bench.stored.map(({ kind }) => kind)).toEqual(['noop', 'event'])
  })

  it('acknowledges nothing before its disk has it', () => {
    const { bench, append } = benchOf()
    bench.lead()
    const waiter = append('a')
    bench.turn()
    bench.turn()
    expect(waiter.isWaiting).toBe(true)
    bench.sync()
    bench.turn()
    expect(waiter.result).toMatchObject({ baseOffset: 0, recordCount: 1 })
  })

  it('gathers what arrives while its disk is busy, for one entry', () => {
    const { bench, append } = benchOf()
    bench.lead()
    const before = bench.stored.length
    append('a')
    bench.turn()
    const waiters = [append('b'), append('c'), append('d')]
    bench.turn()
    bench.settle()
    expect(bench.stored.length - before).toBe(2)
    expect(waiters.map(({ result }) => result.baseOffset)).toEqual([1, 2, 3])
  })

  it('confirms a read at once where it is alone, and with a peer only after its answer', () => {
    const alone = benchOf()
    alone.bench.lead()
    const first = new Read()
    alone.replica.readIndex(first)
    alone.bench.settle()
    expect(first.said).toEqual(['confirmed'])

    const { bench, replica } = benchOf(['n1', 'n2', 'n3'])
    bench.lead()
    const second = new Read()
    replica.readIndex(second)
    bench.settle()
    expect(second.said).toEqual([])
    const asked = bench.sent.findLast((message) => message.type === 'heartbeat')
    const readRound = asked?.type === 'heartbeat' ? asked.readRound : 0
    const reply = {
      type: 'heartbeatReply',
      from: asNodeId('n2'),
      term: replica.status().term,
      readRound,
    } as const
    bench.receive(reply)
    bench.settle()
    expect(second.said).toEqual(['confirmed'])
  })

  it('asks a majority for a read in a quiet group, though its clock says that a lease still holds', () => {
    const { bench, replica } = benchOf(['n1', 'n2', 'n3'], {}, { leaseClockDriftPercent: 10 })
    // With leases a node stands for nothing in the first election timeout after its start.
    for (let tick = 0; tick < 10; tick += 1) replica.tick(tick)
    bench.settle()
    bench.lead()
    expect(replica.isLeader).toBe(true)
    const answer = (): void => {
      const asked = bench.sent.findLast((message) => message.type === 'heartbeat')
      const readRound = asked?.type === 'heartbeat' ? asked.readRound : 0
      const { term } = replica.status()
      bench.receive({ type: 'heartbeatReply', from: asNodeId('n2'), term, readRound })
      bench.receive({ type: 'heartbeatReply', from: asNodeId('n3'), term, readRound })
      const { last } = replica.status()
      const reply = { type: 'appendReply', term, accepted: true, index: last.index } as const
      bench.receive({ ...reply, from: asNodeId('n3'), hintIndex: last.index, hintTerm: term })
      bench.settle()
    }
    for (let tick = 0; tick < 100; tick += 1) {
      replica.tick(tick)
      bench.settle()
      if (replica.isQuiet) break
      answer()
    }
    expect(replica.isQuiet).toBe(true)
    // However long after, for no tick has passed.
    const read = new Read()
    replica.readIndex(read)
    bench.settle()
    expect(read.said).toEqual([])
    // What the core itself would have done with it.
    replica.step({ type: 'read', context: 1, mode: 'lease' })
    bench.settle()
    expect(read.said).toEqual(['confirmed'])
  })

  it('stores its state after so many entries, and cuts its log where it may', () => {
    const { bench, append, machine, replica } = benchOf(['n1'], { saveStateEntries: 4, compactEntries: 4 })
    bench.lead()
    expect(replica.saveState()).toBeUndefined()
    for (const value of ['a', 'b', 'c', 'd']) {
      append(value)
      bench.settle()
    }
    const write = replica.saveState()
    expect(write?.applied?.index).toBe(replica.foldedIndex)
    expect(Buffer.from(write!.lowEnd!.state)).toEqual(Buffer.from(machine.encode()))
    expect(write?.lowEnd?.digest).toBe(replica.foldedDigest)
    expect(replica.saveState()).toBeUndefined()
    replica.compacted(write!.lowEnd!)
    expect(replica.lowIndex).toBe(write!.lowEnd!.index)
  })

  it('reads what a follower needs and memory no longer holds from its disk', async () => {
    const { bench, append, replica } = benchOf(['n1', 'n2', 'n3'], {}, { windowBytes: 1 })
    bench.lead()
    for (const value of ['a', 'b', 'c']) {
      append(value)
      bench.settle()
      bench.acknowledge()
    }
    bench.sent.length = 0
    const { term, last } = replica.status()
    const refusal = { accepted: false, index: last.index, hintIndex: asLogIndex(0), hintTerm: asTerm(0) }
    const { index } = bench.stored.at(-1)!
    bench.receive({ type: 'heartbeatReply', from: asNodeId('n3'), term, readRound: 0 })
    bench.settle()
    const probe = bench.sent.findLast((message) => message.type === 'append' && message.to === 'n3')
    const refused = probe?.type === 'append' ? probe.previous.index : index
    bench.receive({ type: 'appendReply', from: asNodeId('n3'), term, ...refusal, index: refused })
    bench.settle()
    await settle()
    bench.settle()
    const carried = bench.sent.flatMap((message) =>
      message.type === 'append' && message.to === 'n3' ? message.entries.map((entry) => entry.index) : [],
    )
    expect(carried).toContain(1)
  })
})

describe('the newest entries in memory', () => {
  const megabyte = 1024 * 1024
  const big = 'x'.repeat(20_000)

  function scene() {
    const made = benchOf(['n1'])
    const appendAll = (count: number): void => {
      for (let each = 0; each < count; each += 1) {
        made.append(big)
        made.bench.settle()
      }
    }
    const pass = (ticks: number): void => {
      for (let tick = 0; tick < ticks; tick += 1) made.replica.tick(0)
      made.replica.limitWindow(megabyte)
    }
    /** How many of the newest are in memory, without asking as a reader does. */
    const held = (): number => {
      const core = made.bench.core
      const { last } = core.status()
      let count = 0
      while (count < last.index && core.entriesInMemory(asLogIndex(last.index - count), last.index, 1))
        count += 1
      return count
    }
    made.bench.lead()
    return { ...made, appendAll, pass, held }
  }

  it('are kept for readers for a while after a start, then hardly any where nobody reads', () => {
    const { appendAll, pass, held } = scene()
    pass(1)
    appendAll(5)
    expect(held()).toBeGreaterThanOrEqual(5)
    pass(READ_TICKS)
    expect(held()).toBe(0)
    appendAll(5)
    expect(held()).toBe(0)
  })

  it('are kept where somebody reads, and for a while after', () => {
    const { replica, appendAll, pass, held } = scene()
    pass(READ_TICKS)
    const at = replica.status().last.index
    replica.entriesInMemory(at, at, 1)
    pass(1)
    appendAll(5)
    // And the small one with which it began to lead.
    expect(held()).toBe(6)
    pass(READ_TICKS - 2)
    expect(held()).toBe(6)
    pass(1)
    expect(held()).toBe(0)
  })
})
