import { beforeEach, describe, expect, it } from 'vitest'
import type { Effect } from '../../../src/client/consumer/effect.ts'
import type { Taken } from '../../../src/client/consumer/holdings.ts'
import { GroupMember } from '../../../src/client/consumer/member.ts'
import { memberOptionsOf } from '../../../src/client/consumer/options.ts'
import type { ConsumeOptions } from '../../../src/client/types.ts'
import {
  embeddedError,
  FlotillaError,
  type ConsumeRequest,
  type ConsumeResponse,
  type ErrorReason,
} from '../../../src/wire/index.ts'
import { recordSetOf } from '../fixture.ts'

let nowMs: number
let member: GroupMember
/** What the member wanted done since it was looked at last. */
let effects: Effect[]

function begin(options: Partial<ConsumeOptions> = {}): void {
  const all = { group: 'g', topics: ['t'], sessionTimeoutMs: 3000, ...options }
  member = new GroupMember({
    options: memberOptionsOf(all),
    patienceMs: 30_000,
    backoffMs: (attempt, askedMs) => Math.max(attempt * 10, askedMs ?? 0),
  })
  member.begin(nowMs)
  pass(0)
}

/** Lets time pass as a timer would, tick by tick. */
function pass(ms: number): void {
  const endMs = nowMs + ms
  do {
    nowMs = Math.min(endMs, Math.max(nowMs, member.wakeMs))
    member.tick(nowMs)
    drain()
  } while (nowMs < endMs || member.wakeMs <= nowMs)
}

function drain(): void {
  effects.push(...member.drain(nowMs))
}

function hear(...responses: ConsumeResponse[]): void {
  for (const response of responses) member.received(response, nowMs)
  drain()
}

function lose(error?: FlotillaError): void {
  member.closed(error ?? new FlotillaError('UNREACHABLE', 'the node is gone'), nowMs)
  drain()
}

/** Takes what there was, told in short. */
function look(): unknown[] {
  const seen = effects.map((effect) => {
    switch (effect.type) {
      case 'send':
      case 'beat':
        return short(effect.message)
      case 'assigned':
      case 'stuck':
        return `${effect.type} ${namesOf(effect.partitions)}`
      case 'lost':
        return `lost ${namesOf(effect.partitions)} ${(effect.error as FlotillaError).reason}`
      case 'revoked':
        return `revoked ${namesOf(effect.held)}`
      case 'over':
        return effect.error === undefined ? 'over' : `failed ${(effect.error as FlotillaError).reason}`
      case 'open':
      case 'cut':
      case 'half-close':
        return effect.type
    }
  })
  effects = []
  return seen
}

const namesOf = (partitions: readonly { readonly partition: number }[]): string =>
  partitions.map(({ partition }) => partition).join(',')

function short(message: ConsumeRequest): string {
  const { start, credit, commit, release, subscribe, pause, resume, leave } = message
  if (start !== undefined) return `start ${start.memberId ?? 'anew'} ${start.incarnation ?? ''}`.trim()
  if (credit !== undefined) return `credit ${credit.records}`
  if (commit !== undefined) {
    const positions = commit.positions.map(
      ({ partition, offset, epoch }) => `${partition}@${offset}e${epoch}`,
    )
    return `commit ${positions.join(' ')}`.trim()
  }
  if (release !== undefined) return `release ${namesOf(release.partitions)}`
  if (subscribe !== undefined) return `subscribe ${subscribe.topics?.join(',')}`
  if (pause !== undefined) return `pause ${namesOf(pause.partitions)}`
  if (resume !== undefined) return `resume ${namesOf(resume.partitions)}`
  return leave === undefined ? 'heartbeat' : 'leave'
}

