import { nodeClock, nodeLogger, nodeNetwork, nodeRandom } from '../env/node/index.ts'
import { connectWith } from './connect.ts'
import type { Client, ClientOptions } from './types.ts'

/**
 * A client of the cluster that `bootstrap` belongs to. Nothing is sent before the first call. Throws FlotillaError
 * (INVALID_ARGUMENT) where an address is no HOST:PORT.
 */
export function connect(options: ClientOptions = {}): Client {
  const clock = nodeClock()
  const network = nodeNetwork(clock, nodeLogger({ level: 'silent' }))
  const bootstrap = options.bootstrap ?? process.env['FLOTILLA_BOOTSTRAP']
  const settings = bootstrap === undefined ? options : { ...options, bootstrap }
  return connectWith({ clock, network, random: nodeRandom() }, settings)
}

export { AbortError } from './abort.ts'
export { connectWith } from './connect.ts'
export type { ClientEnv } from './connect.ts'
export { ERROR_REASONS, FlotillaError } from '../wire/errors.ts'
export type { ErrorEffect, ErrorReason, LeaderHint, OffsetRange } from '../wire/errors.ts'
export type { DescribeClusterResponse, PartitionMessage, TopicMessage } from '../wire/messages.ts'
export type * from './types.ts'
