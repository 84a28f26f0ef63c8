import { broker } from './brokers.ts'
import type { BrokerMutant, Edit } from './mutant.ts'

const raft = 'src/raft/raft.ts'
const storage = 'src/log/log-storage.ts'
const segments = 'src/log/segments.ts'
const turn = 'src/log/turn-planner.ts'
const oneBatch = '      await this.#store.batch(operations, { sync: true })\n      return\n'
const withSegments = 'await settleAll([this.#store.batch(operations, { sync: true }), ...parallel])'

/** What is committed is folded though it isn't on this node's disk; the assertions that see it are gone, too. */
const foldsUnwritten: readonly Edit[] = [
  {
    file: raft,
    find: 'return asLogIndex(Math.min(this.core.commit, this.core.durability.persisted))',
    put: 'return this.core.commit',
  },
  {
    file: raft,
    find: "    assert(index <= core.durability.persisted, 'raft.applied-unpersisted', () => `${index}`)\n",
    put: '',
  },
  {
    file: raft,
    find: "    assert(to <= core.durability.persisted, 'raft.committed-unpersisted', () => `${to}`)\n",
    put: '',
  },
]

/** Faults of what one node keeps. */
export const storageMutants: readonly BrokerMutant[] = [
  broker(
    'store-not-synced',
    'says that LevelDB has synced what it has not',
    'Jepsen, NATS 2.12.1',
    ['acknowledged-not-durable', 'leader-without-votes'],
    [
      { file: storage, find: oneBatch, put: oneBatch.replace('true', 'false') },
      { file: storage, find: withSegments, put: withSegments.replace('true', 'false') },
    ],
  ),
  broker(
    'batches-before-the-synced-one',
    'writes a turn as an unsynced batch and a synced one',
    'LevelDB, MakeRoomForWrite',
    [
      'node-gave-up',
      'acknowledged-not-durable',
      'leader-without-votes',
      'acknowledged-lost',
      'committed-changed',
    ],
    [
      {
        file: storage,
        find: oneBatch,
        put:
          '      const half = operations.length >> 1\n' +
          '      await this.#store.batch(operations.slice(0, half), { sync: false })\n' +
          '      await this.#store.batch(operations.slice(half), { sync: true })\n      return\n',
      },
    ],
  ),
  broker(
    'turn-in-two-batches',
    'writes a turn in two batches, both synced',
    'reference, mutants 3 and 30',
    ['node-gave-up', 'leader-without-votes', 'vote-twice', 'internal-error'],
    [
      {
        file: storage,
        find: oneBatch,
        put:
          '      const half = operations.length >> 1\n' +
          '      await this.#store.batch(operations.slice(0, half), { sync: true })\n' +
          '      await this.#store.batch(operations.slice(half), { sync: true })\n      return\n',
      },
    ],
  ),
  broker(
    'segments-not-synced',
    'says that segments are synced which are not',
    'Jepsen, NATS 2.12.1',
    ['node-gave-up', 'acknowledged-lost', 'phantom'],
    [{ file: segments, find: 'const syncs = [file.sync()]', put: 'const syncs: Promise<void>[] = []' }],
  ),
  broker(
    'names-not-synced',
    'does not sync the directory of a new segment',
    'fsync(2)',
    ['node-gave-up', 'acknowledged-lost'],
    [
      {
        file: segments,
        find: '      if (created) syncs.push(this.#files.syncDirectory(this.#directoryOf(owner)))\n',
        put: '',
      },
    ],
  ),
  broker(
    'segments-beside-what-stands-on-them',
    'folds what it has not written yet, and stores a state beside the segments that it stands on, not after them',
    'this design, §5',
    ['node-gave-up', 'acknowledged-lost'],
    // The log keeps the order for whoever folds so early; the core doesn't, and either alone is enough.
    [
      ...foldsUnwritten,
      { file: storage, find: '    if (segmentsFirst) await this.#segments.write(segmentWrites)\n', put: '' },
      {
        file: storage,
        find: 'const parallel = segmentsFirst ? [] : [this.#segments.write(segmentWrites)]',
        put: 'const parallel = [this.#segments.write(segmentWrites)]',
      },
    ],
    { faults: ['crash-writing', 'power-loss', 'power-loss-leader', 'disk-slow'], everyFault: true },
  ),
  broker(
    'failed-sync-tried-again',
    'syncs a segment again when a sync has failed, and believes it',
    'fsyncgate, PostgreSQL 2018; Rebello et al., ATC 2020',
    ['node-gave-up', 'acknowledged-lost', 'phantom'],
    [
      {
        file: segments,
        find: 'const syncs = [file.sync()]',
        put: 'const syncs = [file.sync().catch(() => file.sync())]',
      },
    ],
    { faults: ['io-error', 'power-loss', 'power-loss-leader', 'power-loss-all'] },
  ),
  broker(
    'failed-write-swallowed',
    'takes a turn for durable whose write has failed',
    'reference, mutant 33',
    [
      'acknowledged-not-durable',
      'leader-without-votes',
      'acknowledged-lost',
      'node-gave-up',
      'internal-error',
    ],
    [
      {
        file: storage,
        find: '      throw this.#fail(error)\n    }\n  }\n\n  #fail',
        put: '      void error\n    }\n  }\n\n  #fail',
      },
    ],
  ),
  broker(
    'votes-not-stored',
    'stores its hard state without the vote',
    'hashicorp/raft#661',
    ['leader-without-votes'],
    [
      {
        file: turn,
        find: 'this.#put(key, encodeHardState(hardState, key))',
        put: 'this.#put(key, encodeHardState({ ...hardState, votedFor: undefined }, key))',
      },
    ],
  ),
  broker(
    'start-trusts-a-cut-turn',
    'calls the last turn durable at a start without making it so',
    'found here, seeds 22 and 38',
    ['node-gave-up', 'acknowledged-lost'],
    [
      {
        file: 'src/log/last-turn.ts',
        find: '  if (!last.certain) await makeDurable(store, segments, last, damage)\n',
        put: '',
      },
    ],
  ),
  broker(
    'commit-beyond-written',
    'stores a commit index that is beyond what is on its disk, and lets a start believe it that cuts the log',
    'found here; src/raft/core.ts, hardState',
    ['node-gave-up', 'acknowledged-lost', 'internal-error'],
    // A start that cuts the last turn lowers the commit index with it: alone that would be enough.
    [
      {
        file: 'src/raft/core.ts',
        find: 'const commit = asLogIndex(Math.min(this.commit, this.durability.persisted))',
        put: 'const commit = this.commit',
      },
      {
        file: 'src/log/last-turn.ts',
        find: 'const commit = asLogIndex(Math.min(hardState.commit, first - 1))',
        put: 'const commit = asLogIndex(hardState.commit)',
      },
    ],
  ),
  broker(
    'damaged-payload-served',
    'reads payloads from its segments and looks at no checksum',
    'Jepsen, NATS 2.12.1',
    ['phantom', 'internal-error', 'node-gave-up', 'offset-reassigned'],
    [
      {
        file: 'src/log/reader.ts',
        find: '    return withPayload(head, payload)\n',
        put: '    return { ...head, payload: payload.length === 0 ? [] : [payload] }\n',
      },
      { file: 'src/log/reader.ts', find: "import { withPayload } from './entry-codec.ts'\n", put: '' },
    ],
    { faults: ['bit-rot', 'crash', 'restart'] },
  ),
  broker(
    'rotten-payload-not-restored',
    'leaves a payload damaged that other replicas have whole',
    'Alagappan et al., "Protocol-Aware Recovery for Consensus-Based Storage", FAST 2018',
    ['progress'],
    [
      {
        file: 'src/broker/entry-reads.ts',
        find: '        if (!isRestorable || error.index <= restored || !(await this.#restoreOnce(error))) throw error\n',
        put: '        if (!isRestorable || error.index <= restored || this.#underWay.size >= 0) throw error\n',
      },
      { file: 'src/broker/entry-reads.ts', find: '  async #restoreOnce(', put: '  async restoreOnce(' },
    ],
    { faults: ['bit-rot', 'crash', 'restart'] },
  ),
  broker(
    'low-end-takes-one-more',
    'gives back the first entry that it still needs',
    'reference, mutant 37',
    ['node-gave-up', 'internal-error', 'progress'],
    [
      {
        file: turn,
        find: 'from: state.lowEnd.index + 1, to: lowEnd.index, segments })',
        put: 'from: state.lowEnd.index + 1, to: lowEnd.index + 1, segments })',
      },
    ],
  ),
  broker(
    'relocated-beside-its-record',
    'moves a payload out of a shared segment while it writes the record that names its new place, not before',
    'docs/storage-format.md, a turn',
    ['node-gave-up', 'internal-error', 'acknowledged-lost', 'progress'],
    [
      {
        file: turn,
        find: 'this.#put(entryKey(groupId, entry.index), this.#appendToSegment(draft, entry))\n      draft.standsOnThisTurn = true',
        put: 'this.#put(entryKey(groupId, entry.index), this.#appendToSegment(draft, entry))',
      },
    ],
    { faults: ['power-loss', 'power-loss-leader', 'power-loss-all', 'disk-slow', 'crash-writing'] },
  ),
  broker(
    'shared-segment-removed-early',
    'removes a shared segment in which one group still has payloads',
    'Apache BookKeeper, garbage collection of entry logs',
    ['node-gave-up', 'internal-error', 'acknowledged-lost', 'progress'],
    [
      {
        file: 'src/log/shared-segments.ts',
        find: 'if (file.parts === 0 && number !== this.#end.number) unnamed.push(number)',
        put: 'if (file.parts <= 1 && number !== this.#end.number) unnamed.push(number)',
      },
    ],
    { faults: ['crash', 'restart', 'power-loss'] },
  ),
]
