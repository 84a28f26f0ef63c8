// Draws docs/scale.svg from docs/scale.json, the output of `npm run --silent bench -- scale --output json`.
import { readFileSync, writeFileSync } from 'node:fs'
import { init } from 'echarts'
import { formatAmount } from '../src/cli/bench/scale-report.ts'
import type { ScalePoint, ScaleSeries } from '../src/cli/bench/scale.ts'

/** More than this at ten times the amount isn't linear. */
const LIMIT = 1.2
const titles: Record<ScaleSeries['name'], string> = {
  partitions: 'partitions',
  records: 'records in a topic',
  readers: 'readers',
  'stored bytes': 'bytes in a topic',
}

interface PlottedReport {
  readonly series: readonly {
    readonly name: ScaleSeries['name']
    readonly points: readonly Pick<ScalePoint, 'times' | 'amount' | 'ratio'>[]
  }[]
}

/** The four series as panels side by side: amount against the cost of a record, over that of the smallest amount. */
export function scaleSvg(report: PlottedReport): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: 960, height: 260 })
  const highest = Math.max(...report.series.flatMap(({ points }) => points.map(({ ratio }) => ratio)), LIMIT)
  const panels = report.series.map((series, at) => ({ ...series, left: 50 + at * 232 }))
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    title: panels.map(({ name, left }) => ({
      text: titles[name],
      left: left + 80,
      top: 8,
      textAlign: 'center',
      textStyle: { fontSize: 13, fontWeight: 'normal', color: '#22272e' },
    })),
    grid: panels.map(({ left }) => ({ left, top: 40, width: 170, height: 170 })),
    xAxis: panels.map(({ name, points }, gridIndex) => ({
      gridIndex,
      type: 'category',
      axisLabel: { interval: 0, color: '#22272e' },
      data: points.map((point) => `×${Math.round(point.times)}\n${formatAmount(name, point)}`),
    })),
    yAxis: panels.map((_, gridIndex) => ({
      gridIndex,
      min: 0,
      max: highest > 2 ? Math.ceil(highest * 2) / 2 : Math.ceil(highest * 5) / 5,
      interval: highest > 2 ? 0.5 : 0.2,
      name: gridIndex === 0 ? 'cost of a record' : '',
      nameLocation: 'middle',
      nameGap: 30,
      splitLine: { lineStyle: { color: '#e4e8ee' } },
    })),
    series: panels.map(({ points }, at) => ({
      type: 'line',
      xAxisIndex: at,
      yAxisIndex: at,
      data: points.map(({ ratio }) => Number(ratio.toFixed(3))),
      symbolSize: 8,
      lineStyle: { color: '#0b6bcb', width: 2 },
      itemStyle: { color: '#0b6bcb' },
      label: {
        show: true,
        position: 'bottom',
        formatter: ({ value }: { value?: unknown }) => Number(value).toFixed(2),
        color: '#22272e',
        // Over a line it would be hard to read.
        textBorderColor: '#ffffff',
        textBorderWidth: 3,
      },
      markLine: {
        silent: true,
        symbol: 'none',
        lineStyle: { color: '#b3261e', type: 'dashed' },
        label: { formatter: `${LIMIT}`, color: '#b3261e' },
        data: [{ yAxis: LIMIT }],
      },
    })),
  })
  const svg = chart.renderToSVGString()
  chart.dispose()
  return `${svg}\n`
}

if (process.argv[1] === import.meta.filename) {
  const text = readFileSync(new URL('../docs/scale.json', import.meta.url), 'utf8')
  const report = JSON.parse(text) as PlottedReport
  writeFileSync(new URL('../docs/scale.svg', import.meta.url), scaleSvg(report))
}
