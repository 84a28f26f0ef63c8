import type { Life } from '../life.ts'
import type { Fabric } from './fabric.ts'
import { sizeOf, type Frame } from './frame.ts'
import type { SimListener } from './listener.ts'
import type { ServerSide } from './server-side.ts'

/** A lost packet is sent again so long after; on a blocked way nothing gets through until it opens. */
const RETRANSMIT_US = [20_000, 200_000] as const

/** One end of a wire, as the wire sees it. */
export interface WireEnd {
  readonly life: Life
  receive(frame: Frame): void
  /** The connection is gone. */
  lost(why: string): void
}

/** One direction: frames arrive in the order in which they were sent, later or never, never twice. */
class Pipe {
  readonly #wire: Wire
  readonly #fabric: Fabric
  readonly #from: string
  readonly #to: string
  readonly #receiver: () => WireEnd
  #queue: { readonly frame: Frame; readonly arrivalUs: number }[] = []
  #first = 0
  #lastArrivalUs = 0
  #scheduled = false
  closed = false

  constructor(wire: Wire, fabric: Fabric, from: string, to: string, receiver: () => WireEnd) {
    this.#wire = wire
    this.#fabric = fabric
    this.#from = from
    this.#to = to
    this.#receiver = receiver
  }

  send(frame: Frame): void {
    if (this.closed) return
    const { timeline } = this.#fabric
    const latencyUs = this.#fabric.latencyUs(this.#from, this.#to)
    const beginUs = Math.max(this.#lastArrivalUs, timeline.nowUs + latencyUs)
    const arrivalUs = beginUs + this.#fabric.transmissionUs(this.#from, this.#to, sizeOf(frame), beginUs)
    this.#lastArrivalUs = arrivalUs
    this.#queue.push({ frame, arrivalUs })
    this.#fabric.events.onSent?.(this.#wire.id, this.#from, this.#to, frame)
    if (!this.#scheduled) this.#schedule(arrivalUs)
  }

  /** Loses what has not arrived, from some frame on. */
  cut(kept: number): void {
    this.#tellDropped(this.#first + kept)
    this.#queue.length = Math.min(this.#queue.length, this.#first + kept)
  }

  close(): void {
    this.closed = true
    this.#tellDropped(this.#first)
  }

  #tellDropped(from: number): void {
    const { events } = this.#fabric
    if (events.onDropped === undefined) return
    for (const { frame } of this.#queue.slice(from)) events.onDropped(frame)
  }

  get length(): number {
    return this.#queue.length - this.#first
  }

  #schedule(timeUs: number): void {
    this.#scheduled = true
    this.#fabric.timeline.at(timeUs, () => this.#arrive())
  }

  #arrive(): void {
    this.#scheduled = false
    if (this.closed) return
    const { timeline, random } = this.#fabric
    const { life } = this.#receiver()
    if (this.#wire.isBlackHole || this.#fabric.isDark(this.#to)) return
    if (!life.isAlive) return this.#wire.resetBy(this.#to)
    if (this.#fabric.isBlocked(this.#from, this.#to)) {
      this.#schedule(timeline.nowUs + random.between(...RETRANSMIT_US))
      return
    }
    if (life.pausedUntilUs > timeline.nowUs) {
      this.#schedule(life.pausedUntilUs + random.below(100))
      return
    }
    for (;;) {
      const next = this.#queue[this.#first]
      if (next === undefined || this.closed) break
      if (next.arrivalUs > timeline.nowUs) {
        this.#schedule(next.arrivalUs)
        break
      }
      this.#first++
      this.#fabric.events.onArrival(this.#from, this.#to, next.frame)
      this.#receiver().receive(next.frame)
    }
    if (this.#first > 64 || this.#first === this.#queue.length) {
      this.#queue = this.#queue.slice(this.#first)
      this.#first = 0
    }
  }
}

/** A connection between two processes, as TCP with HTTP/2 on it makes one. */
export class Wire {
  readonly id: number
  readonly client: Life
  readonly server: Life
  readonly #fabric: Fabric
  readonly #toServer: Pipe
  readonly #toClient: Pipe
  #clientEnd: WireEnd | undefined
  readonly #serverEnd: ServerSide
  /** Half-open: neither end hears of the other any more, and nobody says so. */
  isBlackHole = false
  #over = false
  #beforeMessageIsLost: (() => boolean) | undefined

