import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { registerBench } from './bench/command.ts'
import { registerCluster } from './commands/cluster.ts'
import { registerConfig } from './commands/config.ts'
import { registerConsume } from './commands/consume.ts'
import { registerDemo } from './commands/demo.ts'
import { registerDev } from './commands/dev.ts'
import { registerGroup } from './commands/group.ts'
import { registerLog } from './commands/log.ts'
import { registerPartition } from './commands/partition.ts'
import { registerProduce } from './commands/produce.ts'
import { registerServer } from './commands/server.ts'
import { registerSim } from './commands/sim.ts'
import { registerTopic } from './commands/topic.ts'
import type { CliContext } from './context.ts'
import { CommandFailure, describeAtLength, describeError, exitCodes } from './failure.ts'

/** The program with all its commands; nothing runs before it is given arguments. */
export function buildProgram(context: CliContext): Command {
  const program = new Command('flotilla')
    .description('An event-sourced, partitioned log: every partition is a Raft group of its own.')
    .version(packageVersion())
    .showHelpAfterError('(--help shows what there is)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
      getOutHasColors: () => context.stdout.colours,
      getErrHasColors: () => context.stderr.colours,
    })
  registerServer(program, context)
  registerDev(program, context)
  registerDemo(program, context)
  registerTopic(program, context)
  registerProduce(program, context)
  registerConsume(program, context)
  registerGroup(program, context)
  registerCluster(program, context)
  registerPartition(program, context)
  registerConfig(program, context)
  registerLog(program, context)
  registerBench(program, context)
  registerSim(program, context)
  return program
}

/** Runs a command line (without node and script) to its end and returns its exit code. */
export async function runCli(context: CliContext, args: readonly string[]): Promise<number> {
  const program = buildProgram(context)
  let flags: { readonly verbose?: boolean } = {}
  program.hook('preAction', (_program, command) => {
    flags = command.opts()
  })
  try {
    await program.parseAsync([...args], { from: 'user' })
    return exitCodes.done
  } catch (error) {
    // Commander has said what is wrong; its codes for help and version that were asked for are 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.wrongUse
    // Nobody reads what it says, as after "| head": there is nothing more to do.
    if (context.stdout.closed) return exitCodes.done
    if (context.interrupted.aborted && !(error instanceof CommandFailure)) {
      context.stderr.write('flotilla: interrupted\n')
      return exitCodes.failed
    }
    const text = describeError(error)
    context.stderr.write(`${text.startsWith('error: ') ? '' : 'flotilla: '}${text}\n`)
    if (flags.verbose === true) context.stderr.write(`${describeAtLength(error)}\n`)
    return error instanceof CommandFailure ? error.exitCode : exitCodes.failed
  }
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