const joined = (incarnation = 7, memberId = 'm1'): ConsumeResponse => ({
  joined: { memberId, incarnation, sessionTimeout: { seconds: 3, nanos: 0 } },
})
const assigned = (partition: number, epoch = 1, startOffset = 0): ConsumeResponse => ({
  assigned: { partitions: [{ topic: 't', partition, epoch, startOffset, highWatermark: 100 }] },
})
const records = (partition: number, baseOffset: number, count: number, epoch = 1): ConsumeResponse => {
  const values = Array.from({ length: count }, (_, at) => `${partition}/${baseOffset + at}`)
  const batch = { baseOffset, recordCount: count, appendTimeMs: 0, records: [recordSetOf(...values)] }
  const nextOffset = baseOffset + count
  return { records: { topic: 't', partition, epoch, batches: [batch], nextOffset, highWatermark: 100 } }
}
const revoked = (partition: number): ConsumeResponse => ({
  revoked: { partitions: [{ topic: 't', partition }], timeout: { seconds: 30, nanos: 0 } },
})
const lost = (partition: number): ConsumeResponse => ({
  lost: { partitions: [{ topic: 't', partition }], error: embeddedError(failure('STALE_GROUP_EPOCH')) },
})
const failure = (reason: ErrorReason): FlotillaError => new FlotillaError(reason, 'because')
const t = (partition: number) => ({ topic: 't', partition })

/** Answers the newest commit: with what it asked for, or with this error. */
let answeredCommits = 0
function answerCommit(error?: FlotillaError): void {
  const commits = effects.flatMap((effect) =>
    effect.type === 'send' && effect.message.commit !== undefined ? [effect.message.commit] : [],
  )
  const { correlationId, positions } = commits.at(-1)!
  answeredCommits = correlationId
  const results = positions.map(({ topic, partition, offset }) => ({
    topic,
    partition,
    ...(error === undefined ? { committedOffset: offset } : { error: embeddedError(error) }),
  }))
  hear({ committed: { correlationId, results } })
}

/** The loop takes what there is next, and is handed all of it. */
function take(): Taken {
  const taken = member.take(nowMs)!
  member.handOut(taken, taken.endOffset, nowMs)
  drain()
  return taken
}
function finish(taken: Taken): void {
  member.comePast(taken, taken.endOffset)
  member.done(nowMs)
  drain()
}

beforeEach(() => {
  nowMs = 1000
  effects = []
})

describe('a member whose node is lost', () => {
  it('goes on at the next with its id and incarnation, and is not told what it has already', () => {
    begin()
    expect(look()).toEqual(['open', 'start anew'])
    hear(joined(), assigned(0), records(0, 0, 5), records(0, 5, 5))
    expect(look()).toEqual(['assigned 0'])
    finish(take())
    const second = take()
    lose()
    pass(10)
    expect(look()).toEqual(['open', 'start m1 7'])
    // The last commit was before all of this, so the node sends it again.
    hear(joined(), assigned(0, 1, 0), records(0, 0, 5), records(0, 5, 7))
    finish(second)
    expect(look().filter((each) => each === 'assigned 0')).toEqual([])
    expect(take()).toMatchObject({ endOffset: 12, raws: [{ from: 10, to: 12 }] })
  })
  it('drops what waits, as it will be sent again', () => {
    begin()
    hear(joined(), assigned(0), records(0, 0, 5))
    lose()
    expect(member.take(nowMs)).toBeUndefined()
  })
  it('waits longer from try to try, and as long as the node asks', () => {
    begin()
    look()
    lose()
    pass(9)
    expect(look()).toEqual([])
    pass(1)
    expect(look()).toEqual(['open', 'start anew'])
    lose(new FlotillaError('THROTTLED', 'busy', { retryDelayMs: 500 }))
    pass(499)
    expect(look()).toEqual([])
    pass(1)
    expect(look()).toEqual(['open', 'start anew'])
  })
  it('asks again for commits that had no answer, once the partition is confirmed', () => {
    begin()
    hear(joined(), assigned(0), records(0, 0, 5))
    take()
    const outcomes: unknown[] = []
    member.commit(undefined, nowMs + 30_000, (error) => outcomes.push(error ?? 'committed'))
    drain()
    expect(look()).toContain('commit 0@5e1')
    lose()
    pass(10)
    hear(joined())
    expect(look()).toEqual(['open', 'start m1 7'])
    hear(assigned(0))
    answerCommit()
    expect(look()).toContain('commit 0@5e1')
    expect(outcomes).toEqual(['committed'])
  })
  it('loses what the next node does not give it within the lease', () => {
    begin()
    hear(joined(), assigned(0), assigned(1))
    lose()
    pass(10)
    hear(joined(), assigned(1))
    look()
    for (let third = 0; third < 3; third++) {
      pass(1000)
      hear({ position: { topic: 't', partition: 1, nextOffset: 0, highWatermark: 100 } })
    }
    expect(look()).toContain('lost 0 STALE_GROUP_EPOCH')
    expect(member.holdings.given.map(({ partition }) => partition)).toEqual([1])
  })
  it('fails when no node was heard for longer than its patience', () => {
    begin()
    for (let round = 0; round < 40 && !member.isOver; round++) {
      pass(1000)
      lose()
    }
    expect(look().at(-1)).toBe('failed UNREACHABLE')
    expect(nowMs).toBeGreaterThan(31_000)
  })
  it('leaves a node that answers nothing while its connection stands', () => {
    begin()
    hear(joined(), assigned(0))
    look()
    pass(1000)
    expect(look()).toContain('commit')
    pass(1000)
    expect(look()).toContain('cut')
    pass(20)
    expect(look()).toEqual(['open', 'start m1 7'])
  })
  it('leaves a node that does not take it in', () => {
    begin()
    look()
    pass(9999)
    expect(look()).toEqual([])
    pass(11)
    expect(look()).toEqual(['cut', 'open', 'start anew'])
  })
})

