import { processOutput } from '../src/cli/process-output.ts'
import { main } from './main.ts'

/** What a shell gives for a process that ended because nobody read on (128 and SIGPIPE). */
const NOBODY_READS = 141
const stop = (): void => process.exit(NOBODY_READS)
const stdout = processOutput(process.stdout, process.env, stop)
const stderr = processOutput(process.stderr, process.env, stop)

process.exitCode = await main(process.argv.slice(2), {
  print: (text) => stdout.write(`${text}\n`),
  tell: (text) => stderr.write(text.startsWith('\r') ? text : `${text}\n`),
  isTerminal: stderr.isTTY,
  nowMs: () => performance.now(),
})
