import { isDeepStrictEqual } from 'node:util'
import type { GroupId, LogLimits, LogStorage } from '../../src/log/index.ts'
import { DamagedEntryError, asGroupId, asOffset } from '../../src/log/index.ts'
import type { Entry, HardState, LogMark } from '../../src/raft/types.ts'
import { asLogIndex, asNodeId, asTerm } from '../../src/raft/types.ts'
import { bytesOf, configuration, emptySnapshot, entriesAfter, flat, markOf } from './entries.ts'
import { smallLimits } from './limits.ts'

/** What a folder must hold of a group. */
export interface ExpectedGroup {
  readonly groupId: GroupId
  readonly entries: readonly Entry[]
  readonly hardState: HardState
  readonly last: LogMark
  readonly lowEnd: LogMark
  readonly applied: number
  readonly appliedState: Uint8Array
}

export const stoppedGroups = [3, 4, 5, 6].map(asGroupId)

const sharedRun = 1

/**
 * Fills a folder as a node does in three runs: four groups with small payloads and large ones, cuts, applied states,
 * signposts, a moved low end, votes; LevelDB tables, a write-ahead log, several segments. The same bytes of entries
 * every time. In `sharedRun` the large payloads are to go to the shared segments.
 */
export async function fillFolder(
  open: (limits: LogLimits) => Promise<LogStorage>,
): Promise<readonly ExpectedGroup[]> {
  const groups = new Map<GroupId, ExpectedGroup>()
  for (let run = 0; run < 3; run++) {
    const log = await open(run === sharedRun ? { ...smallLimits, crowdedAboveGroups: 0 } : smallLimits)
    if (run === 0) {
      await log.setClusterId('0badcafe')
      await log.commit(stoppedGroups.map((groupId) => ({ groupId, create: emptySnapshot })))
    }
    for (let turn = 0; turn < 3; turn++) {
      for (const groupId of stoppedGroups)
        groups.set(groupId, await grow(log, groups.get(groupId), groupId, 3 * run + turn))
    }
    await log.close()
  }
  return [...groups.values()]
}

async function grow(log: LogStorage, before: ExpectedGroup | undefined, groupId: GroupId, round: number) {
  const previous = before?.last ?? emptySnapshot
  const term = 1 + Math.floor(round / 2)
  const shapes = [20, 700, 0, 300, 64, 10].map((size, i) => {
    const seed = groupId * 10_000 + round * 100 + i
    return { term, payload: [bytesOf(size, seed)], header: bytesOf(i * 3, seed + 50) }
  })
  const added = entriesAfter(previous, shapes)
  const all = [...(before?.entries ?? []), ...added]
  const last = markOf(all.at(-1)!)
  const hardState = {
    term: asTerm(term),
    votedFor: asNodeId(`n${1 + (round % 3)}`),
    commit: asLogIndex(last.index - 2),
  }
  // The entry before these lies in an earlier turn, as with a real node.
  const applied = asLogIndex(Math.max(0, last.index - 7))
  const appliedState = applied === 0 ? emptySnapshot.state : bytesOf(30, groupId + round)
  const indexPoints = all
    .filter(({ index }) => index > (before?.applied ?? 0) && index <= applied && index % 2 === 0)
    .map(({ index }) => ({ index, offset: asOffset(index * 3), appendTimeMs: 1000 + index }))
  const low =
    round === 5 && groupId === stoppedGroups[0] ? all.find(({ index }) => index === applied - 4) : undefined
  await log.commit([
    {
      groupId,
      entries: added,
      hardState,
      applied: { index: applied, state: appliedState, indexPoints },
      ...(low !== undefined && { lowEnd: { ...markOf(low), configuration, state: bytesOf(8, 1) } }),
    },
  ])
  const lowEnd = low === undefined ? (before?.lowEnd ?? markOf(emptySnapshot)) : markOf(low)
  return {
    groupId,
    entries: all.filter(({ index }) => index > lowEnd.index),
    hardState,
    last,
    lowEnd,
    applied,
    appliedState,
  }
}

/** What an open folder says of a group. */
export type Outcome = 'whole' | 'a damaged payload is told by its read' | 'damaged'

/** Holds what an open folder says against what it must hold. Throws where it says something that isn't so. */
export async function checkGroup(log: LogStorage, expected: ExpectedGroup): Promise<Outcome> {
  const { groupId } = expected
  const found = log.recovered.get(groupId)
  if (found === undefined) throw new Error(`group ${groupId} is gone without a word`)
  if (!found.ok) return 'damaged'
  const { bootstrap } = found
  const says = JSON.stringify([
    vote(bootstrap.hardState),
    mark(bootstrap.last),
    mark(bootstrap.lowEnd),
    bootstrap.applied,
    hex(found.appliedState),
  ])
  const { hardState, last, lowEnd, applied, appliedState } = expected
  const must = JSON.stringify([vote(hardState), mark(last), mark(lowEnd), applied, hex(appliedState)])
  if (says !== must) throw new Error(`group ${groupId} says ${says}\n and must say ${must}`)
  return readAll(log, expected)
}

async function readAll(log: LogStorage, { groupId, entries, last }: ExpectedGroup): Promise<Outcome> {
  let outcome: Outcome = 'whole'
  let at = 0
  while (at < entries.length) {
    // After a damaged payload those behind it are read one by one.
    const maxBytes = outcome === 'whole' ? 1_000_000 : 1
    try {
      for (const read of await log.readEntries(groupId, entries[at]!.index, last.index, maxBytes)) {
        const entry = entries[at++]!
        if (isDeepStrictEqual(flat(read), flat(entry))) continue
        throw new Error(`group ${groupId}: entry ${entry.index} is another one`)
      }
    } catch (error) {
      if (!(error instanceof DamagedEntryError)) throw error
      if (outcome !== 'whole') at++
      outcome = 'a damaged payload is told by its read'
    }
  }
  return outcome
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const mark = ({ index, term, digest }: LogMark): string => `${index}/${term}/${digest}`
const vote = ({ term, votedFor, commit }: HardState): string => `${term}/${votedFor}/${commit}`
