import type { Output } from '../context.ts'
import { formatBytes, formatCount, formatDuration, plural } from '../format.ts'
import type { Answer } from '../print.ts'
import { renderTable, type Column } from '../table.ts'
import type { IdleReport } from './idle.ts'
import { conditions, formatFigure, formatMaybe, formatMemory } from './report.ts'

const right = (title: string): Column => ({ title, align: 'right' })

export function idleAnswer(report: IdleReport): Answer {
  return {
    table: (output) => idleText(output, report),
    json: () => report,
    rows: () => {
      const { nodes, ...shared } = report
      return nodes.map((node) => ({ ...shared, ...node }))
    },
  }
}

function idleText(output: Output, report: IdleReport): string {
  const { settings, environment, nodes } = report
  const { groups, settleMs, durationMs } = settings
  const table = renderTable(
    output,
    [
      { title: 'NODE' },
      right('CPU % OF A CORE'),
      right('MEMORY BEFORE'),
      right('MEMORY'),
      right('A GROUP'),
      right('AFTER A START: CPU %'),
      right('MEMORY'),
      right('A GROUP'),
    ],
    nodes.map((node) => [
      node.nodeId,
      formatMaybe(node.cpuPercentOfCore),
      formatMemory(node.emptyRssBytes),
      formatMemory(node.rssBytes),
      perGroup(node.rssBytesPerGroup),
      formatMaybe(node.restartedCpuPercentOfCore),
      formatMemory(node.restartedRssBytes),
      perGroup(node.restartedRssBytesPerGroup),
    ]),
  )
  const starts = [
    `made in ${formatFigure(report.createSeconds)} s, until every group has a leader`,
    `a node that was killed takes calls ${formatFigure(report.oneStartSeconds)} s after its start`,
    `all nodes killed: they take calls after ${formatFigure(report.allStartSeconds)} s, every group is led after ${formatFigure(report.allLeadSeconds)} s`,
  ]
  return (
    `idle: ${formatCount(groups)} groups on ${plural(nodes.length, 'node')}, watched for ${formatDuration(durationMs)} after ${formatDuration(settleMs)}\n` +
    `${conditions(environment)}\n\n${table}${starts.join('\n')}\n`
  )
}

function perGroup(bytes: number | undefined): string {
  return bytes === undefined ? '-' : formatBytes(Math.max(0, Math.round(bytes)))
}
