import { main } from './main.ts'

process.exitCode = await main(process.argv.slice(2), {
  print: (text) => process.stdout.write(`${text}\n`),
  tell: (text) => process.stderr.write(text.startsWith('\r') ? text : `${text}\n`),
  isTerminal: process.stderr.isTTY,
  nowMs: () => performance.now(),
})
