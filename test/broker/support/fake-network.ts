import type {
  ConnectOptions,
  Connection,
  FlowControl,
  Network,
  Receiver,
  RpcError,
  RpcMethod,
  Sink,
} from '../../../src/env/index.ts'
import { TestSink } from './test-sink.ts'

/** The other node's end of a stream, played by the test. */
export class FakeStream extends TestSink<unknown> {
  readonly receiver: Receiver<unknown>
  constructor(receiver: Receiver<unknown>) {
    super()
    this.receiver = receiver
  }
  answer(message: unknown): void {
    this.receiver.onMessage(message)
  }
  lose(error?: RpcError): void {
    this.receiver.onClose(error)
  }
}

/** Connections whose streams a test answers; unary calls aren't there. */
export class FakeNetwork implements Network {
  /** Streams that a server answers, with how often they were cancelled. */
  readonly dialled: { readonly address: string; readonly receiver: Receiver<unknown>; cancelled: number }[] =
    []
  /** How soon each connection of frames, in the order of connecting, pings a silent peer. */
  readonly keepalivesMs: (number | undefined)[] = []
  readonly streams: { readonly address: string; readonly stream: FakeStream }[] = []

  connect(address: string): Connection {
    const unused = (): never => {
      throw new Error('this network has no unary calls')
    }
    return {
      address,
      unary: unused,
      serverStream: (_method, _request, receiver) => {
        const dialled = { address, receiver: receiver as Receiver<unknown>, cancelled: 0 }
        this.dialled.push(dialled)
        return {
          pause: () => undefined,
          resume: () => undefined,
          cancel: () => void (dialled.cancelled += 1),
        }
      },
      duplex: <Q, R>(_method: RpcMethod<Q, R, 'duplex'>, receiver: Receiver<R>): Sink<Q> & FlowControl => {
        const stream = new FakeStream(receiver as Receiver<unknown>)
        this.streams.push({ address, stream })
        return Object.assign(stream as Sink<Q>, { pause: () => undefined, resume: () => undefined })
      },
      close: () => undefined,
    }
  }
  connectFramed(address: string, { keepaliveMs }: ConnectOptions = {}): Connection {
    this.keepalivesMs.push(keepaliveMs)
    return this.connect(address)
  }
  listen(): Promise<never> {
    return Promise.reject(new Error('this network has no listeners'))
  }
  get newest(): FakeStream {
    const last = this.streams.at(-1)
    if (last === undefined) throw new Error('no stream was opened')
    return last.stream
  }
}
