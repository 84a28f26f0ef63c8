import type { Command } from 'commander'
import { prettyLine } from '../../env/node/logger.ts'
import { awaitFormed, Interrupted, untilAborted } from '../cluster-ready.ts'
import { ClusterLauncher, describeExit, planCluster, type ClusterPlan } from '../cluster-launcher.ts'
import type { CliContext } from '../context.ts'
import { wrongUse } from '../failure.ts'
import { paint, type Style } from '../format.ts'
import { defaultBootstrap, leafCommand, nonEmpty, wholeNumber } from '../options.ts'

export interface ClusterFlags {
  readonly port: number
  readonly data: string
}

interface DevFlags extends ClusterFlags {
  readonly nodes: number
}

const nodeStyles: readonly Style[] = ['cyan', 'magenta', 'yellow', 'green', 'blue']

export function withClusterFlags(command: Command): Command {
  return command
    .option('--port <n>', 'the port of the first node; the others follow', wholeNumber(1, 65_535), 7101)
    .option('--data <dir>', 'holds a folder a node', nonEmpty, './data')
}

export function registerDev(program: Command, context: CliContext): void {
  withClusterFlags(
    leafCommand(program, 'dev', 'run a cluster on this machine, each node in a process of its own').option(
      '--nodes <n>',
      'how many nodes',
      wholeNumber(1, 9),
      3,
    ),
  ).action((flags: DevFlags) => runDev(context, flags))
}

/** The ports of a cluster that starts at `port`, checked. */
export function checkPorts(port: number, nodes: number): void {
  if (port + nodes - 1 > 65_535) {
    throw wrongUse(
      `error: ${nodes} nodes from port ${port} on would need ports above 65535; choose a lower --port`,
    )
  }
}

async function runDev(context: CliContext, flags: DevFlags): Promise<void> {
  const { stdout, stderr, interrupted } = context
  checkPorts(flags.port, flags.nodes)
  const plan = planCluster({ nodes: flags.nodes, firstPort: flags.port, dataDirectory: flags.data })
  const label = (nodeId: string): string => {
    const index = plan.nodes.findIndex((node) => node.nodeId === nodeId)
    return paint(stderr, nodeStyles[index % nodeStyles.length] ?? 'cyan', nodeId)
  }
  await using launcher = new ClusterLauncher(context, plan, {
    onLine: (nodeId, line) => stderr.write(`${label(nodeId)}  ${prettyLine(line)}\n`),
    onLoss: (nodeId, status) =>
      stderr.write(
        `${label(nodeId)}  is gone (${describeExit(status)}); nothing starts it again by itself\n`,
      ),
  })
  try {
    await launcher.startAll()
    const client = await context.connect({ bootstrap: plan.bootstrap })
    try {
      await awaitFormed(context, client, plan.nodes.length)
    } finally {
      await client.close()
    }
  } catch (error) {
    if (error instanceof Interrupted || interrupted.aborted) return
    throw error
  }
  stdout.write(invitation(plan))
  await untilAborted(interrupted)
  stderr.write('stopping\n')
}

/** What a client has to be told where the cluster isn't at the usual address; else nothing. */
export function bootstrapLine({ bootstrap }: ClusterPlan): string {
  return bootstrap.split(',').includes(defaultBootstrap) ? '' : `  export FLOTILLA_BOOTSTRAP=${bootstrap}\n`
}

function invitation(plan: ClusterPlan): string {
  return `
The cluster is up. In another terminal:

${bootstrapLine(plan)}  npx flotilla topic create orders --partitions 3 --replication ${plan.nodes.length >= 3 ? 3 : 1}
  printf 'ann: tea\\nbob: coffee\\n' | npx flotilla produce orders --key-separator ': '
  npx flotilla consume orders --until-end
  npx flotilla cluster describe

Ctrl-C stops it.
`
}
