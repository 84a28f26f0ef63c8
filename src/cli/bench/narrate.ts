import type { CliContext } from '../context.ts'
import { Interrupted } from '../cluster-ready.ts'
import { showProgress } from '../progress.ts'

type World = Pick<CliContext, 'stderr' | 'sleep' | 'interrupted'>

/** A line for the person who waits. */
export function say(context: World, text: string): void {
  context.stderr.write(`${text}\n`)
}

/** Shows `text`, kept up to date on a terminal, while `work` runs. */
export async function during<T>(context: World, text: () => string, work: Promise<T>): Promise<T> {
  using _progress = showProgress(context, context.stderr, text, 500)
  return await work
}

/** Throws Interrupted where the user has had enough. */
export async function pass(context: World, ms: number): Promise<void> {
  await context.sleep(ms, context.interrupted)
  if (context.interrupted.aborted) throw new Interrupted()
}
