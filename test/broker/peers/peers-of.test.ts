import { describe, expect, it } from 'vitest'
import type { MetadataState } from '../../../src/broker/metadata/state.ts'
import { hasLeft } from '../../../src/broker/peers/peers-of.ts'
import { asNodeId } from '../../../src/raft/types.ts'
import type { Configuration } from '../../../src/raft/types.ts'

const [n1, n2, n3] = ['n1', 'n2', 'n3'].map(asNodeId) as [
  ReturnType<typeof asNodeId>,
  ReturnType<typeof asNodeId>,
  ReturnType<typeof asNodeId>,
]

/** The metadata group as a node sees it that knows n3 as removed. */
function metadataWith(configuration: Partial<Configuration>) {
  const state = { isRemoved: (nodeId: string) => nodeId === n3 } as MetadataState
  const whole = { voters: [n1, n2], votersOutgoing: [], learners: [], ...configuration }
  return { machine: { state }, replica: { status: () => ({ configuration: whole }) } }
}

describe('a node that was removed', () => {
  it('is not told to end while the metadata group may need its vote (seed 900586)', () => {
    expect(hasLeft(metadataWith({ voters: [n1, n3] }), n3, 0)).toBe(false)
    expect(hasLeft(metadataWith({ votersOutgoing: [n1, n3] }), n3, 0)).toBe(false)
  })

  it('is told so once the group goes on without it', () => {
    expect(hasLeft(metadataWith({}), n3, 0)).toBe(true)
  })

  it('is another one than those that are in', () => {
    expect(hasLeft(metadataWith({}), n2, 0)).toBe(false)
  })
})
