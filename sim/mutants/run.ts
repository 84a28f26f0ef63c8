import { processOutput } from '../../src/cli/process-output.ts'
import { main } from './main.ts'

/** What a shell gives for a process that ended because nobody read on (128 and SIGPIPE). */
const NOBODY_READS = 141
const stdout = processOutput(process.stdout, process.env, () => process.exit(NOBODY_READS))

process.exitCode = await main(process.argv.slice(2), (text) => stdout.write(`${text}\n`))
