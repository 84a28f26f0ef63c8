import type { Output } from '../context.ts'
import { formatBytes, formatCount } from '../format.ts'
import type { Answer } from '../print.ts'
import { renderTable, type Column } from '../table.ts'
import { conditions, formatFigure } from './report.ts'
import type { ScalePoint, ScaleReport, ScaleSeries } from './scale.ts'

const right = (title: string): Column => ({ title, align: 'right' })

export function scaleAnswer(report: ScaleReport): Answer {
  return {
    table: (output) => scaleText(output, report),
    json: () => report,
    rows: () =>
      report.series.flatMap(({ points, ...series }) => points.map((point) => ({ ...series, ...point }))),
  }
}

function scaleText(output: Output, { series, environment }: ScaleReport): string {
  const table = renderTable(
    output,
    [{ title: 'TEN TIMES THE' }, right('AMOUNT'), right('CPU S/M RECORDS'), right('RATIO')],
    series.flatMap((each) =>
      each.points.map((point) => [
        each.name,
        formatAmount(each.name, point),
        formatFigure(point.cpuSecondsPerMillionRecords),
        point.ratio.toFixed(2),
      ]),
    ),
  )
  const works = series.map(({ name, work }) => `${name}: ${work}`).join('\n')
  return `scale: what a record costs as things grow; CPU of client and nodes together; ${conditions(environment)}\n${works}\n\n${table}`
}

export function formatAmount(name: ScaleSeries['name'], { amount }: Pick<ScalePoint, 'amount'>): string {
  return name === 'stored bytes' ? formatBytes(amount) : formatCount(amount)
}
