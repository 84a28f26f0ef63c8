import { tmpdir } from 'node:os'
import { InvalidArgumentError, type Command } from 'commander'
import type { Env } from '../../env/index.ts'
import { StoreLockedError } from '../../env/index.ts'
import type { InspectedEntry, InspectedGroup, InspectedSegment, Inspection } from '../../log/index.ts'
import type { CliContext, Output } from '../context.ts'
import { CommandFailure, wrongUse } from '../failure.ts'
import { formatBytes, formatCount, listing, paint, plural } from '../format.ts'
import { leafCommand, withOutput, type OutputFlags } from '../options.ts'
import { printAnswer } from '../print.ts'
import { showProgress } from '../progress.ts'
import { renderTable } from '../table.ts'

interface InspectFlags extends OutputFlags {
  readonly group?: number
  readonly entries?: boolean
}

export function registerLog(program: Command, context: CliContext): void {
  const log = program.command('log').description("look into a stopped node's data folder")

  withOutput(
    leafCommand(
      log,
      'inspect <directory>',
      "print and verify a stopped node's folder: groups, terms, ranges, segments, damage",
    ),
  )
    .option('--group <n>', 'show this group alone, with its segments; all are verified', parseGroup)
    .option('--entries', 'show every entry as well')
    .addHelpText(
      'after',
      '\nNothing in the folder is changed. LevelDB can only be opened for writing, so its files (store/, not the segments)\n' +
        'are copied to a directory under TMPDIR first, which needs room for them.\n' +
        'Ends with 0 where all is sound, 1 where something is damaged, 2 where the folder is none of a stopped node.',
    )
    .action((directory: string, flags: InspectFlags) => inspect(context, directory, flags))
}

function parseGroup(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It has to be the number of a group, 0 or more.')
}

async function inspect(context: CliContext, directory: string, flags: InspectFlags): Promise<void> {
  const entries: InspectedEntry[] = []
  const streams = flags.entries === true && flags.output === 'ndjson'
  let done = { entries: 0, payloadBytes: 0 }
  const inspection = await (async () => {
    using _progress = showProgress(
      context,
      context.stderr,
      () =>
        `verified ${plural(done.entries, 'entry', 'entries')}, ${formatBytes(done.payloadBytes)} of payload`,
    )
    return await readFolder(directory, flags, {
      onProgress: (count, payloadBytes) => (done = { entries: count, payloadBytes }),
      onEntry: (entry) => {
        if (streams) context.stdout.write(`${JSON.stringify(entryJson(entry))}\n`)
        else if (flags.entries === true) entries.push(entry)
      },
    })
  })()
  const groups = inspection.groups.filter(
    ({ groupId }) => flags.group === undefined || groupId === flags.group,
  )
  if (flags.group !== undefined && groups.length === 0) {
    const there = inspection.groups.map(({ groupId }) => String(groupId))
    throw wrongUse(`the folder has no group ${flags.group}; it has ${listing(there) || 'none'}`)
  }
  if (!streams) {
    printAnswer(context, flags.output, {
      table: (output) => folderTable(output, directory, inspection, groups, flags, entries),
      json: () => ({
        ...folderJson(directory, inspection, groups),
        ...(flags.entries === true && { entries: entries.map(entryJson) }),
      }),
      rows: () => groups.map(groupJson),
    })
  }
  const damaged = inspection.groups.filter(({ damage }) => damage.length > 0)
  const text = `${plural(done.entries, 'entry', 'entries')} and ${formatBytes(done.payloadBytes)} of payload verified`
  if (damaged.length > 0 || inspection.lostTurns !== undefined) {
    const names = damaged.map(({ groupId }) => String(groupId))
    const lost = inspection.lostTurns === undefined ? [] : [inspection.lostTurns]
    const which =
      damaged.length === 0 ? [] : [`${damaged.length === 1 ? 'group' : 'groups'} ${listing(names)}`]
    throw new CommandFailure(`the folder is damaged: ${[...lost, ...which].join('; ')} (${text})`)
  }
  context.stderr.write(`all is sound: ${plural(inspection.groups.length, 'group')}, ${text}\n`)
}

