import { describe, expect, it } from 'vitest'
import { fetchFor } from '../../src/broker/catch-up-reads.ts'
import type { Replica } from '../../src/broker/replica.ts'
import type { LogStorage } from '../../src/log/index.ts'
import { asLogIndex, asNodeId, type Input } from '../../src/raft/types.ts'
import { quietLogger } from './support/quiet-logger.ts'
import { GROUP } from './support/replica-bench.ts'

describe('entries for a follower that catches up', () => {
  it('are read for it alone, up to the end of the log', async () => {
    const steps: Input[] = []
    const reads: unknown[][] = []
    const replica = {
      groupId: GROUP,
      status: () => ({ last: { index: asLogIndex(9) } }),
      step: (input: Input) => steps.push(input),
    } as unknown as Replica
    const readEntries: LogStorage['readEntries'] = async (...range) => {
      reads.push(range)
      return []
    }
    const fetch = { to: asNodeId('n2'), from: asLogIndex(4), maxBytes: 1000 }
    fetchFor(replica, { readEntries }, quietLogger, fetch)
    await expect.poll(() => steps).toEqual([{ type: 'fetched', to: 'n2', from: 4, entries: [] }])
    expect(reads).toEqual([[GROUP, 4, 9, 1000, 'one']])
  })
})
