import type { Connection, Network } from '../../env/index.ts'

/** Metadata that a node sets on a call that it passes on: the next node answers itself or refuses. */
export const FORWARDED = 'flotilla-forwarded'

/** Connections to other nodes for calls that are passed on; one an address, made when first needed. */
export class NodeConnections {
  readonly #network: Network
  readonly #connections = new Map<string, Connection>()

  constructor(network: Network) {
    this.#network = network
  }

  to(address: string): Connection {
    const known = this.#connections.get(address)
    if (known !== undefined) return known
    const connection = this.#network.connect(address, { keepaliveMs: 5000 })
    this.#connections.set(address, connection)
    return connection
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close()
    this.#connections.clear()
  }
}
