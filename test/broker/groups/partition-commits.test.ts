import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { joinCommits, PartitionCommits } from '../../../src/broker/groups/partition-commits.ts'
import { GroupTable } from '../../../src/broker/partition/groups.ts'
import { FlotillaError } from '../../../src/wire/index.ts'
import { settle } from '../../support/manual-clock.ts'

const end = 20

/** A partition's leader: refuses what is beyond the end or goes back, and counts what it is asked. */
class Leader {
  readonly #table = new GroupTable()
  readonly asked: number[] = []
  /** In order; a test answers them. */
  #held: (() => void)[] = []
  fails: FlotillaError | undefined

  constructor() {
    this.#do({ type: 'take', group: 'g', epoch: 1, owner: 'anna', sinceEpoch: 1, reset: undefined })
  }

  get committed(): number | undefined {
    return this.#table.get('g')?.committedOffset
  }

  ask(offset: number): Promise<number> {
    this.asked.push(offset)
    return new Promise((resolve, reject) => {
      this.#held.push(() => {
        try {
          if (this.fails !== undefined) throw this.fails
          this.commit(offset)
          resolve(this.committed!)
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)))
        }
      })
    })
  }

  commit(offset: number): void {
    this.#do({ type: 'commit', group: 'g', epoch: 1, owner: 'anna', offset })
  }

  #do(command: Parameters<GroupTable['decide']>[0]): void {
    const decision = this.#table.decide(command, end, 0)
    if (decision.type === 'refused') throw decision.error
    if (decision.type === 'mark') this.#table.fold(decision.mark, 1)
  }

  /** Answers what it was asked so far. */
  async answer(): Promise<void> {
    const held = this.#held
    this.#held = []
    for (const each of held) each()
    await settle()
  }

  async answerAll(): Promise<void> {
    while (this.#held.length > 0) await this.answer()
  }
}

/** A member's commits, and what came of each: what is committed, or why it was refused. */
class Committing {
  readonly leader = new Leader()
  readonly commits = new PartitionCommits((offset) => this.leader.ask(offset))
  readonly outcomes: (number | string | undefined)[] = []
  readonly errors: (FlotillaError | undefined)[] = []

  commit(...offsets: readonly number[]): void {
    for (const offset of offsets) {
      const place = this.outcomes.push(undefined) - 1
      this.commits.commit(offset).then(
        (committed) => (this.outcomes[place] = committed),
        (error: FlotillaError) => {
          this.outcomes[place] = error.reason
          this.errors[place] = error
        },
      )
    }
  }
}

describe('the commits of a member in a partition', () => {
  it('that come while one is under way go together as the next', async () => {
    const some = new Committing()
    some.commit(1, 2, 3, 3, 4)
    expect(some.leader.asked).toEqual([1])
    await some.leader.answer()
    expect(some.leader.asked).toEqual([1, 4])
    expect(some.outcomes).toEqual([1, undefined, undefined, undefined, undefined])
    await some.leader.answer()
    expect(some.outcomes).toEqual([1, 4, 4, 4, 4])
    await some.commits.settled()
  })

  it('that would go back are refused by the leader, and no others with them', async () => {
    const some = new Committing()
    some.commit(2, 6, 5, 7, 1)
    await some.leader.answerAll()
    expect(some.outcomes).toEqual([2, 7, 'COMMIT_BACKWARDS', 7, 'COMMIT_BACKWARDS'])
    expect(some.leader.committed).toBe(7)
  })

  it('that go back behind what was committed before the member came are refused, too', async () => {
    const some = new Committing()
    some.leader.commit(9)
    some.commits.knows(9)
    some.commit(9, 8, 10)
    await some.leader.answerAll()
    expect(some.outcomes).toEqual([9, 'COMMIT_BACKWARDS', 10])
  })

  it('beyond the end fail alone, each with its own error', async () => {
    const some = new Committing()
    some.commit(1, 4, 99, 5, 100, -1)
    await some.leader.answerAll()
    const beyond = 'OFFSET_OUT_OF_RANGE'
    expect(some.outcomes).toEqual([1, 5, beyond, 5, beyond, beyond])
    expect(some.errors[2]?.message).toContain('offset 99')
    expect(some.errors[4]?.message).toContain('offset 100')
    expect(some.errors[5]?.message).toContain('offset -1')
  })

  it('all hear of a failure of the one that they were joined in', async () => {
    const some = new Committing()
    some.commit(1, 2, 3)
    await some.leader.answer()
    some.leader.fails = new FlotillaError('STALE_GROUP_EPOCH', 'somebody else has it')
    await some.leader.answer()
    expect(some.outcomes).toEqual([1, 'STALE_GROUP_EPOCH', 'STALE_GROUP_EPOCH'])
  })

  it('come out as if each had been asked for by itself, with no more asked of the leader', async () => {
    const turns = fc.array(fc.array(fc.integer({ min: -1, max: end + 3 }), { maxLength: 8 }), {
      maxLength: 8,
    })
    await fc.assert(
      fc.asyncProperty(turns, async (arriving) => {
        const joined = new Committing()
        for (const offsets of arriving) {
          joined.commit(...offsets)
          await joined.leader.answer()
        }
        await joined.leader.answerAll()

        const alone = new Leader()
        const offsets = arriving.flat()
        const refusals = offsets.map((offset) => {
          try {
            alone.commit(offset)
            return undefined
          } catch (error) {
            return (error as FlotillaError).reason
          }
        })
        const outcomes = joined.outcomes.map((each) => (typeof each === 'number' ? undefined : each))
        expect(outcomes).toEqual(refusals)
        expect(joined.leader.committed).toBe(alone.committed)
        expect(joined.leader.asked.length).toBeLessThanOrEqual(offsets.length)
        for (const [place, outcome] of joined.outcomes.entries()) {
          // Whoever is told of a commit was told of one that has its records.
          if (typeof outcome === 'number') expect(outcome).toBeGreaterThanOrEqual(offsets[place]!)
        }
      }),
    )
  })
})

describe('a joined commit', () => {
  it('is of the highest offset, for those that lead up to it', () => {
    expect(joinCommits([3, 5, 4, 5, 8, 7], undefined)).toEqual({ offset: 8, places: [0, 1, 3, 4] })
    expect(joinCommits([3, 5], 4)).toEqual({ offset: 5, places: [1] })
    expect(joinCommits([3, 2], 4)).toEqual({ offset: 3, places: [0] })
  })
})
