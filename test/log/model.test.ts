import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Disk } from '../../src/env/index.ts'
import { nodeDisk } from '../../src/env/node/disk.ts'
import type { GroupId, GroupWrite, IndexPoint, LogLimits, LogStorage } from '../../src/log/index.ts'
import { asGroupId, asOffset } from '../../src/log/index.ts'
import type { Entry, HardState, LogMark, Snapshot } from '../../src/raft/types.ts'
import { asDigest, asLogIndex, asTerm } from '../../src/raft/types.ts'
import { memoryDisk } from '../../src/testing/memory-disk.ts'
import { bytesOf, configuration, emptySnapshot, entriesAfter, flat, markOf } from './entries.ts'
import {
  allEntries,
  openLog,
  recoveredOf,
  sharedLimits,
  smallLimits,
  temporaryFolder,
  testEnv,
} from './storage-env.ts'

/** A group as a few arrays: what the log must be, said as simply as can be. */
interface Model {
  lowEnd: Snapshot
  entries: Entry[]
  hardState: HardState
  applied: { index: number; state: Uint8Array }
  points: IndexPoint[]
}

type Models = Map<GroupId, Model>

const lastOf = (model: Model): LogMark => markOf(model.entries.at(-1) ?? model.lowEnd)

function newModel(lowEnd: Snapshot): Model {
  const hardState = { term: lowEnd.term, votedFor: undefined, commit: lowEnd.index }
  return { lowEnd, entries: [], hardState, applied: { index: lowEnd.index, state: lowEnd.state }, points: [] }
}

/** What a step may be; numbers are taken modulo what is possible where it happens, so that every step makes sense. */
const arbitraryStep = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      sizes: fc.array(fc.constantFrom(0, 10, 63, 64, 65, 300, 1500), { minLength: 1, maxLength: 6 }),
      cut: fc.nat(5),
      newTerm: fc.boolean(),
      commit: fc.nat(),
      chunks: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('apply' as const), at: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('lowEnd' as const), at: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('snapshot' as const), ahead: fc.nat(9), following: fc.nat(2) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('destroy' as const) }) },
)
type Step = typeof arbitraryStep extends fc.Arbitrary<infer T> ? T : never

const arbitraryRun = fc.array(
  fc.oneof(
    {
      weight: 6,
      // A turn: steps for a few groups; several may meet the same one.
      arbitrary: fc.array(fc.tuple(fc.integer({ min: 1, max: 3 }).map(asGroupId), arbitraryStep), {
        minLength: 1,
        maxLength: 4,
      }),
    },
    { weight: 1, arbitrary: fc.constant('reopen' as const) },
  ),
  { maxLength: 25 },
)

let seed = 0

function appendWrite(model: Model, step: Step & { do: 'append' }, groupId: GroupId): GroupWrite {
  const { commit } = model.hardState
  const floor = Math.max(commit, model.applied.index, model.lowEnd.index)
  const keep = Math.max(floor, lastOf(model).index - step.cut)
  model.entries = model.entries.filter(({ index }) => index <= keep)
  const previous = lastOf(model)
  const term = Math.max(model.hardState.term, previous.term, 1) + (step.newTerm ? 1 : 0)
  const entries = entriesAfter(
    previous,
    step.sizes.map((size) => {
      const payload = bytesOf(size, seed++)
      const chunk = Math.max(1, Math.ceil(size / step.chunks))
      const chunks: Uint8Array[] = []
      for (let at = 0; at < size; at += chunk) chunks.push(payload.subarray(at, at + chunk))
      return { term, payload: chunks, header: bytesOf(size % 7, seed++) }
    }),
  )
  model.entries.push(...entries)
  const newCommit = commit + (step.commit % (lastOf(model).index - commit + 1))
  model.hardState = { term: asTerm(term), votedFor: undefined, commit: asLogIndex(newCommit) }
  return { groupId, entries, hardState: model.hardState }
}

function applyWrite(model: Model, step: Step & { do: 'apply' }, groupId: GroupId): GroupWrite {
  const index = model.applied.index + (step.at % (model.hardState.commit - model.applied.index + 1))
  const indexPoints = model.entries
    .filter((entry) => entry.index > model.applied.index && entry.index <= index && entry.index % 3 === 0)
    .map((entry) => ({
      index: entry.index,
      offset: asOffset(entry.index * 2),
      appendTimeMs: entry.index * 5,
    }))
  model.points.push(...indexPoints)
  // A fold says the same of the same index every time.
  if (index > model.applied.index) model.applied = { index, state: bytesOf(index % 50, seed++) }
  return { groupId, applied: { index: asLogIndex(index), state: model.applied.state, indexPoints } }
}

function lowEndWrite(model: Model, step: Step & { do: 'lowEnd' }, groupId: GroupId): GroupWrite {
  const room = model.applied.index - model.lowEnd.index
  const at = model.lowEnd.index + (step.at % (room + 1))
  const mark = model.entries.find(({ index }) => index === at)
  const state = at === model.applied.index ? model.applied.state : bytesOf(5, seed++)
  // A move to where it is already changes nothing.
  if (mark === undefined) return { groupId, lowEnd: model.lowEnd }
  model.lowEnd = { ...markOf(mark), configuration, state }
  model.entries = model.entries.filter(({ index }) => index > at)
  model.points = model.points.filter(({ index }) => index > at)
  return { groupId, lowEnd: model.lowEnd }
}

