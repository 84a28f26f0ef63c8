import { RpcError, unaryHandler, type CallContext, type Handler, type RpcMethod } from '../../env/index.ts'
import { FlotillaError, toRpcError } from '../../wire/index.ts'

/** What a handler threw, as the transport takes it. */
export function asRpcError(error: unknown): RpcError {
  if (error instanceof RpcError) return error
  if (error instanceof FlotillaError) return toRpcError(error)
  return toRpcError(
    new FlotillaError('INTERNAL', error instanceof Error ? error.message : String(error), { cause: error }),
  )
}

/** A unary handler that may throw FlotillaError. */
export function answering<Q, R>(
  method: RpcMethod<Q, R, 'unary'>,
  answer: (request: Q, call: CallContext) => Promise<R>,
): Handler {
  return unaryHandler(method, async (request, call) => {
    try {
      return await answer(request, call)
    } catch (error) {
      throw asRpcError(error)
    }
  })
}
