import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import { CommandFailure, exitCodes } from '../failure.ts'

/** What this command needs of sim/main.ts. Nothing in src imports the simulator: it is loaded when it is asked for. */
interface Simulator {
  main(
    argv: readonly string[],
    io: {
      print(text: string): void
      tell(text: string): void
      readonly isTerminal: boolean
      nowMs(): number
      readonly command: string
    },
  ): Promise<number>
}

/** From the sources, or beside them in dist. */
const place = import.meta.url.endsWith('.ts') ? '../../../sim/main.ts' : '../../sim/main.js'

export function registerSim(program: Command, context: CliContext): void {
  program
    .command('sim [options...]')
    .description('run whole simulated clusters through faults, from one seed; its own --help tells more')
    .helpOption(false)
    .allowUnknownOption()
    .action((argv: readonly string[]) => simulate(context, argv))
}

async function simulate(context: CliContext, argv: readonly string[]): Promise<void> {
  const simulator = (await import(new URL(place, import.meta.url).href)) as Simulator
  const { stdout, stderr } = context
  const exitCode = await simulator.main(argv, {
    print: (text) => void stdout.write(`${text}\n`),
    tell: (text) => void stderr.write(text.startsWith('\r') ? text : `${text}\n`),
    isTerminal: stderr.isTTY,
    nowMs: () => context.nowMs(),
    command: 'flotilla sim',
  })
  if (exitCode === exitCodes.failed) throw new CommandFailure('something did not hold')
  if (exitCode !== exitCodes.done) throw new CommandFailure('(--help shows what there is)', { exitCode })
}
