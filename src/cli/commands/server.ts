import type { Command } from 'commander'
import type { Logger } from '../../env/index.ts'
import type { RunningServer } from '../../broker/index.ts'
import type { CliContext } from '../context.ts'
import { CommandFailure } from '../failure.ts'
import { leafCommand } from '../options.ts'
import type { Settings } from '../server-config.ts'
import { readSettings, withServerFlags } from './server-flags.ts'

export function registerServer(program: Command, context: CliContext): void {
  withServerFlags(leafCommand(program, 'server', 'run one node')).action(async (flags: object) => {
    const { config } = await readSettings(context, flags)
    await serve(context, config)
  })
}

/** Runs the node until it is told to stop, then hands its leadership over; fails where the node had to stop by itself. */
async function serve(context: CliContext, settings: Settings): Promise<void> {
  const { nodeId, clusterName, cluster } = settings.server
  const logger = context.createLogger({ level: settings.logLevel, pretty: context.stderr.isTTY })
  const server = await start(context, settings, logger)
  void server.ready.then(() => {
    logger.info(
      { node: nodeId, address: server.address, cluster: clusterName, nodes: cluster.length },
      'ready',
    )
    context.launcher?.ready()
  })
  const cause = await firstOf(context, server)
  switch (cause.type) {
    case 'failed':
      // The message says all; what is behind it is for --verbose.
      await server.close({ handOver: false })
      throw new CommandFailure(`${nodeId} had to stop: ${cause.error.message}`, { cause: cause.error })
    case 'told': {
      logger.info({ node: nodeId }, 'stopping: handing leadership over')
      await server.close({ handOver: true })
      logger.info({ node: nodeId }, 'stopped')
    }
  }
}

async function start(context: CliContext, settings: Settings, logger: Logger): Promise<RunningServer> {
  try {
    return await context.startServer(settings.server, logger)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new CommandFailure(`${settings.server.nodeId} can't start: ${reason}`, { cause: error })
  }
}

type Cause = { readonly type: 'told' } | { readonly type: 'failed'; readonly error: Error }

function firstOf(context: CliContext, server: RunningServer): Promise<Cause> {
  const told = [context.interrupted, ...(context.launcher === undefined ? [] : [context.launcher.gone])]
  const stop = AbortSignal.any(told)
  return new Promise((resolve) => {
    if (stop.aborted) resolve({ type: 'told' })
    stop.addEventListener('abort', () => resolve({ type: 'told' }), { once: true })
    void server.failed.then((error) => resolve({ type: 'failed', error }))
  })
}
