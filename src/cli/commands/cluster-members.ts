import type { Command } from 'commander'
import type { Client } from '../../client/types.ts'
import type { CliContext } from '../context.ts'
import { formatCount, plural } from '../format.ts'
import {
  clientCommand,
  maxPartitionNumber,
  nonEmpty,
  wholeNumber,
  withClient,
  type ClientFlags,
} from '../options.ts'
import { showProgress } from '../progress.ts'

const pollMs = 500

interface MoveFlags extends ClientFlags {
  readonly replicas: string
}

/** Commands that change who takes part. */
export function registerClusterMembers(cluster: Command, context: CliContext): void {
  clientCommand(cluster, 'move <topic>', 'move the replicas of a partition to other nodes, while it serves')
    .argument('<partition>', 'its number', wholeNumber(0, maxPartitionNumber))
    .requiredOption(
      '--replicas <node,...>',
      'the nodes that shall have it, the preferred leader first; those that have it now call a move off',
      nonEmpty,
    )
    .addHelpText(
      'after',
      '\nStopping this command leaves the move going; cluster describe shows how far it is.',
    )
    .action((topic: string, partition: number, flags: MoveFlags) => move(context, topic, partition, flags))

  clientCommand(
    cluster,
    'drain <node>',
    'move all replicas of a node to the others, while they serve',
  ).action((nodeId: string, flags: ClientFlags) => drain(context, nodeId, flags))

  clientCommand(cluster, 'remove <node>', 'take a node out of the cluster that holds no replicas').action(
    async (nodeId: string, flags: ClientFlags) => {
      await withClient(context, flags, (client) =>
        client.cluster.removeNode(nodeId, { signal: context.interrupted }),
      )
      context.stderr.write(
        `${nodeId} is out of the cluster; its process ends by itself once the others need it no more\n`,
      )
    },
  )
}

async function move(context: CliContext, topic: string, partition: number, flags: MoveFlags): Promise<void> {
  const nodeIds = flags.replicas.split(',').map((nodeId) => nodeId.trim())
  await withClient(context, flags, async (client) => {
    await client.cluster.moveReplicas(topic, partition, nodeIds, { signal: context.interrupted })
    const isDone = await poll(context, client, async () => {
      const { partitions } = await client.topics.describe(topic, { signal: context.interrupted })
      return partitions.find((each) => each.partition === partition)?.targetNodeIds?.length ? 1 : 0
    })
    if (isDone) context.stderr.write(`${topic}/${partition} is on ${nodeIds.join(', ')}\n`)
  })
}

async function drain(context: CliContext, nodeId: string, flags: ClientFlags): Promise<void> {
  await withClient(context, flags, async (client) => {
    const isDone = await poll(
      context,
      client,
      async () => (await client.cluster.drainNode(nodeId, { signal: context.interrupted })).remaining,
    )
    if (!isDone) return
    context.stderr.write(
      `${nodeId} holds no replicas any more; to take it out of the cluster: flotilla cluster remove ${nodeId}\n`,
    )
  })
}

/** Asks until nothing remains, and says what does; false where the user stopped waiting. */
async function poll(
  context: CliContext,
  client: Client,
  remainingOf: () => Promise<number>,
): Promise<boolean> {
  let text = ''
  using progress = showProgress(context, context.stderr, () => text, 0)
  let told: number | undefined
  while (!context.interrupted.aborted) {
    const remaining = await remainingOf()
    if (remaining === 0) return true
    text = `${plural(remaining, 'partition')} moving${await lagOf(context, client)}`
    if (!context.stderr.isTTY && remaining !== told) context.stderr.write(`${text}\n`)
    told = remaining
    await context.sleep(pollMs, context.interrupted)
  }
  progress.clear()
  return false
}

/** How far the newcomers are behind. */
async function lagOf(context: CliContext, client: Client): Promise<string> {
  const { replicas } = await client.cluster.describe({ signal: context.interrupted })
  const learners = replicas.filter(({ role, topic }) => role === 'REPLICA_ROLE_LEARNER' && topic !== '')
  if (learners.length === 0) return ''
  const behind = learners.reduce((sum, { lagEntries }) => sum + lagEntries, 0)
  const ids = [...new Set(learners.map(({ nodeId }) => nodeId))].toSorted()
  return ` · ${ids.join(', ')} ${formatCount(behind)} entries behind`
}