async function readFolder(
  directory: string,
  flags: InspectFlags,
  listeners: {
    readonly onEntry: (entry: InspectedEntry) => void
    readonly onProgress: (entries: number, payloadBytes: number) => void
  },
): Promise<Inspection> {
  const [{ FolderMismatchError, asGroupId, inspectFolder }, { readOnlyDisk }, node] = await Promise.all([
    import('../../log/index.ts'),
    import('../../env/node/read-only-disk.ts'),
    import('../../env/node/index.ts'),
  ])
  const env: Pick<Env, 'disk' | 'clock' | 'logger'> = {
    disk: readOnlyDisk(tmpdir()),
    clock: node.nodeClock(),
    logger: node.nodeLogger({ level: 'silent' }),
  }
  try {
    return await inspectFolder(env, directory.replace(/(?<=.)\/+$/, ''), {
      ...listeners,
      ...(flags.group !== undefined && { groupId: asGroupId(flags.group) }),
    })
  } catch (error) {
    if (error instanceof FolderMismatchError) throw wrongUse(error.message)
    if (error instanceof StoreLockedError) {
      throw wrongUse(
        `the data folder ${directory} is in use: a node runs on it; stop that first, or inspect a copy`,
      )
    }
    throw error
  }
}

// -- how it looks --------------------------------------------------------------------------------------------------------

function groupJson(group: InspectedGroup) {
  const { configuration, hardState, damage } = group
  return {
    groupId: group.groupId,
    sound: damage.length === 0,
    damage,
    term: hardState.term,
    votedFor: hardState.votedFor ?? null,
    commit: hardState.commit,
    applied: group.applied,
    lowEnd: markJson(group.lowEnd),
    last: markJson(group.last),
    cutBefore: group.cutBefore ?? null,
    entries: group.entries,
    payloadBytes: group.payloadBytes,
    extents: group.extents,
    sharedBytes: group.sharedBytes,
    signposts: group.signposts,
    terms: group.termRuns,
    voters: configuration.voters,
    votersOutgoing: configuration.votersOutgoing,
    learners: configuration.learners,
    segments: group.segments.map(segmentJson),
  }
}

function segmentJson({ number, fileBytes, namedBytes }: InspectedSegment) {
  return { number, fileBytes: fileBytes ?? null, namedBytes }
}

function markJson({ index, term, digest }: InspectedGroup['last']) {
  return { index, term, digest: digest.toString(16).padStart(16, '0') }
}

function entryJson({ groupId, head, payload, damage }: InspectedEntry) {
  return {
    groupId,
    ...markJson(head),
    kind: head.kind,
    headerBytes: head.header.length,
    payloadBytes: head.payloadBytes,
    ...(payload.type === 'extent' && payload.extent),
    damage: damage ?? null,
  }
}

function folderJson(directory: string, inspection: Inspection, groups: readonly InspectedGroup[]) {
  const { formatVersion, identity, clusterId, turn, durableTurn, lostTurns } = inspection
  return {
    directory,
    formatVersion,
    ...identity,
    clusterId: clusterId ?? null,
    turn,
    durableTurn,
    lostTurns: lostTurns ?? null,
    groups: groups.map(groupJson),
    sharedSegments: inspection.sharedSegments.map(segmentJson),
    destroyed: inspection.destroyed,
    quarantined: inspection.quarantined,
    unknownDirectories: inspection.unknownDirectories,
  }
}