describe('a member that the group has given up', () => {
  it('loses all and joins as a new one where its lease has ended', () => {
    begin()
    hear(joined(), assigned(0), records(0, 0, 5))
    look()
    lose(failure('UNKNOWN_MEMBER'))
    expect(look()).toEqual(['lost 0 UNKNOWN_MEMBER'])
    pass(10)
    expect(look()).toEqual(['open', 'start anew'])
    hear(joined(9, 'm2'), assigned(0, 2))
    expect(look()).toEqual(['assigned 0'])
  })
  it('loses all where it came back as somebody else', () => {
    begin({ memberId: 'fixed' })
    hear(joined(7, 'fixed'), assigned(0))
    lose()
    pass(10)
    hear(joined(8, 'fixed'))
    expect(look()).toContain('lost 0 UNKNOWN_MEMBER')
  })
  it('fails where a younger one has its id', () => {
    begin({ memberId: 'fixed' })
    hear(joined(7, 'fixed'), assigned(0))
    look()
    lose(failure('MEMBER_FENCED'))
    expect(look()).toEqual(['lost 0 MEMBER_FENCED', 'failed MEMBER_FENCED'])
    pass(60_000)
    expect(look()).toEqual([])
  })
  it('fails where a retry does not help, and so do its commits', () => {
    begin()
    hear(joined(), assigned(0), records(0, 0, 5))
    take()
    const outcomes: unknown[] = []
    member.commit(undefined, nowMs + 30_000, (error) => outcomes.push((error as FlotillaError).reason))
    lose(failure('PARTITION_CLAIMED'))
    expect(look().at(-1)).toBe('failed PARTITION_CLAIMED')
    expect(outcomes).toEqual(['PARTITION_CLAIMED'])
  })
  it('takes another epoch of a partition for lost and given anew', () => {
    begin()
    hear(joined(), assigned(0), records(0, 0, 5), assigned(0, 2, 3))
    expect(look()).toEqual(['open', 'start anew', 'assigned 0', 'lost 0 STALE_GROUP_EPOCH', 'assigned 0'])
    hear(records(0, 5, 5, 1))
    expect(member.take(nowMs)).toBeUndefined()
    hear(records(0, 3, 2, 2))
    expect(take()).toMatchObject({ raws: [{ from: 3, to: 5 }] })
  })
})

