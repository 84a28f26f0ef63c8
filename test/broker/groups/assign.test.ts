import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assign, type AssignableMember, type AssignablePartition } from '../../../src/broker/groups/assign.ts'
import { partitionKey, type Strategy } from '../../../src/broker/groups/types.ts'

const TOPICS = ['a', 'b', 'c']
const strategies: readonly Strategy[] = ['balanced', 'range', 'round-robin']

const member = (memberId: string, topics = TOPICS, weight = 1): AssignableMember => ({
  memberId,
  topics,
  partitions: [],
  weight,
})
const partitionsOf = (topic: string, count: number, owner?: string): AssignablePartition[] =>
  Array.from({ length: count }, (_, partition) => ({ topic, partition, owner }))

const members = fc
  .uniqueArray(fc.constantFrom('m1', 'm2', 'm3', 'm4', 'm5', 'm6'), { maxLength: 6 })
  .chain((ids) =>
    fc.tuple(...ids.map((id) => fc.subarray(TOPICS, { minLength: 1 }).map((topics) => member(id, topics)))),
  )
const partitions = fc
  .tuple(fc.nat({ max: 8 }), fc.nat({ max: 8 }), fc.nat({ max: 8 }))
  .map((counts) => counts.flatMap((count, at) => partitionsOf(TOPICS[at]!, count)))
/** Owners as any history may have left them: of members that are gone, or want the topic no longer, too. */
const owned = partitions.chain((all) =>
  fc
    .array(fc.constantFrom(undefined, 'm1', 'm2', 'm3', 'm4', 'm5', 'gone'), {
      minLength: all.length,
      maxLength: all.length,
    })
    .map((owners) => all.map((each, at) => ({ ...each, owner: owners[at] }))),
)

function countsOf(owners: readonly (string | undefined)[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const owner of owners) if (owner !== undefined) counts.set(owner, (counts.get(owner) ?? 0) + 1)
  return counts
}

function movesOf(all: readonly AssignablePartition[], owners: readonly (string | undefined)[]): number {
  return all.filter(({ owner }, at) => owner !== undefined && owner !== owners[at]).length
}

