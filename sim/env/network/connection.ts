import {
  RpcError,
  StatusCode,
  type CallOptions,
  type Connection,
  type ConnectOptions,
  type FlowControl,
  type Receiver,
  type RpcMethod,
  type Sink,
} from '../../../src/env/index.ts'
import type { SimClock } from '../clock.ts'
import type { Life } from '../life.ts'
import { ClientCall } from './client-call.ts'
import { hostOf, type Fabric } from './fabric.ts'
import type { Frame } from './frame.ts'
import type { Wire, WireEnd } from './wire.ts'

const DEFAULT_WINDOW_BYTES = 4 * 1024 * 1024
const DEFAULT_MAX_RECEIVE_BYTES = 64 * 1024 * 1024
const DEFAULT_KEEPALIVE_MS = 10_000
const KEEPALIVE_TIMEOUT_MS = 5000
/** An attempt that nobody answers ends after this. */
const CONNECT_TIMEOUT_MS = 20_000
const FIRST_BACKOFF_MS = 50
const LONGEST_BACKOFF_MS = 1000
const SYN_AGAIN_MS = [200, 1000] as const

type State =
  | { readonly type: 'idle' }
  | { readonly type: 'connecting' }
  | { readonly type: 'ready'; readonly link: ClientLink }
  /** The last attempt failed: calls fail at once until then. */
  | { readonly type: 'failing'; readonly untilUs: number; readonly why: string }

/** As a channel of grpc-js with one address: connects when first used, and again after a loss; calls wait for the first try. */
export class SimConnection implements Connection {
  readonly address: string
  readonly #fabric: Fabric
  readonly #life: Life
  readonly #clock: SimClock
  readonly #options: ConnectOptions
  #state: State = { type: 'idle' }
  #waiting: ClientCall[] = []
  #failures = 0
  #closed = false

  constructor(fabric: Fabric, life: Life, clock: SimClock, address: string, options: ConnectOptions) {
    this.#fabric = fabric
    this.#life = life
    this.#clock = clock
    this.address = address
    this.#options = options
  }

  get windowBytes(): number {
    return this.#options.windowBytes ?? DEFAULT_WINDOW_BYTES
  }
  get maxReceiveBytes(): number {
    return this.#options.maxReceiveBytes ?? DEFAULT_MAX_RECEIVE_BYTES
  }

