import type { Socket } from 'node:net'
import type { Logger } from '../env.ts'
import { RpcError, StatusCode, type Codec } from '../network.ts'

/** Serves connections that were accepted elsewhere. */
export interface ConnectionServer {
  take(socket: Socket): void
  /** Takes no new calls, gives those under way `graceMs`, then ends them. */
  close(graceMs: number): Promise<void>
}

/** A handler throws RpcError; anything else is a fault of ours, which the log has to show. */
export function rpcErrorOfHandler(error: unknown, path: string, logger: Logger): RpcError {
  if (error instanceof RpcError) return error
  logger.error({ err: error, path }, 'a handler failed unexpectedly')
  const text = `${path} failed unexpectedly; the log of the node tells more`
  return new RpcError(StatusCode.internal, text, { cause: error })
}

/** A codec may throw an RpcError of its own, with details; it is kept. */
export function decodeMessage(codec: Codec<unknown>, bytes: Uint8Array): unknown {
  try {
    return codec.decode(bytes)
  } catch (cause) {
    if (cause instanceof RpcError) throw cause
    throw new RpcError(StatusCode.invalidArgument, `the request is malformed: ${String(cause)}`, { cause })
  }
}
