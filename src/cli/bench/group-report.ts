import type { Output } from '../context.ts'
import { formatBytes, formatCount, plural } from '../format.ts'
import type { Answer } from '../print.ts'
import { renderTable } from '../table.ts'
import type { GroupReport } from './group.ts'
import type { GroupRun } from './group-run.ts'
import { conditions, formatFigure, formatMaybe, formatSpread, highestOf, sumOf } from './report.ts'

export function groupAnswer(report: GroupReport): Answer {
  const { benchmark, settings, environment, runs, takeOvers, idle } = report
  return {
    table: (output) => groupText(output, report),
    json: () => report,
    rows: () => runs.map((run) => ({ benchmark, settings, environment, ...run, takeOvers, idle })),
  }
}

function groupText(output: Output, report: GroupReport): string {
  const { settings, environment, spread } = report
  if (spread === undefined) return `consumer groups; ${conditions(environment)}\n\n${idleText(report)}`
  const { members, partitions, preloadBytes, sizeBytes, ratePerSecond } = settings
  const lines = [
    `consumer group: ${plural(members, 'member')}, ${plural(partitions, 'partition')}, ${formatBytes(preloadBytes)} in values of ${formatBytes(sizeBytes)}; ` +
      `then one more member joins at ${formatCount(ratePerSecond)} records/s`,
    `automatic commits; lowest to highest: ${formatSpread(spread.recordsPerSecond, formatCount)} records/s; ${conditions(environment)}`,
    '',
    runsTable(output, report) + takeOverText(report) + idleText(report),
  ]
  return lines.join('\n')
}

function runsTable(output: Output, { runs, median }: GroupReport): string {
  const titles = [
    'RECORDS/S',
    'CPU S/M RECORDS: CLIENT',
    'BUSIEST NODE',
    'ALL NODES',
    'APPEND P50 MS',
    'COMMIT P50 MS',
    'LONGEST GAP MS BEFORE',
    'MOVED',
    'LONGEST GAP MS',
    'STAYED',
    'LONGEST GAP MS',
  ]
  return renderTable(
    output,
    [{ title: 'RUN' }, ...titles.map((title) => ({ title, align: 'right' as const }))],
    runs.map((run, index) => [
      index === median ? `${index + 1} median` : index + 1,
      formatCount(run.recordsPerSecond),
      ...cpuCells(run),
      formatMaybe(run.appendLatency?.p50Ms),
      formatMaybe(run.commitLatency?.p50Ms),
      formatFigure(run.undisturbed.longestMs),
      run.moved.partitions,
      formatFigure(run.moved.longestMs),
      run.stayed.partitions,
      formatFigure(run.stayed.longestMs),
    ]),
  )
}

function cpuCells({ client, nodes }: GroupRun): string[] {
  return [
    formatMaybe(client.cpuSecondsPerMillionRecords),
    formatMaybe(highestOf(nodes, ({ cpuSecondsPerMillionRecords: seconds }) => seconds)),
    formatMaybe(sumOf(nodes, ({ cpuSecondsPerMillionRecords: seconds }) => seconds)),
  ]
}

function takeOverText({ takeOvers }: GroupReport): string {
  if (takeOvers.length === 0) return ''
  const each = takeOvers.map(
    ({ partitions, takenOverMs, beyondLeaseMs }) =>
      `${plural(partitions, 'partition')} taken over after ${formatFigure(takenOverMs)} ms (${beyondLeaseMs < 0 ? '-' : '+'}${formatFigure(Math.abs(beyondLeaseMs))} to the lease)`,
  )
  return `a member's process killed: ${each.join('; ')}\n`
}

function idleText({ idle }: GroupReport): string {
  if (idle === undefined) return ''
  const each = idle.nodes.map(
    ({ nodeId, cpuPercentOfCore, rssBytes }) =>
      `${nodeId} ${formatFigure(Math.max(0, cpuPercentOfCore))} % of a core, ${formatBytes(Math.max(0, rssBytes))}`,
  )
  return `${plural(idle.groups, 'idle group')} with a member each add: ${each.join('; ')}\n`
}
