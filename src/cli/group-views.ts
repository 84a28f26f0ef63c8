/** How consumer groups look in JSON and in tables. */
import type {
  GroupDescription,
  GroupPartitionDescription,
  GroupResetOffset,
  GroupSummary,
} from '../client/types.ts'
import type { Output } from './context.ts'
import { formatCount, formatDuration, paint, plural } from './format.ts'
import { renderTable } from './table.ts'

export function groupsTable(output: Output, groups: readonly GroupSummary[]): string {
  return renderTable(
    output,
    [{ title: 'GROUP' }, { title: 'MEMBERS', align: 'right' }, { title: 'TOPICS' }, { title: 'ASSIGNMENT' }],
    groups.map(({ name, memberCount, topics, assignment }) => [
      name,
      memberCount,
      topics.join(',') || '-',
      assignment,
    ]),
  )
}

export function groupJson(group: GroupDescription) {
  return {
    name: group.name,
    assignment: group.assignment,
    coordinator: group.coordinatorNodeId ?? null,
    members: group.members,
    partitions: group.partitions.map(partitionJson),
  }
}

/** One object a line: the group, then its members, then its partitions, told apart by `type`. */
export function groupRows(group: GroupDescription): object[] {
  const { members, partitions, ...summary } = groupJson(group)
  return [
    { type: 'group', ...summary },
    ...members.map((member) => ({ type: 'member', ...member })),
    ...partitions.map((partition) => ({ type: 'partition', ...partition })),
  ]
}

function partitionJson({ owner, committedOffset, commitTime, ...rest }: GroupPartitionDescription) {
  return {
    ...rest,
    owner: owner ?? null,
    committedOffset: committedOffset ?? null,
    commitTime: commitTime?.toISOString() ?? null,
  }
}

/** `nowMs`: milliseconds since 1970. */
export function groupTable(output: Output, group: GroupDescription, nowMs: number): string {
  const lag = group.partitions.reduce((sum, each) => sum + each.lag, 0)
  const summary = [
    `group ${paint(output, 'bold', group.name)}`,
    plural(group.members.length, 'member'),
    plural(group.partitions.length, 'partition'),
    `lag ${formatCount(lag)}`,
    `assignment ${group.assignment}`,
    `coordinated by ${group.coordinatorNodeId ?? 'nobody yet'}`,
  ].join(' · ')
  const members = renderTable(
    output,
    [{ title: 'MEMBER' }, { title: 'FROM' }, { title: 'WANTS' }, { title: 'OWNS', align: 'right' }],
    group.members.map(({ memberId, isStatic, clientAddress, topics, partitions }) => [
      isStatic ? `${memberId} (static)` : memberId,
      clientAddress,
      [...topics, ...partitions.map(({ topic, partition }) => `${topic}/${partition}`)].join(','),
      group.partitions.filter(({ owner }) => owner === memberId).length,
    ]),
  )
  const partitions = renderTable(
    output,
    [
      { title: 'TOPIC' },
      { title: 'PARTITION', align: 'right' },
      { title: 'COMMITTED', align: 'right' },
      { title: 'END', align: 'right' },
      { title: 'LAG', align: 'right' },
      { title: 'LAST COMMIT', align: 'right' },
      { title: 'STATE' },
      { title: 'OWNER' },
    ],
    group.partitions.map((each) => {
      const isKnown = each.state !== 'unreachable'
      return [
        each.topic,
        each.partition,
        each.committedOffset === undefined ? '-' : formatCount(each.committedOffset),
        isKnown ? formatCount(each.highWatermark) : '-',
        isKnown ? formatCount(each.lag) : '-',
        // The clock of the partition's leader may be a little ahead of this one.
        each.commitTime === undefined
          ? '-'
          : `${formatDuration(Math.max(0, nowMs - each.commitTime.getTime()))} ago`,
        each.state,
        each.owner ?? '-',
      ]
    }),
  )
  return [summary, ...(group.members.length > 0 ? [members] : []), partitions]
    .join('\n\n')
    .replaceAll('\n\n\n', '\n\n')
}

export function resetJson({ fromOffset, ...rest }: GroupResetOffset) {
  return { ...rest, fromOffset: fromOffset ?? null }
}

export function resetTable(output: Output, offsets: readonly GroupResetOffset[]): string {
  return renderTable(
    output,
    [
      { title: 'TOPIC' },
      { title: 'PARTITION', align: 'right' },
      { title: 'FROM', align: 'right' },
      { title: 'TO', align: 'right' },
    ],
    offsets.map(({ topic, partition, fromOffset, toOffset }) => [
      topic,
      partition,
      fromOffset === undefined ? '-' : formatCount(fromOffset),
      formatCount(toOffset),
    ]),
  )
}