  unary<Q, R>(method: RpcMethod<Q, R, 'unary'>, request: Q, options: CallOptions = {}): Promise<R> {
    return new Promise((resolve, reject) => {
      let answer: { readonly response: R } | undefined
      const call = this.#call(
        method,
        {
          onMessage: (response) => (answer = { response }),
          onEnd: () => {},
          onClose: (error) => {
            if (error !== undefined) reject(error)
            else if (answer !== undefined) resolve(answer.response)
            else reject(new RpcError(StatusCode.internal, `${method.path} was answered by nothing`))
          },
        },
        options,
      )
      call.send(request)
      call.end()
    })
  }

  serverStream<Q, R>(
    method: RpcMethod<Q, R, 'serverStream'>,
    request: Q,
    receiver: Receiver<R>,
    options: CallOptions = {},
  ): FlowControl & { cancel(): void } {
    const call = this.#call(method, receiver, options)
    call.send(request)
    call.end()
    return { pause: () => call.pause(), resume: () => call.resume(), cancel: () => call.cancel() }
  }

  duplex<Q, R>(
    method: RpcMethod<Q, R, 'duplex'>,
    receiver: Receiver<R>,
    options: CallOptions = {},
  ): Sink<Q> & FlowControl {
    const call = this.#call(method, receiver, options)
    return {
      send: (message) => call.send(message),
      onDrain: (listener) => call.onDrain(listener),
      end: () => call.end(),
      fail: () => call.cancel(),
      pause: () => call.pause(),
      resume: () => call.resume(),
    }
  }

  /** Calls under way go on; new ones are refused. */
  close(): void {
    this.#closed = true
    if (this.#state.type === 'ready') this.#state.link.closeWhenIdle()
    for (const call of this.#waiting.splice(0)) call.failUnsent('the connection was closed')
  }

  #call<Q, R>(method: RpcMethod<Q, R>, receiver: Receiver<R>, options: CallOptions): ClientCall<Q, R> {
    const call = new ClientCall<Q, R>(this.#life, this.#clock, method, receiver, options, this)
    if (this.#closed) call.failUnsent(`the connection to ${this.address} is closed`)
    else if (options.signal?.aborted === true) call.cancelUnsent(options.signal.reason)
    else this.#begin(call as unknown as ClientCall)
    return call
  }

  #begin(call: ClientCall): void {
    const state = this.#state
    if (state.type === 'ready') state.link.start(call)
    else if (state.type === 'failing' && state.untilUs > this.#fabric.timeline.nowUs)
      call.failUnsent(state.why)
    else {
      this.#waiting.push(call)
      if (state.type !== 'connecting') this.#connect()
    }
  }

  #connect(): void {
    this.#state = { type: 'connecting' }
    const giveUpUs = this.#fabric.timeline.nowUs + CONNECT_TIMEOUT_MS * 1000
    const there = hostOf(this.address)
    const roundTripUs =
      this.#fabric.latencyUs(this.#life.host, there) + this.#fabric.latencyUs(there, this.#life.host)
    this.#life.after(roundTripUs, () => this.#knock(giveUpUs))
  }

  #knock(giveUpUs: number): void {
    const { random, timeline } = this.#fabric
    const [here, there] = [this.#life.host, hostOf(this.address)]
    const silent =
      this.#fabric.isBlocked(here, there) || this.#fabric.isBlocked(there, here) || this.#fabric.isDark(there)
    if (silent) {
      if (timeline.nowUs >= giveUpUs) this.#connectFailed(`connect ETIMEDOUT ${this.address}`)
      else {
        const [soonest, latest] = SYN_AGAIN_MS
        this.#life.after(random.between(soonest * 1000, latest * 1000), () => this.#knock(giveUpUs))
      }
      return
    }
    const listener = this.#fabric.listenerAt(this.address)
    if (listener === undefined) this.#connectFailed(`connect ECONNREFUSED ${this.address}`)
    else this.#connected(this.#fabric.openWire(this.#life, listener))
  }

  #connectFailed(why: string): void {
    const longestMs = Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(this.#failures++, 10))
    const untilUs =
      this.#fabric.timeline.nowUs + this.#fabric.random.between(longestMs * 800, longestMs * 1200)
    const told = `No connection established. Last error: ${why}`
    this.#state = { type: 'failing', untilUs, why: told }
    for (const call of this.#waiting.splice(0)) call.failUnsent(told)
  }

  #connected(wire: Wire): void {
    this.#failures = 0
    const keepaliveMs = this.#options.keepaliveMs ?? DEFAULT_KEEPALIVE_MS
    const link = new ClientLink(this.#life, wire, keepaliveMs, () => {
      if (this.#state.type === 'ready' && this.#state.link === link) this.#state = { type: 'idle' }
    })
    this.#state = { type: 'ready', link }
    for (const call of this.#waiting.splice(0)) link.start(call)
    if (this.#closed) link.closeWhenIdle()
  }
}

/** The client's end of a wire. */
export class ClientLink implements WireEnd {
  readonly life: Life
  readonly #wire: Wire
  readonly #keepaliveMs: number
  /** No new calls go here: the link is lost, or its server said so. */
  readonly #onRetired: () => void
  readonly #calls = new Map<number, ClientCall>()
  #nextCallId = 1
  #heard = true
  #lost = false
  #closing = false

  constructor(life: Life, wire: Wire, keepaliveMs: number, onRetired: () => void) {
    this.life = life
    this.#wire = wire
    this.#keepaliveMs = keepaliveMs
    this.#onRetired = onRetired
    wire.attach(this)
    this.#watch()
  }

  start(call: ClientCall): void {
    const callId = this.#nextCallId++
    this.#calls.set(callId, call)
    call.begin(callId, this)
  }

  transmit(frame: Frame): void {
    if (!this.#lost) this.#wire.toServer(frame)
  }

  /** The call is over at this end. */
  forget(callId: number): void {
    this.#calls.delete(callId)
    if (this.#closing && this.#calls.size === 0) this.#close()
  }

  closeWhenIdle(): void {
    this.#closing = true
    if (this.#calls.size === 0) this.#close()
  }

  receive(frame: Frame): void {
    if (this.#lost) return
    this.#heard = true
    switch (frame.type) {
      case 'message':
        this.#calls.get(frame.callId)?.receive(frame.bytes)
        return
      case 'status':
        this.#calls.get(frame.callId)?.ended(frame)
        return
      case 'window':
        this.#calls.get(frame.callId)?.opened(frame.bytes)
        return
      case 'goaway':
        this.#onRetired()
        for (const [callId, call] of this.#calls) if (callId > frame.lastCallId) call.refused()
        return
      case 'ping':
        this.transmit({ type: 'pong' })
        return
      case 'fin':
        this.#wire.finished()
        this.lost('connection closed by peer')
        return
      case 'pong':
      case 'call':
      case 'end':
      case 'cancel':
    }
  }

  lost(why: string): void {
    if (this.#lost) return
    this.#lost = true
    this.#onRetired()
    const calls = [...this.#calls.values()]
    this.#calls.clear()
    for (const call of calls) call.lost(why)
  }

  /** Pings a silent connection, and gives it up when the ping is not answered. */
  #watch(): void {
    this.#heard = false
    this.life.after(this.#keepaliveMs * 1000, () => {
      if (this.#lost) return
      if (this.#heard) return this.#watch()
      this.transmit({ type: 'ping' })
      this.life.after(KEEPALIVE_TIMEOUT_MS * 1000, () => {
        if (this.#lost) return
        if (this.#heard) return this.#watch()
        this.#wire.closedBy(this)
        this.lost('Keepalive timeout')
      })
    })
  }

  #close(): void {
    if (this.#lost) return
    this.#lost = true
    this.#onRetired()
    this.#wire.closedBy(this)
  }
}
