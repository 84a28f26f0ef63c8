import type { TopicPartition } from '../../wire/index.ts'
import { partitionKey, type Strategy, type Subscription } from './types.ts'

export interface AssignableMember extends Subscription {
  readonly memberId: string
  readonly weight: number
}

export interface AssignablePartition extends TopicPartition {
  /** Who has it now and could keep it; undefined: nobody. */
  readonly owner: string | undefined
}

/**
 * Shares partitions among members: pure, the same for the same input in any order. The result names an owner for each of
 * `partitions` in their order; undefined where no member wants it. Every partition has at most one owner, and one if
 * anybody wants it.
 *
 * - A member that names partitions gets these and no others; nobody else gets them.
 * - `balanced`: who has a partition keeps it unless that makes the loads uneven. No move of partitions along members that
 *   want them could even them out more: with equal wishes and weights the counts differ by one at most. Loads are counts over
 *   weights.
 * - `range`: per topic, members in the order of their ids get runs of neighbouring partitions.
 * - `round-robin`: partitions are dealt out in order, members in the order of their ids.
 */
export function assign(
  members: readonly AssignableMember[],
  partitions: readonly AssignablePartition[],
  strategy: Strategy,
): (string | undefined)[] {
  const sorted = members.toSorted((a, b) => compare(a.memberId, b.memberId))
  const claims = new Map<string, string>()
  for (const { memberId, partitions: named } of sorted) {
    for (const each of named) claims.set(partitionKey(each), memberId)
  }
  const sharers = sorted.filter(({ partitions: named }) => named.length === 0)
  const order = partitions
    .map((partition, at) => ({ ...partition, at }))
    .toSorted((a, b) => compare(a.topic, b.topic) || a.partition - b.partition)
  const owners: (string | undefined)[] = partitions.map((each) => claims.get(partitionKey(each)))
  const shared = order.filter((each) => !claims.has(partitionKey(each)))
  const dealt = share(sharers, shared, strategy)
  shared.forEach(({ at }, nth) => (owners[at] = dealt[nth]))
  return owners
}

function share(
  members: readonly AssignableMember[],
  partitions: readonly AssignablePartition[],
  strategy: Strategy,
): (string | undefined)[] {
  switch (strategy) {
    case 'balanced':
      return new Balance(members, partitions).owners()
    case 'range':
      return inRanges(members, partitions)
    case 'round-robin':
      return inTurns(members, partitions)
  }
}

function inRanges(
  members: readonly AssignableMember[],
  partitions: readonly AssignablePartition[],
): (string | undefined)[] {
  const inTopic = new Map<string, number>()
  for (const { topic } of partitions) inTopic.set(topic, (inTopic.get(topic) ?? 0) + 1)
  const passed = new Map<string, number>()
  return partitions.map(({ topic }) => {
    const wanting = members.filter(({ topics }) => topics.includes(topic))
    const nth = passed.get(topic) ?? 0
    passed.set(topic, nth + 1)
    // Run i begins at ceil(i * count / members): lengths differ by one at most.
    return wanting[Math.floor((nth * wanting.length) / (inTopic.get(topic) ?? 1))]?.memberId
  })
}

function inTurns(
  members: readonly AssignableMember[],
  partitions: readonly AssignablePartition[],
): (string | undefined)[] {
  let turn = 0
  return partitions.map(({ topic }) => {
    for (let tried = 0; tried < members.length; tried++) {
      const member = members[(turn + tried) % members.length]
      if (member === undefined || !member.topics.includes(topic)) continue
      turn = (turn + tried + 1) % members.length
      return member.memberId
    }
    return undefined
  })
}

interface Sharer {
  readonly memberId: string
  readonly topics: ReadonlySet<string>
  readonly weight: number
  /** Indexes of the partitions that it holds. */
  readonly held: Set<number>
}

