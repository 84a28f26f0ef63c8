import type { Command } from 'commander'
import { awaitFormed, Interrupted, untilAborted } from '../cluster-ready.ts'
import { ClusterLauncher, planCluster, type ClusterPlan } from '../cluster-launcher.ts'
import type { CliContext } from '../context.ts'
import { readEventsFile, readGitHistory, type DemoInput } from '../demo/events.ts'
import { Narration } from '../demo/narration.ts'
import { lossLine, runShow } from '../demo/show.ts'
import { CommandFailure } from '../failure.ts'
import { formatDuration } from '../format.ts'
import { leafCommand, nonEmpty } from '../options.ts'
import { bootstrapLine, checkPorts, withClusterFlags, type ClusterFlags } from './dev.ts'

interface DemoFlags extends ClusterFlags {
  readonly input?: string
  readonly keyField: string
  readonly once?: boolean
}

const nodeCount = 3

export function registerDemo(program: Command, context: CliContext): void {
  withClusterFlags(
    leafCommand(program, 'demo', 'see a cluster of three nodes lose a leader and nothing else')
      .option('--input <file>', "events: lines or NDJSON (default: this checkout's git history)", nonEmpty)
      .option('--key-field <name>', 'the key of an NDJSON event', nonEmpty, 'key')
      .option('--once', 'end after the show: exit code 0, or 1 if anything was lost'),
  ).action((flags: DemoFlags) => demo(context, flags))
}

async function demo(context: CliContext, flags: DemoFlags): Promise<void> {
  const { interrupted, stdout } = context
  checkPorts(flags.port, nodeCount)
  const input = await readInput(context, flags)
  const narration = new Narration(context)
  const plan = planCluster({ nodes: nodeCount, firstPort: flags.port, dataDirectory: flags.data })
  narration.title('Flotilla: three nodes, the loss of a leader, and every acknowledged event still there')
  await using launcher = new ClusterLauncher(context, plan, {
    onLoss: (nodeId, status, lastWords) => narration.line(lossLine(nodeId, status, lastWords)),
  })
  const topic = await play(context, flags, narration, launcher, input)
  if (topic === undefined) {
    if (flags.once === true) throw new CommandFailure('interrupted before the verdict')
    return
  }
  if (flags.once === true) return
  stdout.write(invitation(plan, topic))
  await untilAborted(interrupted)
  context.stderr.write('stopping\n')
}

/** The topic that the show filled; undefined where it was interrupted. */
async function play(
  context: CliContext,
  flags: DemoFlags,
  narration: Narration,
  launcher: ClusterLauncher,
  input: DemoInput,
): Promise<string | undefined> {
  const { interrupted } = context
  const { plan } = launcher
  try {
    const client = await startCluster(context, flags, narration, launcher)
    try {
      const { topic } = await runShow(context, client, launcher, narration, input)
      return interrupted.aborted ? undefined : topic
    } finally {
      await client.close()
    }
  } catch (error) {
    // What fails because everything is being stopped is no failure of the show.
    if (error instanceof Interrupted || interrupted.aborted) return undefined
    narration.line(`the cluster was ${plan.bootstrap}, its data is below ${flags.data}`)
    throw error
  }
}

async function startCluster(
  context: CliContext,
  flags: DemoFlags,
  narration: Narration,
  launcher: ClusterLauncher,
) {
  const { plan } = launcher
  narration.step('Start the cluster')
  for (const { nodeId, address } of plan.nodes)
    narration.line(`${nodeId}  ${address}  ${flags.data}/${nodeId}`)
  const startMs = context.nowMs()
  await narration.during(() => 'the nodes start', launcher.startAll())
  const client = await context.connect({ bootstrap: plan.bootstrap })
  try {
    await narration.during(() => 'the nodes find each other', awaitFormed(context, client, plan.nodes.length))
  } catch (error) {
    await client.close()
    throw error
  }
  narration.line(`up after ${formatDuration(context.nowMs() - startMs)}, each node a process of its own`)
  return client
}

function readInput(context: CliContext, flags: DemoFlags): Promise<DemoInput> {
  return flags.input === undefined
    ? readGitHistory(context)
    : readEventsFile(context, flags.input, flags.keyField)
}

function invitation(plan: ClusterPlan, topic: string): string {
  return `
The cluster stays up. In another terminal:

${bootstrapLine(plan)}  npx flotilla cluster describe
  npx flotilla consume ${topic} --until-end --max 10
  npx flotilla topic create orders --partitions 3
  printf 'ann: tea\\nbob: coffee\\n' | npx flotilla produce orders --key-separator ': '
  npx flotilla consume orders --until-end --output ndjson

Ctrl-C stops it; the data stays in the folder.
`
}