function snapshotWrite(
  models: Models,
  model: Model,
  step: Step & { do: 'snapshot' },
  groupId: GroupId,
): GroupWrite {
  const floor = Math.max(model.hardState.commit, model.applied.index, 1)
  const term = asTerm(Math.max(model.hardState.term, 1))
  const snapshot: Snapshot = {
    index: asLogIndex(floor + step.ahead),
    term,
    digest: asDigest(BigInt(seed++)),
    configuration,
    state: bytesOf(20, seed++),
  }
  const next = newModel(snapshot)
  next.entries = entriesAfter(
    snapshot,
    Array.from({ length: step.following }, () => ({ payload: [bytesOf(100, seed++)] })),
  )
  next.hardState = { term, votedFor: undefined, commit: snapshot.index }
  models.set(groupId, next)
  return { groupId, snapshot, entries: next.entries, hardState: next.hardState }
}

/** The turn that the steps make; the models are already what they must be after it. */
function turnOf(models: Models, steps: readonly (readonly [GroupId, Step])[]): GroupWrite[] {
  const turn: GroupWrite[] = []
  const ended = new Set<GroupId>()
  for (const [groupId, step] of steps) {
    if (ended.has(groupId)) continue
    let model = models.get(groupId)
    if (model === undefined) {
      model = newModel(emptySnapshot)
      models.set(groupId, model)
      turn.push({ groupId, create: emptySnapshot })
    }
    switch (step.do) {
      case 'append':
        turn.push(appendWrite(model, step, groupId))
        break
      case 'apply':
        turn.push(applyWrite(model, step, groupId))
        break
      case 'lowEnd':
        turn.push(lowEndWrite(model, step, groupId))
        break
      case 'snapshot':
        turn.push(snapshotWrite(models, model, step, groupId))
        break
      case 'destroy':
        turn.push({ groupId, destroy: true })
        models.delete(groupId)
        ended.add(groupId)
    }
  }
  return turn
}

async function compare(log: LogStorage, models: Models): Promise<void> {
  for (const [groupId, model] of models) {
    expect(log.lastMark(groupId)).toEqual(lastOf(model))
    expect((await allEntries(log, groupId, model.lowEnd.index + 1)).map(flat)).toEqual(
      model.entries.map(flat),
    )
    const { state, ...mark } = await log.readLowEnd(groupId)
    expect([mark, Buffer.from(state)]).toEqual([
      { ...markOf(model.lowEnd), configuration },
      Buffer.from(model.lowEnd.state),
    ])
    for (const at of [0, 7, 13, 1000]) {
      const byOffset = model.points.filter(({ offset }) => offset <= at).at(-1)
      expect(await log.findByOffset(groupId, asOffset(at))).toEqual(byOffset)
      const byTime = model.points.filter(({ appendTimeMs }) => appendTimeMs < at).at(-1)
      expect(await log.findByTime(groupId, at)).toEqual(byTime)
    }
  }
}

/** What a start hands out must be what the model says, and nothing else. */
function compareRecovered(log: LogStorage, models: Models): void {
  expect(new Set(log.recovered.keys())).toEqual(new Set(models.keys()))
  for (const [groupId, model] of models) {
    const { bootstrap, appliedState } = recoveredOf(log, groupId)
    expect(bootstrap.hardState).toEqual(model.hardState)
    expect(bootstrap.last).toEqual(lastOf(model))
    expect(bootstrap.applied).toBe(model.applied.index)
    expect(Buffer.from(appliedState)).toEqual(Buffer.from(model.applied.state))
    const runs: { firstIndex: number; term: number }[] = []
    for (const { index, term } of model.entries) {
      if (runs.at(-1)?.term !== term) runs.push({ firstIndex: index, term })
    }
    expect(bootstrap.termRuns).toEqual(runs)
    const tail = bootstrap.tail.map(flat)
    expect(tail).toEqual(model.entries.slice(model.entries.length - tail.length).map(flat))
    expect(tail.length).toBeGreaterThanOrEqual(lastOf(model).index - model.applied.index)
  }
}

async function follows(
  disk: Disk,
  directory: string,
  run: typeof arbitraryRun extends fc.Arbitrary<infer T> ? T : never,
  limits: LogLimits,
) {
  seed = 0
  const models: Models = new Map()
  let log = await openLog(testEnv(disk), directory, limits)
  for (const step of [...run, 'reopen' as const]) {
    if (step !== 'reopen') {
      await log.commit(turnOf(models, step))
      continue
    }
    await compare(log, models)
    await log.close()
    log = await openLog(testEnv(disk), directory, limits)
    compareRecovered(log, models)
    await compare(log, models)
  }
  await log.close()
}

describe('whatever is written, in whatever order, with starts in between', () => {
  it('a log is what a model of a few arrays says, in memory', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryRun, (run) => follows(memoryDisk(), '/data', run, smallLimits)),
      { numRuns: 150 },
    )
  })

  it('and with shared segments that are relocated at once', async () => {
    await fc.assert(
      fc.asyncProperty(
        arbitraryRun,
        fc.nat(2),
        fc.constantFrom(1, 5000),
        (run, crowdedAboveGroups, sharedBytes) =>
          follows(memoryDisk(), '/data', run, {
            ...sharedLimits,
            crowdedAboveGroups,
            sharedSegmentBytes: 1000,
            sharedBytes,
          }),
      ),
      { numRuns: 150 },
    )
  })

  it('a log is what a model of a few arrays says, on LevelDB and files', async () => {
    const disk = nodeDisk()
    await fc.assert(
      fc.asyncProperty(arbitraryRun, async (run) =>
        follows(disk, await temporaryFolder(), run, sharedLimits),
      ),
      { numRuns: 8 },
    )
  })
})
