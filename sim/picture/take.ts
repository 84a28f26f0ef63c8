import { writeFile } from 'node:fs/promises'
import type { Plan } from '../plan.ts'
import { runPlan, type RunOptions, type RunResult } from '../simulation.ts'
import { pageOf } from './page.ts'
import type { Picture } from './picture.ts'
import { Recorder } from './recorder.ts'

/** Runs a plan and keeps its picture. Watching changes nothing: the run is the one that its digest names. */
export async function takePicture(
  plan: Plan,
  about: Pick<Picture, 'version' | 'replay'>,
  options: RunOptions = {},
): Promise<{ readonly result: RunResult; readonly picture: Picture }> {
  let recorder: Recorder | undefined
  const result = await runPlan(plan, { ...options, observe: (world) => (recorder = new Recorder(world)) })
  const { nodes, partitions, durationMs, faults } = plan
  const title = `${nodes} nodes, ${partitions} partitions, ${faults.length} faults within ${durationMs / 1000} virtual seconds`
  return { result, picture: recorder!.picture({ ...about, title }) }
}

export async function writePicture(path: string, picture: Picture): Promise<void> {
  await writeFile(path, pageOf(picture))
}