describe('a partition that is revoked', () => {
  beforeEach(() => {
    begin()
    hear(joined(), assigned(0), assigned(1), records(0, 0, 5), records(0, 5, 5), records(1, 0, 5))
    look()
  })
  const letGo = (): void => {
    for (const effect of effects) if (effect.type === 'revoked') member.letGo(effect.held)
    drain()
  }
  it('is given back when what is in hand is done and committed, and nothing more of it is handed out', () => {
    const first = take()
    hear(revoked(0))
    letGo()
    expect(look()).toEqual(['revoked 0'])
    expect(member.mayGoOnWith(first)).toBe(false)
    finish(first)
    answerCommit()
    expect(look()).toEqual(['commit 0@5e1', 'release 0'])
    expect(take()).toMatchObject({ held: { partition: 1 } })
    expect(member.holdings.given.map(({ partition }) => partition)).toEqual([1])
  })
  it('waits for the listeners', () => {
    hear(revoked(0))
    drain()
    const listeners = [...effects]
    expect(look()).toEqual(['revoked 0'])
    effects = listeners
    letGo()
    expect(look()).toEqual(['revoked 0', 'release 0'])
  })
  it('is not released while its commit has no answer, and asked for again where that failed for now', () => {
    const first = take()
    hear(revoked(0))
    letGo()
    finish(first)
    answerCommit(failure('NO_LEADER'))
    expect(look()).toEqual(['revoked 0', 'commit 0@5e1'])
    pass(200)
    answerCommit()
    expect(look()).toEqual(['commit 0@5e1', 'release 0'])
  })
  it('that was lost meanwhile is neither committed nor released', () => {
    const first = take()
    hear(revoked(0), lost(0))
    letGo()
    finish(first)
    expect(look()).toEqual(['revoked 0', 'lost 0 STALE_GROUP_EPOCH'])
  })
  it('is given back at once where the member never had it', () => {
    hear(revoked(9))
    expect(look()).toEqual(['release 9'])
  })
  it('is told once, also where the next node tells it again', () => {
    const first = take()
    hear(revoked(0))
    letGo()
    lose()
    pass(10)
    hear(joined(), assigned(1), revoked(0))
    finish(first)
    answerCommit()
    expect(look()).toEqual(['revoked 0', 'open', 'start m1 7', 'commit 0@5e1', 'release 0'])
  })
})

describe('commits', () => {
  it('go out in turn with what the loop has come past, and nothing where it has not moved', () => {
    begin({ commitIntervalMs: 500 })
    hear(joined(), assigned(0), records(0, 0, 5), records(0, 5, 5))
    look()
    finish(take())
    take()
    pass(500)
    answerCommit()
    expect(look()).toContain('commit 0@5e1')
    pass(400)
    expect(look()).toEqual([])
    expect(answeredCommits).toBeGreaterThan(0)
  })
  it('on demand hold what is in hand, or what was named', () => {
    begin({ commit: 'manual' })
    hear(joined(), assigned(0), records(0, 0, 5), records(0, 5, 5))
    finish(take())
    take()
    look()
    const outcomes: unknown[] = []
    const commit = (offset?: number): void => {
      const offsets = offset === undefined ? undefined : [{ ...t(0), offset }]
      member.commit(offsets, nowMs + 1000, (error) => outcomes.push((error as FlotillaError)?.reason))
      drain()
    }
    commit(3)
    answerCommit()
    commit()
    answerCommit(failure('OFFSET_OUT_OF_RANGE'))
    expect(look()).toEqual(['commit 0@3e1', 'commit 0@10e1'])
    member.commit([{ ...t(4), offset: 1 }], nowMs, (error) => outcomes.push((error as FlotillaError).reason))
    member.commit([{ ...t(0), offset: -1 }], nowMs, (error) => outcomes.push((error as FlotillaError).reason))
    expect(outcomes).toEqual([undefined, 'OFFSET_OUT_OF_RANGE', 'PARTITION_NOT_OWNED', 'INVALID_ARGUMENT'])
  })
  it('that get no answer in time are called unknown', () => {
    begin()
    hear(joined(), assigned(0), records(0, 0, 5))
    take()
    const outcomes: unknown[] = []
    member.commit(undefined, nowMs + 700, (error) => outcomes.push((error as FlotillaError).reason))
    pass(700)
    expect(outcomes).toEqual(['UNKNOWN_OUTCOME'])
  })
  it('that the partition refuses because it went tell of the loss', () => {
    begin({ commitIntervalMs: 100 })
    hear(joined(), assigned(0), records(0, 0, 5))
    finish(take())
    pass(100)
    look()
    finish(take0())
    pass(100)
    answerCommit(failure('STALE_GROUP_EPOCH'))
    expect(look()).toContain('lost 0 STALE_GROUP_EPOCH')
  })
  function take0(): Taken {
    hear(records(0, 5, 5))
    return take()
  }
})

