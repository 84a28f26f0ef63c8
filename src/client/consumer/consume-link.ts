import { RpcError, StatusCode, type FlowControl, type Sink } from '../../env/index.ts'
import {
  type FlotillaError,
  fromRpcError,
  groupMethods,
  type ConsumeRequest,
  type ConsumeResponse,
} from '../../wire/index.ts'
import type { Connections } from '../connections.ts'

export interface LinkEvents {
  readonly onMessage: (response: ConsumeResponse) => void
  /** Called once, unless it was cut; `undefined`: the node has ended it. */
  readonly onClose: (error: FlotillaError | undefined) => void
}

/** One Consume stream to one node. Credits bound what comes in; what goes out is small, and bounded by what was asked for. */
export class ConsumeLink {
  readonly #stream: Sink<ConsumeRequest> & FlowControl
  #isOver = false

  constructor(connections: Connections, address: string, events: LinkEvents) {
    this.#stream = connections.to(address).duplex(groupMethods.consume, {
      onMessage: (response) => {
        if (!this.#isOver) events.onMessage(response)
      },
      onEnd: () => {},
      onClose: (error) => {
        if (this.#isOver) return
        this.#isOver = true
        events.onClose(error === undefined ? undefined : fromRpcError(error))
      },
    })
  }

  send(request: ConsumeRequest): void {
    this.#stream.send(request)
  }

  halfClose(): void {
    this.#stream.end()
  }

  cut(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#stream.fail(new RpcError(StatusCode.cancelled, 'the consumer has left this node'))
  }
}
