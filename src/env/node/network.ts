import type { Clock, Logger } from '../env.ts'
import type { Network } from '../network.ts'
import { connectFramed } from './framed/framed-client.ts'
import { connectGrpc } from './grpc-client.ts'
import { listen } from './listener.ts'

/**
 * gRPC (grpc-js) and, between nodes, plain frames, over real sockets. Failures of handlers that aren't RpcError go to
 * `logger`.
 */
export function nodeNetwork(clock: Clock, logger: Logger): Network {
  return {
    listen: (options) => listen(options, clock, logger),
    connect: (address, options = {}) => connectGrpc(address, options, clock),
    connectFramed: (address, options = {}) => connectFramed(address, options, clock),
  }
}
