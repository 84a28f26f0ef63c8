import type { Law } from '../../sim/checkers/violation.ts'
import type { Dress } from '../../sim/cluster/world.ts'
import { ProducerTable } from '../../src/broker/partition/producers.ts'
import { PendingReplies } from '../../src/broker/replies.ts'
import { Replica } from '../../src/broker/replica.ts'
import { PartitionState } from '../../src/broker/partition/state.ts'
import type { Disk, Env, File, Store, StoreOperation } from '../../src/env/index.ts'
import { keyKind } from '../../src/log/keys.ts'
import { Election } from '../../src/raft/election.ts'

/** A broker with one known bug, put in from outside, and the laws by which it may be noticed. */
export interface Mutant {
  readonly name: string
  /** Where the bug is from. */
  readonly source: string
  readonly laws: readonly Law[]
  /** Breaks the code; what it returns mends it. */
  readonly breakCode?: () => () => void
  /** Breaks what the brokers stand on. */
  readonly dress?: Dress
}

/** Puts a method in the place of one that is there. */
function replaced<T extends object, K extends keyof T>(
  prototype: T,
  name: K,
  method: T[K],
): () => () => void {
  return () => {
    const descriptor = Object.getOwnPropertyDescriptor(prototype, name)
    if (descriptor === undefined) throw new Error(`no ${String(name)} to replace`)
    Object.defineProperty(prototype, name, { ...descriptor, value: method })
    return () => Object.defineProperty(prototype, name, descriptor)
  }
}

function replacedGetter<T extends object>(
  prototype: T,
  name: keyof T,
  get: (this: T) => unknown,
): () => () => void {
  return () => {
    const descriptor = Object.getOwnPropertyDescriptor(prototype, name)
    if (descriptor === undefined) throw new Error(`no ${String(name)} to replace`)
    Object.defineProperty(prototype, name, { ...descriptor, get })
    return () => Object.defineProperty(prototype, name, descriptor)
  }
}

const withDisk = (env: Env, disk: Partial<Disk>): Env => ({ ...env, disk: { ...env.disk, ...disk } })

function withStore(env: Env, change: (store: Store) => Partial<Store>): Env {
  return withDisk(env, {
    openStore: async (directory) => {
      const store = await env.disk.openStore(directory)
      const same: Store = {
        get: (key) => store.get(key),
        batch: (operations, options) => store.batch(operations, options),
        iterate: (range) => store.iterate(range),
        clear: (range) => store.clear(range),
        close: () => store.close(),
      }
      return { ...same, ...change(store) }
    },
  })
}

function withFiles(env: Env, change: (file: File) => Partial<File>): Env {
  const { files } = env.disk
  return withDisk(env, {
    files: {
      makeDirectory: (path) => files.makeDirectory(path),
      list: (path) => files.list(path),
      remove: (path) => files.remove(path),
      removeDirectory: (path) => files.removeDirectory(path),
      rename: (from, to) => files.rename(from, to),
      syncDirectory: (path) => files.syncDirectory(path),
      open: async (path) => {
        const file = await files.open(path)
        const same: File = {
          sizeBytes: () => file.sizeBytes(),
          write: (chunks, position) => file.write(chunks, position),
          sync: () => file.sync(),
          read: (position, length) => file.read(position, length),
          truncate: (length) => file.truncate(length),
          close: () => file.close(),
        }
        return { ...same, ...change(file) }
      },
    },
  })
}

const isHardState = ({ key }: StoreOperation): boolean => key[0] === keyKind.hardState

export const mutants: readonly Mutant[] = [
  {
    name: 'says synced without a sync of LevelDB',
    source: 'Jepsen, NATS 2.12.1',
    laws: ['acknowledged-not-durable'],
    dress: (_nodeId, env) =>
      withStore(env, (store) => ({ batch: (operations) => store.batch(operations, { sync: false }) })),
  },
  {
    name: 'says synced without a sync of segments',
    source: 'Jepsen, NATS 2.12.1',
    laws: ['node-gave-up', 'acknowledged-lost', 'phantom'],
    dress: (_nodeId, env) => withFiles(env, () => ({ sync: async () => {} })),
  },
  {
    name: 'does not write its votes down',
    source: 'hashicorp/raft#661',
    laws: ['two-leaders', 'node-gave-up', 'committed-changed', 'vote-twice', 'log-matching'],
    dress: (_nodeId, env) =>
      withStore(env, (store) => ({
        batch: (operations, options) =>
          store.batch(
            operations.filter((operation) => !isHardState(operation)),
            options,
          ),
      })),
  },
  {
    name: 'forgets what producers sent',
    source: 'Redpanda #3039, by Jepsen 21.10.1',
    laws: ['duplicate'],
    breakCode: replaced(ProducerTable.prototype, 'check', () => ({ type: 'next' })),
  },
  {
    name: 'loses the producers with the stored state',
    source: 'Redpanda #3039, by Jepsen 21.10.1',
    laws: ['duplicate', 'internal-error', 'node-gave-up', 'acknowledged-lost', 'key-order'],
    breakCode: replaced(PartitionState.prototype, 'clone', function (this: PartitionState) {
      const copy = PartitionState.empty(1024)
      copy.nextOffset = this.nextOffset
      copy.lastAppendTimeMs = this.lastAppendTimeMs
      return copy
    }),
  },
  {
    name: 'acknowledges an append before it is committed',
    source: 'Jepsen, NATS 2.12.1',
    laws: ['acknowledged-not-durable'],
    breakCode: replaced(PendingReplies.prototype, 'add', (_index, _term, replies) => {
      for (const { reply, result } of replies) reply.done(result)
    }),
  },
  {
    name: 'confirms a read without asking a majority',
    source: 'thesis §6.4; etcd-io/etcd#20418',
    laws: ['stale-read'],
    breakCode: replaced(Replica.prototype, 'readIndex', (read) => read.done(undefined)),
  },
  {
    name: 'sends records beyond the high watermark',
    source: 'Redpanda #3036',
    laws: ['reader-gap', 'offset-reassigned', 'failed-but-there', 'internal-error', 'divergence'],
    breakCode: replacedGetter(Replica.prototype, 'foldedIndex', function (this: Replica) {
      return this.status().last.index
    }),
  },
  {
    name: 'votes for whoever asks',
    source: '§5.4.1',
    laws: [
      'committed-changed',
      'acknowledged-lost',
      'node-gave-up',
      'divergence',
      'acknowledged-not-durable',
      'offset-reassigned',
    ],
    breakCode: replaced(Election.prototype, 'isUpToDate', () => true),
  },
  {
    name: 'looks at the real clock',
    source: 'design §3',
    laws: ['outside-reached', 'node-gave-up', 'internal-error'],
    dress: (_nodeId, env) => ({
      ...env,
      clock: {
        nowMs: () => env.clock.nowMs(),
        wallMs: () => Date.now(),
        setTimer: (delayMs, callback) => env.clock.setTimer(delayMs, callback),
        defer: (callback) => env.clock.defer(callback),
      },
    }),
  },
]