describe('a member that fails', () => {
  it('gives its place up, unless it named itself', () => {
    begin()
    hear(joined(), assigned(0))
    look()
    member.fail(new Error('a listener could not go on'))
    pass(0)
    expect(look().slice(0, 2)).toEqual(['leave', 'cut'])
    begin({ memberId: 'fixed' })
    hear(joined(), assigned(0))
    look()
    member.fail(new Error('a listener could not go on'))
    pass(0)
    expect(look()).not.toContain('leave')
  })
})

describe('a handler that takes long', () => {
  it('keeps the lease until its time is over, then says so and keeps it no more until it comes back', () => {
    begin({ maxHandlingMs: 5000 })
    hear(joined(), assigned(0), records(0, 0, 5), records(0, 5, 5))
    const taken = take()
    look()
    for (let second = 0; second < 4; second++) {
      pass(1000)
      hear({ position: { topic: 't', partition: 0, nextOffset: 10, highWatermark: 100 } })
    }
    expect(look().filter((each) => each === 'commit')).toHaveLength(4)
    pass(1000)
    expect(look()).toContain('stuck 0')
    pass(10_000)
    expect(look()).toEqual([])
    finish(taken)
    expect(look()).toContain('heartbeat')
    pass(1000)
    expect(look()).toContain('commit')
  })
  it('has its member join again only when it comes back', () => {
    begin({ maxHandlingMs: 100 })
    hear(joined(), assigned(0), records(0, 0, 5))
    const taken = take()
    pass(100)
    look()
    lose(failure('UNKNOWN_MEMBER'))
    pass(10_000)
    expect(look()).toEqual(['lost 0 UNKNOWN_MEMBER'])
    finish(taken)
    pass(0)
    expect(look()).toEqual(['open', 'start anew'])
  })
})

describe('credit', () => {
  it('is granted anew when half of it has been taken', () => {
    begin({ maxWaitingRecords: 10 })
    hear(joined(), assigned(0), records(0, 0, 3), records(0, 3, 3), records(0, 6, 4))
    look()
    finish(take())
    expect(look()).toEqual([])
    finish(take())
    expect(look()).toContain('credit 6')
    finish(take())
    expect(look()).toEqual([])
  })
  it('comes back for what was on its way when a partition went', () => {
    begin({ maxWaitingRecords: 10 })
    hear(joined(), assigned(0))
    look()
    hear(lost(0), records(0, 0, 5))
    expect(look()).toEqual(['lost 0 STALE_GROUP_EPOCH', 'credit 5'])
  })
  it('comes back for what waits of a paused partition, so that others are sent', () => {
    begin({ maxWaitingRecords: 10 })
    hear(joined(), assigned(0), assigned(1), records(0, 0, 5), records(0, 5, 5))
    look()
    member.pause([t(0)])
    drain()
    expect(look()).toEqual(['pause 0', 'credit 10'])
    expect(member.take(nowMs)).toBeUndefined()
    hear(records(1, 0, 2))
    expect(take()).toMatchObject({ held: { partition: 1 } })
    member.resume([t(0)])
    drain()
    // The node sends more of it when what waited is handed out: it was paid for already.
    expect(look()).toEqual([])
    finish(take())
    expect(look()).toEqual([])
    finish(take())
    expect(look()).toEqual(['resume 0'])
  })
  it('of a loop that pauses in the middle of a batch is as before: the rest is handed out later', () => {
    begin({ maxWaitingRecords: 10 })
    hear(joined(), assigned(0), records(0, 0, 5))
    const taken = member.take(nowMs)!
    member.handOut(taken, 2, nowMs)
    member.pause([t(0)])
    expect(member.mayGoOnWith(taken)).toBe(false)
    member.comePast(taken, 2)
    member.putBack(taken, 2)
    member.done(nowMs)
    expect(member.take(nowMs)).toBeUndefined()
    member.resume([t(0)])
    expect(take()).toMatchObject({ endOffset: 5, raws: [{ from: 2, to: 5 }] })
  })
  it('and pauses hold for the next node', () => {
    begin()
    hear(joined(), assigned(0))
    member.pause([t(0)])
    lose()
    pass(10)
    look()
    hear(joined(), assigned(0))
    expect(look()).toEqual(['pause 0'])
  })
})

