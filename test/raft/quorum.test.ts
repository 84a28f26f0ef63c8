import { fc, test } from '@fast-check/vitest'
import { describe, expect } from 'vitest'
import { hasQuorum, quorumIndex, voteResult } from '../../src/raft/quorum.ts'
import { asNodeId, type Configuration, type NodeId } from '../../src/raft/index.ts'

const CASES = 50_000

/** The second opinion: tries every subset of the voters instead of counting or sorting. */
function quorumsOf(voters: readonly NodeId[]): NodeId[][] {
  const quorums: NodeId[][] = []
  for (let bits = 0; bits < 1 << voters.length; bits += 1) {
    const subset = voters.filter((_, at) => (bits >> at) & 1)
    if (subset.length * 2 > voters.length) quorums.push(subset)
  }
  return quorums
}

const halvesOf = ({ voters, votersOutgoing }: Configuration): (readonly NodeId[])[] =>
  votersOutgoing.length === 0 ? [voters] : [voters, votersOutgoing]

const naiveIndex = (configuration: Configuration, matchOf: (id: NodeId) => number): number =>
  Math.min(
    ...halvesOf(configuration).map((half) =>
      Math.max(0, ...quorumsOf(half).map((quorum) => Math.min(...quorum.map(matchOf)))),
    ),
  )

const naiveHas = (configuration: Configuration, agrees: (id: NodeId) => boolean): boolean =>
  halvesOf(configuration).every((half) => quorumsOf(half).some((quorum) => quorum.every(agrees)))

const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map(asNodeId)
const someIds = (minLength: number) => fc.subarray(ids, { minLength, maxLength: 5 })
const configurations: fc.Arbitrary<Configuration> = fc.record({
  voters: someIds(1),
  votersOutgoing: fc.oneof(fc.constant<NodeId[]>([]), someIds(1)),
  learners: fc.constant<NodeId[]>([]),
})
const matches = fc.array(fc.nat(9), { minLength: ids.length, maxLength: ids.length })
const votes = fc.array(fc.constantFrom(true, false, undefined), {
  minLength: ids.length,
  maxLength: ids.length,
})

describe('quorums', () => {
  test('nobody decides for nobody', () => {
    const empty = { voters: [], votersOutgoing: [], learners: [asNodeId('a')] }
    expect(hasQuorum(empty, () => true)).toBe(false)
    expect(quorumIndex(empty, () => 9)).toBe(0)
  })

  test('a learner holds entries and votes, and neither counts', () => {
    const group = { voters: ids.slice(0, 2), votersOutgoing: [], learners: [asNodeId('c')] }
    expect(quorumIndex(group, (id) => (id === 'b' ? 3 : 9))).toBe(3)
    expect(
      voteResult(
        group,
        new Map(
          [
            ['a', true],
            ['c', true],
          ].map(([id, vote]) => [asNodeId(String(id)), vote === true]),
        ),
      ),
    ).toBe('pending')
  })

  test('a joint configuration needs both halves', () => {
    const joint = { voters: ids.slice(0, 3), votersOutgoing: ids.slice(3, 6), learners: [] }
    expect(quorumIndex(joint, (id) => (id < 'd' ? 9 : 2))).toBe(2)
    expect(hasQuorum(joint, (id) => id < 'd')).toBe(false)
    expect(hasQuorum(joint, (id) => id < 'c' || id > 'd')).toBe(true)
  })

  test.prop([configurations, matches], { numRuns: CASES })(
    'the commit index is what the naive search over all quorums finds',
    (configuration, all) => {
      const matchOf = (id: NodeId): number => all[ids.indexOf(id)]!
      expect(quorumIndex(configuration, matchOf)).toBe(naiveIndex(configuration, matchOf))
    },
  )

  test.prop([configurations, votes], { numRuns: CASES })(
    'a vote is won, lost or open as the naive search says',
    (configuration, all) => {
      const cast = new Map<NodeId, boolean>()
      for (const [at, vote] of all.entries()) if (vote !== undefined) cast.set(ids[at]!, vote)
      const won = naiveHas(configuration, (id) => cast.get(id) === true)
      const possible = naiveHas(configuration, (id) => cast.get(id) !== false)
      expect(voteResult(configuration, cast)).toBe(won ? 'won' : possible ? 'pending' : 'lost')
    },
  )
})
