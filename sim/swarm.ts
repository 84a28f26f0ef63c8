import type { PlanOptions } from './plan.ts'
import { startProcess } from './processes.ts'
import { runSeed } from './simulation.ts'
import type { Violation } from './checkers/violation.ts'
import type { RunFigures } from './summary.ts'

/** What a run came to, in a form that crosses processes. */
export interface SeedOutcome extends RunFigures {
  readonly seed: number
  readonly digest: string
  readonly violation: Violation | undefined
}

export interface SwarmGoal {
  readonly plan: PlanOptions
  readonly firstSeed: number
  readonly seeds: number | undefined
  /** On `nowMs`; no run begins after it. */
  readonly untilMs: number
  readonly jobs: number
}

export async function runForOutcome(seed: number, plan: PlanOptions): Promise<SeedOutcome> {
  const { digest, violation, virtualMs, realMs, events, acknowledged, recordsRead, elections, faults } =
    await runSeed(seed, plan)
  return { seed, digest, violation, virtualMs, realMs, events, acknowledged, recordsRead, elections, faults }
}

/** Runs one seed after the other in several processes; ends at the first violation. Resolves with what failed, if anything. */
export async function runSwarm(
  goal: SwarmGoal,
  nowMs: () => number,
  onOutcome: (outcome: SeedOutcome) => void,
): Promise<SeedOutcome | undefined> {
  let next = goal.firstSeed
  let failed: SeedOutcome | undefined
  const take = (): number | undefined => {
    const isOver = goal.seeds === undefined ? nowMs() >= goal.untilMs : next >= goal.firstSeed + goal.seeds
    return isOver || failed !== undefined ? undefined : next++
  }
  const took = (outcome: SeedOutcome): void => {
    onOutcome(outcome)
    // The lowest seed of those that failed meanwhile: the same whatever the number of processes.
    if (outcome.violation !== undefined && (failed === undefined || outcome.seed < failed.seed))
      failed = outcome
  }
  const jobs = Math.min(goal.jobs, goal.seeds ?? goal.jobs)
  if (jobs === 1) {
    for (let seed = take(); seed !== undefined; seed = take()) took(await runForOutcome(seed, goal.plan))
    return failed
  }
  await Promise.all(Array.from({ length: jobs }, () => work(goal.plan, take, took)))
  return failed
}

/** One process that runs what it is given until there is no more. */
function work(
  plan: PlanOptions,
  take: () => number | undefined,
  took: (outcome: SeedOutcome) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = startProcess('worker')
    let seed: number | undefined
    const goOn = (): void => {
      seed = take()
      if (seed === undefined) child.disconnect()
      else child.send({ seed, plan })
    }
    child.on('message', (outcome: SeedOutcome) => {
      took(outcome)
      goOn()
    })
    child.on('error', reject)
    child.on('exit', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`the process that ran seed ${seed} ended with ${code}`))
    })
    goOn()
  })
}
