import type { FaultCounts } from './faults.ts'
import { runCoreSimulation, type CoreSimulationOptions } from './simulation.ts'

const USAGE = 'usage: core simulation [--seeds N] [--first-seed N] [--chaos-ms N]'

interface Arguments {
  seeds: number
  firstSeed: number
  chaosMs: number
}

function parse(argv: readonly string[], { chaosMs = 3000 }: CoreSimulationOptions): Arguments {
  const parsed: Arguments = { seeds: 100, firstSeed: 1, chaosMs }
  for (let at = 0; at < argv.length; at += 2) {
    const value = Number(argv[at + 1])
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new RangeError(`${argv[at]} needs an integer from 1, not ${argv[at + 1]}; ${USAGE}`)
    }
    if (argv[at] === '--seeds') parsed.seeds = value
    else if (argv[at] === '--first-seed') parsed.firstSeed = value
    else if (argv[at] === '--chaos-ms') parsed.chaosMs = value
    else throw new RangeError(`unknown option ${argv[at]}; ${USAGE}`)
  }
  return parsed
}

/** Runs many seeds and prints what happened. Exit code: 0 clean, 1 a law was broken, 2 wrong use. */
export function main(
  argv: readonly string[],
  print: (line: string) => void = console.log,
  options: CoreSimulationOptions = {},
): number {
  let parsed: Arguments
  try {
    parsed = parse(argv, options)
  } catch (error) {
    print(error instanceof Error ? error.message : String(error))
    return 2
  }
  const { seeds, firstSeed, chaosMs } = parsed
  const totals = new Map<string, number>()
  const add = (name: string, value: number): void => {
    totals.set(name, (totals.get(name) ?? 0) + value)
  }
  let broken = 0
  for (let seed = firstSeed; seed < firstSeed + seeds; seed += 1) {
    const { violations, counts, committed, acknowledged, events } = runCoreSimulation(seed, {
      ...options,
      chaosMs,
    })
    for (const [name, count] of Object.entries(counts) as [keyof FaultCounts, number][]) add(name, count)
    add('committed', committed)
    add('acknowledged', acknowledged)
    add('events', events)
    if (violations.length === 0) continue
    broken += 1
    for (const { law, timeMs, detail } of violations) print(`seed ${seed}: ${law} at ${timeMs} ms: ${detail}`)
    print(`replay: --seeds 1 --first-seed ${seed} --chaos-ms ${chaosMs}`)
  }
  print(`${seeds} seeds from ${firstSeed}: ${broken} broke a law`)
  for (const [name, total] of totals) print(`  ${name}: ${total}`)
  return broken === 0 ? 0 : 1
}
