import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import { clientCommand, withClient, withOutput, type ClientFlags, type OutputFlags } from '../options.ts'
import { printAnswer } from '../print.ts'
import { renderTable } from '../table.ts'
import { hex, partitionJson } from '../views.ts'

export function registerPartition(program: Command, context: CliContext): void {
  const partition = program.command('partition').description('find partitions')

  withOutput(clientCommand(partition, 'key <topic> <key>', 'show which partition a key belongs to')).action(
    (topic: string, key: string, flags: ClientFlags & OutputFlags) => locate(context, topic, key, flags),
  )
}

async function locate(
  context: CliContext,
  topic: string,
  key: string,
  flags: ClientFlags & OutputFlags,
): Promise<void> {
  const { partition, keyHash } = await withClient(context, flags, (client) =>
    client.cluster.locate(topic, key, { signal: context.interrupted }),
  )
  const json = () => ({ topic, key, hash: keyHash, ...partitionJson(partition) })
  printAnswer(context, flags.output, {
    table: (output) =>
      renderTable(
        output,
        [
          { title: 'KEY' },
          { title: 'HASH' },
          { title: 'PARTITION', align: 'right' },
          { title: 'LEADER' },
          { title: 'REPLICAS' },
        ],
        [
          [
            key,
            hex(keyHash),
            partition.partition,
            partition.leaderNodeId ?? 'none',
            partition.replicaNodeIds.join(','),
          ],
        ],
      ),
    json,
    rows: () => [json()],
  })
}
