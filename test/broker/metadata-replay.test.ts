import { describe, expect, it } from 'vitest'
import { MetadataReplay } from '../../src/broker/metadata-replay.ts'
import type { Replica } from '../../src/broker/replica.ts'

/** The metadata group's replica: how far it has folded, and where its log ends. */
function metadata(foldedIndex: number, lastIndex: number) {
  const state = { foldedIndex, lastIndex }
  const replica = {
    get foldedIndex() {
      return state.foldedIndex
    },
    status: () => ({ last: { index: state.lastIndex } }),
  }
  return { state, replica: replica as unknown as Replica }
}

describe('the replay of the metadata after a start', () => {
  it('is over when all is folded that the start found, and stays so', () => {
    const { state, replica } = metadata(3, 9)
    const replay = new MetadataReplay(9, () => replica)
    expect(replay.isOver).toBe(false)
    state.foldedIndex = 8
    expect(replay.isOver).toBe(false)
    state.foldedIndex = 9
    expect(replay.isOver).toBe(true)
    state.lastIndex = 20
    expect(replay.isOver).toBe(true)
  })

  it('is over at once on an empty disk', () => {
    expect(new MetadataReplay(0, () => metadata(0, 0).replica).isOver).toBe(true)
  })

  it('does not wait for entries that a new leader cut off', () => {
    const { state, replica } = metadata(3, 9)
    const replay = new MetadataReplay(9, () => replica)
    expect(replay.isOver).toBe(false)
    state.lastIndex = 6
    state.foldedIndex = 6
    expect(replay.isOver).toBe(true)
  })
})
