import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import {
  clientCommand,
  maxPartitionNumber,
  nonEmpty,
  withClient,
  withOutput,
  wholeNumber,
  type ClientFlags,
  type OutputFlags,
} from '../options.ts'
import { printAnswer } from '../print.ts'
import { registerClusterMembers } from './cluster-members.ts'
import { clusterJson, clusterRows, clusterTable } from '../views.ts'

interface TransferFlags extends ClientFlags {
  readonly to?: string
}

export function registerCluster(program: Command, context: CliContext): void {
  const cluster = program
    .command('cluster')
    .description('look at a cluster, move leadership and replicas, take nodes out')

  withOutput(
    clientCommand(cluster, 'describe', 'show nodes, and of every replica its role, term, progress and lag'),
  ).action(async (flags: ClientFlags & OutputFlags) => {
    const answer = await withClient(context, flags, (client) =>
      client.cluster.describe({ signal: context.interrupted }),
    )
    printAnswer(context, flags.output, {
      table: (output) => clusterTable(output, answer),
      json: () => clusterJson(answer),
      rows: () => clusterRows(answer),
    })
  })

  clientCommand(cluster, 'transfer <topic>', 'move the leadership of a partition to another replica')
    .argument('<partition>', 'its number', wholeNumber(0, maxPartitionNumber))
    .option('--to <node>', 'the node that shall lead (default: the replica that is furthest along)', nonEmpty)
    .action((topic: string, partition: number, flags: TransferFlags) =>
      transfer(context, topic, partition, flags),
    )

  registerClusterMembers(cluster, context)
}

async function transfer(
  context: CliContext,
  topic: string,
  partition: number,
  flags: TransferFlags,
): Promise<void> {
  const moved = await withClient(context, flags, (client) =>
    client.cluster.transferLeadership(topic, partition, {
      signal: context.interrupted,
      ...(flags.to !== undefined && { to: flags.to }),
    }),
  )
  context.stderr.write(`${topic}/${partition} is led by ${moved.leaderNodeId} in term ${moved.term}\n`)
}