function folderTable(
  output: Output,
  directory: string,
  inspection: Inspection,
  groups: readonly InspectedGroup[],
  flags: InspectFlags,
  entries: readonly InspectedEntry[],
): string {
  const { identity, clusterId, turn, durableTurn, formatVersion, lostTurns } = inspection
  const parts = [
    `${paint(output, 'bold', directory)}: node ${identity.nodeId} of cluster ${identity.clusterName}` +
      `${clusterId === undefined ? '' : ` (${clusterId})`}, format ${formatVersion}, turn ${formatCount(turn)}` +
      `${durableTurn === turn ? '' : `, known to be whole up to ${formatCount(durableTurn)}`}\n`,
    ...(lostTurns === undefined ? [] : [`${paint(output, 'red', lostTurns)}\n`]),
    ...asideLines(inspection),
    groupsTable(output, groups),
  ]
  const { sharedSegments } = inspection
  if (sharedSegments.length > 0 && flags.group === undefined) {
    parts.push(segmentsTable(output, sharedSegments, 'SHARED SEGMENT'))
  }
  if (flags.group !== undefined)
    for (const { segments } of groups) parts.push(segmentsTable(output, segments))
  if (flags.entries === true) parts.push(entriesTable(output, entries))
  for (const { groupId, damage, cutBefore } of groups) {
    for (const text of damage) parts.push(`${paint(output, 'red', `group ${groupId}`)}: ${text}\n`)
    if (cutBefore === undefined) continue
    parts.push(
      `group ${groupId}: the next start cuts the log before entry ${cutBefore}, which was never acknowledged\n`,
    )
  }
  return parts.join('')
}

function asideLines({ destroyed, quarantined, unknownDirectories }: Inspection): string[] {
  const lines: string[] = []
  if (destroyed.length > 0) lines.push(`deleted, space still to be given back: ${destroyed.join(', ')}\n`)
  if (quarantined.length > 0) lines.push(`put aside in quarantine/: ${quarantined.join(', ')}\n`)
  if (unknownDirectories.length > 0) {
    lines.push(`segments of groups that the store doesn't know: ${unknownDirectories.join(', ')}\n`)
  }
  return lines
}

const numeric = (title: string) => ({ title, align: 'right' as const })

function groupsTable(output: Output, groups: readonly InspectedGroup[]): string {
  return renderTable(
    output,
    [
      ...[
        'GROUP',
        'TERM',
        'FIRST',
        'LAST',
        'COMMIT',
        'APPLIED',
        'ENTRIES',
        'PAYLOAD',
        'SEGMENTS',
        'SHARED',
      ].map(numeric),
      { title: 'VOTED FOR' },
      { title: 'STATE' },
    ],
    groups.map((group) => [
      group.groupId,
      group.hardState.term,
      group.lowEnd.index + 1,
      group.last.index,
      group.hardState.commit,
      group.applied,
      formatCount(group.entries),
      formatBytes(group.payloadBytes),
      group.segments.length,
      formatBytes(group.sharedBytes),
      group.hardState.votedFor ?? 'nobody',
      group.damage.length === 0 ? 'sound' : 'damaged',
    ]),
  )
}

function segmentsTable(output: Output, segments: readonly InspectedSegment[], title = 'SEGMENT'): string {
  return renderTable(
    output,
    [numeric(title), numeric('FILE'), numeric('NAMED BY ENTRIES')],
    segments.map(({ number, fileBytes, namedBytes }) => [
      number,
      fileBytes === undefined ? 'missing' : formatBytes(fileBytes),
      formatBytes(namedBytes),
    ]),
  )
}

function entriesTable(output: Output, entries: readonly InspectedEntry[]): string {
  return renderTable(
    output,
    [
      ...['GROUP', 'INDEX', 'TERM'].map(numeric),
      { title: 'KIND' },
      numeric('PAYLOAD'),
      { title: 'WHERE' },
      { title: 'DIGEST' },
    ],
    entries.map(({ groupId, head, payload, damage }) => [
      groupId,
      head.index,
      head.term,
      head.kind,
      formatBytes(head.payloadBytes),
      `${describePlace(payload)}${damage === undefined ? '' : ', damaged'}`,
      markJson(head).digest,
    ]),
  )
}

function describePlace(payload: InspectedEntry['payload']): string {
  if (payload.type === 'inline') return 'store'
  const { shared, segment, position } = payload.extent
  return `${shared ? 'shared segment' : 'segment'} ${segment} at ${position}`
}
