import type { Client } from '../client/types.ts'
import type { DescribeClusterResponse } from '../wire/messages.ts'
import type { CliContext } from './context.ts'
import { CommandFailure, describeError } from './failure.ts'
import { formatDuration } from './format.ts'

const pollMs = 100

/**
 * Asks until the cluster is as `condition` wants it, and returns how it then was. Throws after `timeoutMs`, with the
 * last error if there was one.
 */
export async function awaitCluster(
  context: Pick<CliContext, 'nowMs' | 'sleep' | 'interrupted'>,
  client: Client,
  what: string,
  condition: (cluster: DescribeClusterResponse) => boolean,
  timeoutMs = 30_000,
): Promise<DescribeClusterResponse> {
  const deadlineMs = context.nowMs() + timeoutMs
  let lastError: unknown
  while (!context.interrupted.aborted) {
    try {
      const cluster = await client.cluster.describe({ timeoutMs: 2000, signal: context.interrupted })
      lastError = undefined
      if (condition(cluster)) return cluster
    } catch (error) {
      lastError = error
    }
    if (context.nowMs() >= deadlineMs) {
      const reason = lastError === undefined ? '' : `: ${describeError(lastError)}`
      throw new CommandFailure(`waited ${formatDuration(timeoutMs)} in vain until ${what}${reason}`, {
        cause: lastError,
      })
    }
    await context.sleep(pollMs, context.interrupted)
  }
  throw new Interrupted()
}

/** Waits until `nodes` nodes hear of each other and the metadata group has a leader. */
export async function awaitFormed(
  context: Pick<CliContext, 'nowMs' | 'sleep' | 'interrupted'>,
  client: Client,
  nodes: number,
): Promise<void> {
  await awaitCluster(
    context,
    client,
    'all nodes have found each other',
    (cluster) =>
      cluster.metadataLeaderNodeId !== undefined &&
      cluster.nodes.filter(({ reachable }) => reachable).length >= nodes,
  )
}

/** The user stopped the command: no failure of its own, and nothing to report. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
  constructor() {
    super('interrupted')
  }
}

export function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
