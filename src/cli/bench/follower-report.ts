import type { Output } from '../context.ts'
import { formatBytes, formatCount, formatDuration, plural } from '../format.ts'
import type { Answer } from '../print.ts'
import { renderTable, type Column } from '../table.ts'
import type { FollowerReport, FollowerRun } from './follower.ts'
import { conditions, formatFigure } from './report.ts'

const right = (title: string): Column => ({ title, align: 'right' })

export function followerAnswer(report: FollowerReport): Answer {
  return {
    table: (output) => followerText(output, report),
    json: () => report,
    rows: () => {
      const { benchmark, settings, environment, runs } = report
      return runs.map((run) => ({ benchmark, settings, environment, ...run }))
    },
  }
}

function followerText(output: Output, { settings, environment, runs, median }: FollowerReport): string {
  const { sizeBytes, inFlight, missedBytes, warmupMs } = settings
  const table = renderTable(
    output,
    [
      { title: 'RUN' },
      ...['BEFORE', 'WHILE AWAY', 'WHILE CATCHING UP', 'RATIO', 'MISSED', 'TAKES CALLS AFTER S'].map(right),
      ...['LEVEL AFTER S', 'ERRORS'].map(right),
    ],
    runs.map((run, index) => [
      index === median ? `${index + 1} median` : index + 1,
      ...[run.before, run.away, run.catchingUp].map((phase) => formatCount(phase.recordsPerSecond)),
      run.ratio.toFixed(2),
      formatBytes(run.missedBytes),
      formatFigure(run.startSeconds),
      formatLevel(run),
      formatCount(run.load.errors),
    ]),
  )
  return (
    `follower: batched, values of ${formatBytes(sizeBytes)}, 1 partition, at most ${formatCount(inFlight)} in flight; ` +
    `one follower is killed until it has missed ${formatBytes(missedBytes)}, then started again\n` +
    `${plural(runs.length, 'run')} after ${formatDuration(warmupMs)} of warm-up; ${conditions(environment)}\n\n${table}` +
    'records a second, appended as fast as it goes; level: it lacks no more than half a second of appends\n'
  )
}

/** Seconds, or what it lacked in the end where it didn't get there. */
export function formatLevel({ isLevel, catchingUp, behindRecords }: FollowerRun): string {
  if (isLevel) return formatFigure(catchingUp.seconds)
  const lacking = behindRecords === undefined ? 'nobody knows how far' : formatCount(behindRecords)
  return `not in ${formatFigure(catchingUp.seconds)}, ${lacking} behind`
}
