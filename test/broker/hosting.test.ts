import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Hosting } from '../../src/broker/hosting.ts'
import { Lives } from '../../src/broker/membership/lives.ts'
import { MetadataState } from '../../src/broker/metadata/state.ts'
import type { NodeLoop } from '../../src/broker/node-loop.ts'
import type { Replica } from '../../src/broker/replica.ts'
import { Succession } from '../../src/broker/succession.ts'
import { tuningOf } from '../../src/broker/tuning.ts'
import { nodeEnv } from '../../src/env/node/index.ts'
import { asGroupId, type GroupId, type GroupWrite } from '../../src/log/types.ts'
import { emptyBootstrap, membersOf } from '../../src/raft/index.ts'
import { asNodeId, type Bootstrap } from '../../src/raft/types.ts'
import { faultyDisk, type Faults } from '../log/faulty-disk.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { until } from '../support/until.ts'
import { createTopic, Cluster } from './metadata/cluster.ts'
import { FakeStorage } from './support/fake-storage.ts'
import { quietLogger } from './support/quiet-logger.ts'
import { configurationOf } from './support/replica-bench.ts'

const GROUP = asGroupId(1)

class NotedSuccession extends Succession {
  readonly #stood: GroupId[]
  constructor(stood: GroupId[]) {
    super(asNodeId('n1'), new Map(), () => true)
    this.#stood = stood
  }
  override stand(groupId: GroupId): void {
    this.#stood.push(groupId)
  }
}

/** Node n1 and its disk; the cluster has a topic with one partition on n1, n2, n3. */
class Bench {
  readonly cluster = new Cluster()
  readonly storage = new FakeStorage()
  readonly writes: GroupWrite[] = []
  readonly made: { readonly life: number; readonly bootstrap: Bootstrap }[] = []
  readonly failures: Error[] = []
  readonly gone: GroupId[] = []
  readonly running = new Set<object>()
  /** Groups for which the node stands unasked. */
  readonly stood: GroupId[] = []
  isReplaying = false
  isReplaced = false
  /** The group has a leader elsewhere, and the metadata group gives this node a new life there. */
  isHealable = false
  readonly hosting: Hosting

  constructor(lives: Lives, onDisk: boolean | 'damaged') {
    this.cluster.do(createTopic('t', { partitionCount: 1 }))
    if (onDisk === 'damaged') {
      this.storage.recovered.set(GROUP, { ok: false, groupId: GROUP, damage: 'a bit flipped' })
    } else if (onDisk) {
      const bootstrap = emptyBootstrap(configurationOf('n1', 'n2', 'n3'))
      this.storage.recovered.set(GROUP, {
        ok: true,
        groupId: GROUP,
        bootstrap,
        appliedState: new Uint8Array(0),
      })
    }
    // Everything is durable at once, but in an event of its own.
    const loop = {
      write: (write: GroupWrite, durable?: () => void) => {
        this.writes.push(write)
        if (durable !== undefined) queueMicrotask(durable)
      },
      remove: (replica: Replica) => this.running.delete(replica),
    } as unknown as NodeLoop
    const current = (): Pick<Bench, 'cluster' | 'isReplaying' | 'isReplaced' | 'isHealable'> => this
    const clock = new ManualClock()
    this.hosting = new Hosting(
      {
        nodeId: asNodeId('n1'),
        get state(): MetadataState {
          return current().cluster.state
        },
        get isReplaying() {
          return current().isReplaying
        },
        get isReplaced() {
          return current().isReplaced
        },
        makeReplica: (_groupId, bootstrap, life) => {
          this.made.push({ life, bootstrap })
          const replica = { stop: () => undefined }
          this.running.add(replica)
          return replica as unknown as Replica
        },
        forget: () => undefined,
        replicaIsGone: (groupId) => this.gone.push(groupId),
        isLed: () => current().isHealable,
        restartReplica: async () => {
          if (!current().isHealable) throw new Error('no leader')
          return 5
        },
        fail: (error) => this.failures.push(error),
      },
      {
        loop,
        storage: this.storage,
        lives,
        succession: new NotedSuccession(this.stood),
        limits: tuningOf(asNodeId('n1'), {}).partition,
        clock,
        logger: quietLogger,
      },
    )
  }

  move(...replicas: string[]): void {
    this.cluster.do({ type: 'moveReplicas', topic: 't', partition: 0, replicas })
  }

  moved(): void {
    const { groupId, moves = 0, target = [] } = this.cluster.state.placeOf(GROUP)!.place
    this.cluster.do({ type: 'replicasMoved', groupId, moves, replicas: target })
  }
}

