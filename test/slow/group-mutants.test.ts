import { describe, test } from 'vitest'
import type { Law } from '../../sim/checkers/violation.ts'
import { runSeed } from '../../sim/simulation.ts'
import { GroupCalls } from '../../src/broker/groups/group-calls.ts'
import { PartitionFeed } from '../../src/broker/groups/partition-feed.ts'
import { GroupsState } from '../../src/broker/groups/state.ts'
import { GroupTable } from '../../src/broker/partition/groups.ts'
import { PendingReplies } from '../../src/broker/replies.ts'

/** A fence or an order of steps that is left out, and the laws by which that may be noticed. */
interface Mutant {
  readonly name: string
  readonly laws: readonly Law[]
  /** Where the hunt begins, for one that shows in few runs: from seed 1 it would take as many more. Default 1. */
  readonly firstSeed?: number
  readonly break: () => () => void
}

function replaced<T extends object, K extends keyof T>(
  prototype: T,
  name: K,
  make: (real: T[K]) => T[K],
): () => () => void {
  return () => {
    const descriptor = Object.getOwnPropertyDescriptor(prototype, name)
    if (descriptor === undefined) throw new Error(`no ${String(name)} to replace`)
    Object.defineProperty(prototype, name, { ...descriptor, value: make(descriptor.value as T[K]) })
    return () => Object.defineProperty(prototype, name, descriptor)
  }
}

const mutants: readonly Mutant[] = [
  {
    name: 'lets anybody commit under any epoch',
    laws: ['group-old-commit', 'group-commit-lost', 'group-unhandled', 'node-gave-up'],
    break: replaced(
      GroupTable.prototype,
      'decide',
      (real) =>
        function (this: GroupTable, command, highWatermark, lowOffset) {
          const position = this.get(command.group)
          if (command.type !== 'commit' || position === undefined)
            return real.call(this, command, highWatermark, lowOffset)
          const { epoch, owner } = position
          return real.call(this, { ...command, epoch, owner }, highWatermark, lowOffset)
        },
    ),
  },
  {
    name: 'fences the owner before only when the new one commits',
    laws: ['group-old-commit', 'group-unhandled', 'group-repeated', 'group-commit-lost'],
    firstSeed: 90,
    break: () => {
      const owed = new Map<string, Parameters<GroupCalls['ask']>[0]>()
      return replaced(
        GroupCalls.prototype,
        'ask',
        (real) =>
          async function (this: GroupCalls, request, deadlineMs, signal) {
            const { topic, partition, ask } = request
            if (ask.type !== 'take' && ask.type !== 'commit')
              return real.call(this, request, deadlineMs, signal)
            const key = `${topic}/${partition}@${ask.epoch}`
            if (ask.type === 'take') {
              owed.set(key, request)
              const fetch = { type: 'fetch', group: ask.group } as const
              return real.call(this, { topic, partition, ask: fetch }, deadlineMs, signal)
            }
            const take = owed.get(key)
            owed.delete(key)
            if (take !== undefined) await real.call(this, take, deadlineMs, signal)
            return real.call(this, request, deadlineMs, signal)
          },
      )()
    },
  },
  {
    name: 'answers a commit before it is on any disk',
    laws: ['group-old-commit', 'group-commit-lost'],
    firstSeed: 240,
    break: replaced(
      PendingReplies.prototype,
      'add',
      (real) =>
        function (this: PendingReplies<unknown>, index, term, replies) {
          const isOfGroups = ({ result }: (typeof replies)[number]): boolean =>
            typeof result === 'object' && result !== null && 'position' in result
          for (const each of replies) if (isOfGroups(each)) each.reply.done(each.result)
          real.call(
            this,
            index,
            term,
            replies.filter((each) => !isOfGroups(each)),
          )
        },
    ),
  },
  {
    name: 'gives a partition to two members under one epoch',
    laws: ['group-two-owners', 'node-gave-up', 'group-old-commit'],
    break: replaced(
      GroupsState.prototype,
      'changed',
      (real) =>
        function (this: GroupsState, name, epoch, change) {
          const assignments = change.assignments?.map((each) => {
            const before = this.get(name)?.assignments.get(`${each.topic}/${each.partition}`)
            return before === undefined ? each : { ...each, epoch: before.epoch }
          })
          real.call(this, name, epoch, assignments === undefined ? change : { ...change, assignments })
        },
    ),
  },
  {
    name: 'begins behind what is committed',
    laws: ['group-unhandled', 'reader-gap'],
    break: replaced(
      PartitionFeed.prototype,
      'begin',
      (real) =>
        function (this: PartitionFeed, offset, highWatermark) {
          real.call(this, Math.min(offset + 1, highWatermark), highWatermark)
        },
    ),
  },
]

const MOST_SEEDS = 200

describe('the simulation of consumer groups notices a broker that', () => {
  test.each(mutants)('$name', { timeout: 300_000 }, async (mutant) => {
    const mend = mutant.break()
    try {
      const { firstSeed = 1 } = mutant
      for (let seed = firstSeed; seed < firstSeed + MOST_SEEDS; seed++) {
        const { violation } = await runSeed(seed, { nodes: 3, members: 4, durationMs: 8000 })
        // Only the mutant's own laws say that it was noticed; whatever else a run breaks isn't its doing.
        if (violation !== undefined && mutant.laws.includes(violation.law)) return
      }
      throw new Error(`not noticed in ${MOST_SEEDS} seeds`)
    } finally {
      mend()
    }
  })
})
