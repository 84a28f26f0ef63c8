import { noFaults, type FaultCounts, type FaultKind } from './faults/kinds.ts'
import type { RunResult } from './simulation.ts'

/** What a swarm of runs comes to. */
export interface Summary {
  seeds: number
  virtualMs: number
  /** Of all processes together. */
  busyMs: number
  events: number
  acknowledged: number
  recordsRead: number
  elections: number
  readonly faults: FaultCounts
}

export const emptySummary = (): Summary => ({
  seeds: 0,
  virtualMs: 0,
  busyMs: 0,
  events: 0,
  acknowledged: 0,
  recordsRead: 0,
  elections: 0,
  faults: noFaults(),
})

/** The part of a result that a swarm adds up. */
export type RunFigures = Pick<
  RunResult,
  'virtualMs' | 'realMs' | 'events' | 'acknowledged' | 'recordsRead' | 'elections' | 'faults'
>

export function add(summary: Summary, figures: RunFigures): void {
  summary.seeds++
  summary.virtualMs += figures.virtualMs
  summary.busyMs += figures.realMs
  summary.events += figures.events
  summary.acknowledged += figures.acknowledged
  summary.recordsRead += figures.recordsRead
  summary.elections += figures.elections
  for (const [kind, count] of Object.entries(figures.faults) as [FaultKind, number][])
    summary.faults[kind] += count
}

export function summaryText(summary: Summary, wallMs: number): string {
  const whole = (value: number): string => Math.round(value).toLocaleString('en-US')
  const rows: [string, string][] = [
    ['seeds', whole(summary.seeds)],
    ['virtual time', `${whole(summary.virtualMs / 1000)} s`],
    ['real time', `${(wallMs / 1000).toFixed(1)} s`],
    ['speed-up', `${whole(summary.virtualMs / Math.max(1, wallMs))} to 1`],
    ['seeds a minute and process', whole((summary.seeds * 60_000) / Math.max(1, summary.busyMs))],
    ['events', whole(summary.events)],
    ['acknowledged records', whole(summary.acknowledged)],
    ['records read', whole(summary.recordsRead)],
    ['elections', whole(summary.elections)],
  ]
  const faults = Object.entries(summary.faults).map(([kind, count]): [string, string] => [
    `  ${kind}`,
    whole(count),
  ])
  return [...rows, ['faults that struck', ''] as [string, string], ...faults]
    .map(([name, value]) => `${name.padEnd(30)}${value.padStart(14)}`.trimEnd())
    .join('\n')
}
