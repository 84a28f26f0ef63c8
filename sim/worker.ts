import type { PlanOptions } from './plan.ts'
import { runForOutcome } from './swarm.ts'

/** Runs the seeds that the parent process sends, one at a time; ends when the parent does. */
process.on('message', ({ seed, plan }: { readonly seed: number; readonly plan: PlanOptions }) => {
  void runForOutcome(seed, plan).then((outcome) => process.send?.(outcome))
})
