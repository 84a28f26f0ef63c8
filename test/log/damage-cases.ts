import { chmod, cp, readFile, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { StoreDamagedError } from '../../src/env/index.ts'
import { FolderDamagedError, FolderMismatchError, openLogStorage } from '../../src/log/index.ts'
import type { LogStorage } from '../../src/log/index.ts'
import { checkGroup, fillFolder, stoppedGroups } from './stopped-folder.ts'
import type { ExpectedGroup } from './stopped-folder.ts'
import { identity, smallLimits, testEnv } from './storage-env.ts'

/** What may happen to the files of a stopped node. Numbers are taken modulo what is there. */
export const arbitraryDamage = fc.record({
  kind: fc.constantFrom(
    ...(['a table of LevelDB', 'the log of LevelDB', 'a segment'] as const),
    ...(['a table of LevelDB', 'the log of LevelDB', 'a segment'] as const),
    ...(['the manifest of LevelDB', 'the note of the last turn', 'another file'] as const),
  ),
  file: fc.nat(),
  harm: fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('a flipped bit' as const), bit: fc.nat() }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('a truncated file' as const), at: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('a removed file' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('two files swapped' as const), other: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('a read-only file' as const) }) },
  ),
})
export type Damage = typeof arbitraryDamage extends fc.Arbitrary<infer T> ? T : never

/** Counts how cases ended, by what was done to which kind of file. */
export type Tally = Map<string, number>

export interface StoppedNode {
  readonly folder: string
  readonly files: readonly string[]
  readonly groups: readonly ExpectedGroup[]
}

export async function stopNode(folder: string): Promise<StoppedNode> {
  const groups = await fillFolder((limits) => openLogStorage(testEnv(), folder, identity, limits))
  const files = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()
  return { folder, files, groups }
}

/** Damages a copy of the folder, starts on it twice, and holds what it says against what it must. Throws where it lies. */
export async function tryDamage(node: StoppedNode, damage: Damage, tally: Tally): Promise<void> {
  const copy = `${node.folder}.damaged`
  try {
    await cp(node.folder, copy, { recursive: true })
    const ofKind = node.files.filter((file) => kindOf(file) === damage.kind)
    const file = ofKind[damage.file % ofKind.length]!
    await harm(copy, file, damage, node.files)
    const first = await start(copy, node, checkGroup)
    // What a start has said, the next one says as well: nothing is forgotten, nothing is repaired in silence.
    const second = await start(copy, node, async (log, { groupId }) => log.recovered.get(groupId)?.ok)
    const again = first.map((outcome) => (outcome === 'refused' ? outcome : outcome !== 'damaged'))
    if (again.join() !== second.join()) throw new Error(`first ${first.join()}, then ${second.join()}`)
    const damaged = first.filter((outcome) => outcome === 'damaged').length
    const owner = file.startsWith('segments/') ? file.split('/')[1] : undefined
    const inSegment = owner === undefined || owner === 'shared' ? undefined : Number(owner)
    if (inSegment !== undefined && damage.harm.do !== 'two files swapped') {
      const others = first.filter((outcome, i) => outcome !== 'whole' && stoppedGroups[i] !== inSegment)
      if (others.length > 0)
        throw new Error(`damage in a segment of group ${inSegment} told of another group`)
    }
    const end =
      first[0] === 'refused'
        ? 'the node refuses to start, and says why'
        : damaged > 0
          ? `${damaged === first.length ? 'all groups are' : 'one group is'} told as damaged`
          : first.every((outcome) => outcome === 'whole')
            ? 'all is there'
            : 'the read of the payload tells it'
    const what = `${damage.harm.do} in ${damage.kind}: ${end}`
    tally.set(what, (tally.get(what) ?? 0) + 1)
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
}

function kindOf(file: string): Damage['kind'] {
  if (file.startsWith('segments/')) return 'a segment'
  if (file === 'turn') return 'the note of the last turn'
  if (file.endsWith('.ldb')) return 'a table of LevelDB'
  if (file.endsWith('.log')) return 'the log of LevelDB'
  if (file.includes('/MANIFEST')) return 'the manifest of LevelDB'
  // CURRENT, LOCK and what LevelDB writes for people.
  return 'another file'
}

async function harm(folder: string, file: string, damage: Damage, files: readonly string[]): Promise<void> {
  const path = join(folder, file)
  const { harm } = damage
  switch (harm.do) {
    case 'a flipped bit': {
      const bytes = await readFile(path)
      if (bytes.length === 0) return
      const bit = harm.bit % (bytes.length * 8)
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      await writeFile(path, bytes)
      return
    }
    case 'a truncated file': {
      const { length } = await readFile(path)
      if (length > 0) await truncate(path, harm.at % length)
      return
    }
    case 'a removed file':
      await rm(path)
      return
    case 'two files swapped': {
      const other = join(folder, files[harm.other % files.length]!)
      if (other === path) return
      await rename(path, `${path}.swap`)
      await rename(other, path)
      await rename(`${path}.swap`, other)
      return
    }
    case 'a read-only file':
      await chmod(path, 0o444)
  }
}

async function start<T>(
  folder: string,
  node: StoppedNode,
  look: (log: LogStorage, group: ExpectedGroup) => Promise<T>,
): Promise<(T | 'refused')[]> {
  const log = await openLogStorage(testEnv(), folder, identity, smallLimits).catch((error: unknown) => {
    const named = [StoreDamagedError, FolderMismatchError, FolderDamagedError].some(
      (kind) => error instanceof kind,
    )
    // LevelDB's own words, or the system's, with the path in them.
    const told = error instanceof Error && error.message.includes(folder)
    if (named || told) return undefined
    throw error
  })
  if (log === undefined) return ['refused']
  try {
    const outcomes: T[] = []
    for (const group of node.groups) outcomes.push(await look(log, group))
    return outcomes
  } finally {
    await log.close()
  }
}

/** For docs/reliability.md: FLOTILLA_TALLY=1 prints how the cases ended. */
export function printTally(tally: Tally): void {
  if (process.env['FLOTILLA_TALLY'] === undefined) return
  const lines = [...tally].map(([what, count]) => `${what}: ${count}`)
  console.log(lines.toSorted((left, right) => left.localeCompare(right)).join('\n'))
}
