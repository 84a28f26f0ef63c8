import type { Law } from '../../sim/checkers/violation.ts'
import type { Dress } from '../../sim/cluster/world.ts'
import { ProducerTable } from '../../src/broker/partition/producers.ts'
import { PendingReplies } from '../../src/broker/replies.ts'
import { Replica } from '../../src/broker/replica.ts'
import { PartitionState } from '../../src/broker/partition/state.ts'
import type { Env, File, Store, StoreOperation } from '../../src/env/index.ts'
import { keyKind } from '../../src/log/keys.ts'
import { decodeHardState, encodeHardState } from '../../src/log/records.ts'
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

/** The same object but for some of its methods. */
function changed<T extends object>(real: T, changes: Partial<T>): T {
  return new Proxy(real, {
    get(target, name) {
      const found: unknown = Reflect.get(changes, name) ?? Reflect.get(target, name)
      return typeof found === 'function' ? (found.bind(target) as unknown) : found
    },
  })
}

function withStore(env: Env, change: (store: Store) => Partial<Store>): Env {
  const openStore = async (directory: string): Promise<Store> => {
    const store = await env.disk.openStore(directory)
    return changed(store, change(store))
  }
  return { ...env, disk: { files: env.disk.files, openStore } }
}

function withFiles(env: Env, change: (file: File) => Partial<File>): Env {
  const { files } = env.disk
  const open = async (path: string): Promise<File> => {
    const file = await files.open(path)
    return changed(file, change(file))
  }
  return {
    ...env,
    disk: { openStore: (directory) => env.disk.openStore(directory), files: changed(files, { open }) },
  }
}

/** A hard state without the vote in it. */
function withoutVote(operation: StoreOperation): StoreOperation {
  if (operation.type !== 'put' || operation.key[0] !== keyKind.hardState) return operation
  const hardState = { ...decodeHardState(operation.value, operation.key), votedFor: undefined }
  return { ...operation, value: encodeHardState(hardState, operation.key) }
}

export const mutants: readonly Mutant[] = [
  {
    name: 'says synced without a sync of LevelDB',
    source: 'Jepsen, NATS 2.12.1',
    laws: ['acknowledged-not-durable', 'leader-without-votes'],
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
    laws: ['leader-without-votes'],
    dress: (_nodeId, env) =>
      withStore(env, (store) => ({
        batch: (operations, options) => store.batch(operations.map(withoutVote), options),
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
