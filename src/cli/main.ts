import { processContext } from './process-context.ts'
import { runCli } from './program.ts'

/** The whole process: arguments in, exit code out. Ends it also where standard input is still open. */
export async function main(): Promise<never> {
  const context = processContext()
  const exitCode = await runCli(context, process.argv.slice(2))
  await Promise.all([context.stdout.drained(), context.stderr.drained()])
  process.exit(exitCode)
}
