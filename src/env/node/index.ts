import type { Env } from '../env.ts'
import { nodeClock } from './clock.ts'
import { nodeDisk } from './disk.ts'
import { nodeLogger, type LoggerOptions } from './logger.ts'
import { nodeNetwork } from './network.ts'
import { nodeRandom } from './random.ts'

/** The real world: this machine's clock, randomness, disk, gRPC network, and pino on standard error. */
export function nodeEnv(options: LoggerOptions): Env {
  const clock = nodeClock()
  const logger = nodeLogger(options)
  return { clock, random: nodeRandom(), disk: nodeDisk(), network: nodeNetwork(clock, logger), logger }
}

export { nodeClock, nodeDisk, nodeLogger, nodeNetwork, nodeRandom }
export type { LogLevel } from './logger.ts'
