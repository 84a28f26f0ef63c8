import type { Handler, MethodKind, RpcError } from '../../env/index.ts'
import { FlotillaError, toRpcError } from '../../wire/index.ts'

/** While a node stops, new calls are turned away at once; clients go on at another node. */
export class Gate {
  readonly #nodeId: string
  #isClosed = false

  constructor(nodeId: string) {
    this.#nodeId = nodeId
  }

  close(): void {
    this.#isClosed = true
  }

  /** The handler, which answers SHUTTING_DOWN once the gate is closed. */
  guard(handler: Handler): Handler {
    if (isUnary(handler)) {
      const guarded: OfKind<'unary'> = {
        method: handler.method,
        handle: (request, call) =>
          this.#isClosed ? Promise.reject(this.#refusal()) : handler.handle(request, call),
      }
      return guarded
    }
    if (isServerStream(handler)) {
      const guarded: OfKind<'serverStream'> = {
        method: handler.method,
        handle: (request, sink, call) => {
          if (this.#isClosed) sink.fail(this.#refusal())
          else handler.handle(request, sink, call)
        },
      }
      return guarded
    }
    const guarded: OfKind<'duplex'> = {
      method: handler.method,
      handle: (sink, flow, call) => {
        if (!this.#isClosed) return handler.handle(sink, flow, call)
        sink.fail(this.#refusal())
        return { onMessage: () => undefined, onEnd: () => undefined, onClose: () => undefined }
      },
    }
    return guarded
  }

  #refusal(): RpcError {
    return toRpcError(new FlotillaError('SHUTTING_DOWN', `node ${this.#nodeId} is stopping`))
  }
}

type OfKind<Kind extends MethodKind> = Extract<Handler, { readonly method: { readonly kind: Kind } }>

function isUnary(handler: Handler): handler is OfKind<'unary'> {
  return handler.method.kind === 'unary'
}

function isServerStream(handler: Handler): handler is OfKind<'serverStream'> {
  return handler.method.kind === 'serverStream'
}