  constructor(fabric: Fabric, id: number, client: Life, listener: SimListener) {
    this.#fabric = fabric
    this.id = id
    this.client = client
    this.server = listener.life
    const [clientHost, serverHost] = [client.host, listener.life.host]
    this.#toServer = new Pipe(this, fabric, clientHost, serverHost, () => this.#serverEnd)
    this.#toClient = new Pipe(this, fabric, serverHost, clientHost, () => this.#clientEnd!)
    this.#serverEnd = listener.accept(this)
  }

  attach(end: WireEnd): void {
    this.#clientEnd = end
  }

  get isOver(): boolean {
    return this.#over
  }

  toServer(frame: Frame): void {
    this.#toServer.send(frame)
  }

  toClient(frame: Frame): void {
    this.#toClient.send(frame)
    const mayBeLost = this.#beforeMessageIsLost
    if (frame.type !== 'message' || mayBeLost === undefined) return
    this.#beforeMessageIsLost = undefined
    if (mayBeLost()) this.#fabric.timeline.after(0, () => this.reset('connection reset'))
  }

  /** Is reset as soon as the server has sent a message, which gets lost, if `mayBeLost` says so then. */
  resetWithNextMessage(mayBeLost: () => boolean): void {
    this.#beforeMessageIsLost = mayBeLost
  }

  /** A router, a firewall, an operating system: both ends are told, each when the news reaches it. */
  reset(why: string): void {
    if (this.#over) return
    const { random } = this.#fabric
    this.#toServer.cut(random.below(this.#toServer.length + 1))
    this.#toClient.cut(random.below(this.#toClient.length + 1))
    this.#end()
    this.#tell(this.#clientEnd, why)
    this.#tell(this.#serverEnd, why)
  }

  /** Something arrived for a process that is no more: its machine says so. */
  resetBy(host: string): void {
    if (this.#over) return
    this.#end()
    if (host === this.client.host) this.#tell(this.#serverEnd, 'connection reset by peer')
    else this.#tell(this.#clientEnd, 'connection reset by peer')
  }

  /** A process ended and its machine runs on: it closes its end, perhaps before all that it sent has left. */
  processEnded(life: Life): void {
    if (this.#over) return
    const pipe = life === this.client ? this.#toServer : this.#toClient
    if (this.#fabric.random.chance(500)) pipe.cut(this.#fabric.random.below(pipe.length + 1))
    pipe.send({ type: 'fin' })
  }

  /** A machine lost its power: what had left it still arrives, and then there is silence. */
  powerLost(life: Life): void {
    const pipe = life === this.client ? this.#toServer : this.#toClient
    pipe.cut(this.#fabric.random.below(pipe.length + 1))
  }

  /** One end gives up by itself and tells the other as well as it can. */
  closedBy(end: WireEnd): void {
    if (this.#over) return
    this.#fabric.events.onWireLost?.(this.id)
    if (end === this.#clientEnd) this.#toServer.send({ type: 'fin' })
    else this.#toClient.send({ type: 'fin' })
  }

  /** The other end has heard of the end. */
  finished(): void {
    this.#end()
  }

  #end(): void {
    this.#over = true
    this.#toServer.close()
    this.#toClient.close()
    this.#fabric.wires.delete(this)
    this.#fabric.events.onWireLost?.(this.id)
  }

  #tell(end: WireEnd | undefined, why: string): void {
    if (end === undefined) return
    end.life.after(this.#fabric.latencyUs(this.client.host, this.server.host), () => end.lost(why))
  }
}
