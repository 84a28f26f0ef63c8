import type { Output } from '../context.ts'
import { formatCount } from '../format.ts'
import type { Answer } from '../print.ts'
import { renderTable, type Column } from '../table.ts'
import { floorOf, type GuardReport } from './guard.ts'
import { conditions, formatFigure } from './report.ts'

const right = (title: string): Column => ({ title, align: 'right' })

export function guardAnswer(report: GuardReport): Answer {
  return {
    table: (output) => guardText(output, report),
    json: () => report,
    rows: () => report.results,
  }
}

function guardText(output: Output, { environment, results }: GuardReport): string {
  const table = renderTable(
    output,
    [
      { title: 'CASE' },
      right('ATTEMPT'),
      right('RAW STREAM/S'),
      right('RAW STORE/S'),
      right('BOTH/S'),
      right('APPENDED/S'),
      right('ERRORS'),
      right('RATIO'),
      right('LEAST'),
      { title: '' },
    ],
    results.flatMap(({ name, attempts, leastRatio, passed }) =>
      attempts.map((attempt, index) => [
        name,
        index + 1,
        formatCount(attempt.stream),
        formatCount(attempt.store),
        formatCount(floorOf(attempt)),
        formatCount(attempt.append),
        formatCount(attempt.errors),
        formatFigure(attempt.ratio),
        formatFigure(leastRatio),
        index < attempts.length - 1 ? 'again' : passed ? 'passed' : 'FAILED',
      ]),
    ),
  )
  return (
    `guard: records a second that are appended, against one grpc-js stream and one LevelDB with synced batches\n` +
    `${conditions(environment)}\n\n${table}`
  )
}