describe('what a node hosts', () => {
  let directory: string
  let lives: Lives
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'flotilla-hosting-'))
    lives = await Lives.open(nodeEnv({ level: 'silent' }).disk.files, directory)
  })
  afterEach(() => rm(directory, { recursive: true, force: true }))

  it('while the metadata are replayed is only what its disk holds', () => {
    const bench = new Bench(lives, false)
    bench.isReplaying = true
    bench.hosting.reconcile()
    expect(bench.made).toEqual([])
    const other = new Bench(lives, true)
    other.isReplaying = true
    other.hosting.reconcile()
    expect(other.made).toHaveLength(1)
    // The end of the log that the start found is in the replica now, and nowhere else.
    expect(other.storage.recovered.size).toBe(0)
    bench.isReplaying = false
    bench.hosting.reconcile()
    expect(bench.made).toHaveLength(1)
    expect(bench.made[0]!.life).toBe(0)
  })

  it('stands for what it is the first of, when that is new and after a start', () => {
    for (const onDisk of [false, true]) {
      const bench = new Bench(lives, onDisk)
      bench.hosting.reconcile()
      expect(bench.cluster.state.placeOf(GROUP)!.place.replicas[0]).toBe('n1')
      expect(bench.stood).toEqual([GROUP])
    }
  })

  it('is kept while the metadata are replayed, and dropped afterwards where it moved away', () => {
    const bench = new Bench(lives, true)
    bench.isReplaying = true
    bench.hosting.reconcile()
    bench.cluster.do({ type: 'registerNode', node: { nodeId: 'n4', address: 'n4:1', hostLabel: 'n4' } })
    bench.move('n4', 'n2', 'n3')
    bench.moved()
    bench.hosting.reconcile()
    expect(bench.running.size).toBe(1)
    bench.isReplaying = false
    bench.hosting.reconcile()
    expect(bench.running.size).toBe(0)
    expect(bench.writes).toEqual([{ groupId: GROUP, destroy: true }])
    expect(bench.gone).toEqual([GROUP])
  })

  it('begins anew where one look at the metadata shows that it moved away and comes again', async () => {
    const bench = new Bench(lives, true)
    bench.hosting.reconcile()
    bench.cluster.do({ type: 'registerNode', node: { nodeId: 'n4', address: 'n4:1', hostLabel: 'n4' } })
    bench.move('n4', 'n2', 'n3')
    bench.moved()
    bench.move('n1', 'n2', 'n3')
    bench.hosting.reconcile()
    expect(bench.running.size).toBe(0)
    await until('it is hosted again', () => bench.made.length === 2)
    const { life, bootstrap } = bench.made[1]!
    expect(life).toBe(1)
    // Mute until the group's leader tells it who takes part.
    expect(membersOf(bootstrap.configuration)).toEqual([])
    expect(bench.writes.map((write) => Object.keys(write))).toEqual([
      ['groupId', 'destroy'],
      ['groupId', 'create'],
    ])
    const reopened = await Lives.open(nodeEnv({ level: 'silent' }).disk.files, directory)
    expect(reopened.of(GROUP)).toBe(1)
    expect(bench.failures).toEqual([])
  })

  it('stops with the node where the new life of a damaged replica cannot be written: nobody knows then what the disk says', async () => {
    const faults: Faults = {
      beforeSync: () => {
        throw new Error('EIO: sync')
      },
    }
    const { files } = faultyDisk(nodeEnv({ level: 'silent' }).disk, faults)
    const bench = new Bench(await Lives.open(files, directory), 'damaged')
    bench.isHealable = true
    bench.hosting.reconcile()
    await until('the node has failed', () => bench.failures.length > 0)
    expect(bench.failures[0]!.message).toContain('life of group 1')
    expect(bench.made).toEqual([])
    expect([...bench.hosting.damaged.keys()]).toEqual([GROUP])
  })

  it('ends once where it moves away while its damaged data are put aside, which is its end on the disk', async () => {
    const bench = new Bench(lives, 'damaged')
    let putAside = (_directory: string): void => undefined
    let isPuttingAside = false
    bench.storage.quarantine = () => {
      isPuttingAside = true
      return new Promise((resolve) => (putAside = resolve))
    }
    bench.isHealable = true
    bench.cluster.do({
      type: 'registerNode',
      node: { nodeId: 'n4', address: 'n4:1', hostLabel: 'n4' },
    })
    bench.hosting.reconcile()
    await until('its data are being put aside', () => isPuttingAside)
    bench.move('n2', 'n3', 'n4')
    bench.moved()
    bench.hosting.reconcile()
    putAside('quarantine/1.1')
    await until('nothing is under way any more', () => !bench.hosting.damaged.has(GROUP))
    // It comes again: on an empty place, as any newcomer.
    bench.move('n1', 'n2', 'n3')
    bench.hosting.reconcile()
    await until('it is hosted again', () => bench.made.length > 0)
    expect(bench.writes.map((write) => Object.keys(write))).toEqual([['groupId', 'create']])
    expect(bench.failures).toEqual([])
  })

  it('stops with the node where another process has come in its name', () => {
    const bench = new Bench(lives, true)
    bench.hosting.reconcile()
    const enter = { nodeId: 'n1', address: 'elsewhere:1', hostLabel: 'n1' }
    bench.cluster.do({ type: 'enterNode', node: enter, requestId: 'r1', knownLife: 0 })
    bench.isReplaced = true
    bench.hosting.reconcile()
    expect(bench.failures[0]).toMatchObject({ reason: 'DUPLICATE_NODE_ID' })
    expect(bench.writes).toEqual([])
  })
})