describe('sharing partitions among members', () => {
  it('without members gives nobody anything', () => {
    expect(assign([], partitionsOf('a', 2, 'gone'), 'balanced')).toEqual([undefined, undefined])
  })

  it.each(strategies)(
    '%s: every partition that somebody wants has an owner who wants it, and no other has one',
    (strategy) => {
      fc.assert(
        fc.property(members, owned, (some, all) => {
          assign(some, all, strategy).forEach((owner, at) => {
            const wanting = some
              .filter(({ topics }) => topics.includes(all[at]!.topic))
              .map(({ memberId }) => memberId)
            if (wanting.length === 0) expect(owner).toBeUndefined()
            else expect(wanting).toContain(owner)
          })
        }),
      )
    },
  )

  it.each(strategies)(
    '%s: the order in which members and partitions are named changes nothing',
    (strategy) => {
      fc.assert(
        fc.property(members, owned, fc.infiniteStream(fc.nat()), (some, all, stream) => {
          const rank = new Map([...some, ...all].map((each) => [each as unknown, stream.next().value]))
          const byRank = (a: unknown, b: unknown): number => rank.get(a)! - rank.get(b)!
          const shuffled = all.toSorted(byRank)
          const plain = new Map(all.map((each, at) => [partitionKey(each), assign(some, all, strategy)[at]]))
          const other = assign(some.toSorted(byRank), shuffled, strategy)
          shuffled.forEach((each, at) => expect(other[at]).toBe(plain.get(partitionKey(each))))
        }),
        { numRuns: 50 },
      )
    },
  )

  it.each(strategies)('%s: members that want the same differ by one partition at most', (strategy) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 7 }),
        fc.nat({ max: 30 }),
        fc.infiniteStream(fc.nat({ max: 8 })),
        (many, count, owners) => {
          const some = Array.from({ length: many }, (_, at) => member(`m${at}`, ['a']))
          const all = partitionsOf('a', count).map((each) => ({ ...each, owner: `m${owners.next().value}` }))
          const counts = countsOf(assign(some, all, strategy))
          const each = some.map(({ memberId }) => counts.get(memberId) ?? 0)
          expect(Math.max(...each) - Math.min(...each)).toBeLessThanOrEqual(1)
        },
      ),
    )
  })

  it('balanced: members that want the same move no more than the surplus of those that have too many', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.nat({ max: 24 }),
        fc.infiniteStream(fc.nat({ max: 8 })),
        (many, count, stream) => {
          const some = Array.from({ length: many }, (_, at) => member(`m${at}`, ['a']))
          const all = partitionsOf('a', count).map((each) => ({ ...each, owner: `m${stream.next().value}` }))
          const owners = assign(some, all, 'balanced')
          const held = countsOf(all.map(({ owner }) => owner))
          // The members that hold most keep one more where it doesn't come out even.
          const quotas = Array.from(
            { length: many },
            (_, at) => Math.floor(count / many) + (at < count % many ? 1 : 0),
          )
          const most = some.map(({ memberId }) => held.get(memberId) ?? 0).toSorted((a, b) => b - a)
          const kept = most.reduce((sum, has, at) => sum + Math.min(has, quotas[at]!), 0)
          expect(movesOf(all, owners)).toBe(count - kept)
        },
      ),
    )
  })

  it('balanced: no single move could make two members more even', () => {
    fc.assert(
      fc.property(members, owned, (some, all) => {
        const owners = assign(some, all, 'balanced')
        const counts = countsOf(owners)
        owners.forEach((owner, at) => {
          for (const other of some.filter(({ topics }) => topics.includes(all[at]!.topic))) {
            expect((counts.get(owner!) ?? 0) - (counts.get(other.memberId) ?? 0)).toBeLessThanOrEqual(1)
          }
        })
      }),
    )
  })

  it('balanced: what it has made it leaves as it is', () => {
    fc.assert(
      fc.property(members, owned, (some, all) => {
        const once = assign(some, all, 'balanced')
        const again = all.map((each, at) => ({ ...each, owner: once[at] }))
        expect(assign(some, again, 'balanced')).toEqual(once)
      }),
    )
  })

  it('balanced: who stays keeps all that it has when another one leaves', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 6 }), fc.nat({ max: 24 }), (many, count) => {
        const some = Array.from({ length: many }, (_, at) => member(`m${at}`, ['a']))
        const all = partitionsOf('a', count)
        const before = assign(some, all, 'balanced')
        const after = assign(
          some.slice(1),
          all.map((each, at) => ({ ...each, owner: before[at] })),
          'balanced',
        )
        before.forEach((owner, at) => {
          if (owner !== 'm0') expect(after[at]).toBe(owner)
        })
      }),
    )
  })

  it('balanced: moves along a chain of members where no direct move helps', () => {
    const some = [member('m1', ['a']), member('m2', ['a', 'b']), member('m3', ['b'])]
    const all = [...partitionsOf('a', 3, 'm1'), ...partitionsOf('b', 2, 'm2')]
    const counts = countsOf(assign(some, all, 'balanced'))
    expect([...counts.values()].toSorted((a, b) => a - b)).toEqual([1, 2, 2])
  })

  it('balanced: twice the weight, twice the partitions', () => {
    const some = [member('m1', ['a'], 2), member('m2', ['a']), member('m3', ['a'])]
    expect(countsOf(assign(some, partitionsOf('a', 8), 'balanced'))).toEqual(
      new Map([
        ['m1', 4],
        ['m2', 2],
        ['m3', 2],
      ]),
    )
  })

  it('range: gives neighbours to one member', () => {
    expect(assign([member('m2'), member('m1')], partitionsOf('a', 5), 'range')).toEqual([
      'm1',
      'm1',
      'm1',
      'm2',
      'm2',
    ])
  })

  it('round-robin: deals out one by one', () => {
    expect(assign([member('m2'), member('m1')], partitionsOf('a', 4), 'round-robin')).toEqual([
      'm1',
      'm2',
      'm1',
      'm2',
    ])
  })

  it('a member that names partitions has these alone, and others share the rest', () => {
    const named = { ...member('m1', []), partitions: [{ topic: 'a', partition: 1 }] }
    expect(assign([named, member('m2')], partitionsOf('a', 3, 'm2'), 'balanced')).toEqual(['m2', 'm1', 'm2'])
  })
})
