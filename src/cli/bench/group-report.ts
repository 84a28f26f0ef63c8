import type { Output } from '../context.ts'
import { formatBytes, formatCount, plural } from '../format.ts'
import type { Answer } from '../print.ts'
import { renderTable } from '../table.ts'
import type { GroupReport } from './group.ts'
import { conditions, formatFigure, formatMaybe, formatSpread } from './report.ts'

export function groupAnswer(report: GroupReport): Answer {
  const { benchmark, settings, environment, runs } = report
  return {
    table: (output) => groupText(output, report),
    json: () => report,
    rows: () => runs.map((run) => ({ benchmark, settings, environment, ...run })),
  }
}

function groupText(output: Output, { settings, environment, runs, median, spread }: GroupReport): string {
  const titles = [
    'RECORDS/S',
    'APPEND P50 MS',
    'COMMIT P50 MS',
    'MOVED',
    'LONGEST GAP MS',
    'STAYED',
    'LONGEST GAP MS',
  ]
  const table = renderTable(
    output,
    [{ title: 'RUN' }, ...titles.map((title) => ({ title, align: 'right' as const }))],
    runs.map(({ recordsPerSecond, appendLatency, commitLatency, moved, stayed }, index) => [
      index === median ? `${index + 1} median` : index + 1,
      formatCount(recordsPerSecond),
      formatMaybe(appendLatency?.p50Ms),
      formatMaybe(commitLatency?.p50Ms),
      moved.partitions,
      formatFigure(moved.longestMs),
      stayed.partitions,
      formatFigure(stayed.longestMs),
    ]),
  )
  const { members, partitions, preloadBytes, sizeBytes, ratePerSecond } = settings
  return (
    `consumer group: ${plural(members, 'member')}, ${plural(partitions, 'partition')}, ${formatBytes(preloadBytes)} in values of ${formatBytes(sizeBytes)}; ` +
    `then one more member joins at ${formatCount(ratePerSecond)} records/s\n` +
    `automatic commits; lowest to highest: ${formatSpread(spread.recordsPerSecond, formatCount)} records/s; ${conditions(environment)}\n\n${table}`
  )
}
