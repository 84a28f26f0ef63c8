import { expect, test } from 'vitest'
import { NewPartitions, type NewPartition } from '../../src/broker/new-partitions.ts'
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

const partition = (topic: string, groupId: number): NewPartition => ({
  topic,
  place: { partition: 0, groupId, replicas: ['n1', 'n2', 'n3'], hashFirst: 0, hashLast: 0xffff_ffff },
})

test('a partition that was deleted long ago is not hosted anew while a node reads its log again', () => {
  const { state, replica } = metadata(3, 9)
  const partitions = new NewPartitions(9, () => replica)
  expect(partitions.mustWait).toBe(true)
  partitions.add(partition('deleted', 4))
  partitions.add(partition('there', 5))
  state.foldedIndex = 8
  expect(partitions.take()).toEqual([])
  partitions.forgetTopic('deleted')
  state.foldedIndex = 9
  expect(partitions.take()).toEqual([partition('there', 5)])
  expect(partitions.take()).toEqual([])
  expect(partitions.mustWait).toBe(false)
})

test('on an empty disk nothing waits', () => {
  expect(new NewPartitions(0, () => metadata(0, 0).replica).mustWait).toBe(false)
})

test('entries that a new leader cut off are not waited for', () => {
  const { state, replica } = metadata(3, 9)
  const partitions = new NewPartitions(9, () => replica)
  expect(partitions.mustWait).toBe(true)
  state.lastIndex = 6
  state.foldedIndex = 6
  expect(partitions.mustWait).toBe(false)
})
