import type {
  Client,
  ConsumedBatch,
  ConsumeOptions,
  GroupConsumer,
  GroupConsumerEvents,
  GroupOffset,
} from '../../src/client/types.ts'
import { FlotillaError } from '../../src/wire/errors.ts'

const place = { topic: 'orders', partition: 0 }

/** Calls about groups: one group, `billing`, with a member that owns partition 0 of two. */
export function fakeGroupCalls(calls: string[]): Client['groups'] {
  const known = (name: string): void => {
    if (name !== 'billing') throw new FlotillaError('UNKNOWN_GROUP', `there is no group "${name}"`)
  }
  return {
    list: async () => [{ name: 'billing', memberCount: 1, topics: ['orders'], assignment: 'balanced' }],
    describe: async (name) => {
      known(name)
      const figures = { committedOffset: 5, lowOffset: 0, highWatermark: 1007, lag: 1002 }
      return {
        name,
        assignment: 'balanced',
        coordinatorNodeId: 'n1',
        members: [
          {
            memberId: 'm1',
            isStatic: true,
            topics: ['orders'],
            partitions: [],
            weight: 1,
            sessionTimeoutMs: 10_000,
            clientAddress: '10.0.0.1:5000',
          },
        ],
        partitions: [
          { ...place, state: 'active', owner: 'm1', ...figures, commitTime: new Date(Date.UTC(2026, 0, 1)) },
          {
            ...place,
            partition: 1,
            state: 'unreachable',
            owner: undefined,
            committedOffset: undefined,
            lowOffset: 0,
            highWatermark: 0,
            lag: 0,
            commitTime: undefined,
          },
        ],
      }
    },
    delete: async (name) => {
      known(name)
      calls.push(`delete group ${name}`)
    },
    reset: async (name, { signal: _signal, ...options }) => {
      known(name)
      calls.push(`reset group ${name} ${JSON.stringify(options)}`)
      return [
        { ...place, fromOffset: 5, toOffset: 0 },
        { ...place, partition: 1, fromOffset: undefined, toOffset: 0 },
      ]
    },
    fetchOffsets: async () => [],
  }
}

/** A member that is handed these batches, then waits for its signal. */
export function fakeConsumer(
  { signal, ...options }: ConsumeOptions,
  batches: readonly ConsumedBatch[],
  calls: string[],
): GroupConsumer {
  calls.push(`consume ${JSON.stringify(options)}`)
  const assigned: GroupConsumerEvents['assigned'][] = []
  const iterate = async function* (): AsyncGenerator<ConsumedBatch> {
    for (const tell of assigned)
      tell([{ topic: 'orders', partition: 0, epoch: 1, startOffset: 0, committedOffset: undefined }])
    yield* batches
    await new Promise<void>((resolve) => {
      if (signal?.aborted === true) resolve()
      signal?.addEventListener('abort', () => resolve())
    })
    throw new Error('aborted')
  }
  const close = async (): Promise<void> => void calls.push('close consumer')
  return {
    memberId: 'm1',
    batches: iterate,
    async *[Symbol.asyncIterator]() {
      for await (const batch of iterate()) yield* batch.records
    },
    commit: async (offsets?: readonly GroupOffset[]) => void calls.push(`commit ${JSON.stringify(offsets)}`),
    pause: () => undefined,
    resume: () => undefined,
    subscribe: () => Promise.resolve(),
    assignment: () => [],
    lag: () => [],
    caughtUp: () => Promise.resolve(),
    on: (name, listener) => {
      if (name === 'assigned') assigned.push(listener as GroupConsumerEvents['assigned'])
      return () => undefined
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