/** Keeps what can be kept, deals out the rest to the least loaded, then evens out along shortest chains of members. */
class Balance {
  readonly #sharers: readonly Sharer[]
  readonly #partitions: readonly AssignablePartition[]

  constructor(members: readonly AssignableMember[], partitions: readonly AssignablePartition[]) {
    this.#partitions = partitions
    this.#sharers = members.map(({ memberId, topics, weight }) => ({
      memberId,
      topics: new Set(topics),
      weight,
      held: new Set<number>(),
    }))
  }

  owners(): (string | undefined)[] {
    const byId = new Map(this.#sharers.map((sharer) => [sharer.memberId, sharer]))
    const free: number[] = []
    this.#partitions.forEach(({ topic, owner }, at) => {
      const keeper = owner === undefined ? undefined : byId.get(owner)
      if (keeper?.topics.has(topic) === true) keeper.held.add(at)
      else free.push(at)
    })
    for (const at of free) this.#leastLoaded(this.#partitions[at]!.topic)?.held.add(at)
    while (this.#evenOut());
    const owners: (string | undefined)[] = this.#partitions.map(() => undefined)
    for (const { memberId, held } of this.#sharers) for (const at of held) owners[at] = memberId
    return owners
  }

  #leastLoaded(topic: string): Sharer | undefined {
    let least: Sharer | undefined
    for (const sharer of this.#sharers) {
      if (
        sharer.topics.has(topic) &&
        (least === undefined || loadWithOneMore(sharer) < loadWithOneMore(least))
      )
        least = sharer
    }
    return least
  }

  /** One move, perhaps along a chain, from a member to one that would still be less loaded. False: there is none. */
  #evenOut(): boolean {
    const fromHeaviest = this.#sharers.toSorted((a, b) => load(b) - load(a))
    for (const heavy of fromHeaviest) {
      if (heavy.held.size === 0) continue
      const chain = this.#chainToLightest(heavy)
      if (chain === undefined) continue
      for (let at = chain.length - 1; at > 0; at--) this.#moveOne(chain[at - 1]!, chain[at]!)
      return true
    }
    return false
  }

  /** Breadth first, so that as few partitions as possible move. */
  #chainToLightest(heavy: Sharer): Sharer[] | undefined {
    const cameFrom = new Map<Sharer, Sharer | undefined>([[heavy, undefined]])
    const queue = [heavy]
    let lightest: Sharer | undefined
    for (const sharer of queue) {
      const topics = new Set([...sharer.held].map((at) => this.#partitions[at]!.topic))
      for (const next of this.#sharers) {
        if (cameFrom.has(next) || ![...topics].some((topic) => next.topics.has(topic))) continue
        cameFrom.set(next, sharer)
        queue.push(next)
        if (loadWithOneMore(next) >= load(heavy)) continue
        if (lightest === undefined || loadWithOneMore(next) < loadWithOneMore(lightest)) lightest = next
      }
    }
    if (lightest === undefined) return undefined
    const chain: Sharer[] = []
    for (let each: Sharer | undefined = lightest; each !== undefined; each = cameFrom.get(each))
      chain.unshift(each)
    return chain
  }

  /** Rather one that `from` didn't have before, and best one that `to` had. */
  #moveOne(from: Sharer, to: Sharer): void {
    let best: number | undefined
    let bestRank = -1
    for (const at of from.held) {
      const { topic, owner } = this.#partitions[at]!
      if (!to.topics.has(topic)) continue
      const rank = owner === to.memberId ? 2 : owner === from.memberId ? 0 : 1
      // The last of equals: neighbours at the beginning stay together.
      if (rank < bestRank || (rank === bestRank && best !== undefined && best > at)) continue
      best = at
      bestRank = rank
    }
    if (best === undefined) return
    from.held.delete(best)
    to.held.add(best)
  }
}

function load({ held, weight }: Sharer): number {
  return held.size / weight
}

function loadWithOneMore({ held, weight }: Sharer): number {
  return (held.size + 1) / weight
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