describe('a member that leaves', () => {
  it('tells the node and waits for the end of the stream, but not for ever', () => {
    begin()
    hear(joined(), assigned(0))
    look()
    member.leave(nowMs)
    drain()
    expect(look()).toEqual(['leave'])
    pass(5000)
    expect(look()).toEqual(['cut', 'over'])
  })
  it('keeps its place where it named itself', () => {
    begin({ memberId: 'fixed' })
    hear(joined(7, 'fixed'))
    look()
    member.leave(nowMs)
    drain()
    lose()
    expect(look()).toEqual(['half-close', 'over'])
  })
  it('is over at once where no node has it', () => {
    begin()
    lose()
    look()
    member.leave(nowMs)
    drain()
    expect(look()).toEqual(['over'])
  })
})

describe('what a node says', () => {
  it('with a record missing fails, but for a group that may jump', () => {
    begin()
    hear(joined(), assigned(0), records(0, 0, 5), records(0, 7, 5))
    expect(look().at(-1)).toBe('failed INTERNAL')
    effects = []
    begin({ whenOutOfRange: 'earliest' })
    hear(joined(), assigned(0), records(0, 0, 5), records(0, 7, 5))
    finish(take())
    expect(take()).toMatchObject({ endOffset: 12 })
  })
  it('that is none of this version is passed over', () => {
    begin()
    hear(joined(), {})
    expect(look()).toEqual(['open', 'start anew'])
  })
  it('of ends and places is told as lag, and as caught up when that was handed out', () => {
    begin()
    expect(member.holdings.isCaughtUp).toBe(false)
    hear(joined(), assigned(0), records(0, 0, 5), { caughtUp: { ...t(0), offset: 5 } })
    expect(member.holdings.lag).toEqual([{ ...t(0), records: 100 }])
    expect(member.holdings.isCaughtUp).toBe(false)
    finish(take())
    expect(member.holdings.isCaughtUp).toBe(true)
    hear({ position: { ...t(0), nextOffset: 5, highWatermark: 120 } })
    expect(member.holdings.lag).toEqual([{ ...t(0), records: 115 }])
  })
  it('of another subscription is asked for at once and after a broken stream', () => {
    begin()
    hear(joined())
    look()
    member.subscribe({ topics: ['u'], partitions: [] })
    drain()
    expect(look()).toEqual(['subscribe u'])
    lose()
    pass(10)
    hear(joined())
    expect(look()).toEqual(['open', 'start m1 7', 'subscribe u'])
  })
})

describe('options', () => {
  const refusal = (options: Partial<ConsumeOptions>): string => {
    try {
      memberOptionsOf({ group: 'g', topics: ['t'], ...options })
      return 'taken'
    } catch (error) {
      return (error as FlotillaError).message
    }
  }
  it.each<[Partial<ConsumeOptions>, string]>([
    [{ group: 'a b' }, '"a b" is no group name'],
    [{ memberId: '' }, '"" is no member name'],
    [{ topics: [] }, 'topics and partitions are both empty'],
    [{ topics: ['a b'] }, '"a b" is no topic name'],
    [{ partitions: [{ topic: 't', partition: -1 }] }, 'partition -1 of topic t is no whole number'],
    [{ topics: Array.from({ length: 1001 }, (_, at) => `t${at}`) }, '1001 topics and partitions are named'],
    [{ sessionTimeoutMs: 999 }, 'sessionTimeoutMs is 999; it has to be a whole number from 1000 to 1800000'],
    [{ revokeTimeoutMs: 1_800_001 }, 'revokeTimeoutMs is 1800001'],
    [{ maxWaitingRecords: 0 }, 'maxWaitingRecords is 0'],
    [{ maxWaitingBytes: 268_435_457 }, 'maxWaitingBytes is 268435457'],
    [{ maxHandlingMs: Infinity }, 'maxHandlingMs is Infinity'],
    [{ commitIntervalMs: 0 }, 'commitIntervalMs is 0'],
    [{ weight: 1001 }, 'weight is 1001'],
    [{ fetch: { maxWaitMs: 60_001 } }, 'fetch.maxWaitMs is 60001'],
    [{ fetch: { maxRecords: 0 } }, 'fetch.maxRecords is 0'],
    [{ commit: 'never' as 'auto' }, 'commit is "never"; it has to be one of auto, manual, before'],
    [{ assignment: 'fair' as 'range' }, 'assignment is "fair"'],
  ])('%j are refused', (options, message) => {
    expect(refusal(options)).toContain(message)
  })
})
