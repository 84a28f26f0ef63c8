import { fc, test } from '@fast-check/vitest'
import { describe, expect } from 'vitest'
import { checkConfiguration, nextConfiguration, votersChanged } from '../../src/raft/configuration-change.ts'
import {
  decodeChange,
  encodeChange,
  isJoint,
  lifeOf,
  sameConfiguration,
} from '../../src/raft/configuration.ts'
import { asNodeId, type Configuration, type MemberChange, type NodeId } from '../../src/raft/index.ts'

const ids = ['a', 'b', 'c', 'd', 'e', 'f'].map(asNodeId)
const someChanges: fc.Arbitrary<MemberChange[]> = fc.array(
  fc.record({
    type: fc.constantFrom('addVoter' as const, 'addLearner' as const, 'remove' as const),
    id: fc.constantFrom(...ids),
    life: fc.constantFrom(0, 0, 0, 5),
  }),
  { minLength: 1, maxLength: 5 },
)
const transitions = fc.constantFrom('auto' as const, 'joint' as const, 'jointExplicit' as const)
const start: Configuration = { voters: ids.slice(0, 3), votersOutgoing: [], learners: [] }

/** Each quorum, as the disks that are in it: a node under another life is another disk. */
function quorumsOf(configuration: Configuration): Set<string>[] {
  const halves = [configuration.voters, configuration.votersOutgoing].filter((half) => half.length > 0)
  const majorities = halves.map((half) => subsets(half).filter((subset) => subset.length * 2 > half.length))
  const disks = (members: readonly NodeId[]): string[] =>
    members.map((id) => `${id}@${lifeOf(configuration, id)}`)
  return majorities
    .reduce<NodeId[][]>((all, half) => all.flatMap((left) => half.map((right) => [...left, ...right])), [[]])
    .map((quorum) => new Set(disks(quorum)))
}

function subsets(members: readonly NodeId[]): NodeId[][] {
  return Array.from({ length: 1 << members.length }, (_, bits) =>
    members.filter((_id, at) => (bits >> at) & 1),
  )
}

/** Goes through changes one after the other; those that are refused change nothing. */
function walk(steps: readonly [MemberChange[], 'auto' | 'joint' | 'jointExplicit'][]): Configuration[] {
  const visited = [start]
  for (const [changes, transition] of steps) {
    const current = visited.at(-1)!
    const next = nextConfiguration(current, isJoint(current) ? { changes: [] } : { changes, transition })
    if (next.ok) visited.push(next.configuration)
  }
  return visited
}

describe('from one configuration to the next', () => {
  test.prop([fc.array(fc.tuple(someChanges, transitions), { maxLength: 6 })], { numRuns: 1000 })(
    'any quorum before and any quorum after have a disk in common',
    (steps) => {
      const visited = walk(steps)
      for (const [at, after] of visited.slice(1).entries()) {
        checkConfiguration(after)
        for (const left of quorumsOf(visited[at]!)) {
          for (const right of quorumsOf(after)) {
            const shared = [...left].some((disk) => right.has(disk))
            if (!shared) expect.fail(`${[...left].join(' ')} | ${[...right].join(' ')}`)
          }
        }
      }
    },
  )

  test.prop([fc.array(fc.tuple(someChanges, transitions), { maxLength: 4 })])(
    'each is in the log as it is, together with the one before',
    (steps) => {
      const visited = walk(steps)
      for (const [at, after] of visited.slice(1).entries()) {
        const { configuration, previous } = decodeChange(encodeChange(after, visited[at]!))
        expect(sameConfiguration(configuration, after)).toBe(true)
        expect(sameConfiguration(previous!, visited[at]!)).toBe(true)
      }
    },
  )

  test.prop([someChanges])('at once only where at most one voter comes or goes', (changes) => {
    const next = nextConfiguration(start, { changes })
    if (next.ok) expect(isJoint(next.configuration)).toBe(votersChanged(start, next.configuration) > 1)
  })
})
