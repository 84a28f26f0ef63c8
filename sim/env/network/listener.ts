import { AddressInUseError, type Handler, type Listener, type ListenOptions } from '../../../src/env/index.ts'
import type { SimClock } from '../clock.ts'
import type { Life } from '../life.ts'
import type { SimLogger } from '../logger.ts'
import type { Fabric } from './fabric.ts'
import { ServerSide } from './server-side.ts'
import type { Wire } from './wire.ts'

const DEFAULT_MAX_RECEIVE_BYTES = 8 * 1024 * 1024

export async function listenSim(
  fabric: Fabric,
  life: Life,
  clock: SimClock,
  logger: SimLogger,
  options: ListenOptions,
): Promise<Listener> {
  await new Promise<void>((resolve) => life.after(100, resolve))
  if (fabric.listenerAt(options.address) !== undefined) throw new AddressInUseError(options.address)
  return new SimListener(fabric, life, clock, logger, options)
}

/** A server of one process: takes wires, and calls on them. */
export class SimListener implements Listener {
  readonly address: string
  readonly life: Life
  readonly clock: SimClock
  readonly logger: SimLogger
  readonly handlers = new Map<string, Handler>()
  readonly maxReceiveBytes: number
  readonly fabric: Fabric
  readonly #sides = new Set<ServerSide>()
  #closing: Promise<void> | undefined
  #onIdle: (() => void) | undefined

  constructor(fabric: Fabric, life: Life, clock: SimClock, logger: SimLogger, options: ListenOptions) {
    this.fabric = fabric
    this.life = life
    this.clock = clock
    this.logger = logger
    this.address = options.address
    this.maxReceiveBytes = options.maxReceiveBytes ?? DEFAULT_MAX_RECEIVE_BYTES
    for (const handler of options.handlers) this.handlers.set(handler.method.path, handler)
    fabric.register(options.address, this)
  }

  get isOpen(): boolean {
    return this.life.isAlive && this.#closing === undefined
  }

  accept(wire: Wire): ServerSide {
    const side = new ServerSide(this, wire)
    this.#sides.add(side)
    return side
  }

  forget(side: ServerSide): void {
    this.#sides.delete(side)
    if (this.#sides.size === 0) this.#onIdle?.()
  }

  close(graceMs: number): Promise<void> {
    this.#closing ??= this.#close(graceMs)
    return this.#closing
  }

  async #close(graceMs: number): Promise<void> {
    for (const side of this.#sides) side.retire()
    if (this.#sides.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve
        this.life.after(Math.max(1, graceMs * 1000), () => {
          for (const side of this.#sides) side.hangUp()
          resolve()
        })
      })
    }
    await new Promise<void>((resolve) => this.life.after(10, resolve))
  }
}
