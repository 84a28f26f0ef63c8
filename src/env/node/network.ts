import type { Clock, Logger } from '../env.ts'
import type { Network } from '../network.ts'
import { connectGrpc } from './grpc-client.ts'
import { listenGrpc } from './grpc-server.ts'

/** gRPC over real sockets (grpc-js). Failures of handlers that aren't RpcError go to `logger`. */
export function nodeNetwork(clock: Clock, logger: Logger): Network {
  return {
    listen: (options) => listenGrpc(options, clock, logger),
    connect: (address, options = {}) => connectGrpc(address, options, clock),
  }
}
